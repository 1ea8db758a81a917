"""The cluster: private, encrypted, logged; nodes nobody logs in to; and roles for pods that can do one thing each."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Aws
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_secretsmanager as secretsmanager

from infra.eks_cluster import EksCluster
from infra.eks_identity import EksIdentity
from infra.eks_nodes import user_data
from infra.environments import DEV, ENVIRONMENTS, PROD, AutoModeSizes, EksSizes, NodeSizes
from infra.identity import unexplained_wildcards, wide_invocations
from infra.image_cache import ImageCache
from infra.statements import Statement, rendered, statements
from infra.storage import bucket_name
from tests.infra.stacks import Bare, bare_stack, resources_of

TARGET_GROUP = "arn:aws:elasticloadbalancing:us-east-1:111122223333:targetgroup/bidder-prod/0123456789abcdef"


def build(bare: Bare, sizes: EksSizes) -> EksCluster:
    """A cluster and what belongs to it in `bare`."""
    eks = EksCluster(
        bare.stack,
        "Eks",
        environment_name="prod",
        sizes=sizes,
        vpc=bare.vpc,
        subnets=bare.vpc.isolated_subnets,
        repositories=[ecr.Repository.from_repository_name(bare.stack, "Images", "rtb-prod/bidder")],
        key=bare.key,
    )
    EksIdentity(
        bare.stack,
        "Identity",
        eks=eks,
        key=bare.key,
        endpoint_name="rtb-prod",
        documents_bucket=bare.bucket,
        documents=["catalogs/catalog.json"],
        target_group_arn=TARGET_GROUP,
        secrets=[
            secretsmanager.Secret.from_secret_name_v2(bare.stack, "StateUrl", "bidder-prod/profiles/reader/url-1")
        ],
        event_stream_arn="arn:aws:firehose:us-east-1:111122223333:deliverystream/events",
    )
    ImageCache(bare.stack, "ImageCache", environment_name="prod")
    return eks


@pytest.fixture(scope="module")
def stack() -> Bare:
    """With everything of production's in it."""
    bare = bare_stack()
    build(bare, PROD.eks)
    return bare


@pytest.fixture(scope="module")
def template(stack: Bare) -> dict[str, Any]:
    return stack.template()


@pytest.fixture(scope="module")
def auto_mode() -> Bare:
    bare = bare_stack()
    build(bare, replace(DEV.eks, compute=AutoModeSizes()))
    return bare


