"""What every role may do, held to one rule: a specific action on a specific ARN, or a wildcard with its reason here.

Pure functions over synthesised templates, which name what they find; an empty list is what is wanted. Statements that
deny may be as wide as they like.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from infra.statements import Statement, Template, statements

WILD = {"*", "?"}  # IAM knows both
EVERYTHING = r"\*"
OBJECTS = r"\$\{[^}]+\}/[a-z-]+/\*"  # those of one bucket, under one prefix


@dataclass(frozen=True, slots=True)
class Wildcard:
    """A `*` that is meant: any of `actions`, as written in the policy, on a resource that `resource` matches whole.

    `actions` None: any that is itself without a `*`. `resource` is a regular expression over the text that
    `statements.rendered` gives. Where `condition` is given, the statement must have a condition on that key, too; where
    `kind` is, the policy must be a resource of that type, or be written in one.
    """

    actions: tuple[str, ...] | None
    resource: str
    reason: str
    condition: str | None = None
    kind: str | None = None

    def explains(self, statement: Statement, action: str, resource: str) -> bool:
        """Whether `action` on `resource` is this wildcard."""
        return (
            (not WILD & {*action} if self.actions is None else action in self.actions)
            and re.fullmatch(self.resource, resource) is not None
            and (self.condition is None or statement.has_condition(self.condition))
            and (self.kind is None or statement.resource_type == self.kind)
        )


# Grouped by the construct whose role it is; a wildcard that no template has any more fails the checks.
EXPLAINED_WILDCARDS: tuple[Wildcard, ...] = (
    # keys
    Wildcard(
        ("kms:*",),
        "this key",
        "It lets the account's own policies decide; a key that does not can become one that nobody may change.",
        kind="AWS::KMS::Key",
    ),
    Wildcard(
        ("kms:GenerateDataKey*", "kms:ReEncrypt*"),
        "this key",
        "With or without the plain text, from and to: the account's principals, by way of Secrets Manager alone.",
        condition="kms:ViaService",
        kind="AWS::KMS::Key",
    ),
    # network
    Wildcard(
        None,
        r".*",
        "An endpoint's policy grants nothing, it bounds what may pass; this one keeps to principals of this account.",
        condition="aws:PrincipalAccount",
        kind="AWS::EC2::VPCEndpoint",
    ),
    Wildcard(
        None,
        r"arn:\$\{AWS::Partition\}:s3:::bidder-[a-z]+-\*-\$\{AWS::AccountId\}-\$\{AWS::Region\}(/\*)?",
        "As above, for the project's own buckets, which have to belong to this account.",
        condition="aws:ResourceAccount",
        kind="AWS::EC2::VPCEndpoint",
    ),
    Wildcard(
        ("s3:GetObject",),
        r"arn:\$\{AWS::Partition\}:s3:::prod-\$\{AWS::Region\}-starport-layer-bucket/\*",
        "ECR keeps the layers of images in this bucket of its own; what a layer is called cannot be known.",
        kind="AWS::EC2::VPCEndpoint",
    ),
    # storage
    Wildcard(
        ("s3:PutObject",),
        OBJECTS,
        "S3 names each file of the access log itself; it may write for the one bucket that the prefix is of.",
        condition="aws:SourceArn",
        kind="AWS::S3::BucketPolicy",
    ),
    Wildcard(
        ("s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"),
        r"\$\{\w+\.Arn\}/(events|failed)/\*",
        "Firehose names each file of the event log itself, after the hour; it may under these two prefixes.",
    ),
    Wildcard(
        ("s3:GetObjectVersionAcl", "s3:GetObjectVersionForReplication", "s3:GetObjectVersionTagging"),
        r"\$\{\w+\.Arn\}/\*",
        "S3 copies every object of the bucket to the other Region, whatever it is called.",
    ),
    Wildcard(
        ("s3:ReplicateObject", "s3:ReplicateTags"),
        r"arn:\$\{AWS::Partition\}:s3:::bidder-[a-z]+-[a-z]+-\$\{AWS::AccountId\}-[a-z0-9-]+/\*",
        "Where those copies go: the bucket of that name in the other Region.",
    ),
    Wildcard(
        ("kms:Encrypt", "kms:GenerateDataKey"),
        r"arn:\$\{AWS::Partition\}:kms:[a-z0-9-]+:\$\{AWS::AccountId\}:key/\*",
        "The other Region's key is known here by its alias alone, and IAM takes an alias as a condition only.",
        condition="kms:ResourceAliases",
    ),
    # inference, training
    Wildcard(
        ("ecr:GetAuthorizationToken",),
        EVERYTHING,
        "ECR knows no resource for it; the token opens what the role may pull, and no other repository",
    ),
    Wildcard(
        ("cloudwatch:PutMetricData",),
        EVERYTHING,
        "CloudWatch knows no resource for it; the condition names the namespaces",
        condition="cloudwatch:namespace",
    ),
    Wildcard(
        (
            "ec2:DescribeDhcpOptions",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeVpcs",
        ),
        EVERYTHING,
        "EC2 knows no resources for Describe actions; SageMaker looks at the VPC before it joins",
    ),
    Wildcard(
        (
            "ec2:CreateNetworkInterface",
            "ec2:CreateNetworkInterfacePermission",
            "ec2:DeleteNetworkInterface",
            "ec2:DeleteNetworkInterfacePermission",
        ),
        r"arn:.*:network-interface/\*",
        "SageMaker makes the interface, so its id is not known before; the condition keeps it in the private subnets",
        condition="ec2:Subnet",
    ),
    Wildcard(
        ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"),
        r"arn:.*:log-group:/aws/sagemaker/[\w/-]+:\*",
        "The streams of one log group, which SageMaker names after its instances",
    ),
    Wildcard(
        ("s3:GetObject", "s3:PutObject"),
        r"[^*]+/(training|models|checkpoints|capture)/\*",
        "The objects under one prefix of one bucket, whose keys come with each job",
    ),
    Wildcard(
        ("sagemaker:CreateModelPackage", "sagemaker:DescribeModelPackage"),
        r"arn:.*:model-package/rtb-[a-z]+/\*",
        "The versions of one model package group, which SageMaker numbers",
    ),
    Wildcard(
        (
            *(
                f"sagemaker:{verb}{noun}"
                for verb in ("Create", "Describe", "Delete")
                for noun in ("Model", "EndpointConfig", "Endpoint")
            ),
            "sagemaker:InvokeEndpoint",
        ),
        r"arn:.*:(model|endpoint-config|endpoint)/rtb-[a-z]+-\*",
        "What a load test makes, named after the job and a random part; the live endpoint's name does not match",
    ),
    Wildcard(
        (
            *(
                f"sagemaker:{verb}{noun}"
                for verb in ("Create", "Describe", "Stop")
                for noun in ("TrainingJob", "HyperParameterTuningJob", "InferenceRecommendationsJob")
            ),
            "sagemaker:AddTags",
        ),
        r"arn:.*:(training-job|hyper-parameter-tuning-job|inference-recommendations-job)/rtb-[a-z]+-\*",
        "The pipeline's own jobs, named after the environment and the time",
    ),
    Wildcard(
        (
            "logs:CreateLogDelivery",
            "logs:DeleteLogDelivery",
            "logs:DescribeLogGroups",
            "logs:DescribeResourcePolicies",
            "logs:GetLogDelivery",
            "logs:ListLogDeliveries",
            "logs:PutResourcePolicy",
            "logs:UpdateLogDelivery",
        ),
        EVERYTHING,
        "Log deliveries have no resource type; Step Functions needs these to write an execution's log",
    ),
    # service on ECS, balancer, cache
    Wildcard(
        actions=("ecr:GetAuthorizationToken",),
        resource=EVERYTHING,
        reason="a registry's token is for an account, not for a repository: IAM knows no resource for it",
    ),
    Wildcard(
        actions=("ecs:DiscoverPollEndpoint",),
        resource=EVERYTHING,
        reason="which address the ECS agent has to poll is asked of no resource",
    ),
    Wildcard(
        actions=("ecs:Poll", "ecs:StartTelemetrySession", "ecs:UpdateContainerInstancesState"),
        resource=r"arn:[^*]+:ecs:[^*]+:container-instance/\$\{\w+\}/\*",
        condition="ecs:cluster",
        reason="ECS chooses an instance's id when it registers; all are of this one cluster",
    ),
    Wildcard(
        actions=("s3:PutObject",),
        resource=r"[^*]+/balancer/[^*/]+/AWSLogs/\$\{AWS::AccountId\}/\*",
        condition="aws:SourceAccount",
        reason="the log delivery service chooses the names of the balancer's access logs, below this account's prefix",
    ),
    # service on EKS
    Wildcard(
        actions=(
            "ec2:DescribeAvailabilityZones",
            "ec2:DescribeInstances",
            "ec2:DescribeInstanceTypes",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeRouteTables",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeTags",
            "ec2:DescribeVolumes",
            "ec2:DescribeVpcs",
            "elasticloadbalancing:DescribeListeners",
            "elasticloadbalancing:DescribeLoadBalancers",
            "elasticloadbalancing:DescribeTags",
            "elasticloadbalancing:DescribeTargetGroupAttributes",
            "elasticloadbalancing:DescribeTargetGroups",
            "elasticloadbalancing:DescribeTargetHealth",
            "logs:DescribeLogGroups",
        ),
        resource=EVERYTHING,
        reason="EC2, Elastic Load Balancing and CloudWatch Logs know no resources for these, which only look",
    ),
    Wildcard(
        actions=("ecr:GetAuthorizationToken",),
        resource=EVERYTHING,
        reason="a registry's token is of the account; what it opens is the statements on repositories",
    ),
    Wildcard(
        actions=("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
        resource=r"arn:[^*]+:ecr:[^*]+:(602401143452:repository/|\$\{AWS::AccountId\}:repository/bidder-\w+-)\*",
        reason="nodes pull EKS's add-ons, whose repositories have no common name, and images kept for the cluster",
    ),
    Wildcard(
        actions=(
            "ec2:AssignPrivateIpAddresses",
            "ec2:AttachNetworkInterface",
            "ec2:CreateNetworkInterface",
            "ec2:CreateTags",
            "ec2:DeleteNetworkInterface",
            "ec2:DetachNetworkInterface",
            "ec2:ModifyNetworkInterfaceAttribute",
            "ec2:UnassignPrivateIpAddresses",
        ),
        resource=r"arn:[^*]+:ec2:[^*]+:\$\{AWS::AccountId\}:(network-interface|instance|subnet|security-group)/\*",
        reason="pods get addresses on interfaces that are made and named as nodes come and go",
    ),
    Wildcard(
        actions=("cloudwatch:PutMetricData",),
        resource=EVERYTHING,
        condition="cloudwatch:namespace",
        reason="a metric is no resource; the condition is on its namespace",
    ),
    Wildcard(
        actions=(
            "logs:CreateLogGroup",
            "logs:CreateLogStream",
            "logs:DescribeLogStreams",
            "logs:PutLogEvents",
            "logs:PutRetentionPolicy",
        ),
        resource=r"arn:[^*]+:logs:[^*]+:log-group:/aws/containerinsights/bidder-\w+/\*",
        reason="Container Insights names its groups of one cluster by what is in them",
    ),
    # observability, audit, budget
    Wildcard(
        actions=("s3:PutObject",),
        resource=r"[^*]+/AWSLogs/\$\{AWS::AccountId\}/\*",
        condition="aws:SourceArn",
        reason="CloudTrail chooses the names of its files, below this account's prefix; the condition names the trail",
    ),
)


def unexplained_wildcards(template: Template, explained: Sequence[Wildcard] = EXPLAINED_WILDCARDS) -> list[str]:
    """Each action on a resource, one of them with a `*` or `?`, that no entry of `explained` is for; each NotAction."""
    found = [f"{statement.logical_id}: allows all but what it names" for statement in _inverted(template)]
    for statement, action, resource in _wildcards(template):
        if not any(wildcard.explains(statement, action, resource) for wildcard in explained):
            found.append(f"{statement.logical_id}: {action} on {resource}")
    return found


def stale_wildcards(
    templates: Iterable[Template], explained: Sequence[Wildcard] = EXPLAINED_WILDCARDS
) -> list[Wildcard]:
    """The entries of `explained` that explain nothing in any of `templates`."""
    wildcards = [found for template in templates for found in _wildcards(template)]
    return [entry for entry in explained if not any(entry.explains(*found) for found in wildcards)]


def wide_invocations(template: Template) -> list[str]:
    """Statements that allow `sagemaker:InvokeEndpoint` on more than one account's endpoints of a name or prefix."""
    narrow = re.compile(r"arn:[^:]+:sagemaker:[^:*]+:[^:*]+:[a-z-]+/[^*]+\*?|\$\{\w+\}")
    return [
        f"{statement.logical_id}: {action} on {resource}"
        for statement in statements(template)
        if statement.allows
        for action in statement.actions
        if _covers(action, "sagemaker:InvokeEndpoint")
        for resource in statement.resources
        if not narrow.fullmatch(resource.replace("${AWS::", "${AWS."))
    ]


def _wildcards(template: Template) -> Iterator[tuple[Statement, str, str]]:
    for statement in statements(template):
        if statement.allows and not statement.inverted:
            for action in statement.actions:
                for resource in _granted(statement):
                    if WILD & {*action, *resource}:
                        yield statement, action, resource


def _inverted(template: Template) -> Iterator[Statement]:
    return (statement for statement in statements(template) if statement.allows and statement.inverted)


def _granted(statement: Statement) -> tuple[str, ...]:
    """The resources of `statement`. In a key's own policy `*` is that key, and a trust policy has none."""
    if statement.resource_type in ("AWS::KMS::Key", "AWS::KMS::ReplicaKey"):
        return ("this key",)
    return statement.resources or ("this role",)


def _covers(pattern: str, action: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), action, re.IGNORECASE) is not None
