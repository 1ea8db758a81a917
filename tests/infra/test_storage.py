"""The buckets: encrypted, versioned, over TLS, through the endpoint; who may come another way is named."""

from __future__ import annotations

from typing import Any

import pytest

from infra import exposure
from infra.environments import DEV, PROD
from infra.event_log import EventLog
from infra.keys import Keys
from infra.replica import Replica, Replication
from infra.statements import Statement, rendered, statements
from infra.storage import Storage
from tests.infra.stacks import Bare, bare_stack, resources_of

BUCKETS = {"AccessLogs", "Catalogs", "Events", "Models"}


@pytest.fixture(scope="module")
def template(bare: Bare) -> dict[str, Any]:
    """Buckets, their keys, the stream and replication to another Region."""
    keys = Keys(bare.stack, "Keys", prefix="bidder-dev", keep_on_delete=False)
    storage = Storage(
        bare.stack,
        "Storage",
        prefix="bidder-dev",
        sizes=DEV.storage,
        models_key=keys.models,
        catalogs_key=keys.service,
        events_key=keys.events,
        s3_endpoint_id="vpce-1",
        outside_roles=("deployer", "bidder-dev-event-log"),
    )
    log = EventLog(
        bare.stack, "EventLog", prefix="bidder-dev", sizes=DEV.event_log, bucket=storage.events, key=keys.events
    )
    assert log.stream_name == "bidder-dev-events"
    buckets = {"models": storage.models, "catalogs": storage.catalogs}
    Replication(bare.stack, "Replication", prefix="bidder-dev", region="us-west-2", buckets=buckets)
    return bare.template()


