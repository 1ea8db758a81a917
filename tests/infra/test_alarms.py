"""Alarms: that each is wanted, tells somebody, says what no data means, and is in the runbook; and when it goes off."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from infra.alarms import FAST_BURN, SLOW_BURN
from infra.environments import DEV, PROD
from tests.infra.observed import Observed, metrics_of, observed

RUNBOOK = Path(__file__).parents[2] / "docs" / "runbook.md"
LIMITS = PROD.observability.alarms
PARTS = {"burn-fast-60-min", "burn-fast-5-min", "burn-slow-360-min", "burn-slow-30-min"}


@pytest.fixture(scope="module")
def seen() -> Observed:
    return observed()["ecs"]


def anchors() -> set[str]:
    """Of the runbook's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", RUNBOOK.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def value_of(alarm: dict[str, Any], **values: float | None) -> float | None:
    """What the alarm's expression comes to where its metrics have these values; None: no data. Both branches of IF are
    taken, which is the stricter reading."""
    (expression,) = [each["Expression"] for each in alarm["Metrics"] if "Expression" in each]
    functions: dict[str, Any] = {
        "IF": lambda when, then, otherwise: then if when else otherwise,
        "FILL": lambda found, instead: instead if found is None else found,
    }
    try:
        return float(eval(expression, {"__builtins__": {}}, functions | values))
    except (ZeroDivisionError, TypeError):
        return None


def breaches(alarm: dict[str, Any], **values: float | None) -> bool:
    """No data does not, in all alarms that have an expression."""
    found = value_of(alarm, **values)
    assert alarm["TreatMissingData"] == "notBreaching"
    assert alarm["ComparisonOperator"] == "GreaterThanThreshold"
    return found is not None and found > alarm["Threshold"]


def test_there_are_the_alarms_that_there_should_be(seen: Observed) -> None:
    """One for each trouble, and one for each exchange and variant where that makes a difference."""
    throttled = {f"throttle-risk-{exchange}" for exchange in PROD.observability.exchanges}
    assert set(seen.alarms()) == PARTS | throttled | {
        "deadline-misses", "no-traffic", "traffic-anomaly", "error-budget-fast", "error-budget-slow", "breaker-open",
        "fallback-share", "endpoint-errors-champion", "endpoint-errors-challenger", "not-ready", "catalog-stale",
        "event-loop-lag", "bugs", "unhealthy-hosts", "cache-evictions",
    }  # fmt: skip


def test_without_balancer_cache_and_daily_shape_their_alarms_are_not_there() -> None:
    """Nothing watches what is not there."""
    found = set(observed()["eks"].alarms())
    assert not found & {"unhealthy-hosts", "cache-evictions", "traffic-anomaly", "no-traffic"}
    assert "throttle-risk-generic" in found


@pytest.mark.parametrize("platform", ["ecs", "eks"])
def test_every_alarm_points_at_its_place_in_the_runbook(platform: str) -> None:
    """A heading that is there."""
    known = anchors()
    for name, alarm in observed()[platform].alarms().items():
        if name not in PARTS:
            found = re.search(rf"Runbook: {re.escape(LIMITS.runbook_url)}#([\w-]+) ", alarm["AlarmDescription"])
            assert found, name
            assert found.group(1) in known, name
            assert name.startswith(found.group(1))


def test_the_runbook_tells_the_same_four_things_of_each(seen: Observed) -> None:
    """What it means, what to look at, what to do, when it is over."""
    told = {name for name in seen.alarms() if name not in PARTS}
    sections = re.split(r"^## ", RUNBOOK.read_text(), flags=re.MULTILINE)[1:]
    of_alarms = {section.partition("\n")[0]: section for section in sections if "**Means.**" in section}
    for title, section in of_alarms.items():
        for part in ("**Means.**", "**Look at.**", "**Do.**", "**Over.**"):
            assert part in section, (title, part)
        anchor = title.lower().replace(" ", "-")
        assert any(name == anchor or name.startswith(f"{anchor}-") for name in told), title


def test_somebody_is_told_when_it_begins_and_when_it_ends(seen: Observed) -> None:
    """The topic; of a part nobody is told."""
    (topic,) = seen.all("AWS::SNS::Topic")
    for name, alarm in seen.alarms().items():
        if name in PARTS:
            assert not alarm["ActionsEnabled"]
            assert "AlarmActions" not in alarm
        else:
            assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": topic}], name


def test_every_alarm_says_what_no_data_means_and_why(seen: Observed) -> None:
    """Chosen for each: silence is bad where silence is what is looked for, and nowhere else."""
    treated = {}
    for name, alarm in seen.alarms().items():
        if "AlarmRule" not in alarm:
            treated[name] = alarm["TreatMissingData"]
            assert "no data: " in alarm["AlarmDescription"], name
    assert {name for name, how in treated.items() if how == "breaching"} == {"not-ready", "no-traffic"}
    assert {name for name, how in treated.items() if how == "ignore"} == {"traffic-anomaly"}
    assert set(treated.values()) == {"breaching", "ignore", "notBreaching"}


