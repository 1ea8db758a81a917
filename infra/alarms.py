"""The alarms: each says what it means and where the runbook says what to do.

The rule kept here: an alarm looks at what an exchange or the business would feel, or at what will soon be felt; and
each says what no data means for it, with the reason. Alarms on shares ask for some traffic first: one late answer of
two at night is no reason to wake anybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.bidder_metrics import metric, service_of
from infra.environments import AlarmLimits

Missing = Literal["breaching", "notBreaching", "ignore", "missing"]
ABOVE = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
AT_LEAST = cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD
BELOW = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD

TOLD_ELSEWHERE = "no data: no task runs, or its collector does not; `not-ready` and `no-traffic` tell of that"
NOTHING_ASKED = "no data: nothing was asked, so nothing failed"
SILENCE_IS_BAD = "no data: nobody is there to say otherwise, which is what the alarm is for"
NO_NODE = "no data: the node is being replaced, which ElastiCache tells of itself"

FAST_BURN, SLOW_BURN = 14.4, 6.0
"""Error budget spent in units of what would last 30 days: 14.4 for an hour is 2 % of it, 6 for six hours 5 % (Site
Reliability Workbook, chapter 5). The short window of each ends the alarm soon after the trouble ends."""

WINDOWS = {"fast": (FAST_BURN, 3600, 300), "slow": (SLOW_BURN, 6 * 3600, 1800)}


@dataclass(frozen=True, slots=True)
class Watched:
    """What is around the bidder in one environment, by the names that its metrics have in CloudWatch.

    `balancer` and `target_group` are full names as in "net/bidder-dev/0123"; `cache_nodes` are ids of cache clusters;
    None and empty: there is none."""

    endpoint_name: str
    variant_names: Sequence[str]
    balancer_kind: Literal["network", "application"] = "network"
    balancer: str | None = None
    target_group: str | None = None
    cache_nodes: Sequence[str] = ()

    @property
    def balancer_namespace(self) -> str:
        return "AWS/NetworkELB" if self.balancer_kind == "network" else "AWS/ApplicationELB"


def alarm_name(name: str, anchor: str) -> str:
    """`anchor` is the runbook's heading: the same alarm in every environment has the same."""
    return f"{service_of(name)}-{anchor}"


