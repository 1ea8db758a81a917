"""The way in: a Network Load Balancer that ends TLS and keeps the client's address, or an Application Load Balancer.

Zones stay apart: a zone's addresses lead to its own tasks, which spares a bid the way to another zone, and its price.
The rule kept here: a target that is not ready gets no new connections, but nobody's connection is closed because of it.
A bidder whose endpoint or credentials are away still answers, with bids on priors, and exchanges hold closed
connections against a bidder.

From here to the bidder it is plain HTTP within private subnets: the bidder has no TLS of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_network

from aws_cdk import Aws, CfnParameter
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.bidder_metrics import service_of
from infra.environments import BalancerSizes

TLS_PORT = 443
FEWEST_BITS = 8  # that a range which is let in has fixed: all of 10.0.0.0/8 may be, the world may not
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"  # TLS 1.3, and 1.2 with forward secrecy
PATHS = ("/openrtb2/*", "/notice/*")  # what an ALB lets through; /metrics and /debug stay inside


class Balancer(Construct):
    """`target_group` is what a service registers with, after `listener`; `security_group` is what targets let in."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        sizes: BalancerSizes,
        vpc: ec2.IVpc,
        subnets: Sequence[ec2.ISubnet],
        port: int,
        log_bucket: s3.IBucket,
    ) -> None:
        """`subnets`: one a zone, public if `sizes.internet_facing`. `port`: the bidder's. The certificate's ARN is a
        parameter of the stack: it is made, and its name proven, before there is anything to deploy. ValueError: the
        balancer would be open to the world."""
        super().__init__(scope, construct_id)
        if wide := [cidr for cidr in sizes.exchange_cidrs if ip_network(cidr).prefixlen < FEWEST_BITS]:
            raise ValueError(f"exchanges have narrower addresses than {', '.join(wide)}")
        self.sizes = sizes
        self._prefix = service_of(name)
        self.certificate = CfnParameter(
            self,
            "CertificateArn",
            description="ACM certificate of the name that exchanges call, in this region",
            allowed_pattern=r"arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/[a-f0-9-]+",
        )
        self.certificate.override_logical_id("CertificateArn")
        self.security_group = ec2.SecurityGroup(
            self, "SecurityGroup", vpc=vpc, allow_all_outbound=False, description="Bids: from exchanges, to the bidder"
        )
        self.security_group.add_ingress_rule(self._exchanges(), ec2.Port.tcp(TLS_PORT), "Bids over TLS")
        self.target_group = self._target_group(vpc, port)
        self.load_balancer = self._load_balancer(subnets, log_bucket)
        self.listener = self._listener()

    def allow_to(self, security_group: ec2.ISecurityGroup, port: int) -> None:
        """Let the balancer connect to members of `security_group`: a rule on each side.

        The group is named, not addresses: that holds for kept client addresses as well."""
        self.security_group.connections.allow_to(security_group, ec2.Port.tcp(port), "Bids and health checks")

    def _exchanges(self) -> ec2.IPeer:
        """A prefix list: exchanges change their addresses, and it can be changed while no security group is."""
        exchanges = ec2.PrefixList(
            self,
            "Exchanges",
            prefix_list_name=f"{self._prefix}-exchanges",
            address_family=ec2.AddressFamily.IP_V4,
            entries=[ec2.CfnPrefixList.EntryProperty(cidr=cidr) for cidr in self.sizes.exchange_cidrs],
        )
        return ec2.Peer.prefix_list(exchanges.prefix_list_id)

    def _target_group(self, vpc: ec2.IVpc, port: int) -> elbv2.CfnTargetGroup:
        sizes = self.sizes
        attributes: dict[str, bool | int | str] = {
            "deregistration_delay.timeout_seconds": sizes.deregistration_delay_s,
            "load_balancing.cross_zone.enabled": False,
        }
        if sizes.kind == "network":
            attributes |= {
                "preserve_client_ip.enabled": True,
                # The bidder ends connections itself, between two answers: see infra/stopping.py.
                "deregistration_delay.connection_termination.enabled": False,
                "target_health_state.unhealthy.connection_termination.enabled": False,
            }
        else:
            attributes |= {"load_balancing.algorithm.type": "least_outstanding_requests"}
        return elbv2.CfnTargetGroup(
            self,
            "Bidders",
            vpc_id=vpc.vpc_id,
            port=port,
            protocol="TCP" if sizes.kind == "network" else "HTTP",
            target_type="ip",
            health_check_enabled=True,
            health_check_protocol="HTTP",
            health_check_port="traffic-port",
            health_check_path="/readyz",
            health_check_interval_seconds=sizes.health_interval_s,
            health_check_timeout_seconds=sizes.health_timeout_s,
            healthy_threshold_count=sizes.healthy_count,
            unhealthy_threshold_count=sizes.unhealthy_count,
            matcher=elbv2.CfnTargetGroup.MatcherProperty(http_code="200"),
            target_group_attributes=[
                elbv2.CfnTargetGroup.TargetGroupAttributeProperty(key=name, value=value)
                for name, value in _texts(attributes).items()
            ],
        )

    def _load_balancer(self, subnets: Sequence[ec2.ISubnet], log_bucket: s3.IBucket) -> elbv2.CfnLoadBalancer:
        sizes = self.sizes
        attributes: dict[str, bool | int | str] = {
            "access_logs.s3.enabled": True,
            "access_logs.s3.bucket": log_bucket.bucket_name,
            "access_logs.s3.prefix": self._log_prefix,
            "deletion_protection.enabled": sizes.deletion_protection,
            "zonal_shift.config.enabled": True,  # takes a sick zone out by hand, or by itself
        }
        if sizes.kind == "network":
            attributes |= {"load_balancing.cross_zone.enabled": False}
            if not sizes.internet_facing:
                attributes |= {"dns_record.client_routing_policy": "availability_zone_affinity"}
        else:
            attributes |= {
                "idle_timeout.timeout_seconds": sizes.idle_s,
                "routing.http.drop_invalid_header_fields.enabled": True,
                "routing.http.desync_mitigation_mode": "strictest",
                "routing.http.xff_header_processing.mode": "append",
            }
        balancer = elbv2.CfnLoadBalancer(
            self,
            "LoadBalancer",
            name=self._prefix,
            type=sizes.kind,
            scheme="internet-facing" if sizes.internet_facing else "internal",
            subnets=[subnet.subnet_id for subnet in subnets],
            security_groups=[self.security_group.security_group_id],
            load_balancer_attributes=[
                elbv2.CfnLoadBalancer.LoadBalancerAttributeProperty(key=name, value=value)
                for name, value in _texts(attributes).items()
            ],
        )
        self._let_logs_in(balancer, log_bucket)
        return balancer

    @property
    def _log_prefix(self) -> str:
        return f"balancer/{self._prefix}"

    def _let_logs_in(self, balancer: elbv2.CfnLoadBalancer, bucket: s3.IBucket) -> None:
        """The bucket's part; the balancer writes a test object at once, so it comes after."""
        network = self.sizes.kind == "network"
        service = "delivery.logs.amazonaws.com" if network else "logdelivery.elasticloadbalancing.amazonaws.com"
        writer = iam.ServicePrincipal(service)
        here = {"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
        objects = bucket.arn_for_objects(f"{self._log_prefix}/AWSLogs/{Aws.ACCOUNT_ID}/*")
        added = bucket.add_to_resource_policy(
            iam.PolicyStatement(
                sid="BalancerLogs", principals=[writer], actions=["s3:PutObject"], resources=[objects], conditions=here
            )
        )
        if network:
            bucket.add_to_resource_policy(
                iam.PolicyStatement(
                    sid="BalancerLogsAcl",
                    principals=[writer],
                    actions=["s3:GetBucketAcl"],
                    resources=[bucket.bucket_arn],
                    conditions=here,
                )
            )
        if added.policy_dependable is not None:
            balancer.node.add_dependency(added.policy_dependable)

    def _listener(self) -> elbv2.CfnListener:
        """TLS alone: there is no port 80 to redirect from, as exchanges do not follow redirects."""
        network = self.sizes.kind == "network"
        forward = elbv2.CfnListener.ActionProperty(type="forward", target_group_arn=self.target_group.ref)
        refuse = elbv2.CfnListener.ActionProperty(
            type="fixed-response",
            fixed_response_config=elbv2.CfnListener.FixedResponseConfigProperty(status_code="404"),
        )
        listener = elbv2.CfnListener(
            self,
            "Tls",
            load_balancer_arn=self.load_balancer.ref,
            port=TLS_PORT,
            protocol="TLS" if network else "HTTPS",
            ssl_policy=TLS_POLICY,
            certificates=[
                elbv2.CfnListener.CertificateProperty(certificate_arn=self.certificate.value_as_string),
            ],
            alpn_policy=["HTTP1Only"] if network else None,
            default_actions=[forward if network else refuse],
        )
        if not network:
            elbv2.CfnListenerRule(
                self,
                "BidsAndNotices",
                listener_arn=listener.ref,
                priority=1,
                conditions=[elbv2.CfnListenerRule.RuleConditionProperty(field="path-pattern", values=list(PATHS))],
                actions=[elbv2.CfnListenerRule.ActionProperty(type="forward", target_group_arn=self.target_group.ref)],
            )
        return listener


def _texts(attributes: Mapping[str, bool | int | str]) -> dict[str, str]:
    """As load balancers want their attributes: all text, `true` and `false` in small letters."""
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in attributes.items()}