def only(template: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Properties of the one resource of its kind."""
    (found,) = resources_of(template, kind).values()
    return dict(found["Properties"])


def allowed(template: Mapping[str, Any], role: str) -> list[Statement]:
    """What policies attached to the role whose logical id begins so allow."""
    return [
        statement
        for statement in statements(template)
        if statement.logical_id.startswith(role) and statement.resource_type == "AWS::IAM::Policy"
    ]


def unexplained(template: Mapping[str, Any]) -> list[str]:
    """Wildcards without a reason, but for those of the bare stack's own policies."""
    own = ("BareKey", "BareBucket")
    return [each for each in unexplained_wildcards(template) if not each.startswith(own)]


def add_ons(template: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """By name."""
    return {each["Properties"]["AddonName"]: each for each in resources_of(template, "AWS::EKS::Addon").values()}


def test_the_api_has_no_public_address(template: dict[str, Any]) -> None:
    """Nobody outside the VPC can so much as try to log in."""
    network = only(template, "AWS::EKS::Cluster")["ResourcesVpcConfig"]
    assert network["EndpointPrivateAccess"] is True
    assert network["EndpointPublicAccess"] is False


def test_secrets_are_encrypted_with_the_projects_key(template: dict[str, Any]) -> None:
    """Before they are written to the control plane's store."""
    (encryption,) = only(template, "AWS::EKS::Cluster")["EncryptionConfig"]
    assert encryption["Resources"] == ["secrets"]
    assert "BareKey" in json.dumps(encryption["Provider"])


def test_all_of_the_control_planes_logs_are_kept_encrypted(template: dict[str, Any]) -> None:
    """In a group that is there before the cluster, under the name that EKS uses."""
    logging = only(template, "AWS::EKS::Cluster")["Logging"]["ClusterLogging"]["EnabledTypes"]
    assert {each["Type"] for each in logging} == {"api", "audit", "authenticator", "controllerManager", "scheduler"}
    group = only(template, "AWS::Logs::LogGroup")
    assert group["LogGroupName"] == "/aws/eks/bidder-prod/cluster"
    assert group["RetentionInDays"] == PROD.eks.log_days
    assert "KmsKeyId" in group
    (cluster,) = resources_of(template, "AWS::EKS::Cluster").values()
    assert set(resources_of(template, "AWS::Logs::LogGroup")) <= set(cluster["DependsOn"])


def test_only_named_roles_administer(template: dict[str, Any]) -> None:
    """Whoever deploys the stack gets nothing by it."""
    access = only(template, "AWS::EKS::Cluster")["AccessConfig"]
    assert access == {"AuthenticationMode": "API", "BootstrapClusterCreatorAdminPermissions": False}
    entry = only(template, "AWS::EKS::AccessEntry")
    assert rendered(entry["PrincipalArn"]).endswith(":role/bidder-admin")
    (policy,) = entry["AccessPolicies"]
    assert policy["AccessScope"] == {"Type": "cluster"}


def test_nodes_stand_in_three_zones_on_graviton(template: dict[str, Any]) -> None:
    """And fewer zones are refused before anything is made."""
    group = only(template, "AWS::EKS::Nodegroup")
    assert len(group["Subnets"]) == 3
    assert group["AmiType"] == "BOTTLEROCKET_ARM_64"
    assert group["ScalingConfig"] == {"MinSize": 3, "DesiredSize": 3, "MaxSize": 24}
    bare = bare_stack()
    with pytest.raises(ValueError, match="three zones"):
        EksCluster(
            bare.stack,
            "Eks",
            environment_name="dev",
            sizes=DEV.eks,
            vpc=bare.vpc,
            subnets=bare.vpc.isolated_subnets[:2],
            repositories=[],
            key=bare.key,
        )


def test_metadata_takes_tokens_and_is_out_of_pods_reach(template: dict[str, Any]) -> None:
    """One hop: a pod with a network of its own is two away."""
    options = only(template, "AWS::EC2::LaunchTemplate")["LaunchTemplateData"]["MetadataOptions"]
    assert options["HttpTokens"] == "required"
    assert options["HttpPutResponseHopLimit"] == 1


def test_disks_are_encrypted_with_the_projects_key(template: dict[str, Any]) -> None:
    """Both of them, and EC2 may use the key for this account's instances only."""
    disks = only(template, "AWS::EC2::LaunchTemplate")["LaunchTemplateData"]["BlockDeviceMappings"]
    assert [disk["DeviceName"] for disk in disks] == ["/dev/xvda", "/dev/xvdb"]
    for disk in disks:
        assert disk["Ebs"]["Encrypted"] is True
        assert disk["Ebs"]["VolumeType"] == "gp3"
        assert "BareKey" in json.dumps(disk["Ebs"]["KmsKeyId"])
    of_key = [each for each in statements(template) if each.logical_id.startswith("BareKey") and "*" in each.principals]
    assert len(of_key) == 2
    assert all(each.has_condition("kms:CallerAccount") and each.has_condition("kms:ViaService") for each in of_key)


def test_nobody_logs_in_to_a_node(template: dict[str, Any]) -> None:
    """Bottlerocket's two ways to a shell are off, and there is no SSH key."""
    data = only(template, "AWS::EC2::LaunchTemplate")["LaunchTemplateData"]
    assert "KeyName" not in data
    text = data["UserData"]["Fn::Base64"]
    assert "[settings.host-containers.admin]\nenabled = false" in text
    assert "[settings.host-containers.control]\nenabled = false" in text
    assert "RemoteAccess" not in only(template, "AWS::EKS::Nodegroup")


def test_whole_cores_are_an_option() -> None:
    """The kubelet gives them out where the sizes say so."""
    sizes = NodeSizes(instance_types=("c7g.xlarge",), min_nodes=3, max_nodes=3)
    assert 'cpu-manager-policy = "static"' in user_data(replace(sizes, static_cpus=True))
    assert 'cpu = "250m"' in user_data(replace(sizes, static_cpus=True))
    assert "cpu-manager-policy" not in user_data(sizes)


def test_add_ons_come_in_the_order_that_nodes_need(template: dict[str, Any]) -> None:
    """Addresses, names of services and roles for pods before the nodes; what runs on nodes after them."""
    made = add_ons(template)
    assert set(made) == {
        "vpc-cni",
        "kube-proxy",
        "eks-pod-identity-agent",
        "coredns",
        "metrics-server",
        "amazon-cloudwatch-observability",
    }
    ((group_id, group),) = resources_of(template, "AWS::EKS::Nodegroup").items()
    logical_ids = {
        each["Properties"]["AddonName"]: logical_id
        for logical_id, each in resources_of(template, "AWS::EKS::Addon").items()
    }
    before = {name for name, each in made.items() if logical_ids[name] in group["DependsOn"]}
    assert before == {"vpc-cni", "kube-proxy", "eks-pod-identity-agent"}
    for name in set(made) - before:
        assert group_id in made[name]["DependsOn"]


def test_network_policies_are_enforced(template: dict[str, Any]) -> None:
    """By the CNI add-on, which does nothing about them unless told to."""
    settings = json.loads(add_ons(template)["vpc-cni"]["Properties"]["ConfigurationValues"])
    assert settings["enableNetworkPolicy"] == "true"


def test_add_ons_that_call_aws_have_roles_of_their_own(template: dict[str, Any]) -> None:
    """Not the nodes'."""
    made = add_ons(template)
    for name, account in {"vpc-cni": "aws-node", "amazon-cloudwatch-observability": "cloudwatch-agent"}.items():
        (association,) = made[name]["Properties"]["PodIdentityAssociations"]
        assert association["ServiceAccount"] == account
    node_actions = {action for each in allowed(template, "EksNodesNodeRole") for action in each.actions}
    assert not any("NetworkInterface" in action and "Describe" not in action for action in node_actions)
    assert not any(action.startswith(("s3:", "sagemaker:", "secretsmanager:")) for action in node_actions)


def test_the_bidder_asks_one_endpoint_and_reads_its_documents(template: dict[str, Any]) -> None:
    """And nothing else."""
    found = {action: each for each in allowed(template, "EksBidderRole") for action in each.actions}
    assert set(found) == {"sagemaker:InvokeEndpoint", "s3:GetObject", "kms:Decrypt", "firehose:PutRecordBatch"}
    (endpoint,) = found["sagemaker:InvokeEndpoint"].resources
    assert endpoint.endswith(":endpoint/rtb-prod")
    (document,) = found["s3:GetObject"].resources
    assert document.endswith("/catalogs/catalog.json")
    assert found["kms:Decrypt"].has_condition("kms:ViaService")
    assert wide_invocations(template) == []


def test_an_endpoint_of_any_name_is_reported(template: dict[str, Any]) -> None:
    """The check has teeth: the same template with the endpoint's name opened does not pass."""
    broken = json.loads(json.dumps(template).replace(":endpoint/rtb-prod", ":endpoint/*"))
    assert any("InvokeEndpoint" in problem for problem in wide_invocations(broken))
    assert any("InvokeEndpoint" in problem for problem in unexplained_wildcards(broken))


def test_roles_of_pods_are_for_pods_of_this_cluster(template: dict[str, Any]) -> None:
    """Another cluster of the account cannot have them."""
    roles = [
        each
        for each in statements(template)
        if each.resource_type == "AWS::IAM::Role" and "Service:pods.eks.amazonaws.com" in each.principals
    ]
    assert {action for each in roles for action in each.actions} == {"sts:AssumeRole", "sts:TagSession"}
    for each in roles:
        (cluster,) = [values for _, key, values in each.conditions if key == "aws:SourceArn"]
        assert cluster[0].endswith(":cluster/bidder-prod")
        assert each.has_condition("aws:SourceAccount")


def test_each_service_account_has_its_role(template: dict[str, Any]) -> None:
    """The bidder's, the balancer controller's, and the operator's that copies secrets."""
    found = [each["Properties"] for each in resources_of(template, "AWS::EKS::PodIdentityAssociation").values()]
    assert {(each["Namespace"], each["ServiceAccount"]) for each in found} == {
        ("bidder", "bidder"),
        ("kube-system", "aws-load-balancer-controller"),
        ("external-secrets", "external-secrets"),
    }


def test_the_controller_changes_one_target_group_only(template: dict[str, Any]) -> None:
    """All else that it may do is look."""
    for each in allowed(template, "EksControllerRole"):
        changing = [action for action in each.actions if ":Describe" not in action]
        assert not changing or each.resources == (TARGET_GROUP,)


def test_the_operator_reads_the_bidders_secrets_and_no_others(template: dict[str, Any]) -> None:
    """The place for price keys, and what it is given: by name."""
    found = {action: each for each in allowed(template, "EksSecretsRole") for action in each.actions}
    assert set(found) == {"secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret", "kms:Decrypt"}
    keys, url = found["secretsmanager:GetSecretValue"].resources
    assert keys.startswith("${IdentityPriceKeys")
    assert ":secret:bidder-prod/profiles/reader/url-1" in url
    assert only(template, "AWS::SecretsManager::Secret")["SecretString"] == ","


def test_what_the_chart_is_told_is_as_its_readme_says(template: dict[str, Any]) -> None:
    """The target group's ARN is an output of that name, and documents are in the bucket of that name."""
    readme = (Path(__file__).parents[2] / "infra" / "helm" / "bidder" / "README.md").read_text()
    assert "OutputKey=='TargetGroupArn'" in readme
    assert template["Outputs"]["TargetGroupArn"]["Value"] == TARGET_GROUP
    bucket = bucket_name("bidder-$ENV", "catalogs", "$REGION").replace(Aws.ACCOUNT_ID, "$ACCOUNT")
    assert f"s3://{bucket}/" in readme


def test_wildcards_are_explained(template: dict[str, Any]) -> None:
    """Each `*` in actions or resources has its reason."""
    assert unexplained(template) == []


def test_security_groups_name_what_flows(template: dict[str, Any]) -> None:
    """No address in any rule of the cluster's groups, and no port range but among the nodes themselves."""
    groups = {name for name in resources_of(template, "AWS::EC2::SecurityGroup") if name.startswith("Eks")}
    assert len(groups) == 2
    for name in groups:
        properties = template["Resources"][name]["Properties"]
        assert not properties.get("SecurityGroupIngress")
        outward = properties.get("SecurityGroupEgress", [])
        assert all(rule["CidrIp"] == "255.255.255.255/32" for rule in outward)
    rules = [
        each["Properties"]
        for kind in ("AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress")
        for each in resources_of(template, kind).values()
    ]
    ports = {rule["FromPort"] for rule in rules if rule["IpProtocol"] == "tcp"}
    assert ports == {443, 9443, 10250, 10251}
    assert all("CidrIp" not in rule for rule in rules)
    everything = [rule["Description"] for rule in rules if rule["IpProtocol"] == "-1"]
    assert set(everything) == {"Pods of one cluster"}


def test_others_images_come_by_way_of_the_account(template: dict[str, Any]) -> None:
    """Two upstreams, whose repositories' tags cannot be moved; nodes may pull them and not make them."""
    rules = [each["Properties"] for each in resources_of(template, "AWS::ECR::PullThroughCacheRule").values()]
    assert {(each["UpstreamRegistryUrl"], each["EcrRepositoryPrefix"]) for each in rules} == {
        ("public.ecr.aws", "bidder-prod-ecr-public"),
        ("registry.k8s.io", "bidder-prod-kubernetes"),
    }
    assert all(2 <= len(each["EcrRepositoryPrefix"]) <= 30 for each in rules)
    kept = resources_of(template, "AWS::ECR::RepositoryCreationTemplate").values()
    assert {each["Properties"]["ImageTagMutability"] for each in kept} == {"IMMUTABLE"}
    ecr_actions = {a for each in allowed(template, "EksNodesNodeRole") for a in each.actions if a.startswith("ecr:")}
    assert not any("Create" in action or "Put" in action or "Import" in action for action in ecr_actions)


def test_cdk_nag_has_nothing_to_say(stack: Bare) -> None:
    """Beside what is suppressed with its reason."""
    assert stack.findings() == []


def test_auto_mode_leaves_the_machines_to_aws(auto_mode: Bare) -> None:
    """No node group and no template; of the add-ons, those that are not built in."""
    template = auto_mode.template()
    assert not resources_of(template, "AWS::EKS::Nodegroup")
    assert not resources_of(template, "AWS::EC2::LaunchTemplate")
    cluster = only(template, "AWS::EKS::Cluster")
    assert cluster["ComputeConfig"]["Enabled"] is True
    assert cluster["KubernetesNetworkConfig"]["ElasticLoadBalancing"] == {"Enabled": True}
    assert cluster["StorageConfig"]["BlockStorage"] == {"Enabled": True}
    assert set(add_ons(template)) == {"metrics-server", "amazon-cloudwatch-observability"}
    accounts = resources_of(template, "AWS::EKS::PodIdentityAssociation").values()
    assert {each["Properties"]["ServiceAccount"] for each in accounts} == {"bidder", "external-secrets"}
    assert cluster["ResourcesVpcConfig"]["EndpointPublicAccess"] is False
    assert unexplained(template) == []
    assert auto_mode.findings() == []


@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_an_environment_has_a_node_in_each_zone(environment: Any) -> None:
    """So that each zone of the balancer can have a bidder."""
    compute = environment.eks.compute
    assert isinstance(compute, NodeSizes)
    assert environment.network.availability_zones <= compute.min_nodes <= compute.max_nodes


def test_descriptions_are_such_that_ec2_takes_them(template: dict[str, Any]) -> None:
    """No apostrophe: a deployment would end there."""
    kinds = ("AWS::EC2::SecurityGroup", "AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress")
    found = [each["Properties"] for kind in kinds for each in resources_of(template, kind).values()]
    texts = [each.get("GroupDescription", each.get("Description", "")) for each in found]
    assert texts
    assert all(re.fullmatch(r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]+", text) for text in texts)
