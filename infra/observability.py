"""Who is told, and what is looked at: the topic of alarms, the alarms, the dashboard, and the log with its questions.

The log groups belong to what writes them (`task.py`, `metrics_collector.py`, the chart); here are the filters and the
saved queries over them, by name. The rule kept here: the topic takes messages over TLS only, from CloudWatch and
Budgets of this account only, and its key serves nothing else.
"""

from __future__ import annotations

from aws_cdk import Aws, Duration, RemovalPolicy
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.alarms import Alarms, Watched, log_namespace
from infra.bidder_metrics import service_of
from infra.dashboard import Dashboard
from infra.environments import ObservabilitySizes
from infra.metrics_collector import log_group_of

SENDERS = ("cloudwatch.amazonaws.com", "budgets.amazonaws.com")

QUERIES = {
    "what-went-wrong": """fields @.time, @.level, @.logger, @.message, @.error, @.trace
| filter @.level in ["WARNING", "ERROR", "CRITICAL"]
| sort @timestamp desc
| limit 200""",
    "bugs-by-place": """filter @.level = "ERROR" and ispresent(@.error)
| stats count() as times, latest(@.message) as says by @.logger, @.error, @.trace
| sort times desc""",
    "endpoint-trouble": """fields @.time, @.message
| filter @.logger like /inference/ or @.message like /endpoint not ready/
| sort @timestamp desc
| limit 200""",
    "catalog-reloads": """fields @.time, @.level, @.message
| filter @.logger like /catalog/
| sort @timestamp desc
| limit 100""",
    "stage-latency-by-task": """filter ispresent(@.stage)
| stats sum(@.bidder_stage_latency_seconds.Sum) / sum(@.bidder_stage_latency_seconds.Count) * 1000 as mean_ms,
    max(@.bidder_stage_latency_seconds.Max) * 1000 as max_ms by @.stage, @logStream
| sort mean_ms desc""",
}
"""Saved in CloudWatch Logs Insights, over the bidder's log, which is JSON (BIDDER_LOG_FORMAT). `@.` stands for where a
line's members are: see `MEMBERS`."""

FILTERS = {
    "log_errors": '{ $.@.level = "ERROR" || $.@.level = "CRITICAL" }',
    "log_warnings": '{ $.@.level = "WARNING" }',
}
"""Metrics of the log: name → which lines count. `@.` as above."""

MEMBERS = {"ecs": "", "eks": "log_processed."}
"""Where a line's members are in the event that CloudWatch has: the awslogs driver sends the line itself, Fluent Bit on
EKS puts what it has read below a member of its own."""


class Observability(Construct):
    """`topic` is where alarms go; `alarms` and `dashboard` are what they say."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        region: str,
        sizes: ObservabilitySizes,
        watched: Watched,
        log_group: logs.CfnLogGroup,
        ecs: tuple[str, str] | None = None,
        eks_cluster: str | None = None,
    ) -> None:
        """`log_group` is the bidder's. `ecs`: names of the cluster and the service; `eks_cluster`: of the cluster."""
        super().__init__(scope, construct_id)
        self._name, self._log_group = name, log_group
        self.key = self._key(sizes)
        self.topic = self._topic(sizes)
        members = MEMBERS["eks" if eks_cluster else "ecs"]
        for metric_name, pattern in FILTERS.items():
            self._filter(metric_name, pattern.replace("@.", members))
        for title, query in QUERIES.items():
            self._query(title, query.replace("@.", members))
        self.alarms = Alarms(
            self,
            "Alarms",
            name=name,
            limits=sizes.alarms,
            watched=watched,
            exchanges=sizes.exchanges,
            actions=[actions.SnsAction(self.topic)],
        )
        self.dashboard = Dashboard(
            self,
            "Overview",
            name=name,
            region=region,
            watched=watched,
            exchanges=sizes.exchanges,
            alarms=list(self.alarms.alarms.values()),
            log_group_names=[log_group.ref, log_group_of(name)],
            ecs=ecs,
            eks_cluster=eks_cluster,
        )

    def _key(self, sizes: ObservabilitySizes) -> kms.Key:
        key = kms.Key(
            self,
            "Key",
            alias=f"{service_of(self._name)}-alarms",
            description="Alarms on their way to whom they are for",
            enable_key_rotation=True,
            rotation_period=Duration.days(365),
            removal_policy=RemovalPolicy.RETAIN if sizes.keep_on_delete else RemovalPolicy.DESTROY,
        )
        key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="SendersOfThisAccount",
                principals=[iam.ServicePrincipal(sender) for sender in SENDERS],
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                resources=["*"],
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            )
        )
        return key

    def _topic(self, sizes: ObservabilitySizes) -> sns.Topic:
        topic = sns.Topic(
            self,
            "Topic",
            topic_name=f"{service_of(self._name)}-alarms",
            display_name=f"Alarms of {service_of(self._name)}",
            master_key=self.key,
            enforce_ssl=True,
        )
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="SendersOfThisAccount",
                principals=[iam.ServicePrincipal(sender) for sender in SENDERS],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            )
        )
        for place, address in enumerate(sizes.emails):
            sns.Subscription(
                self, f"Email{place}", topic=topic, protocol=sns.SubscriptionProtocol.EMAIL, endpoint=address
            )
        return topic

    def _filter(self, metric_name: str, pattern: str) -> None:
        logs.CfnMetricFilter(
            self,
            metric_name,
            filter_name=f"{service_of(self._name)}-{metric_name}",
            log_group_name=self._log_group.ref,
            filter_pattern=pattern,
            metric_transformations=[
                logs.CfnMetricFilter.MetricTransformationProperty(
                    metric_namespace=log_namespace(self._name),
                    metric_name=metric_name,
                    metric_value="1",
                    default_value=0,
                    unit="Count",
                )
            ],
        )

    def _query(self, title: str, query: str) -> None:
        logs.CfnQueryDefinition(
            self,
            title,
            name=f"{service_of(self._name)}/{title}",
            query_string=query,
            log_group_names=[self._log_group.ref],
        )
