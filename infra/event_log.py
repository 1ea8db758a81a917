"""The way of the event log to S3: a Firehose stream, which gathers lines into files.

The rule: the bidder may put records into the stream and nothing else; only the stream writes files. A file that cannot
be delivered goes under `failed/`, and why stands in the stream's log.
"""

from __future__ import annotations

from aws_cdk import Aws, aws_iam, aws_kinesisfirehose, aws_kms, aws_logs, aws_s3
from constructs import Construct

from infra.environments import EventLogSizes

EVENTS_PREFIX, FAILED_PREFIX = "events/", "failed/"


def delivery_role_name(prefix: str) -> str:
    """The name of the role that writes the files, from outside the VPC: bucket policies have to know it."""
    return f"{prefix}-event-log"


class EventLog(Construct):
    """`stream_name` and `stream_arn`, which a role that writes to it has to be given."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        prefix: str,
        sizes: EventLogSizes,
        bucket: aws_s3.IBucket,
        key: aws_kms.IKey,
    ) -> None:
        """`key` encrypts the bucket, and what waits in the stream."""
        super().__init__(scope, construct_id)
        self._sizes = sizes
        self.stream_name = f"{prefix}-events"
        self.stream_arn = (
            f"arn:{Aws.PARTITION}:firehose:{Aws.REGION}:{Aws.ACCOUNT_ID}:deliverystream/{self.stream_name}"
        )
        log_group = aws_logs.CfnLogGroup(
            self,
            "LogGroup",
            log_group_name=f"/{prefix}/event-log",
            retention_in_days=sizes.log_days,
            kms_key_id=key.key_arn,
        )
        log_stream = aws_logs.CfnLogStream(self, "LogStream", log_group_name=log_group.ref, log_stream_name="delivery")
        role = self._role(prefix, bucket, key, log_group)
        stream = self._stream(bucket, key, role, log_group, log_stream)
        stream.node.add_dependency(role.node.find_child("DefaultPolicy"))  # Firehose tries the role when it is made

    def _role(
        self, prefix: str, bucket: aws_s3.IBucket, key: aws_kms.IKey, log_group: aws_logs.CfnLogGroup
    ) -> aws_iam.Role:
        """Firehose guide, "Grant Firehose access to an Amazon S3 destination", for one bucket and two prefixes."""
        own = {"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
        role = aws_iam.Role(
            self,
            "Role",
            role_name=delivery_role_name(prefix),
            description="Writes the files of the event log",
            assumed_by=aws_iam.ServicePrincipal("firehose.amazonaws.com", conditions=own),
        )
        statements = {
            "Bucket": (
                ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"],
                [bucket.bucket_arn],
                None,
            ),
            "Files": (
                ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"],
                [bucket.arn_for_objects(f"{name}*") for name in (EVENTS_PREFIX, FAILED_PREFIX)],
                None,
            ),
            "Key": (
                ["kms:Decrypt", "kms:GenerateDataKey"],
                [key.key_arn],
                {"StringEquals": {"kms:ViaService": f"s3.{Aws.REGION}.amazonaws.com"}},
            ),
            "Log": (["logs:PutLogEvents"], [f"{log_group.attr_arn}:log-stream:delivery"], None),
        }
        for sid, (actions, resources, conditions) in statements.items():
            role.add_to_policy(
                aws_iam.PolicyStatement(sid=sid, actions=actions, resources=resources, conditions=conditions)
            )
        return role

    def _stream(
        self,
        bucket: aws_s3.IBucket,
        key: aws_kms.IKey,
        role: aws_iam.Role,
        log_group: aws_logs.CfnLogGroup,
        log_stream: aws_logs.CfnLogStream,
    ) -> aws_kinesisfirehose.CfnDeliveryStream:
        stream = aws_kinesisfirehose.CfnDeliveryStream
        return stream(
            self,
            "Stream",
            delivery_stream_name=self.stream_name,
            delivery_stream_type="DirectPut",
            delivery_stream_encryption_configuration_input=stream.DeliveryStreamEncryptionConfigurationInputProperty(
                key_type="CUSTOMER_MANAGED_CMK", key_arn=key.key_arn
            ),
            extended_s3_destination_configuration=stream.ExtendedS3DestinationConfigurationProperty(
                bucket_arn=bucket.bucket_arn,
                role_arn=role.role_arn,
                prefix=EVENTS_PREFIX + "!{timestamp:yyyy/MM/dd/HH}/",
                error_output_prefix=FAILED_PREFIX + "!{firehose:error-output-type}/!{timestamp:yyyy/MM/dd}/",
                compression_format="GZIP",
                buffering_hints=stream.BufferingHintsProperty(
                    interval_in_seconds=self._sizes.buffer_s, size_in_m_bs=self._sizes.buffer_mib
                ),
                encryption_configuration=stream.EncryptionConfigurationProperty(
                    kms_encryption_config=stream.KMSEncryptionConfigProperty(awskms_key_arn=key.key_arn)
                ),
                cloud_watch_logging_options=stream.CloudWatchLoggingOptionsProperty(
                    enabled=True, log_group_name=log_group.ref, log_stream_name=log_stream.ref
                ),
            ),
        )
