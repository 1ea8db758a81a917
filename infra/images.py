"""The image repositories: the bidder's, the model's (which trains and serves), and a copy of the metrics collector's.

The rule: a tag says the same thing for ever, and nothing is stored that was not scanned.
"""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.environments import ImageSizes


class Images(Construct):
    """`bidder`, `model` and `collector`, repositories of their own in this account."""

    def __init__(self, scope: Construct, construct_id: str, *, name: str, sizes: ImageSizes, key: kms.IKey) -> None:
        """`name` is the environment's; `key` encrypts the layers."""
        super().__init__(scope, construct_id)
        self.bidder = self._repository("Bidder", f"rtb-{name}/bidder", sizes, key)
        self.model = self._repository("Model", f"rtb-{name}/model", sizes, key)
        self.collector = self._repository("Collector", f"rtb-{name}/collector", sizes, key)

    def _repository(self, construct_id: str, name: str, sizes: ImageSizes, key: kms.IKey) -> ecr.Repository:
        return ecr.Repository(
            self,
            construct_id,
            repository_name=name,
            image_tag_mutability=ecr.TagMutability.IMMUTABLE,
            image_scan_on_push=True,
            encryption=ecr.RepositoryEncryption.KMS,
            encryption_key=key,
            removal_policy=RemovalPolicy.RETAIN if sizes.keep_on_delete else RemovalPolicy.DESTROY,
            empty_on_delete=not sizes.keep_on_delete,
            lifecycle_rules=[
                ecr.LifecycleRule(
                    description="What no tag names is a failed push or a superseded part",
                    tag_status=ecr.TagStatus.UNTAGGED,
                    max_image_age=Duration.days(sizes.keep_untagged_days),
                    rule_priority=1,
                ),
                ecr.LifecycleRule(
                    description="Enough to roll back far; older ones cost storage alone",
                    tag_status=ecr.TagStatus.ANY,
                    max_image_count=sizes.keep_images,
                    rule_priority=2,
                ),
            ],
        )
