"""What copies of the bidder share: profiles in ElastiCache for Valkey, encrypted, by user and password.

The bidder takes one URL with everything in it (`rediss://user:password@host:port/0`, see bidder/state/valkey.py). The
rule kept here: the password stands in no template and no task definition. Secrets Manager generates it; the user and
the URL, itself a secret, hold references to it that CloudFormation resolves as it deploys.

Passwords come in generations. With (1,) in force, deploying (1, 2) makes a second one, lets the user in with either and
makes a new URL secret with the second; its new ARN is a new task definition, which rolls out and rolls back like any
other. Deploying (2,) then ends the first. So a rotation is two deployments, without a function that may change users.

One shard: the bidder asks for many keys in one MGET, which several shards refuse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticache as elasticache
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.bidder_metrics import service_of
from infra.environments import CacheSizes

PROFILES = "~profile:*"  # KEY_PREFIX of bidder/state/valkey.py
PASSWORD_CHARS = 64  # letters and digits, so that a URL takes it as it is; ElastiCache takes 16 to 128


@dataclass(frozen=True, slots=True)
class User:
    """`may`: the user's part of an access string (ElastiCache guide, "Role-Based Access Control")."""

    name: str
    may: str


READER = User("reader", f"on {PROFILES} -@all +mget")  # the bidder
LOADER = User("loader", f"on {PROFILES} -@all +set")  # `python -m bidder load-profiles`
NOBODY = User("default", f"off {PROFILES} -@all")  # who does not say who they are


