"""The network: a VPC in which compute has no way to the internet, and private ways to the AWS services it asks.

The rule: a security group names what flows, group to group; nothing is let in or out by address but S3's prefix list.

Public subnets hold a load balancer's nodes and nothing else: they are the only ones with a route to the internet
gateway. Targets need none. A Network Load Balancer keeps the client's address and still gets every answer back, as the
VPC returns a flow's packets to the node that it came through, whatever the target's route table says; on a TLS
listener the node is itself one end of the connection. So there is no NAT gateway to pay for, or to leave by.

The default security group cannot be emptied by CloudFormation without a function of one's own: nothing is put in it.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Aws, aws_ec2, aws_iam, aws_kms, aws_logs
from constructs import Construct

from infra.endpoints import PrivateService, statements
from infra.environments import NetworkSizes

HTTPS = aws_ec2.Port.tcp(443)
PUBLIC, COMPUTE = "Public", "Compute"


class Network(Construct):
    """`vpc`; `compute_subnets` and `public_subnets`, one a zone; `s3_endpoint`, which bucket policies name;
    `endpoint_security_group`; `model_security_group`, of the models' containers."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        prefix: str,
        sizes: NetworkSizes,
        services: Sequence[PrivateService],
        buckets: str,
        key: aws_kms.IKey,
    ) -> None:
        """`services` get an endpoint each, in every zone. `buckets` is an ARN or a pattern of ARNs, of the buckets that
        can be reached at all; `key` encrypts the flow log. ValueError: fewer than three zones."""
        super().__init__(scope, construct_id)
        if sizes.availability_zones < 3:
            raise ValueError(f"at least three zones, so that two are left when one fails: {sizes.zones}")
        self._prefix, self._sizes = prefix, sizes
        self.vpc = self._vpc()
        self.compute_subnets = self.vpc.select_subnets(subnet_group_name=COMPUTE).subnets
        self.public_subnets = self.vpc.select_subnets(subnet_group_name=PUBLIC).subnets
        self.endpoint_security_group = self._security_group("Endpoints", "AWS services, for those let in by name")
        self.model_security_group = self._security_group("Models", "Containers of models: to AWS services alone")
        self.s3_endpoint = self._s3(buckets)
        for service in services:
            self._endpoint(service)
        self.allow_services(self.model_security_group)
        self._flow_log(key)

    def allow_services(self, security_group: aws_ec2.ISecurityGroup) -> None:
        """Let members of `security_group` reach the private endpoints and S3: rules on both sides."""
        # From the member's side: rules then stand in its stack, which is deployed after this one.
        security_group.connections.allow_to(self.endpoint_security_group, HTTPS, "AWS services")
        s3 = aws_ec2.Peer.prefix_list(self._sizes.s3_prefix_list)
        security_group.connections.allow_to(s3, HTTPS, "S3, by the gateway endpoint")

    def _vpc(self) -> aws_ec2.Vpc:
        return aws_ec2.Vpc(
            self,
            "Vpc",
            vpc_name=self._prefix,
            ip_addresses=aws_ec2.IpAddresses.cidr(self._sizes.cidr),
            availability_zones=list(self._sizes.zones),
            nat_gateways=0,
            restrict_default_security_group=False,
            subnet_configuration=[
                aws_ec2.SubnetConfiguration(
                    name=PUBLIC,
                    subnet_type=aws_ec2.SubnetType.PUBLIC,
                    cidr_mask=self._sizes.public_mask,
                    map_public_ip_on_launch=False,
                ),
                aws_ec2.SubnetConfiguration(
                    name=COMPUTE,
                    subnet_type=aws_ec2.SubnetType.PRIVATE_ISOLATED,
                    cidr_mask=self._sizes.compute_mask,
                ),
            ],
        )

    def _security_group(self, name: str, description: str) -> aws_ec2.SecurityGroup:
        return aws_ec2.SecurityGroup(
            self,
            name,
            vpc=self.vpc,
            security_group_name=f"{self._prefix}-{name.lower()}",
            description=description,
            allow_all_outbound=False,
        )

    def _endpoint(self, service: PrivateService) -> None:
        endpoint = aws_ec2.InterfaceVpcEndpoint(
            self,
            service.name.title().replace(".", "").replace("-", ""),
            vpc=self.vpc,
            service=aws_ec2.InterfaceVpcEndpointService(f"com.amazonaws.{Aws.REGION}.{service.name}"),
            subnets=aws_ec2.SubnetSelection(subnets=self.compute_subnets),
            security_groups=[self.endpoint_security_group],
            private_dns_enabled=True,
            open=False,
        )
        for statement in statements(service):
            endpoint.add_to_policy(statement)

    def _s3(self, buckets: str) -> aws_ec2.GatewayVpcEndpoint:
        """ECR keeps the layers of images in a bucket of its own: ECR guide, "Minimum Amazon S3 bucket permissions"."""
        endpoint = self.vpc.add_gateway_endpoint("S3", service=aws_ec2.GatewayVpcEndpointAwsService.S3)
        endpoint.add_to_policy(
            aws_iam.PolicyStatement(
                sid="OwnBuckets",
                principals=[aws_iam.AnyPrincipal()],
                actions=[
                    "s3:AbortMultipartUpload",
                    "s3:GetBucketLocation",
                    "s3:GetObject",
                    "s3:GetObjectVersion",
                    "s3:ListBucket",
                    "s3:ListMultipartUploadParts",
                    "s3:PutObject",
                ],
                resources=[buckets, f"{buckets}/*"],
                conditions={"StringEquals": {"aws:ResourceAccount": Aws.ACCOUNT_ID}},
            )
        )
        endpoint.add_to_policy(
            aws_iam.PolicyStatement(
                sid="ImageLayers",
                principals=[aws_iam.AnyPrincipal()],
                actions=["s3:GetObject"],
                resources=[f"arn:{Aws.PARTITION}:s3:::prod-{Aws.REGION}-starport-layer-bucket/*"],
            )
        )
        return endpoint

    def _flow_log(self, key: aws_kms.IKey) -> None:
        """All traffic, also what was refused."""
        group = aws_logs.CfnLogGroup(
            self,
            "FlowLogGroup",
            log_group_name=f"/{self._prefix}/flow",
            retention_in_days=self._sizes.flow_log_days,
            kms_key_id=key.key_arn,
        )
        role = aws_iam.Role(
            self,
            "FlowLogRole",
            role_name=f"{self._prefix}-flow-log",
            description="Writes the flow log of the VPC",
            assumed_by=aws_iam.ServicePrincipal(
                "vpc-flow-logs.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
            ),
        )
        role.add_to_policy(
            aws_iam.PolicyStatement(
                actions=["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
                resources=[group.attr_arn],
            )
        )
        aws_ec2.CfnFlowLog(
            self,
            "FlowLog",
            resource_id=self.vpc.vpc_id,
            resource_type="VPC",
            traffic_type="ALL",
            max_aggregation_interval=60,
            log_destination_type="cloud-watch-logs",
            log_destination=group.attr_arn,
            deliver_logs_permission_arn=role.role_arn,
        )