def own_buckets(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Purpose, as in the construct's id → properties."""
    found = resources_of(template, "AWS::S3::Bucket")
    own = {name: each for name, each in found.items() if name.startswith("Storage")}
    return {name.removeprefix("Storage")[:-8]: each["Properties"] for name, each in own.items()}


def of(template: dict[str, Any], name: str) -> list[Statement]:
    return [each for each in statements(template) if each.logical_id.startswith(name)]


def test_names_are_the_accounts_own(template: dict[str, Any]) -> None:
    """The environment is in them; account and region keep them apart from everybody's."""
    names = {rendered(each["BucketName"]) for each in own_buckets(template).values()}
    assert set(own_buckets(template)) == BUCKETS
    assert "bidder-dev-models-${AWS::AccountId}-${AWS::Region}" in names


def test_everything_is_encrypted_with_a_key_that_turns_over(template: dict[str, Any]) -> None:
    """A key each for models, events, and the rest; the access logs with S3's own, as S3 demands."""
    used = {}
    for name, properties in own_buckets(template).items():
        (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        used[name] = rendered(rule["ServerSideEncryptionByDefault"].get("KMSMasterKeyID", "S3"))
    assert used.pop("AccessLogs") == "S3"
    assert len(set(used.values())) == 3
    keys = [each for name, each in resources_of(template, "AWS::KMS::Key").items() if name.startswith("Keys")]
    assert len(keys) == 3
    assert all(each["Properties"]["EnableKeyRotation"] for each in keys)


def test_log_groups_of_this_account_may_use_the_keys(template: dict[str, Any]) -> None:
    """CloudWatch Logs asks in the name of a log group, and of no other account's."""
    for key in ("KeysModels", "KeysEvents", "KeysService"):
        (logs,) = [each for each in of(template, key) if each.principals[0].startswith("Service:logs.")]
        assert logs.has_condition("kms:EncryptionContext:aws:logs:arn")
        assert "${AWS::AccountId}:log-group:*" in logs.conditions[0][2][0]


def test_versions_are_kept_and_end(template: dict[str, Any]) -> None:
    """Earlier versions for some days, unfinished uploads for a week, events and access logs as the environment says."""
    for name, properties in own_buckets(template).items():
        assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
        (rule,) = properties["LifecycleConfiguration"]["Rules"]
        assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": DEV.storage.earlier_version_days}
        assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
        assert rule["Transitions"] == [{"StorageClass": "INTELLIGENT_TIERING", "TransitionInDays": 0}]
        expires = {"Events": DEV.storage.event_days, "AccessLogs": DEV.storage.access_log_days}.get(name)
        assert rule.get("ExpirationInDays") == expires


def test_only_tls_and_nobody_public(template: dict[str, Any]) -> None:
    """As the checks see it; and with one statement gone, they see it."""
    assert exposure.buckets_without_tls(template) == []
    assert exposure.public_buckets(template) == []
    policy = next(each for name, each in template["Resources"].items() if name.startswith("StorageModelsPolicy"))
    document = policy["Properties"]["PolicyDocument"]
    kept = [each for each in document["Statement"] if "aws:SecureTransport" not in str(each)]
    broken = {**policy, "Properties": {**policy["Properties"], "PolicyDocument": {"Statement": kept}}}
    resources = {name: broken if each is policy else each for name, each in template["Resources"].items()}
    assert [each[:13] for each in exposure.buckets_without_tls({"Resources": resources})] == ["StorageModels"]


def test_objects_go_through_the_endpoint_only(template: dict[str, Any]) -> None:
    """Refused: another way, and not a service, and none of the named roles. A bucket's settings are not touched."""
    for name in BUCKETS:
        (refusal,) = [each for each in of(template, f"Storage{name}Policy") if each.has_condition("aws:SourceVpce")]
        assert not refusal.allows
        assert refusal.principals == ("*",)
        assert set(refusal.conditions) == {
            ("StringNotEquals", "aws:SourceVpce", ("vpce-1",)),
            ("BoolIfExists", "aws:PrincipalIsAWSService", ("false",)),
            ("BoolIfExists", "aws:ViaAWSService", ("false",)),
            (
                "ArnNotLike",
                "aws:PrincipalArn",
                (
                    "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/deployer",
                    "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/bidder-dev-event-log",
                ),
            ),
        }
        assert not any("Policy" in action or "Lifecycle" in action for action in refusal.actions)


def test_who_reads_is_logged(template: dict[str, Any]) -> None:
    """Each bucket under its own prefix of the access logs, let in by policy, not by ACL."""
    for name, properties in own_buckets(template).items():
        if name != "AccessLogs":
            assert properties["LoggingConfiguration"]["LogFilePrefix"] == f"{name.lower()}/"
        assert "AccessControl" not in properties
        assert properties["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]


def test_what_is_kept_outlives_the_stack() -> None:
    """Where the environment says so."""
    bare = bare_stack()
    Keys(bare.stack, "Keys", prefix="bidder-prod", keep_on_delete=PROD.storage.keep_on_delete)
    keys = [each for name, each in resources_of(bare.template(), "AWS::KMS::Key").items() if name.startswith("Keys")]
    assert {each["DeletionPolicy"] for each in keys} == {"Retain"}


def test_the_stream_writes_the_event_log_and_nothing_else(template: dict[str, Any]) -> None:
    """Encrypted on the way and at rest, by a role that may write two prefixes of one bucket."""
    (stream,) = resources_of(template, "AWS::KinesisFirehose::DeliveryStream").values()
    properties = stream["Properties"]
    assert properties["DeliveryStreamEncryptionConfigurationInput"]["KeyType"] == "CUSTOMER_MANAGED_CMK"
    assert properties["ExtendedS3DestinationConfiguration"]["CompressionFormat"] == "GZIP"
    role = of(template, "EventLogRoleDefaultPolicy")
    granted = {(action, resource) for each in role for action in each.actions for resource in each.resources}
    written = {resource for action, resource in granted if action == "s3:PutObject"}
    assert {each.rpartition("}")[2] for each in written} == {"/events/*", "/failed/*"}
    assert all("StorageEvents" in each for each in written)
    assert not any(action.startswith("s3:Delete") for action, _ in granted)


def test_copies_go_to_the_other_region(template: dict[str, Any]) -> None:
    """Models and catalogs, with the other Region's key, whatever they are encrypted with here."""
    replicated = {name: each for name, each in own_buckets(template).items() if "ReplicationConfiguration" in each}
    assert set(replicated) == {"Models", "Catalogs"}
    (rule,) = replicated["Models"]["ReplicationConfiguration"]["Rules"]
    assert rendered(rule["Destination"]["Bucket"]).endswith(":bidder-dev-models-${AWS::AccountId}-us-west-2")
    assert rule["SourceSelectionCriteria"]["SseKmsEncryptedObjects"] == {"Status": "Enabled"}
    assert rule["DeleteMarkerReplication"] == {"Status": "Disabled"}


def test_the_copies_are_kept_as_well() -> None:
    """Encrypted, versioned, TLS only, not public; nag has nothing to say."""
    bare = bare_stack()
    Replica(bare.stack, "Replica", prefix="bidder-dev", purposes=("models", "catalogs"), earlier_version_days=90)
    template = bare.template()
    assert len([name for name in resources_of(template, "AWS::S3::Bucket") if name.startswith("Replica")]) == 3
    assert exposure.buckets_without_tls(template) == []
    assert [each for each in exposure.public_buckets(template) if each.startswith("Replica")] == []
    assert bare.findings() == []


def test_nag_is_content(bare: Bare, template: dict[str, Any]) -> None:
    """Nothing to suppress."""
    assert bare.findings() == []
