"""The buckets: models, catalogs, the event log, and the log of who read them.

The rule: over TLS, through the VPC's endpoint, encrypted, every version kept for a while. What may come by another way
stands in one statement: AWS's own services when they write in their own name or act for a caller who was let in, and
the roles named to the construct, which people deploy with or which AWS's services assume outside the VPC. It is about
objects only, so that no mistake in it can lock an administrator out of a bucket's settings.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Aws, Duration, RemovalPolicy, aws_iam, aws_kms, aws_s3
from constructs import Construct

from infra.environments import StorageSizes

OBJECT_ACTIONS = [
    "s3:AbortMultipartUpload",
    "s3:DeleteObject*",
    "s3:GetObject*",
    "s3:ListBucket*",
    "s3:PutObject*",
    "s3:RestoreObject",
]


def bucket_name(prefix: str, purpose: str, region: str = Aws.REGION) -> str:
    """Names of buckets are the whole world's: the account and the region make them ours."""
    return f"{prefix}-{purpose}-{Aws.ACCOUNT_ID}-{region}"


def bucket_arns(prefix: str) -> str:
    """A pattern of the ARNs of all buckets here, for who has to know them before they are there."""
    return f"arn:{Aws.PARTITION}:s3:::{bucket_name(prefix, '*')}"


class Storage(Construct):
    """`models`, `catalogs`, `events`, `access_logs`. With a replica Region, models and catalogs are copied there."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        prefix: str,
        sizes: StorageSizes,
        models_key: aws_kms.IKey,
        catalogs_key: aws_kms.IKey,
        events_key: aws_kms.IKey,
        s3_endpoint_id: str,
        outside_roles: Sequence[str],
    ) -> None:
        """`outside_roles`: names of the roles that may come by another way than `s3_endpoint_id`."""
        super().__init__(scope, construct_id)
        # Access logs are let in by policy, not by ACL. A switch of the CDK, which has to stand before the buckets do.
        self.node.set_context("@aws-cdk/aws-s3:serverAccessLogsUseBucketPolicy", True)
        self._prefix, self._sizes = prefix, sizes
        self._s3_endpoint_id = s3_endpoint_id
        self._outside = [f"arn:{Aws.PARTITION}:iam::{Aws.ACCOUNT_ID}:role/{name}" for name in outside_roles]
        # S3 writes access logs only where its own key encrypts: S3 guide, "Enabling server access logging".
        self.access_logs = self._bucket("access-logs", None, expires_days=sizes.access_log_days)
        self.models = self._bucket("models", models_key)
        self.catalogs = self._bucket("catalogs", catalogs_key)
        self.events = self._bucket("events", events_key, expires_days=sizes.event_days)

    def _bucket(self, purpose: str, key: aws_kms.IKey | None, expires_days: int | None = None) -> aws_s3.Bucket:
        logged = purpose != "access-logs"
        bucket = aws_s3.Bucket(
            self,
            purpose.title().replace("-", ""),
            bucket_name=bucket_name(self._prefix, purpose),
            encryption=aws_s3.BucketEncryption.KMS if key else aws_s3.BucketEncryption.S3_MANAGED,
            encryption_key=key,
            bucket_key_enabled=key is not None,
            versioned=True,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            block_public_access=aws_s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=aws_s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            server_access_logs_bucket=self.access_logs if logged else None,
            server_access_logs_prefix=f"{purpose}/" if logged else None,
            removal_policy=RemovalPolicy.RETAIN if self._sizes.keep_on_delete else RemovalPolicy.DESTROY,
            lifecycle_rules=self._lifecycle(expires_days),
        )
        bucket.add_to_resource_policy(self._endpoint_only(bucket))
        return bucket

    def _lifecycle(self, expires_days: int | None) -> list[aws_s3.LifecycleRule]:
        """Intelligent-Tiering from the first day: what is read rarely gets cheaper by itself, reads stay free."""
        return [
            aws_s3.LifecycleRule(
                id="tiers",
                transitions=[
                    aws_s3.Transition(
                        storage_class=aws_s3.StorageClass.INTELLIGENT_TIERING, transition_after=Duration.days(0)
                    )
                ],
                expiration=Duration.days(expires_days) if expires_days else None,
                noncurrent_version_expiration=Duration.days(self._sizes.earlier_version_days),
                abort_incomplete_multipart_upload_after=Duration.days(7),
            ),
        ]

    def _endpoint_only(self, bucket: aws_s3.Bucket) -> aws_iam.PolicyStatement:
        """Refuses where all conditions hold: another way, nobody's service, none of the named roles."""
        return aws_iam.PolicyStatement(
            sid="ThroughTheEndpointOnly",
            effect=aws_iam.Effect.DENY,
            principals=[aws_iam.AnyPrincipal()],
            actions=OBJECT_ACTIONS,
            resources=[bucket.bucket_arn, bucket.arn_for_objects("*")],
            conditions={
                "StringNotEquals": {"aws:SourceVpce": self._s3_endpoint_id},
                "BoolIfExists": {"aws:PrincipalIsAWSService": "false", "aws:ViaAWSService": "false"},
                "ArnNotLike": {"aws:PrincipalArn": self._outside},
            },
        )
