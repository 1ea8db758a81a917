"""The AWS services that compute reaches without the internet, and what it may ask of each.

The rule: an endpoint's policy grants nothing, it bounds. What does not stand here cannot be asked for from inside the
VPC, whoever asks and with whatever rights; nor can another account's principals, or its resources, be reached through.
Each endpoint costs by the hour and zone, so there are those alone that a composition needs. What only the ECS agent
asks, `instances` brings.
"""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import Aws, aws_iam

HERE = "{region}:{account}"


@dataclass(frozen=True, slots=True)
class Bound:
    """`actions` on `resource`, an ARN in which `{partition}`, `{region}` and `{account}` stand for where we are."""

    actions: tuple[str, ...]
    resource: str


@dataclass(frozen=True, slots=True)
class PrivateService:
    """`name` is PrivateLink's, after "com.amazonaws.<region>."; `why`: who needs it. No `bounds`: AWS's own policy."""

    name: str
    why: str
    bounds: tuple[Bound, ...] = ()


def runtime(*endpoint_names: str) -> PrivateService:
    """SageMaker Runtime: the calls that price auctions, of these endpoints and nothing else."""
    bounds = tuple(
        Bound(("sagemaker:InvokeEndpoint",), f"arn:{{partition}}:sagemaker:{HERE}:endpoint/{name}")
        for name in endpoint_names
    )
    return PrivateService("sagemaker.runtime", "the bidder asks the model", bounds)


COMMON = (
    PrivateService(
        "sagemaker.api",
        "`python -m bidder check` and the rollout scripts look at the endpoint",
        (
            Bound(
                ("sagemaker:DescribeEndpoint", "sagemaker:DescribeEndpointConfig", "sagemaker:ListTags"),
                f"arn:{{partition}}:sagemaker:{HERE}:*",
            ),
        ),
    ),
    PrivateService(
        "ecr.api",
        "images are pulled",
        (
            Bound(("ecr:GetAuthorizationToken",), "*"),
            Bound(
                ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
                "arn:{partition}:ecr:{region}:*:repository/*",
            ),
        ),
    ),
    PrivateService(
        "ecr.dkr",
        "images are pulled",
        (
            Bound(("ecr:GetAuthorizationToken",), "*"),
            Bound(
                ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
                "arn:{partition}:ecr:{region}:*:repository/*",
            ),
        ),
    ),
    PrivateService(
        "logs",
        "containers write their logs, and metrics in them",
        (
            Bound(
                (
                    "logs:CreateLogGroup",
                    "logs:CreateLogStream",
                    "logs:DescribeLogGroups",
                    "logs:DescribeLogStreams",
                    "logs:PutLogEvents",
                    "logs:PutRetentionPolicy",
                ),
                f"arn:{{partition}}:logs:{HERE}:*",
            ),
        ),
    ),
    PrivateService("monitoring", "agents publish metrics", (Bound(("cloudwatch:PutMetricData",), "*"),)),
    PrivateService(
        "sts",
        "roles are assumed, and who one is asked",
        (
            Bound(("sts:AssumeRole", "sts:TagSession"), "arn:{partition}:iam::{account}:role/*"),
            Bound(("sts:GetCallerIdentity",), "*"),
        ),
    ),
    PrivateService(
        "kms",
        "what is stored encrypted is opened",
        (
            Bound(
                ("kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"),
                f"arn:{{partition}}:kms:{HERE}:key/*",
            ),
        ),
    ),
    PrivateService(
        "secretsmanager",
        "secrets are read when a container starts",
        (
            Bound(
                ("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"),
                f"arn:{{partition}}:secretsmanager:{HERE}:secret:*",
            ),
        ),
    ),
    PrivateService(
        "kinesis-firehose",
        "the event log is delivered",
        (
            Bound(
                ("firehose:DescribeDeliveryStream", "firehose:PutRecord", "firehose:PutRecordBatch"),
                f"arn:{{partition}}:firehose:{HERE}:deliverystream/*",
            ),
        ),
    ),
)

# EKS guide, "Deploy private clusters with limited internet access"; the actions are those of the policies that nodes,
# the VPC's network plug-in and the balancer controller have.
EKS = (
    PrivateService(
        "eks",
        "nodes ask for their cluster",
        (Bound(("eks:DescribeCluster",), f"arn:{{partition}}:eks:{HERE}:cluster/*"),),
    ),
    PrivateService(
        "eks-auth",
        "Pod Identity gives pods the credentials of their roles",
        (Bound(("eks-auth:AssumeRoleForPodIdentity",), f"arn:{{partition}}:eks:{HERE}:cluster/*"),),
    ),
    PrivateService(
        "ec2",
        "nodes give pods addresses of the VPC, and look at where they are",
        (
            Bound(
                (
                    "ec2:AssignPrivateIpAddresses",
                    "ec2:AttachNetworkInterface",
                    "ec2:CreateNetworkInterface",
                    "ec2:CreateTags",
                    "ec2:DeleteNetworkInterface",
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
                    "ec2:DetachNetworkInterface",
                    "ec2:ModifyNetworkInterfaceAttribute",
                    "ec2:UnassignPrivateIpAddresses",
                ),
                "*",
            ),
        ),
    ),
    PrivateService(
        "elasticloadbalancing",
        "the balancer controller registers pods",
        (
            Bound(
                (
                    "elasticloadbalancing:DeregisterTargets",
                    "elasticloadbalancing:DescribeListeners",
                    "elasticloadbalancing:DescribeLoadBalancers",
                    "elasticloadbalancing:DescribeTags",
                    "elasticloadbalancing:DescribeTargetGroupAttributes",
                    "elasticloadbalancing:DescribeTargetGroups",
                    "elasticloadbalancing:DescribeTargetHealth",
                    "elasticloadbalancing:RegisterTargets",
                ),
                "*",
            ),
        ),
    ),
)


def statements(service: PrivateService) -> list[aws_iam.PolicyStatement]:
    """The policy of the endpoint of `service`: this account's principals only, within its bounds."""
    place = {"partition": Aws.PARTITION, "region": Aws.REGION, "account": Aws.ACCOUNT_ID}
    return [
        aws_iam.PolicyStatement(
            principals=[aws_iam.AnyPrincipal()],
            actions=list(bound.actions),
            resources=[bound.resource.format(**place)],
            conditions={"StringEquals": {"aws:PrincipalAccount": Aws.ACCOUNT_ID}},
        )
        for bound in service.bounds
    ]
