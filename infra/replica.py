"""Copies of models and catalogs in another Region: the buckets there, and the rule that fills them from here.

The rule: what the copies need from each other they know by name, as references between Regions would need a function to
carry them. So `Replica`, in the other Region, is deployed first. Deletions are not copied. There is no VPC over there:
who may read copies is up to the account's own policies.
"""

from __future__ import annotations

from aws_cdk import Aws, Duration, RemovalPolicy, aws_iam, aws_kms, aws_s3
from constructs import Construct

from infra.storage import bucket_name


def replication_role_name(prefix: str) -> str:
    """The name of the role that copies, from outside the VPC: bucket policies have to know it."""
    return f"{prefix}-replication"


def _key_alias(prefix: str) -> str:
    return f"alias/{prefix}-replica"


class Replica(Construct):
    """In the other Region: a bucket for each of `purposes`, and their key."""

    def __init__(
        self, scope: Construct, construct_id: str, *, prefix: str, purposes: tuple[str, ...], earlier_version_days: int
    ) -> None:
        super().__init__(scope, construct_id)
        self.node.set_context("@aws-cdk/aws-s3:serverAccessLogsUseBucketPolicy", True)
        key = aws_kms.Key(
            self,
            "Key",
            alias=_key_alias(prefix),
            description="Copies of models and catalogs",
            enable_key_rotation=True,
            removal_policy=RemovalPolicy.RETAIN,
        )
        logs = self._bucket(prefix, "access-logs", earlier_version_days)
        self.buckets = [self._bucket(prefix, purpose, earlier_version_days, key, logs) for purpose in purposes]

    def _bucket(
        self,
        prefix: str,
        purpose: str,
        earlier_version_days: int,
        key: aws_kms.Key | None = None,
        logs: aws_s3.Bucket | None = None,
    ) -> aws_s3.Bucket:
        return aws_s3.Bucket(
            self,
            purpose.title().replace("-", ""),
            bucket_name=bucket_name(prefix, purpose),
            encryption=aws_s3.BucketEncryption.KMS if key else aws_s3.BucketEncryption.S3_MANAGED,
            encryption_key=key,
            bucket_key_enabled=key is not None,
            versioned=True,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            block_public_access=aws_s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=aws_s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            server_access_logs_bucket=logs,
            server_access_logs_prefix=f"{purpose}/" if logs else None,
            removal_policy=RemovalPolicy.RETAIN,
            lifecycle_rules=[
                aws_s3.LifecycleRule(
                    id="earlier-versions",
                    noncurrent_version_expiration=Duration.days(earlier_version_days),
                    abort_incomplete_multipart_upload_after=Duration.days(7),
                )
            ],
        )


class Replication(Construct):
    """Here: the role that copies, and the rule on each of `buckets` (by purpose)."""

    def __init__(
        self, scope: Construct, construct_id: str, *, prefix: str, region: str, buckets: dict[str, aws_s3.Bucket]
    ) -> None:
        """`region` is where `Replica` was put."""
        super().__init__(scope, construct_id)
        self._prefix, self._region = prefix, region
        role = aws_iam.Role(
            self,
            "Role",
            role_name=replication_role_name(prefix),
            description="Copies models and catalogs to another Region",
            assumed_by=aws_iam.ServicePrincipal(
                "s3.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
            ),
        )
        for purpose, bucket in buckets.items():
            self._allow(role, purpose, bucket)
            resource = bucket.node.default_child
            assert isinstance(resource, aws_s3.CfnBucket)
            resource.replication_configuration = self._rule(role, purpose)
        self._allow_keys(role, buckets)

    def _copy_arn(self, purpose: str) -> str:
        return f"arn:{Aws.PARTITION}:s3:::{bucket_name(self._prefix, purpose, self._region)}"

    def _allow(self, role: aws_iam.Role, purpose: str, bucket: aws_s3.Bucket) -> None:
        """S3 guide, "Setting up permissions for live replication"."""
        statements = (
            (["s3:GetReplicationConfiguration", "s3:ListBucket"], bucket.bucket_arn),
            (
                ["s3:GetObjectVersionAcl", "s3:GetObjectVersionForReplication", "s3:GetObjectVersionTagging"],
                bucket.arn_for_objects("*"),
            ),
            (["s3:ReplicateObject", "s3:ReplicateTags"], f"{self._copy_arn(purpose)}/*"),
        )
        for actions, resource in statements:
            role.add_to_policy(aws_iam.PolicyStatement(actions=actions, resources=[resource]))

    def _allow_keys(self, role: aws_iam.Role, buckets: dict[str, aws_s3.Bucket]) -> None:
        """The other Region's key is known by its alias alone, which a policy can only have as a condition."""
        keys = {bucket.encryption_key.key_arn: None for bucket in buckets.values() if bucket.encryption_key}
        here, there = (f"s3.{region}.amazonaws.com" for region in (Aws.REGION, self._region))
        role.add_to_policy(
            aws_iam.PolicyStatement(
                actions=["kms:Decrypt"],
                resources=list(keys),
                conditions={"StringEquals": {"kms:ViaService": here}},
            )
        )
        role.add_to_policy(
            aws_iam.PolicyStatement(
                actions=["kms:Encrypt", "kms:GenerateDataKey"],
                resources=[f"arn:{Aws.PARTITION}:kms:{self._region}:{Aws.ACCOUNT_ID}:key/*"],
                conditions={
                    "StringEquals": {"kms:ViaService": there},
                    "ForAnyValue:StringEquals": {"kms:ResourceAliases": _key_alias(self._prefix)},
                },
            )
        )

    def _rule(self, role: aws_iam.Role, purpose: str) -> aws_s3.CfnBucket.ReplicationConfigurationProperty:
        bucket = aws_s3.CfnBucket
        alias = f"arn:{Aws.PARTITION}:kms:{self._region}:{Aws.ACCOUNT_ID}:{_key_alias(self._prefix)}"
        return bucket.ReplicationConfigurationProperty(
            role=role.role_arn,
            rules=[
                bucket.ReplicationRuleProperty(
                    id="copy",
                    priority=1,
                    status="Enabled",
                    filter=bucket.ReplicationRuleFilterProperty(prefix=""),
                    delete_marker_replication=bucket.DeleteMarkerReplicationProperty(status="Disabled"),
                    source_selection_criteria=bucket.SourceSelectionCriteriaProperty(
                        sse_kms_encrypted_objects=bucket.SseKmsEncryptedObjectsProperty(status="Enabled")
                    ),
                    destination=bucket.ReplicationDestinationProperty(
                        bucket=self._copy_arn(purpose),
                        encryption_configuration=bucket.EncryptionConfigurationProperty(replica_kms_key_id=alias),
                    ),
                )
            ],
        )
