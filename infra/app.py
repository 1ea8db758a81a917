"""The composition: which constructs there are, what each stands on, and who may do what. One page, read top to bottom.

Stacks are cut by lifetime. The foundation (network, buckets, keys, images) outlives everything; the endpoint changes
with the model; the service changes with every release; what observes can be thrown away. A stack uses those before it
alone. It is a long page, because all of the wiring stands on it and nowhere else.

    npx aws-cdk@2 deploy --all -c environment=dev -c platform=ecs
"""

from __future__ import annotations

from typing import Literal, get_args

import aws_cdk as cdk
from aws_cdk import aws_iam, aws_logs

from infra import endpoints, pod_collector
from infra.alarms import Watched
from infra.audit import Audit
from infra.balancer import Balancer
from infra.budget import Budget
from infra.cache import Cache
from infra.ecs_service import EcsService
from infra.eks_cluster import EksCluster
from infra.eks_identity import EksIdentity
from infra.environments import ENVIRONMENTS, Environment, InstanceCapacity
from infra.event_log import EventLog, delivery_role_name
from infra.image_cache import ImageCache
from infra.images import Images
from infra.inference import Inference, endpoint_name
from infra.keys import Keys
from infra.metrics_collector import MetricsCollector
from infra.network import Network
from infra.observability import Observability
from infra.recommender import Recommender
from infra.replica import Replica, Replication, replication_role_name
from infra.rtb_fabric import Pods, RtbFabric
from infra.storage import Storage, bucket_arns
from infra.task import PORT, BidderTask
from infra.training import OUTPUT_PREFIX, Training
from infra.training_pipeline import TrainingPipeline, package_group

Platform = Literal["ecs", "eks"]
PLATFORMS: tuple[Platform, ...] = get_args(Platform)
COPIED = ("models", "catalogs")  # to the replica's Region


class Foundation(cdk.Stack):
    """Keys, network, buckets, the event log's stream, the audit trail, image repositories."""

    def __init__(self, app: cdk.App, environment: Environment, platform: Platform) -> None:
        super().__init__(app, f"{environment.prefix}-foundation", env=cdk.Environment(region=environment.region))
        prefix, storage = environment.prefix, environment.storage
        self.keys = Keys(self, "Keys", prefix=prefix, keep_on_delete=storage.keep_on_delete)
        self.network = Network(
            self,
            "Network",
            prefix=prefix,
            sizes=environment.network,
            services=(
                endpoints.runtime(endpoint_name(environment.name)),
                *endpoints.COMMON,
                *(endpoints.EKS if platform == "eks" else ()),
            ),
            buckets=bucket_arns(prefix),
            key=self.keys.service,
        )
        self.storage = Storage(
            self,
            "Storage",
            prefix=prefix,
            sizes=storage,
            models_key=self.keys.models,
            catalogs_key=self.keys.service,
            events_key=self.keys.events,
            s3_endpoint_id=self.network.s3_endpoint.vpc_endpoint_id,
            outside_roles=outside_roles(environment),
        )
        if storage.replica_region:
            copied = {"models": self.storage.models, "catalogs": self.storage.catalogs}
            Replication(self, "Replication", prefix=prefix, region=storage.replica_region, buckets=copied)
        self.event_log = EventLog(
            self,
            "EventLog",
            prefix=prefix,
            sizes=environment.event_log,
            bucket=self.storage.events,
            key=self.keys.events,
        )
        Audit(
            self,
            "Audit",
            name=environment.name,
            sizes=environment.audit,
            models=self.storage.models,
            access_log_bucket=self.storage.access_logs,
        )
        self.images = Images(self, "Images", name=environment.name, sizes=environment.images, key=self.keys.models)


class ModelStack(cdk.Stack):
    """The pipeline that trains a model, and the endpoint that serves it."""

    def __init__(self, app: cdk.App, environment: Environment, foundation: Foundation) -> None:
        super().__init__(app, f"{environment.prefix}-model", env=cdk.Environment(region=environment.region))
        network, storage, key = foundation.network, foundation.storage, foundation.keys.models
        subnets, security_group = network.compute_subnets, network.model_security_group
        training = Training(
            self,
            "Training",
            name=environment.name,
            sizes=environment.training,
            subnets=subnets,
            security_group=security_group,
            key=key,
            events=storage.events,
            models=storage.models,
            repository=foundation.images.model,
        )
        recommender = Recommender(
            self,
            "Recommender",
            name=environment.name,
            sizes=environment.training.recommender,
            subnets=subnets,
            security_group=security_group,
            key=key,
            models=storage.models,
            model_prefix=OUTPUT_PREFIX,
            repository=foundation.images.model,
            package_group=package_group(environment.name),
        )
        TrainingPipeline(
            self,
            "Pipeline",
            name=environment.name,
            sizes=environment.training,
            training=training,
            recommender=recommender,
            key=key,
        )
        self.inference = Inference(
            self,
            "Inference",
            name=environment.name,
            sizes=environment.inference,
            subnets=subnets,
            security_group=security_group,
            key=key,
            models=storage.models,
            repository=foundation.images.model,
            package_group=package_group(environment.name),
        )


