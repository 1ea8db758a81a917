"""Who did what: a trail of the account's management events, and of every read and write of a model.

The rule kept here: what the trail writes cannot be read or changed by what it watches. It has a bucket and a key of its
own; its files are signed by CloudTrail (log file validation), kept for as long as the environment says, and replaced
or deleted by nobody before (object lock, where it is on).
"""

from __future__ import annotations

from aws_cdk import Aws, Duration, RemovalPolicy, Stack
from aws_cdk import aws_cloudtrail as cloudtrail
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.bidder_metrics import service_of
from infra.environments import AuditSizes


class Audit(Construct):
    """`trail` writes to `bucket`, encrypted with `key`; nothing reads them from here."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        sizes: AuditSizes,
        models: s3.IBucket,
        access_log_bucket: s3.IBucket,
    ) -> None:
        """`models`: the bucket whose objects' events are kept."""
        super().__init__(scope, construct_id)
        self._trail_name = f"{service_of(name)}-audit"
        self._sizes = sizes
        stack = Stack.of(self)
        self._trail_arn = stack.format_arn(service="cloudtrail", resource="trail", resource_name=self._trail_name)
        self._kept = RemovalPolicy.RETAIN if sizes.keep_on_delete else RemovalPolicy.DESTROY
        self.key = self._key()
        self.bucket = self._bucket(access_log_bucket)
        self.trail = self._trail(models)

    def _key(self) -> kms.Key:
        """CloudTrail may encrypt with it, for this trail alone. Who may decrypt is up to the account's policies."""
        key = kms.Key(
            self,
            "Key",
            alias=self._trail_name,
            description="The audit trail",
            enable_key_rotation=True,
            rotation_period=Duration.days(365),
            removal_policy=self._kept,
        )
        trail = {"StringEquals": {"aws:SourceArn": self._trail_arn}}
        context = f"arn:{Aws.PARTITION}:cloudtrail:*:{Aws.ACCOUNT_ID}:trail/*"
        for sid, actions, conditions in (
            (
                "EncryptTheTrail",
                ["kms:GenerateDataKey"],
                trail | {"StringLike": {"kms:EncryptionContext:aws:cloudtrail:arn": context}},
            ),
            ("DescribeTheKey", ["kms:DescribeKey"], trail),
        ):
            key.add_to_resource_policy(
                iam.PolicyStatement(
                    sid=sid,
                    principals=[iam.ServicePrincipal("cloudtrail.amazonaws.com")],
                    actions=actions,
                    resources=["*"],
                    conditions=conditions,
                )
            )
        return key

    def _bucket(self, access_log_bucket: s3.IBucket) -> s3.Bucket:
        sizes = self._sizes
        bucket = s3.Bucket(
            self,
            "Bucket",
            bucket_name=f"{self._trail_name}-{Aws.ACCOUNT_ID}-{Stack.of(self).region}",
            encryption=s3.BucketEncryption.KMS,
            encryption_key=self.key,
            bucket_key_enabled=True,
            versioned=True,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            object_lock_default_retention=s3.ObjectLockRetention.governance(Duration.days(sizes.lock_days))
            if sizes.lock_days
            else None,
            server_access_logs_bucket=access_log_bucket,
            server_access_logs_prefix="audit/",
            lifecycle_rules=[
                s3.LifecycleRule(expiration=Duration.days(sizes.days), noncurrent_version_expiration=Duration.days(30))
            ],
            removal_policy=self._kept,
        )
        written = bucket.arn_for_objects(f"AWSLogs/{Aws.ACCOUNT_ID}/*")
        for sid, action, resource, conditions in (
            ("SeeTheBucket", "s3:GetBucketAcl", bucket.bucket_arn, {}),
            ("WriteTheTrail", "s3:PutObject", written, {"s3:x-amz-acl": "bucket-owner-full-control"}),
        ):
            bucket.add_to_resource_policy(
                iam.PolicyStatement(
                    sid=sid,
                    principals=[iam.ServicePrincipal("cloudtrail.amazonaws.com")],
                    actions=[action],
                    resources=[resource],
                    conditions={"StringEquals": {"aws:SourceArn": self._trail_arn, **conditions}},
                )
            )
        return bucket

    def _trail(self, models: s3.IBucket) -> cloudtrail.CfnTrail:
        trail = cloudtrail.CfnTrail
        selector, field = trail.AdvancedEventSelectorProperty, trail.AdvancedFieldSelectorProperty
        made = trail(
            self,
            "Trail",
            trail_name=self._trail_name,
            is_logging=True,
            is_multi_region_trail=True,
            include_global_service_events=True,
            enable_log_file_validation=True,
            s3_bucket_name=self.bucket.bucket_name,
            kms_key_id=self.key.key_arn,
            advanced_event_selectors=[
                selector(
                    name="Management events", field_selectors=[field(field="eventCategory", equal_to=["Management"])]
                ),
                selector(
                    name="Every read and write of a model",
                    field_selectors=[
                        field(field="eventCategory", equal_to=["Data"]),
                        field(field="resources.type", equal_to=["AWS::S3::Object"]),
                        field(field="resources.ARN", starts_with=[models.arn_for_objects("")]),
                    ],
                ),
            ],
            insight_selectors=[
                trail.InsightSelectorProperty(insight_type=kind)
                for kind in ("ApiCallRateInsight", "ApiErrorRateInsight")
            ]
            if self._sizes.insights
            else None,
        )
        assert self.bucket.policy is not None
        made.node.add_dependency(self.bucket.policy)  # CloudTrail tries whether it may write
        return made
