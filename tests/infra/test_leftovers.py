"""The search for what a deployment left behind, through the real botocore against a small AWS on loopback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra.leftovers.__main__ import NAMES, PROJECT
from infra.leftovers.probes import PROBES, Cost
from infra.leftovers.search import Search
from infra.synthesis import Composition
from tests.infra.fake_aws import FakeAws, serving

ROOT = Path(__file__).resolve().parents[2]
OURS, NOT_OURS = "bidder-dev", "bidder-development"
KEY, OTHER_KEY = "11111111-0000-4000-8000-000000000001", "22222222-0000-4000-8000-000000000002"
GOING_KEY = "33333333-0000-4000-8000-000000000003"
TAGS = (
    "<tagSet><item><key>project</key><value>rtb-bidder</value></item>"
    "<item><key>environment</key><value>dev</value></item></tagSet>"
)
GONE_S = 1_798_761_600  # 2027-01-01


def key(name: str, manager: str, **more: Any) -> list[Any]:
    return [{"KeyMetadata": {"KeyId": name, "KeyManager": manager, **more}}]


KEY_TAGS = [{"Tags": [{"TagKey": "project", "TagValue": "rtb-bidder"}, {"TagKey": "environment", "TagValue": "dev"}]}]


def ec2(container: str, *items: str) -> list[str]:
    return [f"<{container}>{''.join(f'<item>{item}</item>' for item in items)}</{container}>"]


# An account in which there is one thing of each kind that is ours, and beside it one of somebody else.
FULL: dict[str, list[Any]] = {
    "cloudformation:DescribeStacks": [
        f"<Stacks><member><StackId>arn:stack/{OURS}-network</StackId><StackName>{OURS}-network</StackName>"
        "<StackStatus>DELETE_FAILED</StackStatus><CreationTime>2026-11-01T00:00:00Z</CreationTime></member></Stacks>"
        "<NextToken>page-1</NextToken>",
        f"<Stacks><member><StackId>arn:stack/{NOT_OURS}</StackId><StackName>{NOT_OURS}</StackName>"
        "<StackStatus>CREATE_COMPLETE</StackStatus><CreationTime>2026-11-01T00:00:00Z</CreationTime></member></Stacks>",
    ],
    "ec2:DescribeVpcs": ec2("vpcSet", f"<vpcId>vpc-1</vpcId>{TAGS}", "<vpcId>vpc-2</vpcId>"),
    "ec2:DescribeInstances": ec2(
        "reservationSet",
        "<instancesSet><item><instanceId>i-1</instanceId><vpcId>vpc-1</vpcId><instanceState><name>running</name></instanceState></item>"
        "<item><instanceId>i-9</instanceId><vpcId>vpc-1</vpcId><instanceState><name>terminated</name></instanceState></item>"
        "<item><instanceId>i-2</instanceId><vpcId>vpc-2</vpcId><instanceState><name>running</name></instanceState></item></instancesSet>",
    ),
    "ec2:DescribeNatGateways": ec2(
        "natGatewaySet",
        "<natGatewayId>nat-1</natGatewayId><vpcId>vpc-1</vpcId><state>available</state>",
        "<natGatewayId>nat-2</natGatewayId><vpcId>vpc-2</vpcId><state>available</state>",
    ),
    "ec2:DescribeAddresses": ec2(
        "addressesSet", f"<allocationId>eip-1</allocationId>{TAGS}", "<allocationId>eip-2</allocationId>"
    ),
    "ec2:DescribeVpcEndpoints": [
        "<vpcEndpointSet><item><vpcEndpointId>vpce-1</vpcEndpointId><vpcId>vpc-1</vpcId></item></vpcEndpointSet>"
        "<nextToken>page-1</nextToken>",
        "<vpcEndpointSet><item><vpcEndpointId>vpce-2</vpcEndpointId><vpcId>vpc-2</vpcId></item>"
        "<item><vpcEndpointId>vpce-3</vpcEndpointId><vpcId>vpc-1</vpcId></item></vpcEndpointSet>",
    ],
    "ec2:DescribeNetworkInterfaces": ec2(
        "networkInterfaceSet",
        "<networkInterfaceId>eni-1</networkInterfaceId><vpcId>vpc-1</vpcId>",
        f"<networkInterfaceId>eni-3</networkInterfaceId><vpcId>vpc-2</vpcId><description>ELB {OURS}</description>",
        "<networkInterfaceId>eni-2</networkInterfaceId><vpcId>vpc-2</vpcId>",
    ),
    "ec2:DescribeVolumes": ec2("volumeSet", f"<volumeId>vol-1</volumeId>{TAGS}", "<volumeId>vol-2</volumeId>"),
    "ec2:DescribeSnapshots": ec2(
        "snapshotSet",
        f"<snapshotId>snap-1</snapshotId><description>of {OURS}</description>",
        "<snapshotId>snap-2</snapshotId>",
    ),
    "elasticloadbalancing:DescribeLoadBalancers": [
        f"<LoadBalancers><member><LoadBalancerArn>arn:lb/1</LoadBalancerArn><LoadBalancerName>{OURS}-nlb</LoadBalancerName></member>"
        f"<member><LoadBalancerArn>arn:lb/2</LoadBalancerArn><LoadBalancerName>{NOT_OURS}</LoadBalancerName></member></LoadBalancers>"
    ],
    "ecs:ListClusters": [{"clusterArns": [f"arn:cluster/{OURS}"], "nextToken": "page-1"}, {"clusterArns": ["arn:c/x"]}],
    f"ecs:ListTasks:{OURS}": [{"taskArns": ["arn:task/1", "arn:task/2"]}],
    "eks:ListClusters": [{"clusters": [OURS, NOT_OURS]}],
    "elasticache:DescribeReplicationGroups": [
        "<ReplicationGroups><ReplicationGroup><ReplicationGroupId>g1</ReplicationGroupId>"
        f"<Description>profiles of {OURS}</Description></ReplicationGroup></ReplicationGroups>"
    ],
    "elasticache:DescribeSnapshots": [
        f"<Snapshots><Snapshot><SnapshotName>s1</SnapshotName><ReplicationGroupId>{OURS}</ReplicationGroupId></Snapshot></Snapshots>"
    ],
    "sagemaker:ListEndpoints": [
        {"Endpoints": [{"EndpointName": OURS, "EndpointArn": "arn:endpoint/1"}], "NextToken": "page-1"},
        {"Endpoints": [{"EndpointName": NOT_OURS, "EndpointArn": "arn:endpoint/2"}]},
    ],
    "sagemaker:ListModels": [{"Models": [{"ModelName": "rtb-dev-7", "ModelArn": "arn:model/1"}]}],
    "sagemaker:ListTrainingJobs": [{"TrainingJobSummaries": [{"TrainingJobName": f"{OURS}-t"}]}],
    "sagemaker:ListHyperParameterTuningJobs": [
        {"HyperParameterTuningJobSummaries": [{"HyperParameterTuningJobName": f"{OURS}-tune"}]}
    ],
    "firehose:ListDeliveryStreams": [{"DeliveryStreamNames": [f"{OURS}-events", "x"], "HasMoreDeliveryStreams": False}],
    "s3:ListBuckets": [
        f"<Buckets><Bucket><Name>{OURS}-models-123456789012</Name></Bucket><Bucket><Name>{NOT_OURS}</Name></Bucket></Buckets>"
    ],
    f"s3:ListObjectVersions:{OURS}-models": [
        "<Version><Key>model.tar.gz</Key><VersionId>v1</VersionId></Version>"
        "<DeleteMarker><Key>model.tar.gz</Key><VersionId>v2</VersionId></DeleteMarker>"
    ],
    "ecr:DescribeRepositories": [{"repositories": [{"repositoryName": f"{OURS}/bidder"}, {"repositoryName": "other"}]}],
    f"ecr:ListImages:{OURS}": [
        {"imageIds": [{"imageTag": "1.0", "imageDigest": "sha256:1"}], "nextToken": "page-1"},
        {"imageIds": [{"imageDigest": "sha256:2"}]},
    ],
    "logs:DescribeLogGroups": [
        {"logGroups": [{"logGroupName": f"/aws/sagemaker/Endpoints/{OURS}"}], "nextToken": "page-1"},
        {"logGroups": [{"logGroupName": f"/aws/ecs/{OURS}/bidder"}, {"logGroupName": f"/ecs/{NOT_OURS}"}]},
    ],
    "monitoring:DescribeAlarms": [{"MetricAlarms": [{"AlarmName": f"{OURS}-late"}], "CompositeAlarms": []}],
    "monitoring:ListDashboards": [{"DashboardEntries": [{"DashboardName": OURS}]}],
    "cloudtrail:ListTrails": [{"Trails": [{"TrailARN": "arn:trail/1", "Name": f"{OURS}-audit"}]}],
    "kms:ListAliases": [
        {"Aliases": [{"AliasName": f"alias/{OURS}-data", "TargetKeyId": KEY}, {"AliasName": f"alias/{OURS}-nothing"}]}
    ],
    "kms:ListKeys": [{"Keys": [{"KeyId": KEY}, {"KeyId": OTHER_KEY}], "Truncated": True, "NextMarker": "page-1"},
                     {"Keys": [{"KeyId": GOING_KEY}], "Truncated": False}],
    f"kms:DescribeKey:{KEY}": key(KEY, "CUSTOMER"),
    f"kms:DescribeKey:{OTHER_KEY}": key(OTHER_KEY, "AWS"),
    f"kms:DescribeKey:{GOING_KEY}": key(GOING_KEY, "CUSTOMER", DeletionDate=GONE_S),
    "kms:ListResourceTags": KEY_TAGS,
    "secretsmanager:ListSecrets": [
        {"SecretList": [{"ARN": "arn:secret/1", "Name": f"{OURS}/valkey"}], "NextToken": "page-1"},
        {"SecretList": [{"ARN": "arn:secret/2", "Name": f"{OURS}/keys", "DeletedDate": GONE_S},
                        {"ARN": "arn:secret/3", "Name": NOT_OURS}]},
    ],
    "budgets:DescribeBudgets": [{"Budgets": [{"BudgetName": f"{OURS}-month"}]}],
    "tagging:GetResources": [
        {"ResourceTagMappingList": [{"ResourceARN": f"arn:aws:kms:us-east-1:1:key/{KEY}"}],
         "PaginationToken": "page-1"},
        {"ResourceTagMappingList": [{"ResourceARN": "arn:aws:states:us-east-1:1:stateMachine:train"}]},
    ],
}  # fmt: skip


def leftovers(aws: FakeAws, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command as an operator runs it, on this account."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with serving(aws) as to_the_fake:
        environment = {**clean, **to_the_fake, **variables}
        command = [sys.executable, "-m", "infra.leftovers", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
        )


@pytest.fixture(scope="module")
def full() -> tuple[FakeAws, subprocess.CompletedProcess[str]]:
    aws = FakeAws(FULL)
    return aws, leftovers(aws, "dev", "--json")


def test_all_of_ours_is_found_and_nothing_else(full: tuple[FakeAws, subprocess.CompletedProcess[str]]) -> None:
    """By name, by tags, by network and by what it is in; on every page; exit code 1."""
    _, done = full
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    found: dict[str, list[str]] = {}
    for it in document["found"]:
        found.setdefault(it["kind"], []).append(it["id"])
    assert document["unseen"] == []
    assert found == {
        "stack": [f"arn:stack/{OURS}-network"],
        "VPC": ["vpc-1"],
        "EC2 instance": ["i-1"],
        "NAT gateway": ["nat-1"],
        "Elastic IP": ["eip-1"],
        "VPC endpoint": ["vpce-1", "vpce-3"],
        "network interface": ["eni-1", "eni-3"],
        "EBS volume": ["vol-1"],
        "EBS snapshot": ["snap-1"],
        "load balancer": ["arn:lb/1"],
        "ECS cluster": [f"arn:cluster/{OURS}"],
        "ECS task": ["arn:task/1", "arn:task/2"],
        "EKS cluster": [OURS],
        "Valkey": ["g1"],
        "Valkey snapshot": ["s1"],
        "SageMaker endpoint": [OURS],
        "SageMaker model": ["rtb-dev-7"],
        "training job": [f"{OURS}-t"],
        "tuning job": [f"{OURS}-tune"],
        "Firehose stream": [f"{OURS}-events"],
        "S3 bucket": [f"{OURS}-models-123456789012"],
        "S3 object version": ["model.tar.gz@v1", "model.tar.gz@v2"],
        "ECR repository": [f"{OURS}/bidder"],
        "ECR image": ["1.0@sha256:1", "-@sha256:2"],
        "log group": [f"/aws/sagemaker/Endpoints/{OURS}", f"/aws/ecs/{OURS}/bidder"],
        "alarm": [f"{OURS}-late"],
        "dashboard": [OURS],
        "trail": ["arn:trail/1"],
        "KMS alias": [f"alias/{OURS}-data"],
        "KMS key": [KEY, GOING_KEY],
        "secret": ["arn:secret/1", "arn:secret/2"],
        "budget": [f"{OURS}-month"],
        "tagged resource": ["arn:aws:states:us-east-1:1:stateMachine:train"],
    }
    assert found.keys() - {"tagged resource"} == {probe.kind for probe in PROBES if not probe.step}


def test_what_goes_by_itself_says_when(full: tuple[FakeAws, subprocess.CompletedProcess[str]]) -> None:
    """Keys and secrets that are scheduled for deletion carry the day."""
    gone = {it["id"]: it["gone"] for it in json.loads(full[1].stdout)["found"] if it["gone"]}
    assert gone == {GOING_KEY: "2027-01-01", "arn:secret/2": "2027-01-01"}


def test_only_questions_are_asked(full: tuple[FakeAws, subprocess.CompletedProcess[str]]) -> None:
    """Every call describes, lists or gets."""
    assert all(re.match(r"[a-z0-9]+:(Describe|List|Get)", name) for _, name in full[0].asked)


def test_a_clean_account_is_clean() -> None:
    """Exit code 0 and a line that says so."""
    done = leftovers(FakeAws({}), "dev")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("0 left, 0 going by themselves, 0 not looked at\n")


def test_what_is_only_waiting_for_its_end_is_clean() -> None:
    """A key that is scheduled for deletion is shown with its day, and costs nothing."""
    going = {
        name: FULL[name]
        for name in (
            "kms:ListKeys",
            "kms:ListResourceTags",
            f"kms:DescribeKey:{GOING_KEY}",
            f"kms:DescribeKey:{OTHER_KEY}",
        )
    }
    done = leftovers(FakeAws({**going, f"kms:DescribeKey:{KEY}": FULL[f"kms:DescribeKey:{OTHER_KEY}"]}), "dev")
    assert done.returncode == 0
    assert f"gone on 2027-01-01    {GOING_KEY}" in done.stdout
    assert done.stdout.endswith("0 left, 1 going by themselves, 0 not looked at\n")


def test_another_environment_is_not_ours() -> None:
    """What is dev's is not prod's, though both are the project's."""
    assert leftovers(FakeAws({"sagemaker:ListEndpoints": FULL["sagemaker:ListEndpoints"]}), "prod").returncode == 0


