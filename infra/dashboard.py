"""The dashboard: what happens, how fast, where it is lost, what it costs; row by row, on one page.

Graphs of the bidder's own metrics can only be of those that get to CloudWatch (`bidder_metrics.metric` refuses any
other). The rule kept here: a percentile is asked of what CloudWatch has as a distribution, never of a sum and a count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.alarms import Watched, balancer_metric, cache_metric, endpoint_metric, log_namespace
from infra.bidder_metrics import ERRORS, NOTICES, OUTCOMES, REASONS, RESULTS, STAGES, metric, service_of

WIDTH = 24
PERCENTILES = ("p50", "p95", "p99")
Metrics = Mapping[str, cloudwatch.IMetric]


class Dashboard(Construct):
    """`dashboard`, named after the service. `ecs`: the cluster's and the service's name; None where it runs on EKS,
    whose pods and nodes Container Insights shows by `eks_cluster`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        region: str,
        watched: Watched,
        exchanges: Sequence[str],
        alarms: Sequence[cloudwatch.IAlarm],
        log_group_names: Sequence[str],
        ecs: tuple[str, str] | None = None,
        eks_cluster: str | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        self._name, self._region, self._watched = name, region, watched
        self._log_group_names = log_group_names
        rows = [
            ("Now", [_alarms(alarms)]),
            ("Traffic", self._traffic(exchanges)),
            ("Latency", self._latency()),
            ("The model", self._model()),
            ("Capacity", self._capacity(ecs, eks_cluster)),
            ("Around it", self._around()),
            ("What costs", self._cost()),
        ]
        self.dashboard = cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=service_of(name),
            default_interval=Duration.hours(3),
            period_override=cloudwatch.PeriodOverride.INHERIT,
            widgets=[row for title, widgets in rows if widgets for row in ([_heading(title)], widgets)],
        )

    # -- rows ----------------------------------------------------------------------------------------------------------

    def _traffic(self, exchanges: Sequence[str]) -> list[cloudwatch.IWidget]:
        outcomes = {outcome: self._sum("bidder_requests_total", outcome=outcome) for outcome in OUTCOMES}
        bad = {
            exchange: cloudwatch.MathExpression(
                expression=f"100*(FILL(late{place},0)+FILL(gone{place},0))/all{place}",
                using_metrics={
                    f"late{place}": self._sum("bidder_late_answers_total", exchange=exchange),
                    f"gone{place}": self._sum("bidder_requests_total", exchange=exchange, outcome="disconnected"),
                    f"all{place}": self._sum("bidder_requests_total", exchange=exchange),
                },
                label=exchange,
                period=Duration.minutes(1),
            )
            for place, exchange in enumerate(exchanges)
        }
        return [
            self._graph("Requests a minute, by outcome", outcomes, stacked=True),
            self._graph(
                "Requests a minute, by exchange",
                {exchange: self._sum("bidder_requests_total", exchange=exchange) for exchange in exchanges},
            ),
            self._graph("Late or unheard answers, % by exchange", bad),
            self._graph(
                "No-bids a minute, by reason",
                {reason: self._sum("bidder_no_bids_total", reason=reason) for reason in REASONS},
                stacked=True,
            ),
            self._graph("Notices a minute", {kind: self._sum("bidder_notices_total", kind=kind) for kind in NOTICES}),
            self._graph(
                "Answers that broke a profile, of those looked at",
                {
                    "looked at": self._sum("bidder_self_checks_total"),
                    "broken": self._sum("bidder_self_check_violations_total"),
                },
            ),
        ]

    def _latency(self) -> list[cloudwatch.IWidget]:
        return [
            self._graph("Bids: arrival to answer", self._percentiles("bidder_bid_latency_seconds"), unit="s"),
            *(
                self._graph(
                    f"Stages, {percentile}",
                    {
                        stage: metric(self._name, "bidder_stage_latency_seconds", statistic=percentile, stage=stage)
                        for stage in STAGES
                    },
                    unit="s",
                )
                for percentile in PERCENTILES
            ),
            self._graph("Event loop lag", self._percentiles("bidder_event_loop_lag_seconds"), unit="s"),
            self._graph(
                "Calls of the endpoint, as the bidder sees them",
                self._percentiles("bidder_endpoint_latency_seconds", role="answer"),
                unit="s",
            ),
        ]

    def _model(self) -> list[cloudwatch.IWidget]:
        watched = self._watched
        return [
            *(
                self._graph(
                    f"{kind}, µs",
                    {
                        f"{variant} {percentile}": endpoint_metric(watched, variant, kind, percentile)
                        for variant in watched.variant_names
                        for percentile in PERCENTILES
                    },
                )
                for kind in ("ModelLatency", "OverheadLatency")
            ),
            self._of_variants("Invocations a minute", {"Invocations": "Sum"}),
            self._of_variants(
                "Errors of the endpoint",
                {"Invocation4XXErrors": "Sum", "Invocation5XXErrors": "Sum", "InvocationModelErrors": "Sum"},
            ),
            self._of_variants("Concurrent requests", {"ConcurrentRequestsPerModel": "Maximum"}),
            self._graph(
                "Auctions scored, by source",
                {source: self._sum("bidder_scores_total", source=source) for source in ("sagemaker", "prior")},
                stacked=True,
            ),
            self._graph(
                "Calls by the bidder, by result",
                {result: self._sum("bidder_endpoint_calls_total", role="answer", result=result) for result in RESULTS},
            ),
            self._graph("Rows a call", self._percentiles("bidder_endpoint_rows_per_call", role="answer")),
            self._graph(
                "Calls without scores, by type",
                {kind: self._sum("bidder_endpoint_errors_total", type=kind) for kind in ERRORS},
            ),
            self._graph(
                "Breaker and queue",
                {
                    "breaker open": metric(
                        self._name, "bidder_endpoint_breaker_open", statistic="Maximum", role="answer"
                    ),
                    "auctions that wait": metric(self._name, "bidder_endpoint_queue", statistic="Maximum"),
                },
            ),
        ]

    def _capacity(self, ecs: tuple[str, str] | None, eks_cluster: str | None) -> list[cloudwatch.IWidget]:
        widgets = [
            self._graph(
                "In flight, a task",
                {
                    statistic.lower(): metric(self._name, "bidder_in_flight", statistic=statistic, seconds=60)
                    for statistic in ("Average", "Maximum")
                },
            ),
            self._graph("Ready, share of tasks", {"ready": metric(self._name, "bidder_ready", statistic="Average")}),
        ]
        if ecs:
            widgets += self._ecs(*ecs)
        if eks_cluster:
            widgets += self._eks(eks_cluster)
        variants = self._watched.variant_names
        widgets.append(
            self._graph(
                "Instances of the endpoint, by their CPU samples",
                {
                    variant: cloudwatch.Metric(
                        namespace="/aws/sagemaker/Endpoints",
                        metric_name="CPUUtilization",
                        dimensions_map={"EndpointName": self._watched.endpoint_name, "VariantName": variant},
                        statistic="SampleCount",
                        period=Duration.minutes(1),
                    )
                    for variant in variants
                },
            )
        )
        return widgets

    def _ecs(self, cluster: str, service: str) -> list[cloudwatch.GraphWidget]:
        def of(namespace: str, name: str, statistic: str = "Average") -> cloudwatch.Metric:
            return cloudwatch.Metric(
                namespace=namespace,
                metric_name=name,
                dimensions_map={"ClusterName": cluster, "ServiceName": service},
                statistic=statistic,
                period=Duration.minutes(1),
            )

        counts = {"desired": "DesiredTaskCount", "running": "RunningTaskCount", "pending": "PendingTaskCount"}
        return [
            self._graph("Tasks", {title: of("ECS/ContainerInsights", name) for title, name in counts.items()}),
            self._graph(
                "CPU and memory of tasks, %",
                {"CPU": of("AWS/ECS", "CPUUtilization"), "memory": of("AWS/ECS", "MemoryUtilization")},
            ),
        ]

    def _eks(self, cluster: str) -> list[cloudwatch.GraphWidget]:
        def of(name: str, **dimensions: str) -> cloudwatch.Metric:
            return cloudwatch.Metric(
                namespace="ContainerInsights",
                metric_name=name,
                dimensions_map={"ClusterName": cluster, **dimensions},
                statistic="Average",
                period=Duration.minutes(1),
            )

        pods = {"Namespace": "bidder", "PodName": "bidder"}
        return [
            self._graph("Nodes", {"nodes": of("cluster_node_count"), "failed": of("cluster_failed_node_count")}),
            self._graph(
                "CPU and memory of pods, % of their limits",
                {
                    "CPU": of("pod_cpu_utilization_over_pod_limit", **pods),
                    "memory": of("pod_memory_utilization_over_pod_limit", **pods),
                },
            ),
        ]

    def _around(self) -> list[cloudwatch.IWidget]:
        watched = self._watched
        widgets: list[cloudwatch.IWidget] = [
            self._graph(
                "Catalog: age, and stale",
                {"age": metric(self._name, "bidder_catalog_age_seconds", statistic="Maximum")},
                right={"stale": metric(self._name, "bidder_catalog_stale", statistic="Maximum")},
            ),
            self._graph(
                "Profile look-ups a minute",
                {
                    result: self._sum("bidder_profile_lookups_total", result=result)
                    for result in ("hit", "miss", "timeout", "error", "refused")
                },
            ),
            self._graph(
                "Errors in the log",
                {
                    "errors": cloudwatch.Metric(
                        namespace=log_namespace(self._name), metric_name="log_errors", statistic="Sum"
                    )
                },
            ),
        ]
        if watched.balancer and watched.target_group:
            hosts = ("HealthyHostCount", "UnHealthyHostCount")
            widgets.append(
                self._graph(
                    "Targets of the balancer", {name: balancer_metric(watched, name, "Maximum") for name in hosts}
                )
            )
            counts = {
                "network": ("TCP_Target_Reset_Count", "TCP_Client_Reset_Count", "ClientTLSNegotiationErrorCount"),
                "application": ("HTTPCode_ELB_5XX_Count", "HTTPCode_Target_5XX_Count", "TargetConnectionErrorCount"),
            }[watched.balancer_kind]
            widgets.append(
                self._graph(
                    "Resets and errors at the balancer",
                    {name: balancer_metric(watched, name, "Sum", group=False) for name in counts},
                )
            )
        if watched.cache_nodes:
            widgets.append(
                self._graph(
                    "Profile store: evictions, and memory in use",
                    {f"{node} evictions": cache_metric(node, "Evictions", "Sum") for node in watched.cache_nodes},
                    right={
                        f"{node} %": cache_metric(node, "DatabaseMemoryUsagePercentage", "Maximum")
                        for node in watched.cache_nodes
                    },
                )
            )
        return widgets

    def _cost(self) -> list[cloudwatch.IWidget]:
        """What the bill is made of, as it comes about: hours of instances and tasks are in the row on capacity."""
        watched = self._watched
        widgets: list[cloudwatch.IWidget] = [
            self._of_variants("Invocations an hour", {"Invocations": "Sum"}, seconds=3600),
            self._graph(
                "Log taken in, bytes an hour",
                {
                    log_group: cloudwatch.Metric(
                        namespace="AWS/Logs",
                        metric_name="IncomingBytes",
                        dimensions_map={"LogGroupName": log_group},
                        statistic="Sum",
                        period=Duration.hours(1),
                    )
                    for log_group in self._log_group_names
                },
            ),
        ]
        if watched.balancer:
            widgets += [
                self._graph(
                    "Capacity units of the balancer (LCU)",
                    {"consumed": balancer_metric(watched, "ConsumedLCUs", "Sum", group=False)},
                ),
                self._graph(
                    "Data through the balancer, bytes a minute",
                    {"processed": balancer_metric(watched, "ProcessedBytes", "Sum", group=False)},
                ),
            ]
        return widgets

    # -- parts ---------------------------------------------------------------------------------------------------------

    def _sum(self, series: str, **labels: str) -> cloudwatch.Metric:
        return metric(self._name, series, "Sum", 60, **labels)

    def _percentiles(self, series: str, **labels: str) -> Metrics:
        return {found: metric(self._name, series, found, 60, **labels) for found in PERCENTILES}

    def _of_variants(self, title: str, kinds: Mapping[str, str], seconds: int = 60) -> cloudwatch.GraphWidget:
        return self._graph(
            title,
            {
                f"{variant} {kind}": endpoint_metric(self._watched, variant, kind, statistic).with_(
                    period=Duration.seconds(seconds)
                )
                for variant in self._watched.variant_names
                for kind, statistic in kinds.items()
            },
        )

    def _graph(
        self, title: str, left: Metrics, *, right: Metrics | None = None, unit: str = "", stacked: bool = False
    ) -> cloudwatch.GraphWidget:
        return cloudwatch.GraphWidget(
            title=title,
            width=8,
            height=6,
            region=self._region,
            left=[_labelled(found, label) for label, found in left.items()],
            right=[_labelled(found, label) for label, found in (right or {}).items()],
            left_y_axis=cloudwatch.YAxisProps(min=0, label=unit, show_units=False),
            stacked=stacked,
        )


def _labelled(found: cloudwatch.IMetric, label: str) -> cloudwatch.IMetric:
    return found.with_(label=label) if isinstance(found, cloudwatch.Metric) else found


def _heading(title: str) -> cloudwatch.IWidget:
    return cloudwatch.TextWidget(
        markdown=f"## {title}", width=WIDTH, height=1, background=cloudwatch.TextWidgetBackground.TRANSPARENT
    )


def _alarms(alarms: Sequence[cloudwatch.IAlarm]) -> cloudwatch.IWidget:
    rows = -(-len(alarms) // 6)
    return cloudwatch.AlarmStatusWidget(title="Alarms", alarms=list(alarms), width=WIDTH, height=1 + rows)
