"""The environments: every size and limit of the deployment, in one typed place.

A section belongs to one construct, which gets it as an argument. Units are in the names. `dev` is the smallest thing
that shows everything; `prod` is what the sizing formulas in docs/deployment.md give for the load named there.
The module is long because the sizes are many, and they stand in one place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class NetworkSizes:
    """`cidr` of the whole VPC; a public subnet of /`public_mask` and one for compute of /`compute_mask` in each zone.

    `zones` are at least three, by name. A name means another building in each account: those whose zone id
    PrivateLink offers SageMaker Runtime in are shown by `aws ec2 describe-vpc-endpoint-services`. `s3_prefix_list` is
    S3's in the region (`aws ec2 describe-prefix-lists`), here so that nothing is looked up.
    """

    cidr: str
    zones: tuple[str, ...]
    flow_log_days: int
    s3_prefix_list: str
    public_mask: int = 26
    compute_mask: int = 19

    @property
    def availability_zones(self) -> int:
        """How many."""
        return len(self.zones)


@dataclass(frozen=True, slots=True)
class StorageSizes:
    """How long things are kept: events, earlier versions of anything, access logs.

    `replica_region`: where models and catalogs are copied to as they come; None: nowhere. `keep_on_delete`: buckets
    and keys outlive the stack, and have to be emptied and deleted by hand.
    """

    event_days: int
    earlier_version_days: int
    access_log_days: int
    keep_on_delete: bool
    replica_region: str | None = None


@dataclass(frozen=True, slots=True)
class EventLogSizes:
    """The stream to S3: what is gathered before a file is written, whichever comes first."""

    buffer_s: int
    buffer_mib: int
    log_days: int


@dataclass(frozen=True, slots=True)
class ImageSizes:
    """The image repositories. `keep_on_delete`: they, and what is in them, outlive the stack."""

    keep_images: int
    keep_untagged_days: int
    keep_on_delete: bool


@dataclass(frozen=True, slots=True)
class ArchivedModel:
    """A model by the key of its model.tar.gz in the model bucket: what the first deployment starts from."""

    key: str


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A model by its version in the registry; SageMaker takes it only once somebody has approved it."""

    version: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """Capacity by the clock. `cron` is six fields of UTC: minutes, hours, day, month, weekday, year."""

    name: str
    cron: str
    min_instances: int
    max_instances: int


@dataclass(frozen=True, slots=True)
class Variant:
    """A model that answers `weight` of the calls, on `min_instances` to `max_instances` of one type."""

    name: str
    model: ArchivedModel | RegisteredModel
    weight: float
    instance_type: str
    min_instances: int
    max_instances: int
    schedules: tuple[Schedule, ...] = ()


@dataclass(frozen=True, slots=True)
class ScalingSizes:
    """When instances are added. The two measured figures are of one instance at the most that it bore.

    `metric`: `concurrency` is sampled every 10 s, `invocations` once a minute.
    """

    metric: Literal["concurrency", "invocations"]
    measured_max_rps: float
    measured_latency_ms: float
    safety: float
    scale_out_cooldown_s: int
    scale_in_cooldown_s: int


@dataclass(frozen=True, slots=True)
class TrafficShift:
    """How a new fleet takes over: `percent` of its capacity first (canary) or at each step (linear)."""

    kind: Literal["CANARY", "LINEAR"]
    percent: int
    wait_s: int
    termination_wait_s: int
    max_duration_s: int


@dataclass(frozen=True, slots=True)
class RollbackLimits:
    """What a variant may show for `minutes` on end before a deployment is undone."""

    model_latency_p99_ms: float
    server_error_share: float
    minutes: int