def test_what_may_not_be_looked_at_is_not_clean() -> None:
    """Exit code 3, with the kind and the reason; the rest is looked at all the same."""
    refused = frozenset({"ec2:DescribeAddresses", "ecr:DescribeRepositories", "s3:ListBuckets"})
    done = leftovers(FakeAws({"eks:ListClusters": FULL["eks:ListClusters"]}, refused), "dev")
    assert done.returncode == 3
    for kind in ("Elastic IP", "ECR repository", "S3 bucket"):
        assert re.search(rf"{kind} +NOT LOOKED AT +.*AccessDenied.*not yours to see", done.stdout)
    assert re.search(rf"EKS cluster +by the hour +{OURS}\n", done.stdout)
    assert done.stdout.endswith("1 left, 0 going by themselves, 3 not looked at\n")


def test_every_region_is_asked_and_what_is_global_once() -> None:
    """Regions as given, in their order."""
    aws = FakeAws({})
    assert leftovers(aws, "dev", "--region", "eu-west-1", "--region", "us-west-2").returncode == 0
    assert {region for region, name in aws.asked if name == "ec2:DescribeVpcs"} == {"eu-west-1", "us-west-2"}
    assert [name for _, name in aws.asked].count("s3:ListBuckets") == 1


def test_a_long_list_is_cut_and_counted() -> None:
    """The table shows twenty of a kind and says how many more there are."""
    images = [{"imageDigest": f"sha256:{number}"} for number in range(25)]
    account = {
        "ecr:DescribeRepositories": FULL["ecr:DescribeRepositories"],
        f"ecr:ListImages:{OURS}": [{"imageIds": images}],
    }
    done = leftovers(FakeAws(account), "dev")
    assert done.stdout.count("@sha256:") == 20
    assert "and 5 more" in done.stdout
    assert done.stdout.endswith("26 left, 0 going by themselves, 0 not looked at\n")


