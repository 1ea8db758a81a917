"""Where a cluster without a way out gets others' images from: repositories that Amazon ECR fills from upstream.

Nodes pull `…dkr.ecr.REGION.amazonaws.com/bidder-ENV-ecr-public/eks/aws-load-balancer-controller`. The first pull of an
image has to come from outside the VPC: ECR then needs a way out that an interface endpoint is not (ECR guide,
"Interface VPC endpoints", considerations). The chart's README has the commands; from then on nodes find the image in
the account.

The rule kept here: nodes cannot make a repository or import an image. What runs in the cluster is what an operator
let in.
"""

from __future__ import annotations

import json

from aws_cdk import aws_ecr
from constructs import Construct

UPSTREAMS = {"ecr-public": "public.ecr.aws", "kubernetes": "registry.k8s.io"}
KEPT_IMAGES = 10  # of a repository


class ImageCache(Construct):
    """`prefixes`: name of the upstream → what its repositories' names begin with."""

    def __init__(self, scope: Construct, construct_id: str, *, environment_name: str) -> None:
        super().__init__(scope, construct_id)
        self.prefixes = {name: f"bidder-{environment_name}-{name}" for name in UPSTREAMS}
        for name, prefix in self.prefixes.items():
            template = self._template(name, prefix)
            rule = aws_ecr.CfnPullThroughCacheRule(
                self, f"{name}-rule", ecr_repository_prefix=prefix, upstream_registry_url=UPSTREAMS[name]
            )
            rule.node.add_dependency(template)

    def _template(self, name: str, prefix: str) -> aws_ecr.CfnRepositoryCreationTemplate:
        template = aws_ecr.CfnRepositoryCreationTemplate
        return aws_ecr.CfnRepositoryCreationTemplate(
            self,
            f"{name}-template",
            applied_for=["PULL_THROUGH_CACHE"],
            prefix=prefix,
            description="Images kept for the cluster",
            image_tag_mutability="IMMUTABLE",
            encryption_configuration=template.EncryptionConfigurationProperty(
                encryption_type="AES256"  # a key of ours would want a role, and these images are everybody's
            ),
            lifecycle_policy=_keep(KEPT_IMAGES),
        )


def _keep(count: int) -> str:
    newest = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": count}
    rule = {"rulePriority": 1, "description": "The newest", "selection": newest, "action": {"type": "expire"}}
    return json.dumps({"rules": [rule]})
