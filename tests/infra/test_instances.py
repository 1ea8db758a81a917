"""The machines of the EC2 variant: nobody logs in, nothing reaches their credentials, ECS counts and drains them."""

from __future__ import annotations

from typing import Any

from infra.environments import InstanceCapacity
from infra.statements import rendered, statements
from tests.infra.bidders import built
from tests.infra.stacks import resources_of

INSTANCES = "instances"


def template_data() -> dict[str, Any]:
    return dict(built()[INSTANCES].one("AWS::EC2::LaunchTemplate")["LaunchTemplateData"])


def sizes() -> InstanceCapacity:
    capacity = built()[INSTANCES].environment.service.capacity
    assert isinstance(capacity, InstanceCapacity)
    return capacity


def test_metadata_takes_tokens_and_goes_one_hop() -> None:
    """IMDSv2; and Bottlerocket shuts it for tasks."""
    assert template_data()["MetadataOptions"] == {
        "HttpEndpoint": "enabled",
        "HttpPutResponseHopLimit": 1,
        "HttpTokens": "required",
    }
    assert "awsvpc-block-imds = true" in user_data()


def user_data() -> str:
    return rendered(template_data()["UserData"]["Fn::Base64"])


def test_nobody_logs_in() -> None:
    """No key pair, no admin or control container, no privileged task; the cluster is the service's."""
    assert "KeyName" not in template_data()
    assert "[settings.host-containers.admin]\nenabled = false" in user_data()
    assert "[settings.host-containers.control]\nenabled = false" in user_data()
    assert "allow-privileged-containers = false" in user_data()
    assert 'cluster = "${ServiceCluster' in user_data()


def test_both_disks_are_encrypted_with_the_projects_key() -> None:
    """Which Auto Scaling's own role may use for that, by grants to AWS's services alone."""
    disks = {each["DeviceName"]: each["Ebs"] for each in template_data()["BlockDeviceMappings"]}
    assert disks.keys() == {"/dev/xvda", "/dev/xvdb"}
    for disk in disks.values():
        assert (disk["Encrypted"], disk["VolumeType"], disk["DeleteOnTermination"]) == (True, "gp3", True)
        assert "BareKey" in rendered(disk["KmsKeyId"])
    scaling = [
        each
        for each in statements(built()["bare"].template)
        if any(name.endswith("/AWSServiceRoleForAutoScaling") for name in each.principals)
    ]
    (grants,) = (each for each in scaling if each.actions == ("kms:CreateGrant",))
    assert grants.has_condition("kms:GrantIsForAWSResource")
    assert not any("*" in action for each in scaling for action in each.actions)


def test_the_image_is_found_when_the_stack_is_deployed() -> None:
    """A parameter of CloudFormation's: Bottlerocket for ECS, for Graviton."""
    image = template_data()["ImageId"]["Ref"]
    parameter = built()[INSTANCES].template["Parameters"][image]
    assert parameter["Type"] == "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>"
    assert parameter["Default"] == "/aws/service/bottlerocket/aws-ecs-2/arm64/latest/image_id"
    assert template_data()["InstanceType"].split(".")[0].endswith("g")


def test_ecs_counts_instances_and_drains_them() -> None:
    """An instance with tasks is not ended; one that leaves is drained first."""
    provider = built()[INSTANCES].one("AWS::ECS::CapacityProvider")["AutoScalingGroupProvider"]
    assert provider["ManagedScaling"]["Status"] == "ENABLED"
    assert provider["ManagedScaling"]["TargetCapacity"] == 100
    assert provider["ManagedTerminationProtection"] == "ENABLED"
    assert provider["ManagedDraining"] == "ENABLED"
    group = built()[INSTANCES].one("AWS::AutoScaling::AutoScalingGroup")
    assert group["NewInstancesProtectedFromScaleIn"] is True  # which termination protection needs
    assert "DesiredCapacity" not in group


def test_instances_are_in_every_zone_within_bounds() -> None:
    """One a zone at least."""
    group = built()[INSTANCES].one("AWS::AutoScaling::AutoScalingGroup")
    assert (group["MinSize"], group["MaxSize"]) == (str(sizes().min_instances), str(sizes().max_instances))
    assert len(group["VPCZoneIdentifier"]) == 3 <= int(group["MinSize"])
    assert all("private" in rendered(subnet) for subnet in group["VPCZoneIdentifier"])


def test_nobody_connects_to_an_instance() -> None:
    """Its security group lets nothing in."""
    groups = resources_of(built()[INSTANCES].template, "AWS::EC2::SecurityGroup")
    (name,) = (name for name in groups if name.startswith("ServiceInstances"))
    assert "SecurityGroupIngress" not in groups[name]["Properties"]
    rules = built()[INSTANCES].all("AWS::EC2::SecurityGroupIngress")
    assert not any(name in rendered(rule["GroupId"]) for rule in rules)


def test_the_agent_may_speak_for_its_cluster_alone() -> None:
    """What knows a resource is of this cluster; instances pull images with the task's role, not with their own."""
    may = {
        each.actions: each
        for each in statements(built()[INSTANCES].template)
        if each.logical_id.startswith("ServiceInstancesRole") and each.resources
    }
    actions = {action for some in may for action in some}
    assert all(action.startswith("ecs:") for action in actions)
    wide = {some for some, each in may.items() if each.resources == ("*",)}
    assert wide == {("ecs:DiscoverPollEndpoint",)}
    for some in may.keys() - wide:
        assert "ServiceCluster" in may[some].resources[0]


def test_the_agent_reaches_ecs_within_the_vpc() -> None:
    """By endpoints in every zone that are for these instances' role alone."""
    endpoints = built()[INSTANCES].all("AWS::EC2::VPCEndpoint")
    services = {rendered(each["ServiceName"]).rpartition(".")[2] for each in endpoints}
    assert services == {"ecs", "ecs-agent", "ecs-telemetry"}
    for endpoint in endpoints:
        assert endpoint["PrivateDnsEnabled"] is True
        assert len(endpoint["SubnetIds"]) == 3
        principals = {rendered(each["Principal"]["AWS"]) for each in endpoint["PolicyDocument"]["Statement"]}
        (principal,) = principals
        assert principal.startswith("${ServiceInstancesRole")


def test_fargate_has_no_machines_of_its_own() -> None:
    """Neither instances nor a role for them."""
    template = built()["fargate"].template
    assert not resources_of(template, "AWS::AutoScaling::AutoScalingGroup")
    assert not any(name.startswith("ServiceInstances") for name in template["Resources"])
    assert not resources_of(template, "AWS::EC2::VPCEndpoint")