class ServiceStack(cdk.Stack):
    """What bids stand on, on either platform: the balancer and the cache. `log_group` is the bidder's."""

    log_group: aws_logs.CfnLogGroup
    ecs: tuple[str, str] | None = None  # names of the cluster and the service
    eks_cluster: str | None = None  # its name

    def __init__(self, app: cdk.App, environment: Environment, foundation: Foundation) -> None:
        super().__init__(app, f"{environment.prefix}-service", env=cdk.Environment(region=environment.region))
        network = foundation.network
        self.cache = Cache(
            self,
            "Cache",
            name=environment.name,
            sizes=environment.cache,
            vpc=network.vpc,
            subnets=network.compute_subnets,
            key=foundation.keys.service,
        )
        self.balancer = Balancer(
            self,
            "Balancer",
            name=environment.name,
            sizes=environment.balancer,
            vpc=network.vpc,
            subnets=network.public_subnets if environment.balancer.internet_facing else network.compute_subnets,
            port=PORT,
            log_bucket=foundation.storage.access_logs,
        )


class EcsStack(ServiceStack):
    """The bidder on ECS."""

    def __init__(self, app: cdk.App, environment: Environment, foundation: Foundation, model: ModelStack) -> None:
        super().__init__(app, environment, foundation)
        network, key = foundation.network, foundation.keys.service
        collector = MetricsCollector(
            self,
            "Collector",
            name=environment.name,
            sizes=environment.observability.collector,
            exchanges=environment.observability.exchanges,
            repository=foundation.images.collector,
            key=key,
            on_instances=isinstance(environment.service.capacity, InstanceCapacity),
        )
        task = BidderTask(
            self,
            "Task",
            name=environment.name,
            sizes=environment.service,
            settings=environment.bidder,
            repository=foundation.images.bidder,
            key=key,
            endpoint_name=model.inference.endpoint_name,
            documents_bucket=foundation.storage.catalogs,
            state_url=self.cache.reader_url,
            event_stream_arn=foundation.event_log.stream_arn,
            side_cars=[collector.container],
        )
        collector.let_publish(task.task_role)
        collector.let_start(task.execution_role)
        service = EcsService(
            self,
            "Service",
            name=environment.name,
            sizes=environment.service,
            settings=environment.bidder,
            vpc=network.vpc,
            subnets=network.compute_subnets,
            endpoint_security_group=network.endpoint_security_group,
            task=task,
            balancer=self.balancer,
            key=key,
        )
        self.log_group = task.log_group
        self.ecs = service.cluster.ref, service.service.attr_name
        self.cache.allow_from(service.security_group)
        for security_group in service.security_groups:
            network.allow_services(security_group)


class EksStack(ServiceStack):
    """The cluster on EKS, in which the Helm chart is installed."""

    def __init__(self, app: cdk.App, environment: Environment, foundation: Foundation, model: ModelStack) -> None:
        super().__init__(app, environment, foundation)
        network, key = foundation.network, foundation.keys.service
        ImageCache(self, "ImageCache", environment_name=environment.name)
        eks = EksCluster(
            self,
            "Eks",
            environment_name=environment.name,
            sizes=environment.eks,
            vpc=network.vpc,
            subnets=network.compute_subnets,
            repositories=[foundation.images.bidder, foundation.images.collector],
            key=key,
        )
        EksIdentity(
            self,
            "Identity",
            eks=eks,
            key=key,
            endpoint_name=model.inference.endpoint_name,
            documents_bucket=foundation.storage.catalogs,
            documents=[document for _, document in environment.service.documents],
            target_group_arn=self.balancer.target_group.ref,
            secrets=[self.cache.reader_url],
            event_stream_arn=foundation.event_log.stream_arn,
        )
        collector = MetricsCollector(
            self,
            "Collector",
            name=environment.name,
            sizes=environment.observability.collector,
            exchanges=environment.observability.exchanges,
            repository=foundation.images.collector,
            key=key,
        )
        collector_role = eks.pod_role("CollectorRole", "eks-collector", "Publishes the bidder's metrics")
        collector.let_publish(collector_role)
        eks.associate(
            "CollectorAssociation",
            collector_role,
            namespace=environment.eks.namespace,
            service_account=pod_collector.NAME,
        )
        self.log_group = aws_logs.CfnLogGroup(
            self,
            "PodLogs",
            log_group_name=f"/aws/containerinsights/{eks.prefix}/application",  # as Container Insights names it
            retention_in_days=environment.service.log_days,
            kms_key_id=key.key_arn,
        )
        self.eks_cluster = eks.cluster.ref
        pods, *_ = eks.security_groups
        self.balancer.allow_to(pods, PORT)
        self.cache.allow_from(pods)
        for security_group in eks.security_groups:
            network.allow_services(security_group)
        if environment.fabric:
            pods_of_chart = Pods(
                eks.cluster,
                environment.eks.namespace,
                environment.eks.service,
                eks.control_plane_security_group,
                pods,
                PORT,
            )
            RtbFabric(
                self,
                "Fabric",
                environment_name=environment.name,
                sizes=environment.fabric,
                vpc=network.vpc,
                subnets=network.compute_subnets,
                target=pods_of_chart,
            )


