"""The settings that deployments on AWS give the bidder, as it reads them. What is imported of `infra` needs no CDK."""

from __future__ import annotations

import pytest

from bidder.config import Settings
from infra.environments import ENVIRONMENTS, Environment


@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=lambda each: each.name)
def test_the_bidder_takes_what_an_environment_gives(environment: Environment) -> None:
    """Each value is in its range, and is what was meant; none is of a setting that there is not."""
    values = {name.removeprefix("BIDDER_").lower(): text for name, text in environment.bidder.variables().items()}
    values |= {setting: f"s3://bucket/{key}" for setting, key in environment.service.documents}
    assert values.keys() <= Settings.model_fields.keys()
    settings = Settings(**values)
    assert settings.drain_s == environment.bidder.drain_s
    assert settings.keep_alive_s == environment.bidder.keep_alive_s
    assert settings.max_in_flight == environment.bidder.max_in_flight
    assert settings.log_format == environment.bidder.log_format


@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=lambda each: each.name)
def test_metrics_are_seen_from_the_vpc_and_the_task_itself_alone(environment: Environment) -> None:
    """Exchanges' connections keep their own addresses on the way through the balancer."""
    settings = Settings(inside_networks=environment.bidder.inside_networks)
    assert [str(network) for network in settings.networks()] == [environment.network.cidr, "127.0.0.0/8"]


@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=lambda each: each.name)
def test_a_task_can_be_busy_enough_to_shed(environment: Environment) -> None:
    """Its loop gets what the task has beside the side-car: the bound is below that, and not by much."""
    share = min(1.0, (environment.service.cpu - environment.observability.collector.cpu) / 1024)
    assert 0.9 * share < environment.bidder.max_busy < 0.96 * share
