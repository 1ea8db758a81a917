"""The bidder on AWS RTB Fabric: a responder gateway in its VPC, and links to exchanges that are on RTB Fabric too.

The gateway sends bids to one of three targets. `Pods`: of a Service on EKS, whose addresses it reads from the cluster.
`Instances`: of Auto Scaling groups, each of which it asks for /readyz. `Domain`: a balancer's name. RTB Fabric checks
health of instances only; a pod that is not ready is not among the Service's addresses, and a balancer has checks of its
own (RTB Fabric guide, "Health checks for Managed Endpoints").

The rule kept here: an exchange never sees an error of ours, as errors are held against a bidder. Whatever fails is a
no-bid for it, and a metric for us. A link's masking is for good: it is given when the link is asked for or accepted.
What CloudFormation has no property for, and accepting links that exchanges ask for, is in infra/fabric_links.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_cdk import CfnOutput, Tags, aws_ec2, aws_eks, aws_iam, aws_rtbfabric
from constructs import Construct

from infra.environments import FabricSizes
from infra.identity import EVERYTHING, Wildcard

SERVICES = ("rtbfabric.amazonaws.com", "rtbfabric-endpoints.amazonaws.com")
KUBERNETES_USER = "rtbfabric-integration"  # whom the chart's Role is for
HEALTH_PATH = "/readyz"
# The role's, where the target is Instances ("Managed endpoints", "IAM role requirements").
DISCOVERY = (
    "autoscaling:DescribeAutoScalingGroups",
    "ec2:DescribeAvailabilityZones",
    "ec2:DescribeInstances",
    "ec2:DescribeInstanceStatus",
    "ec2:DescribeSubnets",
)
INSTANCES_WILDCARDS = (
    Wildcard(actions=DISCOVERY, resource=EVERYTHING, reason="they know no resources, and only look: RTB Fabric does"),
)


@dataclass(frozen=True, slots=True)
class Pods:
    """Of the Service `service` in `namespace`, at the pods' own port. `api_security_group` is the cluster's API's."""

    cluster: aws_eks.CfnCluster
    namespace: str
    service: str
    api_security_group: aws_ec2.ISecurityGroup
    security_group: aws_ec2.ISecurityGroup
    port: int


@dataclass(frozen=True, slots=True)
class Instances:
    """Of Auto Scaling groups, whose instances take bids on `port` themselves: no tasks with addresses of their own."""

    group_names: tuple[str, ...]
    security_group: aws_ec2.ISecurityGroup
    port: int


@dataclass(frozen=True, slots=True)
class Domain:
    """A name that resolves in the VPC. `ca_certificates`: what its certificate is held against, "" for public ones."""

    name: str
    security_group: aws_ec2.ISecurityGroup
    port: int = 443
    protocol: str = "HTTPS"
    ca_certificates: str = ""


Target = Pods | Instances | Domain


def masking(sizes: FabricSizes) -> list[dict[str, Any]]:
    """What exchanges see of errors, as both CloudFormation and the API have it but for capitals: nothing. Refusals of a
    request (4XX) are logged in part, as they say what an exchange and we understand differently."""
    return [
        {"httpCode": "4XX", "action": "NO_BID", "loggingTypes": ["METRIC", "RESPONSE"]}
        | {"responseLoggingPercentage": sizes.logged_refusals_percent},
        {"httpCode": "5XX", "action": "NO_BID", "loggingTypes": ["METRIC"]},
        {"httpCode": "DEFAULT", "action": "NO_BID", "loggingTypes": ["METRIC"]},
    ]


def log_sampling(sizes: FabricSizes) -> dict[str, float]:
    """Percent of errors and of filtered requests that a link logs."""
    return {"errorLog": sizes.logged_errors_percent, "filterLog": sizes.logged_filtered_percent}