@pytest.mark.parametrize(("speed", "rate", "minutes"), [("fast", FAST_BURN, (60, 5)), ("slow", SLOW_BURN, (360, 30))])
def test_the_error_budget_is_watched_in_two_windows(
    seen: Observed, speed: str, rate: float, minutes: tuple[int, int]
) -> None:
    """The long and the short one have to burn at once."""
    ids = {found["AlarmName"]: logical_id for logical_id, found in seen.all("AWS::CloudWatch::Alarm").items()}
    alarms, rule = seen.alarms(), json.dumps(seen.alarms()[f"error-budget-{speed}"]["AlarmRule"])
    assert rule.count(" AND ") == 1
    for window in minutes:
        part = alarms[f"burn-{speed}-{window}-min"]
        assert part["Threshold"] == pytest.approx(rate * LIMITS.error_budget_percent)
        assert {each["MetricStat"]["Period"] for each in part["Metrics"] if "MetricStat" in each} == {window * 60}
        assert ids[part["AlarmName"]] in rule


def test_the_rate_of_burning_is_of_all_that_went_wrong(seen: Observed) -> None:
    """Late, unheard, shed and failed answers, of all requests; a quiet hour is not judged."""
    alarm = seen.alarms()["burn-fast-60-min"]
    assert value_of(alarm, requests=1_000_000, late=5_000, gone=None, shed=2_000, failed=1_000) == pytest.approx(0.8)
    assert not breaches(alarm, requests=1_000_000, late=40_000, gone=10_000, shed=10_000, failed=10_000)
    assert breaches(alarm, requests=1_000_000, late=40_000, gone=10_000, shed=10_000, failed=20_000)
    assert not breaches(alarm, requests=100, late=100, gone=0, shed=0, failed=0)


def test_throttling_is_warned_of_below_where_google_begins(seen: Observed) -> None:
    """15 % timed-out or invalid answers cost queries a second; late, unheard and broken ones are added up."""
    alarm = seen.alarms()["throttle-risk-google"]
    assert alarm["Threshold"] < 15
    quiet = {"broken": 0, "checked": 1000}
    assert not breaches(alarm, requests=10_000, late=700, gone=200, **quiet)
    assert breaches(alarm, requests=10_000, late=900, gone=200, **quiet)
    assert breaches(alarm, requests=10_000, late=None, gone=None, broken=110, checked=1000)
    assert breaches(alarm, requests=10_000, late=900, gone=200, broken=None, checked=None)
    assert not breaches(alarm, requests=10, late=10, gone=0, **quiet)
    exchanges = {
        dimension["Value"]
        for metric in metrics_of(alarm)
        for dimension in metric["Dimensions"]
        if dimension["Name"] == "exchange"
    }
    assert exchanges == {"google"}


def test_late_answers_are_a_share_of_all(seen: Observed) -> None:
    """Two in a hundred."""
    alarm = seen.alarms()["deadline-misses"]
    assert not breaches(alarm, requests=10_000, late=150)
    assert breaches(alarm, requests=10_000, late=250)
    assert not breaches(alarm, requests=None, late=None)


def test_fallback_share_is_of_all_auctions_that_were_scored(seen: Observed) -> None:
    """One without a score of the model is wholly on priors."""
    alarm = seen.alarms()["fallback-share"]
    assert not breaches(alarm, sagemaker=8_000, prior=1_000)
    assert breaches(alarm, sagemaker=7_000, prior=3_000)
    assert breaches(alarm, sagemaker=None, prior=10_000)
    assert not breaches(alarm, sagemaker=None, prior=None)


def test_errors_of_the_endpoint_are_judged_by_variant(seen: Observed) -> None:
    """4xx are ours, 5xx are theirs; both leave an auction without a score. A variant that is not asked is well."""
    alarm = seen.alarms()["endpoint-errors-challenger"]
    assert not breaches(alarm, calls=10_000, theirs=60, ours=30)
    assert breaches(alarm, calls=10_000, theirs=60, ours=50)
    assert not breaches(alarm, calls=None, theirs=None, ours=None)


def test_no_expression_has_more_metrics_than_an_alarm_may(seen: Observed) -> None:
    """Ten (CloudWatch quotas)."""
    for name, alarm in seen.alarms().items():
        assert len([each for each in alarm.get("Metrics", []) if "MetricStat" in each]) <= 10, name


def test_event_loop_lag_is_a_percentile_of_a_distribution(seen: Observed) -> None:
    """p99 of what the bidder writes itself."""
    alarm = seen.alarms()["event-loop-lag"]
    assert (alarm["MetricName"], alarm["ExtendedStatistic"]) == ("bidder_event_loop_lag_seconds", "p99")
    assert alarm["Threshold"] == pytest.approx(LIMITS.loop_lag_p99_ms / 1000)


def test_silence_is_not_judged_where_traffic_comes_and_goes() -> None:
    """In dev no number of requests is too small, but no bidder at all is not ready."""
    assert DEV.observability.alarms.min_requests_in_5_min == 0
    assert "no-traffic" not in observed()["eks"].alarms()
    assert observed()["eks"].alarms()["not-ready"]["TreatMissingData"] == "breaching"