class Alarms(Construct):
    """`alarms` by the anchor in docs/runbook.md; of those made of others, the parts are not among them."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        limits: AlarmLimits,
        watched: Watched,
        exchanges: Sequence[str],
        actions: Sequence[cloudwatch.IAlarmAction],
    ) -> None:
        """`actions` are taken when an alarm begins and when it ends."""
        super().__init__(scope, construct_id)
        self._name, self._limits, self._watched = name, limits, watched
        self._actions = list(actions)
        self.alarms: dict[str, cloudwatch.AlarmBase] = {}
        self._bids()
        for exchange in exchanges:
            self._throttle_risk(exchange)
        self._burn_rate("fast")
        self._burn_rate("slow")
        self._model()
        self._process()
        self._around()

    # -- what exchanges feel -------------------------------------------------------------------------------------------

    def _bids(self) -> None:
        limits = self._limits
        self._alarm(
            "deadline-misses",
            "Too many answers come after tmax less the margin: exchanges count them as time-outs.",
            self._share("late", {"late": self._sum("bidder_late_answers_total")}),
            limits.late_percent,
            of=(3, 5),
            missing="notBreaching",
            because=TOLD_ELSEWHERE,
        )
        if limits.min_requests_in_5_min:
            self._alarm(
                "no-traffic",
                "Exchanges send nothing, or next to nothing.",
                self._sum("bidder_requests_total", seconds=300),
                limits.min_requests_in_5_min,
                comparison=BELOW,
                of=(2, 2),
                missing="breaching",
                because=SILENCE_IS_BAD,
            )
        if limits.anomaly_band:
            self._traffic_anomaly(limits.anomaly_band)

    def _traffic_anomaly(self, band: float) -> None:
        requests = self._sum("bidder_requests_total", seconds=300)
        made = cloudwatch.AnomalyDetectionAlarm(
            self,
            "traffic-anomaly",
            alarm_name=alarm_name(self._name, "traffic-anomaly"),
            alarm_description=self._text(
                "traffic-anomaly", "Requests are far fewer than usual at this hour.", NOTHING_ASKED
            ),
            metric=requests,
            std_devs=band,
            comparison_operator=cloudwatch.ComparisonOperator.LESS_THAN_LOWER_THRESHOLD,
            evaluation_periods=3,
            datapoints_to_alarm=3,
            treat_missing_data=cloudwatch.TreatMissingData.IGNORE,
        )
        self._keep("traffic-anomaly", made)

    def _throttle_risk(self, exchange: str) -> None:
        """Late answers and exchanges that hung up, of all from this exchange; and the share of answers, by sample, that
        broke their exchange's profile, which is not known by exchange."""
        used = {
            "late": self._sum("bidder_late_answers_total", exchange=exchange),
            "gone": self._sum("bidder_requests_total", exchange=exchange, outcome="disconnected"),
            "requests": self._sum("bidder_requests_total", exchange=exchange),
            "broken": self._sum("bidder_self_check_violations_total"),
            "checked": self._sum("bidder_self_checks_total"),
        }
        least = self._limits.min_requests_in_1_min
        # A division by nothing has no value, and would take the other share with it.
        checked = "IF(FILL(checked,0)>0,FILL(checked,0),1)"
        shares = f"100*(FILL(late,0)+FILL(gone,0))/requests + 100*FILL(broken,0)/{checked}"
        self._alarm(
            f"throttle-risk-{exchange}",
            f"{exchange} may soon send less: too many answers are late, unheard or invalid."
            " Google cuts queries a second above 15 %.",
            cloudwatch.MathExpression(
                expression=f"IF(requests>={least},{shares},0)",
                using_metrics=used,
                label="% bad",
                period=Duration.minutes(1),
            ),
            self._limits.throttle_risk_percent,
            of=(5, 10),
            missing="notBreaching",
            because=NOTHING_ASKED,
            anchor="throttle-risk",
        )

    def _burn_rate(self, speed: Literal["fast", "slow"]) -> None:
        """A composite of two windows: the long one says that it matters, the short one that it goes on."""
        rate, *windows = WINDOWS[speed]
        parts = [self._burning(speed, rate, seconds) for seconds in windows]
        anchor = f"error-budget-{speed}"
        made = cloudwatch.CompositeAlarm(
            self,
            anchor,
            composite_alarm_name=alarm_name(self._name, anchor),
            alarm_description=self._text(
                anchor,
                f"The error budget is spent {rate:g} times as fast as it may be.",
                "the parts say what no data means",
            ),
            alarm_rule=cloudwatch.AlarmRule.all_of(
                *(cloudwatch.AlarmRule.from_alarm(part, cloudwatch.AlarmState.ALARM) for part in parts)
            ),
        )
        self._keep(anchor, made)

    def _burning(self, speed: str, rate: float, seconds: int) -> cloudwatch.Alarm:
        bad = {
            "late": self._sum("bidder_late_answers_total", seconds=seconds),
            "gone": self._sum("bidder_requests_total", seconds=seconds, outcome="disconnected"),
            "shed": self._sum("bidder_requests_total", seconds=seconds, outcome="overload"),
            "failed": self._sum("bidder_no_bids_total", seconds=seconds, reason="technical_error"),
        }
        return cloudwatch.Alarm(
            self,
            f"burn-{speed}-{seconds}s",
            alarm_name=alarm_name(self._name, f"burn-{speed}-{seconds // 60}-min"),
            alarm_description=f"A part of {alarm_name(self._name, f'error-budget-{speed}')}, which tells of it;"
            f" {NOTHING_ASKED}",
            metric=self._share("bad", bad, seconds=seconds),
            threshold=rate * self._limits.error_budget_percent,
            evaluation_periods=1,
            comparison_operator=ABOVE,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            actions_enabled=False,
        )

    # -- the model -----------------------------------------------------------------------------------------------------

    def _model(self) -> None:
        limits = self._limits
        self._alarm(
            "breaker-open",
            "Bidders give the endpoint a rest: bids are made on priors.",
            metric(self._name, "bidder_endpoint_breaker_open", statistic="Maximum", role="answer"),
            1,
            comparison=AT_LEAST,
            of=(2, 3),
            missing="notBreaching",
            because=TOLD_ELSEWHERE,
        )
        scored = {source: self._sum("bidder_scores_total", source=source) for source in ("sagemaker", "prior")}
        total = "(FILL(sagemaker,0)+FILL(prior,0))"
        self._alarm(
            "fallback-share",
            "Too many auctions are priced on priors, as the model did not answer in time.",
            cloudwatch.MathExpression(
                expression=f"IF({total}>={limits.min_requests_in_1_min},100*FILL(prior,0)/{total},0)",
                using_metrics=scored,
                label="% on priors",
                period=Duration.minutes(1),
            ),
            limits.fallback_percent,
            of=(5, 5),
            missing="notBreaching",
            because=TOLD_ELSEWHERE,
        )
        for variant in self._watched.variant_names:
            self._endpoint_errors(variant)

    def _endpoint_errors(self, variant: str) -> None:
        """By SageMaker's own counts, whoever called."""
        kinds = {"calls": "Invocations", "theirs": "Invocation5XXErrors", "ours": "Invocation4XXErrors"}
        self._alarm(
            f"endpoint-errors-{variant}",
            f"The endpoint's variant {variant} answers too many calls with errors.",
            cloudwatch.MathExpression(
                expression="IF(FILL(calls,0)>0,100*(FILL(theirs,0)+FILL(ours,0))/calls,0)",
                using_metrics={
                    name: endpoint_metric(self._watched, variant, kind, "Sum") for name, kind in kinds.items()
                },
                label="% errors",
                period=Duration.minutes(1),
            ),
            self._limits.endpoint_error_percent,
            of=(3, 5),
            missing="notBreaching",
            because=NOTHING_ASKED,
            anchor="endpoint-errors",
        )

    # -- the bidder's processes ----------------------------------------------------------------------------------------

    def _process(self) -> None:
        limits = self._limits
        self._alarm(
            "not-ready",
            "Too many bidders say that no traffic should come to them, or none says anything.",
            metric(self._name, "bidder_ready", statistic="Average"),
            limits.ready_share,
            comparison=BELOW,
            of=(3, 3),
            missing="breaching",
            because=SILENCE_IS_BAD,
        )
        self._alarm(
            "catalog-stale",
            "A new catalog cannot be used; an older one stays in use.",
            metric(self._name, "bidder_catalog_stale", statistic="Maximum", seconds=300),
            1,
            comparison=AT_LEAST,
            of=(3, 3),
            missing="notBreaching",
            because=TOLD_ELSEWHERE,
        )
        self._alarm(
            "event-loop-lag",
            "Bidders have more to do than they can: what is due runs late, and every bid waits as long.",
            metric(self._name, "bidder_event_loop_lag_seconds", statistic="p99"),
            limits.loop_lag_p99_ms / 1000,
            of=(5, 5),
            missing="notBreaching",
            because=TOLD_ELSEWHERE,
        )
        self._alarm(
            "bugs",
            "The bidder met what it was not made for; each time an exchange got a no-bid. The log says where.",
            cloudwatch.Metric(
                namespace=log_namespace(self._name),
                metric_name="log_errors",
                statistic="Sum",
                period=Duration.minutes(5),
            ),
            limits.errors_logged_in_5_min,
            of=(1, 1),
            missing="notBreaching",
            because="no data: nothing was logged, and the filter counts only lines that are there",
        )

    # -- around it -----------------------------------------------------------------------------------------------------

    def _around(self) -> None:
        watched, limits = self._watched, self._limits
        if watched.target_group and watched.balancer:
            self._alarm(
                "unhealthy-hosts",
                "The balancer sends nothing to some bidders, as /readyz does not answer 200 there.",
                balancer_metric(watched, "UnHealthyHostCount", "Maximum"),
                1,
                comparison=AT_LEAST,
                of=(3, 3),
                missing="notBreaching",
                because=TOLD_ELSEWHERE,
            )
        if watched.cache_nodes:
            used = {
                f"n{place}": cache_metric(node, "Evictions", "Sum", 300)
                for place, node in enumerate(watched.cache_nodes)
            }
            self._alarm(
                "cache-evictions",
                "The profile store is full: users' profiles are lost, and with them segments and capped campaigns.",
                cloudwatch.MathExpression(
                    expression="+".join(f"FILL({node},0)" for node in used),
                    using_metrics=used,
                    label="evictions",
                    period=Duration.minutes(5),
                ),
                limits.evictions_in_5_min,
                of=(3, 3),
                missing="notBreaching",
                because=NO_NODE,
            )

    # -- how they are made ---------------------------------------------------------------------------------------------

    def _sum(self, series: str, seconds: int = 60, **labels: str) -> cloudwatch.Metric:
        return metric(self._name, series, "Sum", seconds, **labels)

    def _share(self, label: str, bad: Mapping[str, cloudwatch.Metric], seconds: int = 60) -> cloudwatch.MathExpression:
        """Per cent of all requests; 0 where there are too few to tell."""
        least = self._limits.min_requests_in_1_min * seconds // 60
        summed = "+".join(f"FILL({name},0)" for name in bad)
        return cloudwatch.MathExpression(
            expression=f"IF(requests>={least},100*({summed})/requests,0)",
            using_metrics={**bad, "requests": self._sum("bidder_requests_total", seconds=seconds)},
            label=f"% {label}",
            period=Duration.seconds(seconds),
        )

    def _alarm(
        self,
        name: str,
        means: str,
        watched: cloudwatch.IMetric,
        threshold: float,
        *,
        of: tuple[int, int],
        missing: Missing,
        because: str,
        comparison: cloudwatch.ComparisonOperator = ABOVE,
        anchor: str = "",
    ) -> None:
        """`of`: so many of the last so many periods have to breach. `because`: why no data counts as it does."""
        made = cloudwatch.Alarm(
            self,
            name,
            alarm_name=alarm_name(self._name, name),
            alarm_description=self._text(anchor or name, means, because),
            metric=watched,
            threshold=threshold,
            datapoints_to_alarm=of[0],
            evaluation_periods=of[1],
            comparison_operator=comparison,
            treat_missing_data=_TREATMENTS[missing],
        )
        self._keep(name, made)

    def _text(self, anchor: str, means: str, because: str) -> str:
        where = Stack.of(self).region
        return f"{means} Runbook: {self._limits.runbook_url}#{anchor} ({self._name}, {where}; {because})"

    def _keep(self, name: str, made: cloudwatch.AlarmBase) -> None:
        made.add_alarm_action(*self._actions)
        made.add_ok_action(*self._actions)
        self.alarms[name] = made


