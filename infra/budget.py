"""The budget of an environment: who is told when it costs more than it should.

It counts what bears the environment's tag. The rule kept here: a tag counts only once somebody has made it a cost
allocation tag in the account that pays; `COST_TAGS` are those, and docs/runbook.md says how.
"""

from __future__ import annotations

from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.bidder_metrics import service_of
from infra.environments import BudgetSizes

COST_TAGS = ("project", "environment")
"""Tags of every resource. A cost allocation tag is of the paying account, which no stack here can know."""

WARNINGS = (("ACTUAL", 80), ("FORECASTED", 100))
"""What is compared with the limit, and at how many per cent of it somebody is told."""


class Budget(Construct):
    """A month's budget of one environment."""

    def __init__(
        self, scope: Construct, construct_id: str, *, name: str, sizes: BudgetSizes, topic: sns.ITopic
    ) -> None:
        """`topic` lets AWS Budgets publish."""
        super().__init__(scope, construct_id)
        budget = budgets.CfnBudget
        subscribers = [budget.SubscriberProperty(subscription_type="SNS", address=topic.topic_arn)]
        self.budget = budget(
            self,
            "Budget",
            budget=budget.BudgetDataProperty(
                budget_name=f"{service_of(name)}-month",
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budget.SpendProperty(amount=sizes.limit_usd, unit="USD"),
                cost_filters={"TagKeyValue": [f"user:environment${name}"]},
            ),
            notifications_with_subscribers=[
                budget.NotificationWithSubscribersProperty(
                    notification=budget.NotificationProperty(
                        notification_type=kind,
                        comparison_operator="GREATER_THAN",
                        threshold=percent,
                        threshold_type="PERCENTAGE",
                    ),
                    subscribers=subscribers,
                )
                for kind, percent in WARNINGS
            ],
        )