class RtbFabric(Construct):
    """`gateway_id` is what exchanges ask links to; `security_group` is the gateway's, which nobody connects to."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        environment_name: str,
        sizes: FabricSizes,
        vpc: aws_ec2.IVpc,
        subnets: Sequence[aws_ec2.ISubnet],
        target: Target,
    ) -> None:
        """`subnets`: those of the bidders, with 200 free addresses each."""
        super().__init__(scope, construct_id)
        self._sizes, self._prefix = sizes, f"bidder-{environment_name}"
        self.security_group = aws_ec2.SecurityGroup(
            self, "SecurityGroup", vpc=vpc, allow_all_outbound=False, description="RTB Fabric: bids, to the bidder"
        )
        self.security_group.connections.allow_to(target.security_group, aws_ec2.Port.tcp(target.port), "Bids")
        self.role = self._role(target)
        self.gateway = self._gateway(vpc, subnets, target)
        self.gateway_id = self.gateway.attr_gateway_id
        if isinstance(target, Instances) and self.role:
            self.gateway.node.add_dependency(self.role.node.find_child("DefaultPolicy"))
        if isinstance(target, Pods):
            self.gateway.node.add_dependency(self._let_look(target))
        self._links(target)
        output = CfnOutput(self, "GatewayId", value=self.gateway_id, description="What exchanges ask links to")
        output.override_logical_id("FabricGatewayId")

    def _role(self, target: Target) -> aws_iam.Role | None:
        """To find addresses with. For pods it has no policy: what it may do is the cluster's to say."""
        if isinstance(target, Domain):
            return None
        role = aws_iam.Role(
            self,
            "Role",
            role_name=f"{self._prefix}-rtb-fabric",
            description="RTB Fabric finds the addresses of bidders",
            assumed_by=aws_iam.CompositePrincipal(*(aws_iam.ServicePrincipal(service) for service in SERVICES)),
        )
        Tags.of(role).add("RTBFabricManagedEndpoint", "true")
        if isinstance(target, Instances):
            role.add_to_policy(aws_iam.PolicyStatement(sid="FindBidders", actions=list(DISCOVERY), resources=["*"]))
        return role

    def _let_look(self, target: Pods) -> aws_eks.CfnAccessEntry:
        """The role comes into the cluster as the user that the chart lets read the Service's addresses."""
        assert self.role is not None
        api = aws_ec2.Port.tcp(443)
        self.security_group.connections.allow_to(target.api_security_group, api, "Addresses of bidders")
        return aws_eks.CfnAccessEntry(
            self,
            "AccessEntry",
            cluster_name=target.cluster.ref,
            principal_arn=self.role.role_arn,
            username=KUBERNETES_USER,
        )

    def _gateway(
        self, vpc: aws_ec2.IVpc, subnets: Sequence[aws_ec2.ISubnet], target: Target
    ) -> aws_rtbfabric.CfnResponderGateway:
        gateway = aws_rtbfabric.CfnResponderGateway
        properties: dict[str, Any] = {"protocol": "HTTP", "managed_endpoint_configuration": self._endpoint(target)}
        if isinstance(target, Domain):
            properties = {"protocol": target.protocol, "domain_name": target.name}
            if target.ca_certificates:
                properties["trust_store_configuration"] = gateway.TrustStoreConfigurationProperty(
                    certificate_authority_certificates=[target.ca_certificates]
                )
        return aws_rtbfabric.CfnResponderGateway(
            self,
            "Gateway",
            description=f"{self._prefix} takes bid requests".replace("-", " "),  # letters, digits and spaces only
            vpc_id=vpc.vpc_id,
            subnet_ids=[subnet.subnet_id for subnet in subnets],
            security_group_ids=[self.security_group.security_group_id],
            port=target.port,
            gateway_type="EXTERNAL" if self._sizes.external else "INTERNAL",
            listener_config=gateway.ListenerConfigProperty(protocols=["HTTPS"]),
            **properties,
        )

    def _endpoint(self, target: Target) -> Any:
        gateway = aws_rtbfabric.CfnResponderGateway
        if self.role is None:
            return None
        if isinstance(target, Pods):
            return gateway.ManagedEndpointConfigurationProperty(
                eks_endpoints_configuration=gateway.EksEndpointsConfigurationProperty(
                    cluster_name=target.cluster.ref,
                    cluster_api_server_endpoint_uri=target.cluster.attr_endpoint,
                    cluster_api_server_ca_certificate_chain=target.cluster.attr_certificate_authority_data,
                    endpoints_resource_name=target.service,
                    endpoints_resource_namespace=target.namespace,
                    role_arn=self.role.role_arn,
                )
            )
        assert isinstance(target, Instances)
        health = self._sizes.health
        return gateway.ManagedEndpointConfigurationProperty(
            auto_scaling_groups_configuration=gateway.AutoScalingGroupsConfigurationProperty(
                auto_scaling_group_name_list=list(target.group_names),
                role_arn=self.role.role_arn,
                health_check_config=gateway.HealthCheckConfigProperty(
                    port=target.port,
                    path=HEALTH_PATH,
                    protocol="HTTP",
                    status_code_matcher="200",
                    interval_seconds=health.interval_s,
                    timeout_ms=health.timeout_ms,
                    healthy_threshold_count=health.healthy_count,
                    unhealthy_threshold_count=health.unhealthy_count,
                ),
            )
        )

    def _links(self, target: Target) -> None:
        """To exchanges on RTB Fabric that are asked from here, and to those outside it."""
        in_clear = not isinstance(target, Domain) or target.protocol == "HTTP"
        for peer in self._sizes.peers:
            aws_rtbfabric.CfnLink(
                self,
                peer,
                gateway_id=self.gateway_id,
                peer_gateway_id=peer,
                http_responder_allowed=in_clear,
                **self._link_settings(aws_rtbfabric.CfnLink),
            )
        if self._sizes.external:
            aws_rtbfabric.CfnInboundExternalLink(
                self,
                "External",
                gateway_id=self.gateway_id,
                **self._link_settings(aws_rtbfabric.CfnInboundExternalLink),
            )

    def _link_settings(self, kind: Any) -> Mapping[str, Any]:
        sampling = log_sampling(self._sizes)
        return {
            "link_attributes": kind.LinkAttributesProperty(
                customer_provided_id=self._prefix,
                responder_error_masking=[
                    kind.ResponderErrorMaskingForHttpCodeProperty(
                        http_code=each["httpCode"],
                        action=each["action"],
                        logging_types=each["loggingTypes"],
                        response_logging_percentage=each.get("responseLoggingPercentage"),
                    )
                    for each in masking(self._sizes)
                ],
            ),
            "link_log_settings": kind.LinkLogSettingsProperty(
                application_logs=kind.ApplicationLogsProperty(
                    link_application_log_sampling=kind.LinkApplicationLogSamplingProperty(
                        error_log=sampling["errorLog"], filter_log=sampling["filterLog"]
                    )
                )
            ),
        }
