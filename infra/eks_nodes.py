"""The machines of the cluster: a managed group of Bottlerocket nodes on Graviton, over all zones.

The rule kept here: nobody can log in to a node, and no pod reaches its credentials. Bottlerocket's root is read-only
and verified, it has no shell and no SSH; metadata takes tokens only, one hop far, which no pod is; both disks are
encrypted with the project's key. With `static_cpus` a pod that asks for whole cores gets them for itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Aws, CfnTag, Fn, Stack, aws_ec2, aws_eks, aws_iam, aws_kms
from constructs import Construct

from infra.environments import NodeSizes

OS_DISK, DATA_DISK = "/dev/xvda", "/dev/xvdb"  # Bottlerocket's: itself, and images with containers
OS_DISK_GIB = 2
AMI_TYPES = {"ARM64": "BOTTLEROCKET_ARM_64", "X86_64": "BOTTLEROCKET_x86_64"}
# Where EKS keeps the images of its own add-ons, by Region (EKS guide, "View Amazon container image registries").
ADD_ON_REGISTRIES = {"us-east-1": "602401143452", "us-west-2": "602401143452", "eu-west-1": "602401143452"}


class EksNodes(Construct):
    """`group` is the node group, `role` the nodes', `security_group` theirs and their pods'."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster_name: str,
        cluster_arn: str,
        sizes: NodeSizes,
        vpc: aws_ec2.IVpc,
        subnets: Sequence[aws_ec2.ISubnet],
        repository_arns: Sequence[str],
        key: aws_kms.IKey,
    ) -> None:
        super().__init__(scope, construct_id)
        self._sizes = sizes
        self._cluster_name = cluster_name
        self._key = key
        self.security_group = aws_ec2.SecurityGroup(
            self, "SecurityGroup", vpc=vpc, allow_all_outbound=False, description="EKS nodes and their pods"
        )
        self.security_group.connections.allow_internally(aws_ec2.Port.all_traffic(), "Pods of one cluster")
        self.role = node_role(self, cluster_name, cluster_arn, repository_arns)
        self._let_ec2_use_the_key()
        self.group = self._group(subnets)
        self.group.node.add_dependency(self.role.node.find_child("DefaultPolicy"))

    def _let_ec2_use_the_key(self) -> None:
        """Instances are started by service-linked roles, which the key has to let make encrypted disks. Named by the
        way they come, EC2, and by the account: the roles themselves may not be there yet."""
        actions = ["Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKeyWithoutPlaintext"]
        come = {
            "kms:CallerAccount": Aws.ACCOUNT_ID,
            "kms:ViaService": f"ec2.{Stack.of(self).region}.amazonaws.com",
        }
        self._key.add_to_resource_policy(
            aws_iam.PolicyStatement(
                sid="DisksOfNodes",
                principals=[aws_iam.AnyPrincipal()],
                actions=[f"kms:{action}" for action in [*actions, "DescribeKey"]],
                resources=["*"],
                conditions={"StringEquals": come},
            )
        )
        self._key.add_to_resource_policy(
            aws_iam.PolicyStatement(
                sid="GrantsForDisksOfNodes",
                principals=[aws_iam.AnyPrincipal()],
                actions=["kms:CreateGrant"],
                resources=["*"],
                conditions={"StringEquals": come, "Bool": {"kms:GrantIsForAWSResource": "true"}},
            )
        )

    def _launch_template(self) -> aws_ec2.CfnLaunchTemplate:
        template = aws_ec2.CfnLaunchTemplate
        return aws_ec2.CfnLaunchTemplate(
            self,
            "Template",
            launch_template_data=template.LaunchTemplateDataProperty(
                security_group_ids=[self.security_group.security_group_id],
                user_data=Fn.base64(user_data(self._sizes)),
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
                        resource_type=kind, tags=[CfnTag(key="Name", value=f"{self._cluster_name}-eks")]
                    )
                    for kind in ("instance", "volume")
                ],
            ),
        )

    def _disk(self, device: str, gib: int) -> aws_ec2.CfnLaunchTemplate.BlockDeviceMappingProperty:
        return aws_ec2.CfnLaunchTemplate.BlockDeviceMappingProperty(
            device_name=device,
            ebs=aws_ec2.CfnLaunchTemplate.EbsProperty(
                volume_type="gp3",
                volume_size=gib,
                encrypted=True,
                kms_key_id=self._key.key_arn,
                delete_on_termination=True,
            ),
        )

    def _group(self, subnets: Sequence[aws_ec2.ISubnet]) -> aws_eks.CfnNodegroup:
        template = self._launch_template()
        group = aws_eks.CfnNodegroup
        sizes = self._sizes
        return aws_eks.CfnNodegroup(
            self,
            "Group",
            cluster_name=self._cluster_name,
            node_role=self.role.role_arn,
            subnets=[subnet.subnet_id for subnet in subnets],
            ami_type=AMI_TYPES[sizes.architecture],
            capacity_type=sizes.capacity,
            instance_types=list(sizes.instance_types),
            launch_template=group.LaunchTemplateSpecificationProperty(
                id=template.ref, version=template.attr_latest_version_number
            ),
            scaling_config=group.ScalingConfigProperty(
                min_size=sizes.min_nodes, desired_size=sizes.min_nodes, max_size=sizes.max_nodes
            ),
            update_config=group.UpdateConfigProperty(max_unavailable=1),
            node_repair_config=group.NodeRepairConfigProperty(enabled=True),
            labels={"rtb-bidder/static-cpus": str(sizes.static_cpus).lower()},
        )