class Cache(Construct):
    """A replication group. `reader_url` and `loader_url` are secrets to start the bidder and the loader with."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        sizes: CacheSizes,
        vpc: ec2.IVpc,
        subnets: Sequence[ec2.ISubnet],
        key: kms.IKey,
    ) -> None:
        """ValueError: `sizes` cannot be had."""
        super().__init__(scope, construct_id)
        if sizes.nodes < 2 or not 1 <= len(sizes.passwords) <= 2:
            raise ValueError(f"a cache has at least two nodes and one or two passwords: {sizes}")
        self.port = sizes.port
        self._prefix = service_of(name)
        self._sizes = sizes
        self._key = key
        self.security_group = ec2.SecurityGroup(
            self, "SecurityGroup", vpc=vpc, allow_all_outbound=False, description="Profiles: from the bidder alone"
        )
        passwords = {user: self._passwords(user) for user in (READER, LOADER)}
        passwords[NOBODY] = passwords[LOADER]  # a user of Valkey's has to have one; this one is off
        group = elasticache.CfnUserGroup(
            self,
            "Users",
            engine="valkey",
            user_group_id=f"{self._prefix}-profiles",
            user_ids=[self._user(user, its).ref for user, its in passwords.items()],
        )
        self.replication_group = self._replication_group(group, subnets)
        self.reader_url = self._url(READER, passwords[READER][-1])
        self.loader_url = self._url(LOADER, passwords[LOADER][-1])

    def allow_from(self, security_group: ec2.ISecurityGroup) -> None:
        """Let members of `security_group` connect: a rule on each side."""
        port = ec2.Port.tcp(self.port)
        self.security_group.connections.allow_from(security_group, port, "Profiles")

    def _passwords(self, user: User) -> list[secretsmanager.Secret]:
        """One a generation, oldest first."""
        return [
            secretsmanager.Secret(
                self,
                f"{user.name.title()}Password{generation}",
                secret_name=f"{self._prefix}/profiles/{user.name}/password-{generation}",
                description=f"Password {generation} of the cache's user {user.name}",
                encryption_key=self._key,
                generate_secret_string=secretsmanager.SecretStringGenerator(
                    password_length=PASSWORD_CHARS, exclude_punctuation=True
                ),
                removal_policy=RemovalPolicy.DESTROY,
            )
            for generation in self._sizes.passwords
        ]

    def _user(self, user: User, passwords: Sequence[secretsmanager.Secret]) -> elasticache.CfnUser:
        return elasticache.CfnUser(
            self,
            f"{user.name.title()}User",
            engine="valkey",
            user_id=f"{self._prefix}-profiles-{user.name}",
            user_name=user.name,
            access_string=user.may,
            # References, not values: {{resolve:secretsmanager:…}}.
            authentication_mode={"Type": "password", "Passwords": [_reference(password) for password in passwords]},
        )

    def _url(self, user: User, password: secretsmanager.Secret) -> secretsmanager.ISecret:
        """A secret of its own for each generation: a new ARN is what makes ECS start new tasks."""
        generation = self._sizes.passwords[-1]
        host = self.replication_group.attr_primary_end_point_address
        name = f"{user.name.title()}Url{generation}"
        secret = secretsmanager.CfnSecret(
            self,
            name,
            name=f"{self._prefix}/profiles/{user.name}/url-{generation}",
            description=f"BIDDER_STATE_URL of the cache's user {user.name}",
            kms_key_id=self._key.key_arn,
            secret_string=f"rediss://{user.name}:{_reference(password)}@{host}:{self.port}/0",
        )
        return secretsmanager.Secret.from_secret_complete_arn(self, f"{name}Secret", secret.ref)

    def _replication_group(
        self, users: elasticache.CfnUserGroup, subnets: Sequence[ec2.ISubnet]
    ) -> elasticache.CfnReplicationGroup:
        sizes = self._sizes
        subnet_group = elasticache.CfnSubnetGroup(
            self,
            "Subnets",
            cache_subnet_group_name=f"{self._prefix}-profiles",
            description="Private subnets",
            subnet_ids=[subnet.subnet_id for subnet in subnets],
        )
        parameters = elasticache.CfnParameterGroup(
            self,
            "Parameters",
            cache_parameter_group_family=f"valkey{sizes.engine_version.partition('.')[0]}",
            description="Full: the profile that is asked for least goes, which costs targeting and never a bid",
            properties={"maxmemory-policy": "allkeys-lfu", "lazyfree-lazy-eviction": "yes"},
        )
        log_group = logs.CfnLogGroup(
            self,
            "Logs",
            log_group_name=f"/{self._prefix}/profiles",
            retention_in_days=sizes.log_days,
            kms_key_id=self._key.key_arn,
        )
        return elasticache.CfnReplicationGroup(
            self,
            "Profiles",
            replication_group_id=f"{self._prefix}-profiles",
            replication_group_description="Profiles of users, by digest of their identifiers",
            engine="valkey",
            engine_version=sizes.engine_version,
            cache_node_type=sizes.node_type,
            num_cache_clusters=sizes.nodes,
            multi_az_enabled=True,
            automatic_failover_enabled=True,
            port=sizes.port,
            transit_encryption_enabled=True,
            transit_encryption_mode="required",
            at_rest_encryption_enabled=True,
            kms_key_id=self._key.key_id,
            user_group_ids=[users.ref],
            security_group_ids=[self.security_group.security_group_id],
            cache_subnet_group_name=subnet_group.ref,
            cache_parameter_group_name=parameters.ref,
            snapshot_retention_limit=sizes.snapshot_days,
            snapshot_window=sizes.snapshot_window,
            preferred_maintenance_window=sizes.maintenance_window,
            auto_minor_version_upgrade=True,
            log_delivery_configurations=[
                elasticache.CfnReplicationGroup.LogDeliveryConfigurationRequestProperty(
                    destination_type="cloudwatch-logs",
                    destination_details=elasticache.CfnReplicationGroup.DestinationDetailsProperty(
                        cloud_watch_logs_details=elasticache.CfnReplicationGroup.CloudWatchLogsDestinationDetailsProperty(
                            log_group=log_group.ref
                        )
                    ),
                    log_format="json",
                    log_type=log_type,
                )
                for log_type in ("slow-log", "engine-log")
            ],
        )


def _reference(secret: secretsmanager.ISecret) -> str:
    """What CloudFormation puts the value in for. "Unsafe" is the CDK's word for any way out of a SecretValue."""
    return secret.secret_value.unsafe_unwrap()