def test_without_credentials_nothing_is_said_to_be_clean() -> None:
    """Exit code 2."""
    done = leftovers(FakeAws({}), "dev", AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    assert done.returncode == 2
    assert "no AWS credentials" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["staging"], ["dev", "--profile", "nobody"]])
def test_options_that_are_not_understood(arguments: list[str]) -> None:
    """Exit code 2, with the reason."""
    done = leftovers(FakeAws({}), *arguments)
    assert done.returncode == 2
    assert done.stderr


NAMING = (
    "AlarmName", "BucketName", "ClusterName", "DashboardName", "DeliveryStreamName", "EndpointName", "LogGroupName",
    "ReplicationGroupId", "RepositoryName", "StateMachineName", "TrailName",
)  # fmt: skip


def test_what_the_templates_name_is_known_as_ours(compositions: tuple[Composition, ...]) -> None:
    """Every name that a composition gives; and keys, which have none, carry the tags that they are found by."""
    for composition in compositions:
        environment = composition.name.partition("-")[0]
        tags = {"project": PROJECT, "environment": environment}
        search = Search(None, [f"{name}-{environment}" for name in NAMES], tags)
        resources = [each for template in composition.templates.values() for each in template["Resources"].values()]
        names = [each["Properties"][key] for each in resources for key in NAMING if key in each.get("Properties", {})]
        texts = [name if isinstance(name, str) else json.dumps(name) for name in names]
        given = [text for text in texts if '"Ref"' not in text or "Fn::Join" in text]
        assert len(given) > 20
        assert [name for name in given if not search._is_ours({"name": name})] == []
        keys = [each for each in resources if each["Type"] == "AWS::KMS::Key"]
        assert all(search._is_ours({"tags": each["Properties"]["Tags"]}) for each in keys)


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.kind)
def test_a_probe_asks_what_the_service_has(probe: Any) -> None:
    """Operation and arguments are the API's own, each parent comes before its children, and kinds are told apart."""
    client = boto3.client(probe.service, "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[probe.operation])
    assert {*probe.arguments, *([probe.argument] if probe.parent else [])} <= model.input_shape.members.keys()
    before = [other.kind for other in PROBES[: PROBES.index(probe)]]
    assert not probe.parent or probe.parent in before
    assert probe.kind not in before
    assert isinstance(probe.cost, Cost)