class ObservabilityStack(cdk.Stack):
    """Alarms, the dashboard, the budget."""

    def __init__(self, app: cdk.App, environment: Environment, model: ModelStack, service: ServiceStack) -> None:
        super().__init__(app, f"{environment.prefix}-observability", env=cdk.Environment(region=environment.region))
        watched = Watched(
            endpoint_name=model.inference.endpoint_name,
            variant_names=model.inference.variant_names,
            balancer_kind=environment.balancer.kind,
            balancer=service.balancer.load_balancer.attr_load_balancer_full_name,
            target_group=service.balancer.target_group.attr_target_group_full_name,
            cache_nodes=[f"{environment.prefix}-{node:03}" for node in range(1, environment.cache.nodes + 1)],
        )
        observability = Observability(
            self,
            "Observability",
            name=environment.name,
            region=environment.region,
            sizes=environment.observability,
            watched=watched,
            log_group=service.log_group,
            ecs=service.ecs,
            eks_cluster=service.eks_cluster,
        )
        Budget(self, "Budget", name=environment.name, sizes=environment.budget, topic=observability.topic)


def compose(app: cdk.App, environment: Environment, platform: Platform) -> list[cdk.Stack]:
    """All stacks of one deployment, in the order in which they are deployed."""
    stacks: list[cdk.Stack] = []
    if environment.storage.replica_region:
        replica = cdk.Stack(
            app, f"{environment.prefix}-replica", env=cdk.Environment(region=environment.storage.replica_region)
        )
        Replica(
            replica,
            "Replica",
            prefix=environment.prefix,
            purposes=COPIED,
            earlier_version_days=environment.storage.earlier_version_days,
        )
        stacks.append(replica)
    foundation = Foundation(app, environment, platform)
    model = ModelStack(app, environment, foundation)
    service = (EcsStack if platform == "ecs" else EksStack)(app, environment, foundation, model)
    observability = ObservabilityStack(app, environment, model, service)
    stacks += [foundation, model, service, observability]
    for stack in stacks:
        cdk.Tags.of(stack).add("project", "rtb-bidder")
        cdk.Tags.of(stack).add("environment", environment.name)
        stack.termination_protection = environment.storage.keep_on_delete
        if environment.permission_boundary:
            _bound(stack, environment.permission_boundary)
    if environment.storage.replica_region:
        foundation.add_stack_dependency(stacks[0])
    return stacks


def outside_roles(environment: Environment) -> list[str]:
    """Who reads or writes buckets from outside the VPC: who deploys, and roles that AWS's services assume there."""
    roles = [environment.deployer_role, delivery_role_name(environment.prefix)]
    roles += [f"rtb-{environment.name}-{job}" for job in ("inference", "recommender", "training", "tuning")]
    if environment.storage.replica_region:
        roles.append(replication_role_name(environment.prefix))
    return roles


def _bound(stack: cdk.Stack, name: str) -> None:
    policy = aws_iam.ManagedPolicy.from_managed_policy_name(stack, "PermissionBoundary", name)
    aws_iam.PermissionsBoundary.of(stack).apply(policy)


def main() -> None:
    """What `cdk.json` runs: the deployment that the context names."""
    app = cdk.App()
    name = app.node.try_get_context("environment") or "dev"
    platform = app.node.try_get_context("platform") or "ecs"
    if name not in ENVIRONMENTS:
        raise SystemExit(f"environment is {name!r}, expected one of {', '.join(ENVIRONMENTS)}")
    if platform not in PLATFORMS:
        raise SystemExit(f"platform is {platform!r}, expected one of {', '.join(PLATFORMS)}")
    compose(app, ENVIRONMENTS[name], platform)
    app.synth()


if __name__ == "__main__":
    main()
