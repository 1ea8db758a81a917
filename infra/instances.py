"""The machines of the EC2 variant: Bottlerocket on Graviton, counted by ECS.

ECS starts an instance when a task finds no room, and lets one go when it has none: a protected instance is not ended
while tasks are on it, a leaving one is drained first. The rule kept here: nobody can log in to an instance, and nothing
on it reaches its credentials. Bottlerocket's root is read-only and verified, it has no shell and no SSH; metadata
takes tokens only, one hop far, and is closed to tasks; both disks are encrypted with the project's key.

The image is the newest one when the stack is deployed (a parameter of CloudFormation's SSM type). Instances that run
already keep theirs until an instance refresh.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Aws, CfnParameter, CfnTag, Fn, Stack
from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.bidder_metrics import service_of
from infra.environments import InstanceCapacity

IMAGES = {
    "ARM64": "/aws/service/bottlerocket/aws-ecs-2/arm64/latest/image_id",
    "X86_64": "/aws/service/bottlerocket/aws-ecs-2/x86_64/latest/image_id",
}
# The agent's way to ECS; Fargate's is not through the VPC (ECS guide, "Interface VPC endpoints").
ENDPOINTS = {"Ecs": "ecs", "EcsAgent": "ecs-agent", "EcsTelemetry": "ecs-telemetry"}
OS_DISK, DATA_DISK = "/dev/xvda", "/dev/xvdb"  # Bottlerocket's: itself, and images with containers
OS_DISK_GIB = 2


class Instances(Construct):
    """`provider` is the capacity provider that a service names; `security_group` is the instances'."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        sizes: InstanceCapacity,
        architecture: str,
        cluster: ecs.CfnCluster,
        vpc: ec2.IVpc,
        subnets: Sequence[ec2.ISubnet],
        endpoint_security_group: ec2.ISecurityGroup,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, construct_id)
        self._sizes = sizes
        self._prefix = service_of(name)
        self._cluster = cluster
        self._key = key
        self.security_group = ec2.SecurityGroup(
            self,
            "SecurityGroup",
            vpc=vpc,
            allow_all_outbound=False,
            description="ECS instances: nobody connects to them",
        )
        self.role = self._role()
        for construct, service in ENDPOINTS.items():
            self._endpoint(construct, service, vpc, subnets, endpoint_security_group)
        self._let_scaling_use_the_key()
        template = self._launch_template(architecture)
        self.group = self._group(template, subnets)
        self.provider = self._provider()

    def _endpoint(
        self,
        construct_id: str,
        service: str,
        vpc: ec2.IVpc,
        subnets: Sequence[ec2.ISubnet],
        security_group: ec2.ISecurityGroup,
    ) -> None:
        endpoint = ec2.InterfaceVpcEndpoint(
            self,
            construct_id,
            vpc=vpc,
            service=ec2.InterfaceVpcEndpointAwsService(service),
            subnets=ec2.SubnetSelection(subnets=list(subnets)),
            security_groups=[security_group],
            private_dns_enabled=True,
            open=False,
        )
        for sid, actions, resources, conditions in self._agent():
            endpoint.add_to_policy(
                iam.PolicyStatement(
                    sid=sid,
                    principals=[iam.ArnPrincipal(self.role.role_arn)],
                    actions=actions,
                    resources=resources,
                    conditions=conditions,
                )
            )

    def _role(self) -> iam.Role:
        """What AmazonEC2ContainerServiceforEC2Role allows, on this cluster alone. Images are pulled with the task's
        execution role."""
        role = iam.Role(
            self,
            "Role",
            role_name=f"{self._prefix}-ecs-instances",
            description="What the ECS agent may do",
            assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"),
        )
        for sid, actions, resources, conditions in self._agent():
            role.add_to_policy(
                iam.PolicyStatement(sid=sid, actions=actions, resources=resources, conditions=conditions)
            )
        return role

    def _agent(self) -> list[tuple[str, list[str], list[str], dict[str, dict[str, str]] | None]]:
        """What the ECS agent does: a statement's name, actions, resources and conditions."""
        cluster = self._cluster.attr_arn
        instances = Stack.of(self).format_arn(
            service="ecs", resource="container-instance", resource_name=f"{self._cluster.ref}/*"
        )
        submit = ["ecs:SubmitTaskStateChange", "ecs:SubmitContainerStateChange", "ecs:SubmitAttachmentStateChanges"]
        hear = ["ecs:Poll", "ecs:StartTelemetrySession", "ecs:UpdateContainerInstancesState"]
        return [
            ("Join", ["ecs:RegisterContainerInstance", "ecs:DeregisterContainerInstance"], [cluster], None),
            ("SpeakForTasks", submit, [cluster], None),
            ("HearOfTasks", hear, [instances], {"ArnEquals": {"ecs:cluster": cluster}}),
            ("FindTheAgentsEndpoint", ["ecs:DiscoverPollEndpoint"], ["*"], None),  # knows no resource
        ]

    def _let_scaling_use_the_key(self) -> None:
        """Auto Scaling starts instances with its service-linked role, which must be let use the disks' key (EC2 Auto
        Scaling guide, "Required KMS key policy"). An account that never had a group has to be given the role first."""
        name = "aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
        scaling = iam.ArnPrincipal(f"arn:{Aws.PARTITION}:iam::{Aws.ACCOUNT_ID}:role/{name}")
        actions = ["Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey", "DescribeKey"]
        actions += ["GenerateDataKeyWithoutPlaintext"]
        self._key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="DisksOfInstances",
                principals=[scaling],
                actions=[f"kms:{action}" for action in actions],
                resources=["*"],
            )
        )
        self._key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="GrantsForDisksOfInstances",
                principals=[scaling],
                actions=["kms:CreateGrant"],
                resources=["*"],
                conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
            )
        )

    def _launch_template(self, architecture: str) -> ec2.CfnLaunchTemplate:
        image = CfnParameter(
            self,
            "Image",
            type="AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>",
            default=IMAGES[architecture],
            description="Where AWS publishes the newest image",
        )
        profile = iam.CfnInstanceProfile(self, "Profile", roles=[self.role.role_name])
        template = ec2.CfnLaunchTemplate
        return ec2.CfnLaunchTemplate(
            self,
            "Template",
            launch_template_data=template.LaunchTemplateDataProperty(
                image_id=image.value_as_string,
                instance_type=self._sizes.instance_type,
                iam_instance_profile=template.IamInstanceProfileProperty(arn=profile.attr_arn),
                security_group_ids=[self.security_group.security_group_id],
                user_data=Fn.base64(self._user_data()),
                monitoring=template.MonitoringProperty(enabled=True),
                ebs_optimized=True,
                metadata_options=template.MetadataOptionsProperty(
                    http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=1
                ),
                block_device_mappings=[
                    self._disk(OS_DISK, OS_DISK_GIB),
                    self._disk(DATA_DISK, self._sizes.volume_gib),
                ],
                tag_specifications=[
                    template.TagSpecificationProperty(
                        resource_type=kind, tags=[CfnTag(key="Name", value=f"{self._prefix}-ecs")]
                    )
                    for kind in ("instance", "volume")
                ],
            ),
        )

    def _user_data(self) -> str:
        """Bottlerocket's settings (bottlerocket.dev, settings.ecs): no shell would run anything else."""
        return "\n".join(
            [
                "[settings.ecs]",
                f'cluster = "{self._cluster.ref}"',
                "allow-privileged-containers = false",
                "awsvpc-block-imds = true",
                "enable-spot-instance-draining = true",
                "[settings.host-containers.admin]",
                "enabled = false",
                "[settings.host-containers.control]",
                "enabled = false",
                "[settings.kernel]",
                'lockdown = "integrity"',
                "",
            ]
        )

    def _disk(self, device: str, gib: int) -> ec2.CfnLaunchTemplate.BlockDeviceMappingProperty:
        return ec2.CfnLaunchTemplate.BlockDeviceMappingProperty(
            device_name=device,
            ebs=ec2.CfnLaunchTemplate.EbsProperty(
                volume_type="gp3",
                volume_size=gib,
                encrypted=True,
                kms_key_id=self._key.key_arn,
                delete_on_termination=True,
            ),
        )

    def _group(
        self, template: ec2.CfnLaunchTemplate, subnets: Sequence[ec2.ISubnet]
    ) -> autoscaling.CfnAutoScalingGroup:
        group = autoscaling.CfnAutoScalingGroup
        return autoscaling.CfnAutoScalingGroup(
            self,
            "Group",
            min_size=str(self._sizes.min_instances),
            max_size=str(self._sizes.max_instances),
            vpc_zone_identifier=[subnet.subnet_id for subnet in subnets],
            launch_template=group.LaunchTemplateSpecificationProperty(
                launch_template_id=template.ref, version=template.attr_latest_version_number
            ),
            new_instances_protected_from_scale_in=True,
            availability_zone_distribution=group.AvailabilityZoneDistributionProperty(
                capacity_distribution_strategy="balanced-best-effort"
            ),
            metrics_collection=[group.MetricsCollectionProperty(granularity="1Minute")],
            tags=[
                # What ECS puts on a group that it counts; here, so that CloudFormation knows of it.
                group.TagPropertyProperty(key="AmazonECSManaged", value="true", propagate_at_launch=True)
            ],
        )

    def _provider(self) -> ecs.CfnCapacityProvider:
        provider = ecs.CfnCapacityProvider
        return ecs.CfnCapacityProvider(
            self,
            "Provider",
            name=f"{self._prefix}-ecs-instances",
            auto_scaling_group_provider=provider.AutoScalingGroupProviderProperty(
                auto_scaling_group_arn=self.group.attr_auto_scaling_group_arn,
                managed_scaling=provider.ManagedScalingProperty(
                    status="ENABLED",
                    target_capacity=self._sizes.target_percent,
                    minimum_scaling_step_size=1,
                    maximum_scaling_step_size=self._sizes.max_instances,
                    instance_warmup_period=60,
                ),
                managed_termination_protection="ENABLED",
                managed_draining="ENABLED",
            ),
        )
