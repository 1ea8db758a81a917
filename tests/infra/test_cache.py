"""The shared cache: encrypted, by password, in every zone; its passwords are nobody's to read in a template."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from infra.cache import Cache
from infra.environments import DEV, CacheSizes
from infra.statements import rendered
from tests.infra.bidders import built
from tests.infra.stacks import Bare, resources_of

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("fargate", "instances", "application")
GROUP = "AWS::ElastiCache::ReplicationGroup"


@pytest.mark.parametrize("kind", KINDS)
def test_profiles_are_encrypted_and_survive_a_zone(kind: str) -> None:
    """TLS is required, the project's key encrypts what is stored, a replica takes over."""
    group = built()[kind].one(GROUP)
    assert (group["Engine"], group["TransitEncryptionEnabled"], group["TransitEncryptionMode"]) == (
        "valkey",
        True,
        "required",
    )
    assert group["AtRestEncryptionEnabled"] is True
    assert "BareKey" in rendered(group["KmsKeyId"])
    assert group["MultiAZEnabled"] is group["AutomaticFailoverEnabled"] is True
    assert group["NumCacheClusters"] == built()[kind].environment.cache.nodes >= 2
    assert len(built()[kind].one("AWS::ElastiCache::SubnetGroup")["SubnetIds"]) == 3


def test_profiles_are_kept_and_cared_for() -> None:
    """A snapshot a day at another time than the maintenance; slow commands and the engine's log in CloudWatch."""
    for each in (built()[kind] for kind in KINDS):
        group, sizes = each.one(GROUP), each.environment.cache
        assert group["SnapshotRetentionLimit"] == sizes.snapshot_days >= 1
        assert group["SnapshotWindow"] < group["PreferredMaintenanceWindow"].partition(":")[2]
        assert {log["LogType"] for log in group["LogDeliveryConfigurations"]} == {"slow-log", "engine-log"}
        assert group["AutoMinorVersionUpgrade"] is True


def test_a_full_cache_lets_go_of_profiles_and_not_of_writes() -> None:
    """The parameters are those of the engine's version."""
    parameters = built()["fargate"].one("AWS::ElastiCache::ParameterGroup")
    assert parameters["Properties"]["maxmemory-policy"] == "allkeys-lfu"
    version = built()["fargate"].one(GROUP)["EngineVersion"]
    assert parameters["CacheParameterGroupFamily"] == f"valkey{version.split('.')[0]}"


def test_there_is_one_shard() -> None:
    """The bidder asks for many keys at once, which several shards refuse."""
    assert not {"NumNodeGroups", "ReplicasPerNodeGroup", "ClusterMode"} & built()["instances"].one(GROUP).keys()


def test_users_may_do_what_they_are_for() -> None:
    """The bidder reads profiles, the loader writes them, nobody else does anything."""
    users = {user["UserName"]: user["AccessString"] for user in built()["fargate"].all("AWS::ElastiCache::User")}
    assert users == {
        "reader": "on ~profile:* -@all +mget",
        "loader": "on ~profile:* -@all +set",
        "default": "off ~profile:* -@all",
    }
    assert len(built()["fargate"].one("AWS::ElastiCache::UserGroup")["UserIds"]) == 3


def test_keys_and_commands_are_those_of_the_bidder() -> None:
    """What the access strings allow is what the bidder's source asks for."""
    text = (ROOT / "bidder/state/valkey.py").read_text()
    assert 'KEY_PREFIX = "profile:"' in text
    assert set(re.findall(r"self\._client\.(\w+)\(", text)) - {"aclose"} == {"mget"}
    text = (ROOT / "bidder/state/load.py").read_text()
    assert set(re.findall(r"writes\.(\w+)\(", text)) - {"execute"} == {"set"}