@dataclass(frozen=True, slots=True)
class InferenceSizes:
    """The endpoint. `capture_percent` of calls are kept in S3, 0 for none; `shadow` answers nobody.

    SageMaker lets a shadow stand beside one production variant only, so with it there is one, and without it at least
    two. (Beside two variants the bidder can shadow by itself: BIDDER_SHADOW_ENDPOINT_NAME.)
    """

    image_tag: str
    variants: tuple[Variant, ...]
    scaling: ScalingSizes
    shift: TrafficShift
    rollback: RollbackLimits
    log_days: int
    capture_percent: int = 0
    shadow: Variant | None = None

    def __post_init__(self) -> None:
        if self.shadow is not None and len(self.variants) != 1:
            raise ValueError(f"a shadow stands beside exactly 1 variant, got {len(self.variants)}")
        if self.shadow is None and not 2 <= len(self.variants) <= 10:
            raise ValueError(f"an endpoint has 2 to 10 variants, got {len(self.variants)}")


@dataclass(frozen=True, slots=True)
class QualityGate:
    """What a trained model must show on auctions it has not seen before it is registered.

    `max_calibration_error_share` is a share of the held-out rate of positives.
    """

    min_auc: float
    min_auc_gain: float
    max_calibration_error_share: float
    min_held_out_positives: int


@dataclass(frozen=True, slots=True)
class TuningSizes:
    """How many training jobs look for hyperparameters, and how many at a time."""

    max_jobs: int
    max_parallel_jobs: int
    max_duration_s: int


@dataclass(frozen=True, slots=True)
class RecommenderSizes:
    """The load test of a registered model: steps of `users_a_step` more callers, up to a p95 of `latency_p95_ms`."""

    instance_types: tuple[str, ...]
    latency_p95_ms: int
    step_s: int
    steps: int
    users_a_step: int
    max_duration_s: int


@dataclass(frozen=True, slots=True)
class TrainingSizes:
    """The pipeline from event log to registered model. `spot_wait_s`: how long a job may take on Spot; 0: on demand.

    `schedule` is EventBridge Scheduler's cron in UTC; None: it runs when somebody starts it.
    """

    image_tag: str
    instance_type: str
    volume_gb: int
    max_runtime_s: int
    spot_wait_s: int
    gate: QualityGate
    tuning: TuningSizes
    recommender: RecommenderSizes
    schedule: str | None
    log_days: int