_TREATMENTS = {
    "breaching": cloudwatch.TreatMissingData.BREACHING,
    "notBreaching": cloudwatch.TreatMissingData.NOT_BREACHING,
    "ignore": cloudwatch.TreatMissingData.IGNORE,
    "missing": cloudwatch.TreatMissingData.MISSING,
}


def log_namespace(name: str) -> str:
    """Of the metrics that CloudWatch makes of the bidder's log."""
    return f"Bidder/{name}/log"


def endpoint_metric(watched: Watched, variant: str, metric_name: str, statistic: str) -> cloudwatch.Metric:
    """Of SageMaker's own metrics, a variant's."""
    return cloudwatch.Metric(
        namespace="AWS/SageMaker",
        metric_name=metric_name,
        dimensions_map={"EndpointName": watched.endpoint_name, "VariantName": variant},
        statistic=statistic,
        period=Duration.minutes(1),
    )


def balancer_metric(watched: Watched, metric_name: str, statistic: str, *, group: bool = True) -> cloudwatch.Metric:
    """Of the balancer's own metrics; `group`: as the target group has it."""
    dimensions = {"LoadBalancer": watched.balancer or ""}
    if group:
        dimensions["TargetGroup"] = watched.target_group or ""
    return cloudwatch.Metric(
        namespace=watched.balancer_namespace,
        metric_name=metric_name,
        dimensions_map=dimensions,
        statistic=statistic,
        period=Duration.minutes(1),
    )


def cache_metric(node: str, metric_name: str, statistic: str, seconds: int = 60) -> cloudwatch.Metric:
    """Of ElastiCache's own metrics, a node's."""
    return cloudwatch.Metric(
        namespace="AWS/ElastiCache",
        metric_name=metric_name,
        dimensions_map={"CacheClusterId": node},
        statistic=statistic,
        period=Duration.seconds(seconds),
    )