@pytest.mark.parametrize("kind", KINDS)
def test_passwords_are_generated_and_referred_to(kind: str) -> None:
    """No text of a template but references to Secrets Manager, which CloudFormation resolves."""
    each = built()[kind]
    generated = [secret for secret in each.all("AWS::SecretsManager::Secret") if "password" in secret["Name"]]
    assert generated
    for secret in generated:
        assert "SecretString" not in secret
        assert secret["GenerateSecretString"]["PasswordLength"] >= 32
        assert secret["GenerateSecretString"]["ExcludePunctuation"] is True  # a URL takes it as it is
        assert "BareKey" in rendered(secret["KmsKeyId"])
    for user in each.all("AWS::ElastiCache::User"):
        assert "NoPasswordRequired" not in user
        for password in user["AuthenticationMode"]["Passwords"]:
            assert re.fullmatch(r"\{\{resolve:secretsmanager:\$\{\w+\}:SecretString:::\}\}", rendered(password))


@pytest.mark.parametrize("kind", KINDS)
def test_the_urls_are_what_the_bidder_takes(kind: str) -> None:
    """rediss://, user, a reference for a password, the primary's address, the group's port, database 0."""
    each = built()[kind]
    urls = [secret for secret in each.all("AWS::SecretsManager::Secret") if "/url-" in secret["Name"]]
    assert len(urls) == 2
    for secret in urls:
        url = re.fullmatch(
            r"rediss://(reader|loader):\{\{resolve:secretsmanager:\$\{(\w+)\}:SecretString:::\}\}"
            r"@\$\{\w+\.PrimaryEndPoint\.Address\}:(\d+)/0",
            rendered(secret["SecretString"]),
        )
        assert url
        assert int(url[3]) == each.one(GROUP)["Port"]
        assert url[1].title() in url[2]
        assert "BareKey" in rendered(secret["KmsKeyId"])


def test_a_rotation_has_both_passwords_in_force_and_a_new_url() -> None:
    """With generations 1 and 2 a user has two passwords, and the URL is a new secret that holds the second."""
    each = built()["application"]
    assert each.environment.cache.passwords == (1, 2)
    for user in each.all("AWS::ElastiCache::User"):
        assert len(set(map(json.dumps, user["AuthenticationMode"]["Passwords"]))) == 2
    (task,) = resources_of(each.template, "AWS::ECS::TaskDefinition").values()
    secrets = {secret["Name"]: secret for secret in task["Properties"]["ContainerDefinitions"][0]["Secrets"]}
    url = each.template["Resources"][secrets["BIDDER_STATE_URL"]["ValueFrom"]["Ref"]]["Properties"]
    assert url["Name"].endswith("/reader/url-2")
    assert "ReaderPassword2" in rendered(url["SecretString"])


def test_the_bidder_alone_connects() -> None:
    """One rule in, from a security group; none out."""
    each = built()["fargate"]
    groups = resources_of(each.template, "AWS::EC2::SecurityGroup")
    (cache,) = (name for name in groups if name.startswith("Cache"))
    assert "SecurityGroupIngress" not in groups[cache]["Properties"]
    (rule,) = (
        rule
        for rule in each.all("AWS::EC2::SecurityGroupIngress")
        if rendered(rule["GroupId"]) == f"${{{cache}.GroupId}}"
    )
    assert "ServiceSecurityGroup" in rendered(rule["SourceSecurityGroupId"])
    assert rule["FromPort"] == rule["ToPort"] == each.environment.cache.port


@pytest.mark.parametrize("sizes", [replace(DEV.cache, nodes=1), replace(DEV.cache, passwords=(1, 2, 3))])
def test_a_cache_that_cannot_be_is_refused(bare: Bare, sizes: CacheSizes) -> None:
    """One node has no other to take over; ElastiCache takes two passwords."""
    with pytest.raises(ValueError, match="two nodes and one or two passwords"):
        Cache(
            bare.stack,
            f"Cache{sizes.nodes}{len(sizes.passwords)}",
            name="refused",
            sizes=sizes,
            vpc=bare.vpc,
            subnets=[],
            key=bare.key,
        )
