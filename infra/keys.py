"""The keys that everything stored is encrypted with, each turned over once a year.

A key for each kind of data, so that who may read one kind cannot read another. The account's own policies decide who
may use a key; besides, CloudWatch Logs may use it for the log groups of this account, and for nothing else.
"""

from __future__ import annotations

from aws_cdk import Aws, Duration, RemovalPolicy, aws_iam, aws_kms
from constructs import Construct


class Keys(Construct):
    """`models`: models, their images and logs. `events`: the event log. `service`: secrets, catalogs, profiles."""

    def __init__(self, scope: Construct, construct_id: str, *, prefix: str, keep_on_delete: bool) -> None:
        """`keep_on_delete`: the keys outlive the stack, as what they encrypted does."""
        super().__init__(scope, construct_id)
        self._prefix, self._keep = prefix, keep_on_delete
        self.models = self._key("Models", "Models, their images, volumes and logs")
        self.events = self._key("Events", "The event log")
        self.service = self._key("Service", "Catalogs, secrets, profiles and logs of the bidder")

    def _key(self, name: str, description: str) -> aws_kms.Key:
        key = aws_kms.Key(
            self,
            name,
            alias=f"{self._prefix}-{name.lower()}",
            description=description,
            enable_key_rotation=True,
            rotation_period=Duration.days(365),
            removal_policy=RemovalPolicy.RETAIN if self._keep else RemovalPolicy.DESTROY,
        )
        key.add_to_resource_policy(
            aws_iam.PolicyStatement(
                sid="LogGroupsOfThisAccount",
                principals=[aws_iam.ServicePrincipal(f"logs.{Aws.REGION}.amazonaws.com")],
                actions=[
                    "kms:Decrypt",
                    "kms:DescribeKey",
                    "kms:Encrypt",
                    "kms:GenerateDataKey",
                    "kms:GenerateDataKeyWithoutPlaintext",
                    "kms:ReEncryptFrom",
                    "kms:ReEncryptTo",
                ],
                resources=["*"],
                conditions={
                    "ArnLike": {
                        "kms:EncryptionContext:aws:logs:arn": (
                            f"arn:{Aws.PARTITION}:logs:{Aws.REGION}:{Aws.ACCOUNT_ID}:log-group:*"
                        )
                    }
                },
            )
        )
        return key
