"""What a task of the bidder is: its containers, its settings and secrets, and what it may do in AWS.

The rules kept here. Settings are the typed ones of infra/environments.py and nothing else. Secrets come from Secrets
Manager and stand in no template. The bidder may ask one endpoint and read its own documents; what starts it may pull
one image, read its secrets and write its log. The bidder does not run as root, writes to no image, has no capability.

On EC2 the containers also have `no-new-privileges`. Fargate has no such option; there a task has a virtual machine to
itself, privileged containers do not exist, no program in the image has a set-user-ID bit, and if one had, it would gain
a root without any capability, on a file system that cannot be written.

What ends a task is /healthz alone (the container's health check): a process that does not answer at all. /readyz is the
balancer's. But ECS also replaces tasks that the balancer has found unhealthy, once the grace period is over. That is
right for the one thing that makes /readyz fail later on, credentials that cannot be refreshed. An endpoint that goes
away does not, as it has to have answered once only; and a start that waits for it has the grace period.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from aws_cdk import Aws, RemovalPolicy, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.bidder_metrics import namespace_of, service_of
from infra.environments import BidderSettings, FargateCapacity, ServiceSizes
from infra.stopping import stop_timeout_s

BIDDER = "bidder"
PORT = 8080
USER = "10001:10001"  # as in the Dockerfile
SCRATCH = "/tmp"  # noqa: S108 (a mount of the container's own; the image says that anyone may write to it)
CACHE_DIR = f"{SCRATCH}/rtb-bidder"
LONGEST_START_S = 300  # startPeriod, ECS API reference, HealthCheck
OPEN_FILES = 65_536  # a connection is one
ContainerDefinition: TypeAlias = ecs.CfnTaskDefinition.ContainerDefinitionProperty


class BidderTask(Construct):
    """A task definition. `task_role` is what runs, `execution_role` what starts it."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        sizes: ServiceSizes,
        settings: BidderSettings,
        repository: ecr.IRepository,
        key: kms.IKey,
        endpoint_name: str,
        documents_bucket: s3.IBucket,
        state_url: secretsmanager.ISecret,
        event_stream_arn: str = "",
        side_cars: Sequence[ContainerDefinition] = (),
    ) -> None:
        """`name`: the environment's. `state_url`: BIDDER_STATE_URL as a secret. `event_stream_arn`: a Firehose stream
        for events, "" for none. `side_cars` share the task's network; what they may do is granted to `task_role`."""
        super().__init__(scope, construct_id)
        self._sizes = sizes
        self._on_fargate = isinstance(sizes.capacity, FargateCapacity)
        self._prefix = service_of(name)
        self._key = key
        self.log_group = self._log_group()
        self.secrets = self._secrets(state_url)
        self.task_role = self._role("TaskRole", "What the bidder may do")
        self._let_bid(endpoint_name, documents_bucket, event_stream_arn)
        self.execution_role = self._role("ExecutionRole", "What starts the bidder's tasks")
        self._let_start(repository)
        environment = settings.variables() | {
            "BIDDER_AWS_REGION": Stack.of(self).region,
            "BIDDER_EMF_NAMESPACE": namespace_of(name),
            "BIDDER_EMF_SERVICE": service_of(name),
            # BIDDER_ENDPOINT_URL is not set: the region's name has a private answer in each zone, which is that zone's.
            "BIDDER_ENDPOINT_NAME": endpoint_name,
            "BIDDER_CATALOG_CACHE_DIR": CACHE_DIR,
        }
        for setting, object_key in sizes.documents:
            environment[f"BIDDER_{setting.upper()}"] = documents_bucket.s3_url_for_object(object_key)
        image = repository.repository_uri_for_tag(sizes.image_tag)
        self.definition = self._definition([self._bidder(image, environment, settings), *side_cars])

    # -- what it is ----------------------------------------------------------------------------------------------------

    def _definition(self, containers: Sequence[ContainerDefinition]) -> ecs.CfnTaskDefinition:
        sizes = self._sizes
        definition = ecs.CfnTaskDefinition(
            self,
            "Definition",
            family=self._prefix,
            requires_compatibilities=["FARGATE" if self._on_fargate else "EC2"],
            network_mode="awsvpc",
            cpu=str(sizes.cpu),
            memory=str(sizes.memory_mib),
            runtime_platform=ecs.CfnTaskDefinition.RuntimePlatformProperty(
                cpu_architecture=sizes.architecture, operating_system_family="LINUX"
            ),
            task_role_arn=self.task_role.role_arn,
            execution_role_arn=self.execution_role.role_arn,
            container_definitions=list(containers),
            volumes=[ecs.CfnTaskDefinition.VolumeProperty(name="scratch")] if self._on_fargate else None,
        )
        if not self._on_fargate:  # side-cars do not know where they run
            for place in range(len(containers)):
                path = f"ContainerDefinitions.{place}.DockerSecurityOptions"
                definition.add_property_override(path, ["no-new-privileges"])
        return definition

    def _bidder(self, image: str, environment: Mapping[str, str], settings: BidderSettings) -> ContainerDefinition:
        return ContainerDefinition(
            name=BIDDER,
            image=image,
            essential=True,
            user=USER,
            readonly_root_filesystem=True,
            privileged=False,
            linux_parameters=self._linux_parameters(),
            mount_points=self._mount_points(),
            port_mappings=[ecs.CfnTaskDefinition.PortMappingProperty(container_port=PORT, protocol="tcp", name="bids")],
            environment=[
                ecs.CfnTaskDefinition.KeyValuePairProperty(name=name, value=value)
                for name, value in sorted(environment.items())
            ],
            secrets=[
                ecs.CfnTaskDefinition.SecretProperty(name=name, value_from=secret.secret_arn)
                for name, secret in sorted(self.secrets.items())
            ],
            ulimits=[ecs.CfnTaskDefinition.UlimitProperty(name="nofile", soft_limit=OPEN_FILES, hard_limit=OPEN_FILES)],
            health_check=ecs.CfnTaskDefinition.HealthCheckProperty(
                command=["CMD", "python", "-IS", "/app/healthcheck.py", str(PORT), "/healthz"],
                interval=5,
                timeout=3,
                retries=3,
                start_period=min(self._sizes.health_grace_s, LONGEST_START_S),  # it listens once it has its catalog
            ),
            stop_timeout=stop_timeout_s(settings),
            log_configuration=self.log_configuration(BIDDER),
        )

    def log_configuration(self, stream: str) -> ecs.CfnTaskDefinition.LogConfigurationProperty:
        """For a container of this task. Lines are dropped, not waited for, when CloudWatch is slow: bids go first."""
        return ecs.CfnTaskDefinition.LogConfigurationProperty(
            log_driver="awslogs",
            options={
                "awslogs-group": self.log_group.ref,
                "awslogs-region": Stack.of(self).region,
                "awslogs-stream-prefix": stream,
                "mode": "non-blocking",
                "max-buffer-size": "4m",
            },
        )

    def _linux_parameters(self) -> ecs.CfnTaskDefinition.LinuxParametersProperty:
        """Compiled catalogs are in memory on EC2; Fargate knows no tmpfs and has a volume for them."""
        memory = ecs.CfnTaskDefinition.TmpfsProperty(
            container_path=SCRATCH, size=self._sizes.cache_mib, mount_options=["nosuid", "nodev", "noexec"]
        )
        return ecs.CfnTaskDefinition.LinuxParametersProperty(
            init_process_enabled=True,
            capabilities=ecs.CfnTaskDefinition.KernelCapabilitiesProperty(drop=["ALL"]),
            tmpfs=None if self._on_fargate else [memory],
        )

    def _mount_points(self) -> list[ecs.CfnTaskDefinition.MountPointProperty] | None:
        if not self._on_fargate:
            return None
        return [
            ecs.CfnTaskDefinition.MountPointProperty(source_volume="scratch", container_path=SCRATCH, read_only=False)
        ]

    def _log_group(self) -> logs.CfnLogGroup:
        group = logs.CfnLogGroup(
            self,
            "Logs",
            log_group_name=f"/{self._prefix}/bidder",
            retention_in_days=self._sizes.log_days,
            kms_key_id=self._key.key_arn,
        )
        group.apply_removal_policy(RemovalPolicy.DESTROY)
        return group

    # -- secrets -------------------------------------------------------------------------------------------------------

    def _secrets(self, state_url: secretsmanager.ISecret) -> dict[str, secretsmanager.ISecret]:
        """By the variable that the bidder gets them in."""
        secrets = {"BIDDER_STATE_URL": state_url, "BIDDER_PRICE_KEYS": self._price_keys()}
        if self._sizes.explain:
            secrets["BIDDER_EXPLAIN_TOKEN"] = secretsmanager.Secret(
                self,
                "ExplainToken",
                secret_name=f"{self._prefix}/explain-token",
                description="Opens POST /debug/explain",
                encryption_key=self._key,
                generate_secret_string=secretsmanager.SecretStringGenerator(
                    password_length=48, exclude_punctuation=True
                ),
                removal_policy=RemovalPolicy.DESTROY,
            )
        return secrets

    def _price_keys(self) -> secretsmanager.ISecret:
        """A place for what exchanges give out. Until the operator puts it there it is a list of no keys: a comma. Later
        deployments leave what is there, as the template's text has not changed."""
        place = secretsmanager.CfnSecret(
            self,
            "PriceKeys",
            name=f"{self._prefix}/price-keys",
            description="BIDDER_PRICE_KEYS: the keys of exchanges that encrypt prices",
            kms_key_id=self._key.key_arn,
            secret_string=",",  # noqa: S106 (no keys are no secret)
        )
        return secretsmanager.Secret.from_secret_complete_arn(self, "PriceKeysSecret", place.ref)

    # -- what it may do ------------------------------------------------------------------------------------------------

    def _role(self, name: str, description: str) -> iam.Role:
        """Assumed by ECS for tasks of this account and region only."""
        tasks = f"arn:{Aws.PARTITION}:ecs:{Stack.of(self).region}:{Aws.ACCOUNT_ID}:*"
        return iam.Role(
            self,
            name,
            role_name=f"{self._prefix}-{name.removesuffix('Role').lower()}",
            description=description,
            assumed_by=iam.ServicePrincipal(
                "ecs-tasks.amazonaws.com",
                conditions={
                    "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
                    "ArnLike": {"aws:SourceArn": tasks},
                },
            ),
        )

    def _let_bid(self, endpoint_name: str, documents_bucket: s3.IBucket, event_stream_arn: str) -> None:
        stack = Stack.of(self)
        endpoint = stack.format_arn(service="sagemaker", resource="endpoint", resource_name=endpoint_name.lower())
        _allow(self.task_role, "AskTheModel", ["sagemaker:InvokeEndpoint"], [endpoint])
        documents = [documents_bucket.arn_for_objects(object_key) for _, object_key in self._sizes.documents]
        _allow(self.task_role, "ReadDocuments", ["s3:GetObject"], documents)
        self._let_decrypt(self.task_role, "s3")
        if event_stream_arn:
            _allow(self.task_role, "WriteEvents", ["firehose:PutRecordBatch"], [event_stream_arn])

    def _let_start(self, repository: ecr.IRepository) -> None:
        pull = ["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"]
        _allow(self.execution_role, "PullTheImage", pull, [repository.repository_arn])
        # A token is of the account, not of a repository.
        _allow(self.execution_role, "EnterTheRegistry", ["ecr:GetAuthorizationToken"], ["*"])
        log = [self.log_group.attr_arn]  # a log group's ARN takes its streams in
        _allow(self.execution_role, "WriteTheLog", ["logs:CreateLogStream", "logs:PutLogEvents"], log)
        secrets = [secret.secret_arn for _, secret in sorted(self.secrets.items())]
        _allow(self.execution_role, "ReadSecrets", ["secretsmanager:GetSecretValue"], secrets)
        self._let_decrypt(self.execution_role, "secretsmanager")

    def _let_decrypt(self, role: iam.Role, service: str) -> None:
        """With the project's key, what `service` holds, and only by way of it."""
        via = {"StringEquals": {"kms:ViaService": f"{service}.{Stack.of(self).region}.amazonaws.com"}}
        _allow(role, f"Decrypt{service.title()}", ["kms:Decrypt"], [self._key.key_arn], via)


def _allow(
    role: iam.Role,
    sid: str,
    actions: Sequence[str],
    resources: Sequence[str],
    conditions: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    role.add_to_policy(iam.PolicyStatement(sid=sid, actions=actions, resources=resources, conditions=conditions))
