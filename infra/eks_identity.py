"""What pods on EKS may do in AWS: the bidder, and the controller that registers its pods with the balancer.

Each has a role of its own, which EKS Pod Identity gives to one service account of one namespace. The rules kept here:
the bidder asks one endpoint and reads its own documents; the controller puts pods into one target group and takes them
out. The balancer is made with the stack, so that the controller needs none of the rights to make one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import CfnOutput, Stack, aws_iam, aws_kms, aws_s3, aws_secretsmanager
from constructs import Construct

from infra.eks_cluster import EksCluster
from infra.environments import NodeSizes

CONTROLLER_NAMESPACE, CONTROLLER = "kube-system", "aws-load-balancer-controller"
SECRETS_NAMESPACE, SECRETS_OPERATOR = "external-secrets", "external-secrets"


class EksIdentity(Construct):
    """`bidder_role`, `secrets_role` and, but in Auto Mode, which has a controller of its own, `controller_role`.
    `price_keys` is the place for what exchanges give out."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        eks: EksCluster,
        key: aws_kms.IKey,
        endpoint_name: str,
        documents_bucket: aws_s3.IBucket,
        documents: Sequence[str],
        target_group_arn: str,
        secrets: Sequence[aws_secretsmanager.ISecret] = (),
        event_stream_arn: str = "",
    ) -> None:
        """`documents`: keys in the bucket, the catalog's first. `secrets`: what the External Secrets Operator may read
        beside `price_keys`. `event_stream_arn`: a Firehose stream for events, "" for none."""
        super().__init__(scope, construct_id)
        self._eks, self._key = eks, key
        self.bidder_role = self._bidder(endpoint_name, documents_bucket, documents, event_stream_arn)
        by_ourselves = isinstance(eks.sizes.compute, NodeSizes)
        self.controller_role = self._controller(target_group_arn) if by_ourselves else None
        self.price_keys = self._price_keys()
        self.secrets_role = self._secrets([self.price_keys, *secrets])
        told = CfnOutput(self, "TargetGroupArn", value=target_group_arn, description="For the chart: see its README")
        told.override_logical_id("TargetGroupArn")

    def _bidder(
        self, endpoint_name: str, bucket: aws_s3.IBucket, documents: Sequence[str], event_stream_arn: str
    ) -> aws_iam.Role:
        role = self._eks.pod_role("BidderRole", "eks-bidder", "What the bidder may do")
        endpoint = Stack.of(self).format_arn(
            service="sagemaker", resource="endpoint", resource_name=endpoint_name.lower()
        )
        _allow(role, "AskTheModel", ["sagemaker:InvokeEndpoint"], [endpoint])
        _allow(role, "ReadDocuments", ["s3:GetObject"], [bucket.arn_for_objects(document) for document in documents])
        self._let_decrypt(role, "s3")
        if event_stream_arn:
            _allow(role, "WriteEvents", ["firehose:PutRecordBatch"], [event_stream_arn])
        sizes = self._eks.sizes
        self._eks.associate("Bidder", role, namespace=sizes.namespace, service_account=sizes.service_account)
        return role

    def _controller(self, target_group_arn: str) -> aws_iam.Role:
        """For TargetGroupBindings without rules of their own: what else the policy of the guide allows is
        for making balancers."""
        role = self._eks.pod_role("ControllerRole", "eks-balancing", "Registers the bidder's pods with its balancer")
        changes = ["elasticloadbalancing:RegisterTargets", "elasticloadbalancing:DeregisterTargets"]
        _allow(role, "RegisterPods", changes, [target_group_arn])
        looks = ["TargetGroups", "TargetGroupAttributes", "TargetHealth", "LoadBalancers", "Listeners", "Tags"]
        around = ["Vpcs", "Subnets", "SecurityGroups", "NetworkInterfaces", "Instances", "AvailabilityZones"]
        _allow(role, "LookAtBalancers", [f"elasticloadbalancing:Describe{what}" for what in looks], ["*"])
        _allow(role, "LookAround", [f"ec2:Describe{what}" for what in around], ["*"])
        self._eks.associate("Controller", role, namespace=CONTROLLER_NAMESPACE, service_account=CONTROLLER)
        return role

    def _price_keys(self) -> aws_secretsmanager.ISecret:
        """A list of no keys, a comma, until the operator puts some there; later deployments leave what is there."""
        place = aws_secretsmanager.CfnSecret(
            self,
            "PriceKeys",
            name=f"{self._eks.prefix}/price-keys",
            description="BIDDER_PRICE_KEYS: the keys of exchanges that encrypt prices",
            kms_key_id=self._key.key_arn,
            secret_string=",",  # noqa: S106 (no keys are no secret)
        )
        return aws_secretsmanager.Secret.from_secret_complete_arn(self, "PriceKeysSecret", place.ref)

    def _secrets(self, secrets: Sequence[aws_secretsmanager.ISecret]) -> aws_iam.Role:
        role = self._eks.pod_role("SecretsRole", "eks-secrets", "Copies the bidder's secrets into the cluster")
        reads = ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"]
        _allow(role, "ReadSecrets", reads, [secret.secret_arn for secret in secrets])
        self._let_decrypt(role, "secretsmanager")
        self._eks.associate("Secrets", role, namespace=SECRETS_NAMESPACE, service_account=SECRETS_OPERATOR)
        return role

    def _let_decrypt(self, role: aws_iam.Role, service: str) -> None:
        """With the project's key, what `service` holds, and only by way of it."""
        via = {"StringEquals": {"kms:ViaService": f"{service}.{Stack.of(self).region}.amazonaws.com"}}
        _allow(role, f"Decrypt{service.title()}", ["kms:Decrypt"], [self._key.key_arn], via)


def _allow(
    role: aws_iam.Role,
    sid: str,
    actions: Sequence[str],
    resources: Sequence[str],
    conditions: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    role.add_to_policy(aws_iam.PolicyStatement(sid=sid, actions=actions, resources=resources, conditions=conditions))
