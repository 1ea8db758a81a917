"""The times of stopping and of idleness, held against each other and against what AWS allows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import pytest

from infra.environments import DEV, ENVIRONMENTS, BalancerSizes, Environment
from infra.stopping import FARGATE_LONGEST_STOP_S, notice_s, problems, stop_timeout_s

ALB = replace(DEV.balancer, kind="application")


@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=lambda each: each.name)
@pytest.mark.parametrize("kind", ["network", "application"])
def test_no_environment_loses_bids_behind_either_balancer(
    environment: Environment, kind: Literal["network", "application"]
) -> None:
    """SIGKILL after drain and stop; a drain as long as the balancer takes to notice; idle connections kept for long."""
    assert problems(environment.bidder, replace(environment.balancer, kind=kind)) == []


def test_sigkill_comes_after_the_drain_and_the_stop() -> None:
    """By a margin, whatever fraction of a second they are."""
    settings = replace(DEV.bidder, drain_s=12.3, stop_s=4.5)
    assert stop_timeout_s(settings) > settings.drain_s + settings.stop_s + 1


def test_a_balancer_notices_after_as_many_checks_as_it_wants() -> None:
    """And the time-out of the last."""
    assert notice_s(replace(DEV.balancer, health_interval_s=10, unhealthy_count=3, health_timeout_s=6)) == 36


@pytest.mark.parametrize(
    ("balancer", "changed", "said"),
    [
        (DEV.balancer, {"drain_s": 5.0}, "the balancer notices after 12 s"),
        (DEV.balancer, {"stop_s": 110.0}, f"at most {FARGATE_LONGEST_STOP_S} s can be"),
        (DEV.balancer, {"stop_s": 50.0}, "the balancer forgets a target after 60 s, which bids for 65.0 s"),
        (DEV.balancer, {"keep_alive_s": 180}, "the bidder keeps idle connections for 180 s, exchanges for 300 s"),
        (DEV.balancer, {"keep_alive_s": 400}, "the bidder keeps idle connections for 400 s, the balancer for 350 s"),
        (ALB, {"keep_alive_s": 305}, "the balancer keeps idle connections for 310 s, the bidder for 305 s"),
        (replace(ALB, idle_s=60), {}, "the balancer drops idle connections after 60 s, exchanges keep them for 300 s"),
    ],
)
def test_what_would_lose_bids_is_said(balancer: BalancerSizes, changed: dict[str, Any], said: str) -> None:
    """With both figures."""
    found = problems(replace(DEV.bidder, **changed), balancer)
    assert any(said in problem for problem in found), found
