"""The bidder on ECS: a cluster, a service of it on Fargate or on EC2, and how many tasks there are.

Tasks spread over the zones and are moved when one zone has too many, as the balancer does not even them out: a zone's
connections stay in it. A deployment that does not get well is rolled back, by what ECS sees of its tasks and, where
alarms are given, by what they see. The rule kept here: nobody gets a shell in a task. ECS Exec is off; on a read-only
root its agent could not start either.

There are as many tasks as keep two measures at their targets: the CPU, and bids in flight. The second is the bidder's
gauge `bidder_in_flight`, which each task's collector publishes without saying which task it is of: the metric's average
is then what one task has. It rises before the CPU does when the endpoint gets slow.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import CfnResource
from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.balancer import Balancer
from infra.bidder_metrics import SERVICE, namespace_of, service_of
from infra.environments import BidderSettings, FargateCapacity, ServiceSizes
from infra.instances import Instances
from infra.stopping import problems
from infra.task import BIDDER, PORT, BidderTask

IN_FLIGHT = "bidder_in_flight"
MAXIMUM_PERCENT = 150  # of the tasks there are, while old and new ones stand side by side


def crowding(sizes: ServiceSizes) -> list[str]:
    """What has no room, in words: a deployment that does not fit at the most tasks waits until traffic falls."""
    if isinstance(sizes.capacity, FargateCapacity):
        return []
    room, most = sizes.capacity.max_instances * sizes.capacity.tasks_each, sizes.max_tasks * MAXIMUM_PERCENT // 100
    return [f"instances have room for {room} tasks, a deployment needs it for {most}"] if room < most else []


class EcsService(Construct):
    """`security_groups` are all that has to reach the VPC's endpoints and S3; the first is the tasks'."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        sizes: ServiceSizes,
        settings: BidderSettings,
        vpc: ec2.IVpc,
        subnets: Sequence[ec2.ISubnet],
        endpoint_security_group: ec2.ISecurityGroup,
        task: BidderTask,
        balancer: Balancer,
        key: kms.IKey,
        rollback_alarms: Sequence[str] = (),
    ) -> None:
        """`name`: the environment's. `subnets`: private, one a zone. `rollback_alarms`: names of alarms that undo a
        deployment, which have to be there before it. ValueError: with these settings bids would be lost when a task
        stops, or there is no room for a deployment."""
        super().__init__(scope, construct_id)
        if wrong := problems(settings, balancer.sizes) + crowding(sizes):
            raise ValueError("; ".join(wrong))
        self._sizes = sizes
        self._prefix = service_of(name)
        self.cluster = self._cluster()
        self.security_group = ec2.SecurityGroup(
            self, "SecurityGroup", vpc=vpc, allow_all_outbound=False, description="Bidders: from the balancer alone"
        )
        balancer.allow_to(self.security_group, PORT)
        self.security_groups = [self.security_group]
        self.instances: Instances | None = None
        if not isinstance(sizes.capacity, FargateCapacity):
            self.instances = Instances(
                self,
                "Instances",
                name=name,
                sizes=sizes.capacity,
                architecture=sizes.architecture,
                cluster=self.cluster,
                vpc=vpc,
                subnets=subnets,
                endpoint_security_group=endpoint_security_group,
                key=key,
            )
            self.security_groups.append(self.instances.security_group)
        providers = self._providers()
        self.service = self._service(task, balancer, subnets, rollback_alarms)
        for earlier in (balancer.listener, providers, task.task_role, task.execution_role):
            self.service.node.add_dependency(earlier)
        self._scaling(name)

    def _cluster(self) -> ecs.CfnCluster:
        return ecs.CfnCluster(
            self,
            "Cluster",
            cluster_name=self._prefix,
            cluster_settings=[ecs.CfnCluster.ClusterSettingsProperty(name="containerInsights", value="enhanced")],
        )

    def _providers(self) -> CfnResource:
        names = [self.instances.provider.ref] if self.instances else ["FARGATE", "FARGATE_SPOT"]
        return ecs.CfnClusterCapacityProviderAssociations(
            self,
            "Providers",
            cluster=self.cluster.ref,
            capacity_providers=names,
            default_capacity_provider_strategy=[],
        )

    def _strategy(self) -> list[ecs.CfnService.CapacityProviderStrategyItemProperty]:
        item = ecs.CfnService.CapacityProviderStrategyItemProperty
        capacity = self._sizes.capacity
        if self.instances:
            return [item(capacity_provider=self.instances.provider.ref, weight=1)]
        assert isinstance(capacity, FargateCapacity)
        strategy = [item(capacity_provider="FARGATE", base=capacity.on_demand_tasks, weight=1)]
        if capacity.spot_weight:
            strategy.append(item(capacity_provider="FARGATE_SPOT", weight=capacity.spot_weight))
        return strategy

    def _service(
        self,
        task: BidderTask,
        balancer: Balancer,
        subnets: Sequence[ec2.ISubnet],
        rollback_alarms: Sequence[str],
    ) -> ecs.CfnService:
        """Without a desired count: that is the scaling's, and a deployment must not put it back."""
        service = ecs.CfnService
        return ecs.CfnService(
            self,
            "Service",
            service_name=self._prefix,
            cluster=self.cluster.ref,
            task_definition=task.definition.ref,
            capacity_provider_strategy=self._strategy(),
            platform_version=None if self.instances else "LATEST",
            availability_zone_rebalancing="ENABLED",
            placement_strategies=self._placement(),
            network_configuration=service.NetworkConfigurationProperty(
                awsvpc_configuration=service.AwsVpcConfigurationProperty(
                    subnets=[subnet.subnet_id for subnet in subnets],
                    security_groups=[self.security_group.security_group_id],
                    assign_public_ip=None if self.instances else "DISABLED",
                )
            ),
            load_balancers=[
                service.LoadBalancerProperty(
                    container_name=BIDDER, container_port=PORT, target_group_arn=balancer.target_group.ref
                )
            ],
            health_check_grace_period_seconds=self._sizes.health_grace_s,
            deployment_configuration=service.DeploymentConfigurationProperty(
                minimum_healthy_percent=100,
                maximum_percent=MAXIMUM_PERCENT,
                deployment_circuit_breaker=service.DeploymentCircuitBreakerProperty(enable=True, rollback=True),
                alarms=service.DeploymentAlarmsProperty(alarm_names=list(rollback_alarms), enable=True, rollback=True)
                if rollback_alarms
                else None,
            ),
            enable_execute_command=False,
            enable_ecs_managed_tags=True,
            propagate_tags="SERVICE",
        )

    def _placement(self) -> list[ecs.CfnService.PlacementStrategyProperty] | None:
        """Zones first, then instances. Fargate spreads over zones itself and takes no strategy."""
        if not self.instances:
            return None
        return [
            ecs.CfnService.PlacementStrategyProperty(type="spread", field=field)
            for field in ("attribute:ecs.availability-zone", "instanceId")
        ]

    def _scaling(self, environment_name: str) -> None:
        sizes = self._sizes
        target = scaling.CfnScalableTarget(
            self,
            "Tasks",
            service_namespace="ecs",
            scalable_dimension="ecs:service:DesiredCount",
            resource_id=f"service/{self.cluster.ref}/{self.service.attr_name}",
            min_capacity=sizes.min_tasks,
            max_capacity=sizes.max_tasks,
        )
        policy = scaling.CfnScalingPolicy
        measures = {
            "Cpu": policy.TargetTrackingScalingPolicyConfigurationProperty(
                target_value=sizes.cpu_target_percent,
                scale_out_cooldown=sizes.scale_out_s,
                scale_in_cooldown=sizes.scale_in_s,
                predefined_metric_specification=policy.PredefinedMetricSpecificationProperty(
                    predefined_metric_type="ECSServiceAverageCPUUtilization"
                ),
            ),
            "InFlight": policy.TargetTrackingScalingPolicyConfigurationProperty(
                target_value=sizes.in_flight_target,
                scale_out_cooldown=sizes.scale_out_s,
                scale_in_cooldown=sizes.scale_in_s,
                customized_metric_specification=policy.CustomizedMetricSpecificationProperty(
                    namespace=namespace_of(environment_name),
                    metric_name=IN_FLIGHT,
                    dimensions=[policy.MetricDimensionProperty(name=SERVICE, value=self._prefix)],
                    statistic="Average",
                ),
            ),
        }
        for name, configuration in measures.items():
            scaling.CfnScalingPolicy(
                self,
                name,
                policy_name=f"{self._prefix}-{name.lower()}",
                policy_type="TargetTrackingScaling",
                scaling_target_id=target.ref,
                target_tracking_scaling_policy_configuration=configuration,
            )
