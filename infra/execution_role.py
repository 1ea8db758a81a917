"""What SageMaker may do on behalf of one model or one kind of job: its execution role.

The rule: each component has its own. All of them may pull one image, write one log, report metrics and join the VPC;
what else they read and write is said by the construct that owns them, prefix by prefix.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Aws
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

METRIC_NAMESPACES = ("/aws/sagemaker/Endpoints", "/aws/sagemaker/TrainingJobs")


class ExecutionRole(Construct):
    """`role`, which SageMaker alone assumes, for resources of this account.

    `policy` is what a resource depends on that SageMaker tries the role's rights for when it is made.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        role_name: str,
        description: str,
        log_group: str,
        repository: ecr.IRepository,
        subnets: Sequence[ec2.ISubnet],
        security_group: ec2.ISecurityGroup,
        key: kms.IKey,
        makes_log_group: bool = True,
    ) -> None:
        """`log_group` is the name of a CloudWatch log group; `key` encrypts volumes and objects."""
        super().__init__(scope, construct_id)
        self._key = key
        self.role = iam.Role(
            self,
            "Role",
            role_name=role_name,
            description=description,
            assumed_by=iam.ServicePrincipal(
                "sagemaker.amazonaws.com",
                conditions={
                    "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
                    "ArnLike": {"aws:SourceArn": f"arn:{Aws.PARTITION}:sagemaker:{Aws.REGION}:{Aws.ACCOUNT_ID}:*"},
                },
            ),
        )
        self._pull(repository)
        self._log(log_group, makes_log_group)
        self._join_vpc(subnets, security_group)
        self._encrypt_volumes()

    def read(self, bucket: s3.IBucket, *prefixes: str) -> None:
        """Objects under each prefix, or one object where the prefix is a whole key. To be called once."""
        self.allow("ListInput", ["s3:ListBucket"], [bucket.bucket_arn], {"StringLike": {"s3:prefix": list(prefixes)}})
        self.allow("ReadInput", ["s3:GetObject"], [bucket.arn_for_objects(prefix) for prefix in prefixes])
        self._use_key("DecryptInput", ["kms:Decrypt"], bucket)

    def write(self, bucket: s3.IBucket, *prefixes: str) -> None:
        """Objects under each prefix; what is there is never read back or deleted. To be called once."""
        self.allow("WriteOutput", ["s3:PutObject"], [bucket.arn_for_objects(prefix) for prefix in prefixes])
        # Decrypt, too: S3 has to read the parts of an upload in parts.
        self._use_key("EncryptOutput", ["kms:Decrypt", "kms:GenerateDataKey"], bucket)

    def exchange(self, bucket: s3.IBucket, prefix: str) -> None:
        """Objects under `prefix` of a bucket that is written to anyway, there and back."""
        self.allow("ListKept", ["s3:ListBucket"], [bucket.bucket_arn], {"StringLike": {"s3:prefix": [prefix]}})
        self.allow("KeepAndTakeBack", ["s3:GetObject", "s3:PutObject"], [bucket.arn_for_objects(prefix)])

    def allow(
        self, sid: str, actions: Sequence[str], resources: Sequence[str], conditions: dict[str, object] | None = None
    ) -> None:
        """One more statement, named so that its exceptions can be explained by name."""
        added = self.role.add_to_principal_policy(
            iam.PolicyStatement(sid=sid, actions=list(actions), resources=list(resources), conditions=conditions)
        )
        self.policy = added.policy_dependable

    def _pull(self, repository: ecr.IRepository) -> None:
        self.allow(
            "PullImage",
            ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            [repository.repository_arn],
        )
        self.allow("SignInToRegistry", ["ecr:GetAuthorizationToken"], ["*"])

    def _log(self, log_group: str, makes_it: bool) -> None:
        actions = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
        self.allow(
            "WriteLog",
            [*(["logs:CreateLogGroup"] if makes_it else []), *actions],
            [f"arn:{Aws.PARTITION}:logs:{Aws.REGION}:{Aws.ACCOUNT_ID}:log-group:{log_group}:*"],
        )
        self.allow(
            "ReportMetrics",
            ["cloudwatch:PutMetricData"],
            ["*"],
            {"StringEquals": {"cloudwatch:namespace": list(METRIC_NAMESPACES)}},
        )

    def _join_vpc(self, subnets: Sequence[ec2.ISubnet], security_group: ec2.ISecurityGroup) -> None:
        of_account = f"arn:{Aws.PARTITION}:ec2:{Aws.REGION}:{Aws.ACCOUNT_ID}"
        places = [f"{of_account}:subnet/{subnet.subnet_id}" for subnet in subnets]
        self.allow(
            "PlaceInterfaces",
            ["ec2:CreateNetworkInterface"],
            [*places, f"{of_account}:security-group/{security_group.security_group_id}"],
        )
        self.allow(
            "ManageInterfaces",
            [
                "ec2:CreateNetworkInterface",
                "ec2:CreateNetworkInterfacePermission",
                "ec2:DeleteNetworkInterface",
                "ec2:DeleteNetworkInterfacePermission",
            ],
            [f"{of_account}:network-interface/*"],
            {"ArnEquals": {"ec2:Subnet": places}},
        )
        self.allow(
            "LookAtNetwork",
            [
                "ec2:DescribeDhcpOptions",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcs",
            ],
            ["*"],
        )

    def _use_key(self, sid: str, actions: Sequence[str], bucket: s3.IBucket) -> None:
        """The bucket's own key, by way of S3 alone; `key` where the bucket is known by name only."""
        self.allow(
            sid,
            actions,
            [(bucket.encryption_key or self._key).key_arn],
            {"StringEquals": {"kms:ViaService": f"s3.{Aws.REGION}.amazonaws.com"}},
        )

    def _encrypt_volumes(self) -> None:
        self.allow(
            "EncryptVolumes",
            ["kms:CreateGrant"],
            [self._key.key_arn],
            {"Bool": {"kms:GrantIsForAWSResource": "true"}},
        )
