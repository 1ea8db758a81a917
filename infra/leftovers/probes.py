"""What can be left behind, what it costs, and how AWS is asked for it: one row a kind.

The rule kept here: `items` is a JMESPath expression that makes of a page of the answer a list of objects with `id`, and
where AWS tells them `name`, `tags`, `vpc` and `gone` (when it goes by itself); nothing else knows an answer's shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Cost(StrEnum):
    """What a thing costs while it is there."""

    HOURLY = "by the hour"
    STORED = "by the GB"
    MONTHLY = "by the month"
    FREE = "nothing by itself"
    UNKNOWN = "look it up"


@dataclass(frozen=True, slots=True)
class Probe:
    """One kind of thing.

    With `parent`, it is asked for once for each of our things of that kind, as `argument`; what is in a thing of ours
    is ours. `tags_by` asks for the tags of what has no name. A `step` is not a finding: everybody's things of that kind
    are gone through to look at each.
    """

    kind: str
    cost: Cost
    service: str
    operation: str
    items: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    parent: str = ""
    argument: str = ""
    tags_by: tuple[str, str] | None = None  # operation, JMESPath
    step: bool = False
    everywhere: bool = False  # one answer for all regions


_RUNNING = {"StatusEquals": "InProgress"}

PROBES = (
    Probe("stack", Cost.FREE, "cloudformation", "describe_stacks",
          "Stacks[?StackStatus!='DELETE_COMPLETE'].{id: StackId, name: StackName, tags: Tags}"),
    # First, as what is in one of our networks is ours, whatever it is called.
    Probe("VPC", Cost.FREE, "ec2", "describe_vpcs", "Vpcs[].{id: VpcId, vpc: VpcId, tags: Tags}"),
    Probe("EC2 instance", Cost.HOURLY, "ec2", "describe_instances",
          "Reservations[].Instances[?State.Name!='terminated'][].{id: InstanceId, vpc: VpcId, tags: Tags}"),
    Probe("NAT gateway", Cost.HOURLY, "ec2", "describe_nat_gateways",
          "NatGateways[?State!='deleted'].{id: NatGatewayId, vpc: VpcId, tags: Tags}"),
    Probe("Elastic IP", Cost.HOURLY, "ec2", "describe_addresses", "Addresses[].{id: AllocationId, tags: Tags}"),
    Probe("VPC endpoint", Cost.HOURLY, "ec2", "describe_vpc_endpoints",
          "VpcEndpoints[?State!='deleted'].{id: VpcEndpointId, name: ServiceName, vpc: VpcId, tags: Tags}"),
    Probe("network interface", Cost.FREE, "ec2", "describe_network_interfaces",
          "NetworkInterfaces[].{id: NetworkInterfaceId, name: Description, vpc: VpcId, tags: TagSet}"),
    Probe("EBS volume", Cost.STORED, "ec2", "describe_volumes", "Volumes[].{id: VolumeId, tags: Tags}"),
    Probe("EBS snapshot", Cost.STORED, "ec2", "describe_snapshots",
          "Snapshots[].{id: SnapshotId, name: Description, tags: Tags}", {"OwnerIds": ["self"]}),
    Probe("load balancer", Cost.HOURLY, "elbv2", "describe_load_balancers",
          "LoadBalancers[].{id: LoadBalancerArn, name: LoadBalancerName, vpc: VpcId}"),
    Probe("ECS cluster", Cost.FREE, "ecs", "list_clusters", "clusterArns[].{id: @, name: @}"),
    Probe("ECS task", Cost.HOURLY, "ecs", "list_tasks", "taskArns[].{id: @, name: @}",
          parent="ECS cluster", argument="cluster"),
    Probe("EKS cluster", Cost.HOURLY, "eks", "list_clusters", "clusters[].{id: @, name: @}"),
    Probe("Valkey", Cost.HOURLY, "elasticache", "describe_replication_groups",
          "ReplicationGroups[].{id: ReplicationGroupId, name: Description}"),
    Probe("Valkey snapshot", Cost.STORED, "elasticache", "describe_snapshots",
          "Snapshots[].{id: SnapshotName, name: ReplicationGroupId}"),
    Probe("SageMaker endpoint", Cost.HOURLY, "sagemaker", "list_endpoints",
          "Endpoints[].{id: EndpointName, name: EndpointName}"),
    Probe("SageMaker model", Cost.FREE, "sagemaker", "list_models", "Models[].{id: ModelName, name: ModelName}"),
    Probe("training job", Cost.HOURLY, "sagemaker", "list_training_jobs",
          "TrainingJobSummaries[].{id: TrainingJobName, name: TrainingJobName}", _RUNNING),
    Probe("tuning job", Cost.HOURLY, "sagemaker", "list_hyper_parameter_tuning_jobs",
          "HyperParameterTuningJobSummaries[].{id: HyperParameterTuningJobName, name: HyperParameterTuningJobName}",
          _RUNNING),
    Probe("Firehose stream", Cost.FREE, "firehose", "list_delivery_streams", "DeliveryStreamNames[].{id: @, name: @}",
          {"Limit": 10_000}),
    Probe("S3 bucket", Cost.FREE, "s3", "list_buckets", "Buckets[].{id: Name, name: Name}", everywhere=True),
    # Deleted objects of a versioned bucket are there too; one page tells enough.
    Probe("S3 object version", Cost.STORED, "s3", "list_object_versions",
          "[Versions, DeleteMarkers][].{id: join('@', [Key, VersionId])}", {"MaxKeys": 1_000},
          parent="S3 bucket", argument="Bucket", everywhere=True),
    Probe("ECR repository", Cost.FREE, "ecr", "describe_repositories",
          "repositories[].{id: repositoryName, name: repositoryName}"),
    Probe("ECR image", Cost.STORED, "ecr", "list_images", "imageIds[].{id: join('@', [imageTag || '-', imageDigest])}",
          parent="ECR repository", argument="repositoryName"),
    Probe("log group", Cost.STORED, "logs", "describe_log_groups",
          "logGroups[].{id: logGroupName, name: logGroupName}"),
    Probe("alarm", Cost.MONTHLY, "cloudwatch", "describe_alarms",
          "[MetricAlarms, CompositeAlarms][].{id: AlarmName, name: AlarmName}"),
    Probe("dashboard", Cost.MONTHLY, "cloudwatch", "list_dashboards",
          "DashboardEntries[].{id: DashboardName, name: DashboardName}"),
    Probe("trail", Cost.FREE, "cloudtrail", "list_trails", "Trails[].{id: TrailARN, name: Name}"),
    Probe("KMS alias", Cost.FREE, "kms", "list_aliases", "Aliases[?TargetKeyId].{id: AliasName, name: AliasName}"),
    Probe("any KMS key", Cost.FREE, "kms", "list_keys", "Keys[].{id: KeyId}", step=True),
    Probe("KMS key", Cost.MONTHLY, "kms", "describe_key",
          "[KeyMetadata][?KeyManager=='CUSTOMER'].{id: KeyId, gone: DeletionDate}",
          parent="any KMS key", argument="KeyId",
          tags_by=("list_resource_tags", "Tags[].{Key: TagKey, Value: TagValue}")),
    Probe("secret", Cost.MONTHLY, "secretsmanager", "list_secrets",
          "SecretList[].{id: ARN, name: Name, tags: Tags, gone: DeletedDate}", {"IncludePlannedDeletion": True}),
    Probe("budget", Cost.FREE, "budgets", "describe_budgets", "Budgets[].{id: BudgetName, name: BudgetName}",
          everywhere=True),
)  # fmt: skip