@dataclass(frozen=True, slots=True)
class BidderSettings:
    """The bidder's own settings that a deployment sets for good. Each is named as in bidder/config.py: `drain_s` is
    BIDDER_DRAIN_S. `infra/stopping.py` says how those in seconds go with the balancer's. `max_busy`: 0.95 of what the
    task's `cpu` leaves the bidder beside its side-car, as a loop that never has a whole core may not seem busier."""

    max_in_flight: int
    max_busy: float
    endpoint_max_calls: int
    inside_networks: str
    drain_s: float = 15.0
    stop_s: float = 10.0
    keep_alive_s: int = 330
    max_connections: int = 10_000
    log_level: str = "info"
    log_format: str = "json"

    def variables(self) -> dict[str, str]:
        """As the bidder reads them."""
        return {f"BIDDER_{name.upper()}": str(value) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class BalancerSizes:
    """`exchange_cidrs`: who may connect, nobody else can. `idle_s`: the ALB's; an NLB's TLS listener has 350 s, fixed.

    `kind` network: the client's address is kept, and nothing above TLS is looked at; application: paths other than
    bids and notices are refused, and clients' addresses come in X-Forwarded-For."""

    kind: Literal["network", "application"]
    internet_facing: bool
    exchange_cidrs: tuple[str, ...]
    deletion_protection: bool
    deregistration_delay_s: int = 60
    health_interval_s: int = 5
    health_timeout_s: int = 2
    healthy_count: int = 2
    unhealthy_count: int = 2
    idle_s: int = 310


@dataclass(frozen=True, slots=True)
class CacheSizes:
    """Profiles in ElastiCache. `nodes`: the primary and its replicas, each in its own zone.

    `passwords`: the generations in force, at most two; the last is the one in use. See docs/secrets.md for rotating.
    Windows are UTC."""

    node_type: str
    nodes: int
    snapshot_days: int
    log_days: int
    passwords: tuple[int, ...] = (1,)
    engine_version: str = "8.1"
    port: int = 6380
    snapshot_window: str = "07:00-08:00"
    maintenance_window: str = "sun:08:30-sun:09:30"


@dataclass(frozen=True, slots=True)
class FargateCapacity:
    """Tasks on AWS's machines. Of those beyond `on_demand_tasks`, `spot_weight` of `spot_weight` + 1 are Spot."""

    on_demand_tasks: int
    spot_weight: int = 0


@dataclass(frozen=True, slots=True)
class InstanceCapacity:
    """Tasks on EC2. `tasks_each` is what an instance has network interfaces for, less its own, without trunking."""

    instance_type: str
    tasks_each: int
    min_instances: int
    max_instances: int
    volume_gib: int = 30
    target_percent: int = 100


@dataclass(frozen=True, slots=True)
class ServiceSizes:
    """The bidder on ECS. `cpu` in 1/1024 of a core and `memory_mib` are a task's, its side-cars included.

    A task takes `bids_a_second` at most, each `bid_ms` in the mean (to be measured: see docs/deployment.md), and is
    filled to `safety` of that. What stands below is two thirds of what a shared EPYC core took, by the task's share of
    one (docs/performance.md), as Graviton was not to be had. `documents`: settings that name what the bidder reads, and
    its key in the bucket."""

    image_tag: str
    capacity: FargateCapacity | InstanceCapacity
    architecture: Literal["ARM64", "X86_64"]
    cpu: int
    memory_mib: int
    cache_mib: int
    min_tasks: int
    max_tasks: int
    cpu_target_percent: int
    bids_a_second: int
    bid_ms: float
    safety: float
    log_days: int
    documents: tuple[tuple[str, str], ...]
    explain: bool = False
    health_grace_s: int = 180
    scale_out_s: int = 30
    scale_in_s: int = 300

    @property
    def in_flight_target(self) -> float:
        """Bids in flight a task, by Little's law."""
        return round(self.bids_a_second * self.safety * self.bid_ms / 1000, 1)


@dataclass(frozen=True, slots=True)
class NodeSizes:
    """EKS's own machines. With `static_cpus` pods that ask for whole cores have them alone, and nodes keep
    `reserved_millicores` for themselves: a node of four cores then has three for bidders."""

    instance_types: tuple[str, ...]
    min_nodes: int
    max_nodes: int
    capacity: Literal["ON_DEMAND", "SPOT"] = "ON_DEMAND"
    architecture: Literal["ARM64", "X86_64"] = "ARM64"
    volume_gib: int = 30
    static_cpus: bool = False
    reserved_millicores: int = 250


@dataclass(frozen=True, slots=True)
class AutoModeSizes:
    """EKS Auto Mode: AWS chooses and looks after the machines, for a share of their price."""

    node_pools: tuple[str, ...] = ("general-purpose", "system")


@dataclass(frozen=True, slots=True)
class EksSizes:
    """The bidder on EKS. `admin_roles`: names of this account's roles that administer the cluster; nobody else does.

    `add_on_versions`: what is not named is EKS's default for `kubernetes_version`. `namespace` is
    where the chart is installed, `service_account` whose pods get the bidder's role, `service` what bids come by."""

    kubernetes_version: str
    compute: NodeSizes | AutoModeSizes
    log_days: int
    admin_roles: tuple[str, ...]
    deletion_protection: bool
    container_insights: bool = False
    add_on_versions: Mapping[str, str] = field(default_factory=dict)
    namespace: str = "bidder"
    service_account: str = "bidder"
    service: str = "bidder"


@dataclass(frozen=True, slots=True)
class CollectorSizes:
    """The side-car that brings metrics to CloudWatch; its share of the task's `cpu` (1/1024 of a core) and memory.

    `log_days`: of its lines. CloudWatch has made metrics of them within minutes."""

    image_tag: str
    cpu: int = 64
    memory_mib: int = 128
    log_days: int = 3


@dataclass(frozen=True, slots=True)
class AlarmLimits:
    """From where on somebody is told. Percentages are of requests, calls or auctions; where there are few of them in a
    minute (`min_requests_in_1_min`) they are not judged.

    `error_budget_percent` is what may go wrong in 30 days: late, unheard, shed or failed answers.
    `throttle_risk_percent` stays below the 15 % from which Google sends less. `anomaly_band` is in standard deviations;
    0: none, as where traffic has no daily shape. `runbook_url`: where those who are told find docs/runbook.md."""

    min_requests_in_1_min: int
    min_requests_in_5_min: int
    late_percent: float = 2.0
    throttle_risk_percent: float = 10.0
    error_budget_percent: float = 0.5
    fallback_percent: float = 20.0
    endpoint_error_percent: float = 1.0
    ready_share: float = 0.8
    loop_lag_p99_ms: float = 20.0
    errors_logged_in_5_min: int = 0
    evictions_in_5_min: int = 1000
    anomaly_band: float = 0.0
    runbook_url: str = "docs/runbook.md"


@dataclass(frozen=True, slots=True)
class ObservabilitySizes:
    """Whom alarms go to. Each of `exchanges` has metrics and an alarm of its own, for some two dollars a month."""

    collector: CollectorSizes
    alarms: AlarmLimits
    exchanges: tuple[str, ...]
    emails: tuple[str, ...] = ()
    keep_on_delete: bool = False


@dataclass(frozen=True, slots=True)
class AuditSizes:
    """The trail. `lock_days`: nobody can delete its files before (governance mode); 0: no lock. `insights`: unusual
    rates of calls and errors, billed by event."""

    days: int
    lock_days: int = 0
    insights: bool = False
    keep_on_delete: bool = False


@dataclass(frozen=True, slots=True)
class BudgetSizes:
    """A month in US dollars; `python -m infra.cost` says what is to be expected."""

    limit_usd: int


@dataclass(frozen=True, slots=True)
class FabricHealth:
    """How RTB Fabric asks instances for their health: a probe each `interval_s`, so many in a row to change that."""

    interval_s: int = 5
    timeout_ms: int = 1000
    healthy_count: int = 2
    unhealthy_count: int = 2


@dataclass(frozen=True, slots=True)
class FabricSizes:
    """The bidder on AWS RTB Fabric; off in an environment that has None, as AWS has to let an account use managed
    endpoints first (RTB Fabric guide, "Managed endpoints": ask the solution architect).

    `peers`: gateways of exchanges that links are asked of; `external`: a link for
    exchanges that are not on RTB Fabric, too. `timeout_ms` (100 to 5000) is a link's, as long as the longest that an
    exchange waits; bids keep to `tmax` anyway. Percents are of a link's requests of each kind."""

    timeout_ms: int
    peers: tuple[str, ...] = ()
    external: bool = False
    logged_errors_percent: float = 1.0
    logged_filtered_percent: float = 0.0
    logged_refusals_percent: float = 1.0
    health: FabricHealth = FabricHealth()


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """One deployment. `name` is part of every resource's name; `region` is fixed, so that nothing is looked up.

    `deployer_role` is the name of the role that people and pipelines deploy with: the only one of theirs that reads and
    writes the buckets from outside the VPC. `permission_boundary` is the name of a managed policy of the account that
    every role gets as its boundary; None: none.
    """

    name: str
    region: str
    deployer_role: str
    permission_boundary: str | None = None
    network: NetworkSizes
    storage: StorageSizes
    event_log: EventLogSizes
    images: ImageSizes
    inference: InferenceSizes
    training: TrainingSizes
    bidder: BidderSettings
    service: ServiceSizes
    balancer: BalancerSizes
    cache: CacheSizes
    observability: ObservabilitySizes
    audit: AuditSizes
    budget: BudgetSizes
    eks: EksSizes
    fabric: FabricSizes | None

    @property
    def prefix(self) -> str:
        """What the names of all resources begin with."""
        return f"bidder-{self.name}"


# Of one instance with two vCPUs: the model is served by one process, on one core. A call of 8 to 64 rows as .npy cost
# it 1.8 to 2.1 ms of CPU on a shared 2-core EPYC (2026-11-25, the demo's model), so some 500 a second. Measure anew, by
# the recommender's load test or from inside the VPC, whenever the model, its image or the instance type changes.
SERVING = ScalingSizes(
    metric="concurrency",
    measured_max_rps=400.0,
    measured_latency_ms=5.0,
    safety=0.5,
    scale_out_cooldown_s=60,
    scale_in_cooldown_s=600,
)

DEV = Environment(
    name="dev",
    region="us-east-1",
    deployer_role="bidder-dev-deployer",
    network=NetworkSizes(
        cidr="10.40.0.0/16",
        zones=("us-east-1a", "us-east-1b", "us-east-1c"),
        flow_log_days=14,
        s3_prefix_list="pl-63a5400a",
    ),
    storage=StorageSizes(event_days=30, earlier_version_days=7, access_log_days=30, keep_on_delete=False),
    event_log=EventLogSizes(buffer_s=60, buffer_mib=5, log_days=14),
    images=ImageSizes(keep_images=10, keep_untagged_days=1, keep_on_delete=False),
    inference=InferenceSizes(
        image_tag="0.1.0",
        variants=(
            Variant("champion", ArchivedModel("models/first/model.tar.gz"), 0.9, "ml.c6i.large", 1, 2),
            Variant("challenger", ArchivedModel("models/first/model.tar.gz"), 0.1, "ml.c6i.large", 1, 1),
        ),
        scaling=SERVING,
        shift=TrafficShift("CANARY", percent=50, wait_s=120, termination_wait_s=60, max_duration_s=3600),
        rollback=RollbackLimits(model_latency_p99_ms=50.0, server_error_share=0.05, minutes=2),
        log_days=14,
    ),
    training=TrainingSizes(
        image_tag="0.1.0",
        instance_type="ml.m5.large",
        volume_gb=10,
        max_runtime_s=1800,
        spot_wait_s=3600,
        gate=QualityGate(min_auc=0.55, min_auc_gain=0.0, max_calibration_error_share=0.5, min_held_out_positives=50),
        tuning=TuningSizes(max_jobs=4, max_parallel_jobs=2, max_duration_s=7200),
        recommender=RecommenderSizes(
            ("ml.c6i.large",), latency_p95_ms=20, step_s=120, steps=3, users_a_step=2, max_duration_s=1800
        ),
        schedule=None,
        log_days=14,
    ),
    bidder=BidderSettings(
        max_in_flight=200, max_busy=0.41, endpoint_max_calls=8, inside_networks="10.40.0.0/16,127.0.0.0/8"
    ),
    service=ServiceSizes(
        image_tag="0.1.0",
        capacity=FargateCapacity(on_demand_tasks=3),
        architecture="ARM64",
        cpu=512,
        memory_mib=1024,
        cache_mib=128,
        min_tasks=3,
        max_tasks=6,
        cpu_target_percent=50,
        bids_a_second=1000,
        bid_ms=20.0,
        safety=0.5,
        log_days=14,
        documents=(("catalog_uri", "catalogs/catalog.json"),),
        explain=True,
    ),
    balancer=BalancerSizes(
        kind="network", internet_facing=False, exchange_cidrs=("10.40.0.0/16",), deletion_protection=False
    ),
    cache=CacheSizes(node_type="cache.t4g.small", nodes=2, snapshot_days=1, log_days=14),
    observability=ObservabilitySizes(
        collector=CollectorSizes(image_tag="v0.43.3"),
        # Traffic here comes and goes, so that silence is not judged.
        alarms=AlarmLimits(min_requests_in_1_min=60, min_requests_in_5_min=0),
        exchanges=("generic",),
    ),
    audit=AuditSizes(days=90),
    budget=BudgetSizes(limit_usd=1_100),
    eks=EksSizes(
        kubernetes_version="1.36",
        compute=NodeSizes(instance_types=("c7g.large",), min_nodes=3, max_nodes=6),
        log_days=14,
        admin_roles=("bidder-admin",),
        deletion_protection=False,
        container_insights=True,
    ),
    fabric=None,
)

PROD = Environment(
    name="prod",
    region="us-east-1",
    deployer_role="bidder-prod-deployer",
    network=NetworkSizes(
        cidr="10.50.0.0/16",
        zones=("us-east-1a", "us-east-1b", "us-east-1c"),
        flow_log_days=365,
        s3_prefix_list="pl-63a5400a",
    ),
    storage=StorageSizes(
        event_days=395, earlier_version_days=90, access_log_days=365, keep_on_delete=True, replica_region="us-west-2"
    ),
    event_log=EventLogSizes(buffer_s=300, buffer_mib=128, log_days=30),
    images=ImageSizes(keep_images=50, keep_untagged_days=7, keep_on_delete=True),
    inference=InferenceSizes(
        image_tag="0.1.0",
        variants=(
            Variant(
                "champion",
                RegisteredModel(1),
                0.9,
                "ml.c7i.large",
                min_instances=6,
                max_instances=60,
                schedules=(
                    Schedule("before-the-evening", "0 16 * * ? *", min_instances=12, max_instances=60),
                    Schedule("after-midnight", "0 6 * * ? *", min_instances=6, max_instances=60),
                ),
            ),
            Variant("challenger", RegisteredModel(1), 0.1, "ml.c7i.large", min_instances=3, max_instances=9),
        ),
        scaling=SERVING,
        shift=TrafficShift("LINEAR", percent=25, wait_s=300, termination_wait_s=600, max_duration_s=7200),
        rollback=RollbackLimits(model_latency_p99_ms=20.0, server_error_share=0.01, minutes=2),
        log_days=90,
    ),
    training=TrainingSizes(
        image_tag="0.1.0",
        instance_type="ml.m5.2xlarge",
        volume_gb=50,
        max_runtime_s=4 * 3600,
        spot_wait_s=8 * 3600,
        gate=QualityGate(min_auc=0.6, min_auc_gain=0.005, max_calibration_error_share=0.2, min_held_out_positives=1000),
        tuning=TuningSizes(max_jobs=30, max_parallel_jobs=3, max_duration_s=12 * 3600),
        recommender=RecommenderSizes(
            ("ml.c6i.large", "ml.c7i.large", "ml.m6i.large"),
            latency_p95_ms=10,
            step_s=180,
            steps=10,
            users_a_step=3,
            max_duration_s=7200,
        ),
        schedule="cron(0 3 * * ? *)",
        log_days=365,
    ),
    bidder=BidderSettings(
        max_in_flight=2000, max_busy=0.89, endpoint_max_calls=32, inside_networks="10.50.0.0/16,127.0.0.0/8"
    ),
    service=ServiceSizes(
        image_tag="0.1.0",
        capacity=InstanceCapacity(instance_type="c7g.xlarge", tasks_each=3, min_instances=3, max_instances=30),
        architecture="ARM64",
        cpu=1024,
        memory_mib=2048,
        cache_mib=512,
        min_tasks=6,
        max_tasks=60,
        cpu_target_percent=50,
        bids_a_second=3200,
        bid_ms=15.0,
        safety=0.5,
        log_days=90,
        documents=(("catalog_uri", "catalogs/catalog.json"), ("rates_uri", "catalogs/rates.json")),
    ),
    # Documentation's own addresses (RFC 5737): nobody can connect until the exchanges' stand here.
    balancer=BalancerSizes(
        kind="network",
        internet_facing=True,
        exchange_cidrs=("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"),
        deletion_protection=True,
    ),
    cache=CacheSizes(node_type="cache.r7g.large", nodes=3, snapshot_days=7, log_days=90),
    observability=ObservabilitySizes(
        collector=CollectorSizes(image_tag="v0.43.3"),
        alarms=AlarmLimits(min_requests_in_1_min=600, min_requests_in_5_min=3000, anomaly_band=4.0),
        exchanges=("google", "index", "magnite", "pubmatic", "xandr"),
        keep_on_delete=True,
    ),
    audit=AuditSizes(days=400, lock_days=365, insights=True, keep_on_delete=True),
    budget=BudgetSizes(limit_usd=9_500),
    eks=EksSizes(
        kubernetes_version="1.36",
        compute=NodeSizes(instance_types=("c7g.xlarge",), min_nodes=3, max_nodes=24, static_cpus=True),
        log_days=365,
        admin_roles=("bidder-admin",),
        deletion_protection=True,
        container_insights=True,
    ),
    fabric=None,
)

ENVIRONMENTS = {environment.name: environment for environment in (DEV, PROD)}