def node_role(scope: Construct, cluster_name: str, cluster_arn: str, repository_arns: Sequence[str]) -> aws_iam.Role:
    """What AmazonEKSWorkerNodePolicy and AmazonEC2ContainerRegistryPullOnly allow: of this cluster, and of images in
    `repository_arns`, those kept for the cluster, and EKS's own."""
    role = aws_iam.Role(
        scope,
        "NodeRole",
        role_name=f"{cluster_name}-eks-nodes",
        description="What kubelets may do",
        assumed_by=aws_iam.ServicePrincipal("ec2.amazonaws.com"),
    )
    stack = Stack.of(scope)
    kept = stack.format_arn(service="ecr", resource="repository", resource_name=f"{cluster_name}-*")
    add_ons = stack.format_arn(
        service="ecr", account=ADD_ON_REGISTRIES[stack.region], resource="repository", resource_name="*"
    )
    pull = ["BatchCheckLayerAvailability", "GetDownloadUrlForLayer", "BatchGetImage"]
    looks = ["Instances", "InstanceTypes", "Volumes", "Subnets", "SecurityGroups", "Vpcs", "RouteTables"]
    statements = {
        "KnowTheCluster": (["eks:DescribeCluster"], [cluster_arn]),
        # The agent on each node asks for its pods; what a pod gets is its association's role.
        "AskForPods": (["eks-auth:AssumeRoleForPodIdentity"], [cluster_arn]),
        "LookAround": ([f"ec2:Describe{what}" for what in looks], ["*"]),
        "PullImages": ([f"ecr:{what}" for what in pull], [*repository_arns, kept, add_ons]),
        # A token is of the account, not of a repository.
        "EnterRegistries": (["ecr:GetAuthorizationToken"], ["*"]),
    }
    for sid, (actions, resources) in statements.items():
        role.add_to_policy(aws_iam.PolicyStatement(sid=sid, actions=actions, resources=resources))
    return role


def user_data(sizes: NodeSizes) -> str:
    """Bottlerocket's settings (bottlerocket.dev, settings.kubernetes), to which EKS adds the cluster's."""
    lines = [
        "[settings.host-containers.admin]",
        "enabled = false",
        "[settings.host-containers.control]",
        "enabled = false",
        "[settings.kernel]",
        'lockdown = "integrity"',
    ]
    if sizes.static_cpus:
        # Whole cores for pods that ask for them; the system's share is what kubelets may not give away.
        lines += ["[settings.kubernetes]", 'cpu-manager-policy = "static"']
        lines += ["[settings.kubernetes.kube-reserved]", f'cpu = "{sizes.reserved_millicores}m"']
    return "\n".join([*lines, ""])
