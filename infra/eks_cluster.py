"""The bidder on EKS: a private control plane, its add-ons, and who may do what in it.

The cluster's API has an address in the VPC alone, secrets are encrypted with the project's key before they are stored,
and everything the control plane logs is kept. Nobody is an administrator by having deployed the stack: the roles that
are have access entries. What is in the cluster comes by Helm: the chart is infra/helm/bidder, its README says what goes
before it.

The rule kept here: no pod gets the nodes' rights. The bidder has a role of its own by EKS Pod Identity, and so has each
add-on that calls AWS.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from aws_cdk import Aws, RemovalPolicy, Stack, aws_ec2, aws_ecr, aws_eks, aws_iam, aws_kms, aws_logs
from constructs import Construct

from infra.eks_nodes import EksNodes, node_role
from infra.environments import EksSizes, NodeSizes

LOG_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")
API_PORT = 443
# From the control plane to pods: kubelets, metrics-server, the webhooks of the balancer controller.
NODE_PORTS = {10250: "Kubelets", 10251: "metrics-server", 9443: "Webhooks of the balancer controller"}
CNI_SETTINGS = {"enableNetworkPolicy": "true", "env": {"ENABLE_PREFIX_DELEGATION": "true", "WARM_PREFIX_TARGET": "1"}}
AUTO_MODE_POLICIES = ("Compute", "BlockStorage", "LoadBalancing", "Networking")


class EksCluster(Construct):
    """`security_groups` are all that has to reach the VPC's endpoints and S3; the first is the pods', which the
    balancer connects to. `cluster.ref` is the cluster's name."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        environment_name: str,
        sizes: EksSizes,
        vpc: aws_ec2.IVpc,
        subnets: Sequence[aws_ec2.ISubnet],
        repositories: Sequence[aws_ecr.IRepository],
        key: aws_kms.IKey,
    ) -> None:
        """`subnets`: private, one a zone. `repositories`: of the images that nodes pull, beside those kept for the
        cluster. ValueError: fewer than three subnets."""
        super().__init__(scope, construct_id)
        if len(subnets) < 3:
            raise ValueError(f"a cluster stands on three zones at least, not on {len(subnets)}")
        self.sizes = sizes
        self.prefix = f"bidder-{environment_name}"
        self._vpc, self._subnets, self._key = vpc, subnets, key
        self._repository_arns = [repository.repository_arn for repository in repositories]
        self.arn = Stack.of(self).format_arn(service="eks", resource="cluster", resource_name=self.prefix)
        self.control_plane_security_group = aws_ec2.SecurityGroup(
            self,
            "ControlPlane",
            vpc=vpc,
            allow_all_outbound=False,
            description="API of the cluster: from its nodes, to their kubelets and webhooks",
        )
        self.log_group = self._log_group()
        self.role = self._role()
        self.nodes = self._nodes()
        self.cluster = self._cluster()
        self.cluster.node.add_dependency(self.log_group, self.role.node.find_child("DefaultPolicy"))
        self._let_in()
        self.add_ons = self._add_ons()
        self.security_groups = [self._pods_security_group()]

    # -- the control plane ---------------------------------------------------------------------------------------------

    def _log_group(self) -> aws_logs.CfnLogGroup:
        """The name is EKS's. It is made before the cluster, so that it has a key and an end."""
        group = aws_logs.CfnLogGroup(
            self,
            "Logs",
            log_group_name=f"/aws/eks/{self.prefix}/cluster",
            retention_in_days=self.sizes.log_days,
            kms_key_id=self._key.key_arn,
        )
        group.apply_removal_policy(RemovalPolicy.DESTROY)
        return group

    def _role(self) -> aws_iam.Role:
        policies = ["AmazonEKSClusterPolicy"]
        actions = ["sts:AssumeRole"]
        if not isinstance(self.sizes.compute, NodeSizes):
            policies += [f"AmazonEKS{name}Policy" for name in AUTO_MODE_POLICIES]
            actions += ["sts:TagSession"]
        role = aws_iam.Role(
            self,
            "Role",
            role_name=f"{self.prefix}-eks",
            description="What the control plane may do",
            assumed_by=aws_iam.ServicePrincipal(
                "eks.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
            ),
            managed_policies=[aws_iam.ManagedPolicy.from_aws_managed_policy_name(name) for name in policies],
        )
        if len(actions) > 1 and role.assume_role_policy:
            role.assume_role_policy.add_statements(
                aws_iam.PolicyStatement(
                    principals=[aws_iam.ServicePrincipal("eks.amazonaws.com")],
                    actions=actions[1:],
                    conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
                )
            )
        role.add_to_policy(
            aws_iam.PolicyStatement(
                sid="EncryptSecrets",
                actions=["kms:Encrypt", "kms:Decrypt", "kms:DescribeKey", "kms:CreateGrant"],
                resources=[self._key.key_arn],
            )
        )
        return role

    def _nodes(self) -> EksNodes | None:
        if not isinstance(self.sizes.compute, NodeSizes):
            return None
        return EksNodes(
            self,
            "Nodes",
            cluster_name=self.prefix,
            cluster_arn=self.arn,
            sizes=self.sizes.compute,
            vpc=self._vpc,
            subnets=self._subnets,
            repository_arns=self._repository_arns,
            key=self._key,
        )

    def _cluster(self) -> aws_eks.CfnCluster:
        cluster = aws_eks.CfnCluster
        return aws_eks.CfnCluster(
            self,
            "Cluster",
            name=self.prefix,
            version=self.sizes.kubernetes_version,
            role_arn=self.role.role_arn,
            resources_vpc_config=cluster.ResourcesVpcConfigProperty(
                subnet_ids=[subnet.subnet_id for subnet in self._subnets],
                security_group_ids=[self.control_plane_security_group.security_group_id],
                endpoint_private_access=True,
                endpoint_public_access=False,
            ),
            encryption_config=[
                cluster.EncryptionConfigProperty(
                    provider=cluster.ProviderProperty(key_arn=self._key.key_arn), resources=["secrets"]
                )
            ],
            logging=cluster.LoggingProperty(
                cluster_logging=cluster.ClusterLoggingProperty(
                    enabled_types=[cluster.LoggingTypeConfigProperty(type=kind) for kind in LOG_TYPES]
                )
            ),
            access_config=cluster.AccessConfigProperty(
                authentication_mode="API", bootstrap_cluster_creator_admin_permissions=False
            ),
            bootstrap_self_managed_addons=False,
            upgrade_policy=cluster.UpgradePolicyProperty(support_type="STANDARD"),
            zonal_shift_config=cluster.ZonalShiftConfigProperty(enabled=True),
            deletion_protection=self.sizes.deletion_protection,
            **self._auto_mode(),
        )

    def _auto_mode(self) -> dict[str, Any]:
        compute = self.sizes.compute
        if isinstance(compute, NodeSizes):
            return {}
        cluster = aws_eks.CfnCluster
        role = node_role(self, self.prefix, self.arn, self._repository_arns)
        return {
            "compute_config": cluster.ComputeConfigProperty(
                enabled=True, node_pools=list(compute.node_pools), node_role_arn=role.role_arn
            ),
            "kubernetes_network_config": cluster.KubernetesNetworkConfigProperty(
                elastic_load_balancing=cluster.ElasticLoadBalancingProperty(enabled=True)
            ),
            "storage_config": cluster.StorageConfigProperty(block_storage=cluster.BlockStorageProperty(enabled=True)),
        }

    def _let_in(self) -> None:
        """Administrators, by name: their roles are the account's, not this stack's."""
        entry = aws_eks.CfnAccessEntry
        for name in self.sizes.admin_roles:
            aws_eks.CfnAccessEntry(
                self,
                f"Admin{name}",
                cluster_name=self.cluster.ref,
                principal_arn=f"arn:{Aws.PARTITION}:iam::{Aws.ACCOUNT_ID}:role/{name}",
                access_policies=[
                    entry.AccessPolicyProperty(
                        policy_arn=f"arn:{Aws.PARTITION}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy",
                        access_scope=entry.AccessScopeProperty(type="cluster"),
                    )
                ],
            )

    # -- the ways in and out -------------------------------------------------------------------------------------------

    def _pods_security_group(self) -> aws_ec2.ISecurityGroup:
        """The nodes' own, which pods share; in Auto Mode the one that EKS makes for the cluster."""
        if self.nodes is None:
            return aws_ec2.SecurityGroup.from_security_group_id(
                self, "ClusterSecurityGroup", self.cluster.attr_cluster_security_group_id
            )
        nodes, control_plane = self.nodes.security_group, self.control_plane_security_group
        nodes.connections.allow_to(control_plane, aws_ec2.Port.tcp(API_PORT), "API of the cluster")
        for port, what in NODE_PORTS.items():
            control_plane.connections.allow_to(nodes, aws_ec2.Port.tcp(port), what)
        return nodes

    # -- add-ons -------------------------------------------------------------------------------------------------------

    def _add_ons(self) -> dict[str, aws_eks.CfnAddon]:
        """Those that nodes need to become ready come before them, the others after. Auto Mode has all but one built
        in."""
        made: dict[str, aws_eks.CfnAddon] = {}
        if self.nodes is not None:
            self.nodes.group.node.add_dependency(self.cluster)
            made["eks-pod-identity-agent"] = self._add_on("eks-pod-identity-agent")
            made["kube-proxy"] = self._add_on("kube-proxy")
            made["vpc-cni"] = self._add_on(
                "vpc-cni", settings=CNI_SETTINGS, service_account="aws-node", role=self._network_role()
            )
            self.nodes.group.node.add_dependency(*made.values())
        later = {} if self.nodes is None else {"coredns": self._add_on("coredns")}
        later["metrics-server"] = self._add_on("metrics-server")
        if self.sizes.container_insights:
            later["amazon-cloudwatch-observability"] = self._add_on(
                "amazon-cloudwatch-observability", service_account="cloudwatch-agent", role=self._observing_role()
            )
        if self.nodes is not None:
            for add_on in later.values():
                add_on.node.add_dependency(self.nodes.group)
        return made | later

    def _add_on(
        self,
        name: str,
        *,
        settings: dict[str, Any] | None = None,
        service_account: str = "",
        role: aws_iam.IRole | None = None,
    ) -> aws_eks.CfnAddon:
        return aws_eks.CfnAddon(
            self,
            name,
            cluster_name=self.cluster.ref,
            addon_name=name,
            addon_version=self.sizes.add_on_versions.get(name),
            configuration_values=json.dumps(settings, sort_keys=True) if settings else None,
            resolve_conflicts="OVERWRITE",
            pod_identity_associations=[
                aws_eks.CfnAddon.PodIdentityAssociationProperty(role_arn=role.role_arn, service_account=service_account)
            ]
            if role
            else None,
        )

    def pod_role(self, construct_id: str, name: str, description: str) -> aws_iam.Role:
        """A role that pods of this cluster alone can have, by way of an association."""
        role = aws_iam.Role(
            self,
            construct_id,
            role_name=f"{self.prefix}-{name}",
            description=description,
            assumed_by=aws_iam.ServicePrincipal("pods.eks.amazonaws.com", conditions=self._from_here()),
        )
        assert role.assume_role_policy is not None
        role.assume_role_policy.add_statements(
            aws_iam.PolicyStatement(
                principals=[aws_iam.ServicePrincipal("pods.eks.amazonaws.com")],
                actions=["sts:TagSession"],
                conditions=self._from_here(),
            )
        )
        return role

    def _from_here(self) -> dict[str, Any]:
        return {"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}, "ArnEquals": {"aws:SourceArn": self.arn}}

    def associate(self, construct_id: str, role: aws_iam.IRole, *, namespace: str, service_account: str) -> None:
        """Pods of `service_account` in `namespace` get `role`."""
        association = aws_eks.CfnPodIdentityAssociation(
            self,
            construct_id,
            cluster_name=self.cluster.ref,
            role_arn=role.role_arn,
            namespace=namespace,
            service_account=service_account,
        )
        association.node.add_dependency(role.node.find_child("DefaultPolicy"))

    def _network_role(self) -> aws_iam.Role:
        """What AmazonEKS_CNI_Policy allows, within this account's Region."""
        role = self.pod_role("NetworkRole", "eks-network", "Gives pods their addresses")
        stack = Stack.of(self)
        kinds = ("network-interface", "instance", "subnet", "security-group")
        ours = [stack.format_arn(service="ec2", resource=kind, resource_name="*") for kind in kinds]
        looks = ["Instances", "Tags", "NetworkInterfaces", "InstanceTypes", "Subnets", "SecurityGroups"]
        changes = ["AssignPrivateIpAddresses", "UnassignPrivateIpAddresses", "ModifyNetworkInterfaceAttribute"]
        changes += [f"{verb}NetworkInterface" for verb in ("Attach", "Create", "Delete", "Detach")]
        _allow(role, "LookAround", [f"ec2:Describe{what}" for what in looks], ["*"])
        _allow(role, "GiveAddresses", [f"ec2:{what}" for what in changes], ours)
        _allow(role, "NameInterfaces", ["ec2:CreateTags"], ours[:1])
        return role

    def _observing_role(self) -> aws_iam.Role:
        """What CloudWatchAgentServerPolicy allows, but for traces, and on this cluster's log groups."""
        role = self.pod_role("ObservingRole", "eks-observing", "Publishes Container Insights")
        groups = Stack.of(self).format_arn(service="logs", resource=f"log-group:/aws/containerinsights/{self.prefix}/*")
        _allow(role, "LookAround", ["ec2:DescribeVolumes", "ec2:DescribeTags", "logs:DescribeLogGroups"], ["*"])
        writes = ["CreateLogGroup", "CreateLogStream", "DescribeLogStreams", "PutLogEvents"]
        writes += ["PutRetentionPolicy"]
        _allow(role, "WriteLogs", [f"logs:{what}" for what in writes], [groups])
        role.add_to_policy(
            aws_iam.PolicyStatement(
                sid="PublishMetrics",
                actions=["cloudwatch:PutMetricData"],
                resources=["*"],
                conditions={"StringEquals": {"cloudwatch:namespace": "ContainerInsights"}},
            )
        )
        return role


def _allow(role: aws_iam.Role, sid: str, actions: Sequence[str], resources: Sequence[str]) -> None:
    role.add_to_policy(aws_iam.PolicyStatement(sid=sid, actions=list(actions), resources=list(resources)))
