"""The topic, its key, the filters and queries over the log, the audit trail and the budget."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.budget import COST_TAGS
from infra.environments import DEV, PROD, Environment
from infra.identity import unexplained_wildcards
from infra.observability import FILTERS, MEMBERS, QUERIES
from infra.statements import rendered, statements
from tests.infra.bidder_source import logged_fields
from tests.infra.observed import Observed, observed

PLATFORMS = ("ecs", "eks")


@pytest.fixture(scope="module")
def seen() -> Observed:
    return observed()["ecs"]


def rules(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Statements of a policy by Sid."""
    return {statement.get("Sid", str(place)): statement for place, statement in enumerate(document["Statement"])}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_cdk_nag_finds_nothing(platform: str) -> None:
    """AwsSolutions over all of it, but for the task definition that stands in for the bidder's."""
    assert [
        each
        for each in observed()[platform].findings
        if "/BareTask" not in each.path and "BareExecution" not in each.path
    ] == []


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_wildcard_is_explained(platform: str) -> None:
    """In roles and in policies of resources."""
    found = unexplained_wildcards(observed()[platform].template)
    assert [each for each in found if not each.startswith("Bare")] == []


# -- who is told


def test_the_topic_is_encrypted_with_a_key_that_turns(seen: Observed) -> None:
    """Once a year, and of its own."""
    (key,) = [name for name in seen.all("AWS::KMS::Key") if name.startswith("ObservabilityKey")]
    assert seen.one("AWS::SNS::Topic")["KmsMasterKeyId"] == {"Fn::GetAtt": [key, "Arn"]}
    properties = seen.all("AWS::KMS::Key")[key]
    assert properties["EnableKeyRotation"] is True
    senders = rules(properties["KeyPolicy"])["SendersOfThisAccount"]
    assert sorted(senders["Action"]) == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert senders["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_the_topic_takes_messages_over_tls_from_this_accounts_services_only(seen: Observed) -> None:
    """Whatever comes otherwise is denied; nobody else may publish."""
    found = rules(seen.one("AWS::SNS::TopicPolicy")["PolicyDocument"])
    (denied,) = [statement for statement in found.values() if statement["Effect"] == "Deny"]
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert (denied["Action"], denied["Principal"]) == ("sns:Publish", "*") or denied["Principal"] == {"AWS": "*"}
    allowed = [statement for statement in found.values() if statement["Effect"] == "Allow"]
    assert [sorted(each["Principal"]["Service"]) for each in allowed] == [
        ["budgets.amazonaws.com", "cloudwatch.amazonaws.com"]
    ]
    assert allowed[0]["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


# -- the log


@pytest.mark.parametrize("platform", PLATFORMS)
def test_filters_count_lines_by_a_field_that_the_bidder_writes(platform: str) -> None:
    """By level, in a namespace of their own, with zeros where other lines came."""
    seen, fields = observed()[platform], logged_fields()
    assert fields >= {"time", "level", "logger", "message", "error", "trace"}
    filters = seen.all("AWS::Logs::MetricFilter").values()
    found = {each["MetricTransformations"][0]["MetricName"]: each for each in filters}
    assert set(found) == set(FILTERS)
    for each in found.values():
        names = re.findall(r"\$\.([\w.]+)", each["FilterPattern"])
        assert {name.removeprefix(MEMBERS[platform]) for name in names} <= fields
        assert all(name.startswith(MEMBERS[platform]) for name in names)
        assert each["LogGroupName"] == {"Ref": "BareLogs"}
        assert each["MetricTransformations"][0]["DefaultValue"] == 0
        assert each["MetricTransformations"][0]["MetricNamespace"] == f"Bidder/{seen.environment.name}/log"
    assert seen.alarms()["bugs"]["Namespace"] == f"Bidder/{seen.environment.name}/log"


@pytest.mark.parametrize("platform", PLATFORMS)
def test_queries_ask_for_fields_that_are_there(platform: str) -> None:
    """Of log lines, or of the histograms' lines; below what Fluent Bit adds, on EKS."""
    seen = observed()[platform]
    fields = logged_fields() | {"stage", "bidder_stage_latency_seconds.Sum", "bidder_stage_latency_seconds.Count"}
    fields |= {"bidder_stage_latency_seconds.Max", "times", "says", "mean_ms", "max_ms", "logStream", "timestamp"}
    words = {"fields", "filter", "sort", "limit", "stats", "count", "latest", "sum", "max", "by", "as", "desc", "in"}
    words |= {"and", "or", "like", "ispresent"}
    saved = {each["Name"].rpartition("/")[2]: each for each in seen.all("AWS::Logs::QueryDefinition").values()}
    assert set(saved) == set(QUERIES)
    for title, each in saved.items():
        assert each["LogGroupNames"] == [{"Ref": "BareLogs"}]
        bare = re.sub(r'"[^"]*"|/[a-z ]+/', "", each["QueryString"])
        names = {name.removeprefix(MEMBERS[platform]) for name in re.findall(r"[A-Za-z_][\w.]*", bare)}
        assert names <= fields | words, title


# -- who did what


def test_the_trail_has_every_read_and_write_of_a_model(seen: Observed) -> None:
    """Beside management events, from all Regions."""
    trail = seen.one("AWS::CloudTrail::Trail")
    assert (trail["IsLogging"], trail["IsMultiRegionTrail"], trail["IncludeGlobalServiceEvents"]) == (True, True, True)
    chosen = [
        {field["Field"]: field.get("Equals") or field.get("StartsWith") for field in selector["FieldSelectors"]}
        for selector in trail["AdvancedEventSelectors"]
    ]
    assert chosen[0] == {"eventCategory": ["Management"]}
    assert (chosen[1]["eventCategory"], chosen[1]["resources.type"]) == (["Data"], ["AWS::S3::Object"])
    (bucket,) = [name for name in seen.all("AWS::S3::Bucket") if name.startswith("BareBucket")]
    assert [rendered(arn) for arn in chosen[1]["resources.ARN"]] == [f"${{{bucket}.Arn}}/"]
    assert len(chosen) == 2
    assert {each["InsightType"] for each in trail["InsightSelectors"]} == {"ApiCallRateInsight", "ApiErrorRateInsight"}


def test_what_the_trail_writes_is_signed_encrypted_and_locked(seen: Observed) -> None:
    """With a key and a bucket of its own; nobody deletes a file before its time."""
    trail = seen.one("AWS::CloudTrail::Trail")
    (key,) = [name for name in seen.all("AWS::KMS::Key") if name.startswith("AuditKey")]
    assert trail["EnableLogFileValidation"] is True
    assert trail["KMSKeyId"] == {"Fn::GetAtt": [key, "Arn"]}
    assert seen.all("AWS::KMS::Key")[key]["EnableKeyRotation"] is True
    bucket = seen.named("AWS::S3::Bucket", "AuditBucket")
    retention = bucket["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
    assert retention == {"Days": PROD.audit.lock_days, "Mode": "GOVERNANCE"}
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["LoggingConfiguration"]["LogFilePrefix"] == "audit/"
    assert PROD.audit.days > PROD.audit.lock_days


def test_the_trails_bucket_is_written_by_this_trail_alone_and_over_tls(seen: Observed) -> None:
    """CloudTrail is a service of everybody: its name is not enough."""
    found = rules(seen.named("AWS::S3::BucketPolicy", "AuditBucket")["PolicyDocument"])
    for sid in ("SeeTheBucket", "WriteTheTrail"):
        assert found[sid]["Principal"] == {"Service": "cloudtrail.amazonaws.com"}
        source = rendered(found[sid]["Condition"]["StringEquals"]["aws:SourceArn"])
        assert source.endswith(":trail/bidder-prod-audit")
    insecure = [each for each in found.values() if each["Effect"] == "Deny" and "Bool" in each["Condition"]]
    assert insecure[0]["Condition"]["Bool"] == {"aws:SecureTransport": "false"}
    encrypting = rules(seen.named("AWS::KMS::Key", "AuditKey")["KeyPolicy"])["EncryptTheTrail"]
    assert "aws:SourceArn" in encrypting["Condition"]["StringEquals"]


def test_dev_keeps_less_and_locks_nothing() -> None:
    """So that it can be taken down."""
    bucket = observed()["eks"].named("AWS::S3::Bucket", "AuditBucket")
    assert "ObjectLockConfiguration" not in bucket
    assert bucket["LifecycleConfiguration"]["Rules"][0]["ExpirationInDays"] == DEV.audit.days
    assert "InsightSelectors" not in observed()["eks"].one("AWS::CloudTrail::Trail")


# -- what it costs


def test_the_budget_tells_the_topic_before_and_when_it_is_passed(seen: Observed) -> None:
    """At 80 % of what was spent, and at 100 % of what is forecast; of what bears the environment's tag."""
    budget = seen.one("AWS::Budgets::Budget")
    assert budget["Budget"]["BudgetLimit"] == {"Amount": PROD.budget.limit_usd, "Unit": "USD"}
    assert (budget["Budget"]["TimeUnit"], budget["Budget"]["BudgetType"]) == ("MONTHLY", "COST")
    assert budget["Budget"]["CostFilters"] == {"TagKeyValue": ["user:environment$prod"]}
    assert "environment" in COST_TAGS
    told = [
        (each["Notification"]["NotificationType"], each["Notification"]["Threshold"])
        for each in budget["NotificationsWithSubscribers"]
    ]
    assert told == [("ACTUAL", 80), ("FORECASTED", 100)]
    (topic,) = seen.all("AWS::SNS::Topic")
    for each in budget["NotificationsWithSubscribers"]:
        assert each["Subscribers"] == [{"SubscriptionType": "SNS", "Address": {"Ref": topic}}]


@pytest.mark.parametrize("environment", [DEV, PROD], ids=lambda environment: environment.name)
def test_the_limit_has_to_do_with_what_is_to_be_expected(environment: Environment) -> None:
    """Above what `python -m infra.cost` says, so that nobody is told of what was meant, and not out of sight of it."""
    done = subprocess.run(
        [sys.executable, "-m", "infra.cost", "--environment", environment.name, "--json"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    expected_usd = json.loads(done.stdout)["usd"]
    assert expected_usd < environment.budget.limit_usd < 3 * expected_usd


def test_names_carry_the_environment() -> None:
    """So that two of them stand beside each other in one account."""
    for platform, name in (("ecs", "prod"), ("eks", "dev")):
        text = json.dumps(observed()[platform].template)
        assert f"bidder-{name}" in text
        assert f"bidder-{'dev' if name == 'prod' else 'prod'}" not in text
        assert len(list(statements(observed()[platform].template))) > 5
