"""A run as one JSON document: what is written, shown and judged.

The rule: plain values only, units in the names, absent figures null; nothing in it has to be computed again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from loadtest.engine import Outcome, Result, Tally
from loadtest.load.thresholds import ALWAYS, Threshold
from loadtest.scrape import Metrics

PERCENTS = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99)
SPECTRUM = tuple(100 * (1 - 10 ** -(step / 20)) for step in range(101))  # even on a logarithmic axis, to 99.999 %
DROPPED = (Outcome.DROPPED_NO_CONNECTION, Outcome.DROPPED_BEHIND)

Json = dict[str, Any]


def document(result: Result, thresholds: Sequence[Threshold], settings: Json) -> Json:
    summary = _summary(result)
    tally = result.tally
    checked = []
    for threshold in (*ALWAYS, *thresholds):
        value = threshold.value(summary, tally.latency_ms)
        checked.append({"text": threshold.text, "value": threshold.shown(value), "held": threshold.holds(value)})
    return {
        "kind": "run",
        "started_at": result.started_at,
        "machine": result.machine,
        "settings": settings,
        "passed": all(each["held"] for each in checked),
        "thresholds": checked,
        "limits": result.limits,
        "problems": result.problems,
        "summary": summary,
        "outcomes": {outcome.value: tally.outcomes[outcome] for outcome in Outcome},
        "statuses": {str(status): count for status, count in sorted(tally.statuses.items())},
        "warm_up": {outcome.value: count for outcome, count in result.warm_up.outcomes.items()},
        "spectrum": _spectrum(tally),
        "over_time": [_moment(result, number, each) for number, each in enumerate(result.intervals)],
        "processes": _processes(result),
        "workers": [
            {
                "cores": round(worker.cores, 4),
                "peak_mb": _mb(worker.peak_bytes),
                "send_lag_p99_ms": _ms(worker.send_lag_p99_us),
            }
            for worker in result.workers
        ],
        "stages": _stages(result.metrics) if result.metrics is not None else [],
        "no_bid_reasons": dict(result.metrics.by("bidder_no_bids_total", "reason")) if result.metrics else {},
        "scores": dict(result.metrics.by("bidder_scores_total", "source")) if result.metrics else {},
        "judged": {
            "answers": result.judged.answers,
            "bids": dict(result.judged.bids),
            "violations": dict(result.judged.violations),
            "examples": result.judged.examples,
        },
    }


def _summary(result: Result) -> Json:
    tally = result.tally
    values = tally.latency_us.percentiles(PERCENTS)
    latency = {f"p{percent:g}": _ms(value) for percent, value in zip(PERCENTS, values, strict=True)}
    latency |= {"mean": _ms(tally.latency_us.mean), "max": _ms(tally.latency_us.highest)}
    outcomes = {outcome.value: tally.outcomes[outcome] for outcome in Outcome}
    return outcomes | {
        "due": tally.due,
        "sent": tally.sent,
        "good": tally.good,
        "errors": tally.errors,
        "error_share": tally.error_share,
        "bid_share": tally.bid_share,
        "dropped": sum(tally.outcomes[outcome] for outcome in DROPPED),
        "late_sends": tally.late_sends,
        "wrong_ids": result.wrong_ids,
        "strays": result.strays,
        "judged": result.judged.answers,
        "violations": result.judged.violations.total(),
        "shed": _shed(result.metrics),
        "due_per_s": result.due_per_s,
        "answers_per_s": result.answers_per_s,
        "latency_ms": latency,
        "send_lag_ms": {f"p{percent}": _ms(tally.send_lag_us.percentile(percent)) for percent in (50, 99)},
    }


def _shed(metrics: Metrics | None) -> int:
    """Requests that the bidder answered without looking at them, as it says itself; 0 where it says nothing."""
    return int(metrics.total("bidder_no_bids_total", reason="overload")) if metrics else 0


def _spectrum(tally: Tally) -> list[list[float]]:
    """[percent, ms] up to as many nines as the count can tell."""
    count = len(tally.latency_us)
    wanted = [percent for percent in SPECTRUM if count * (1 - percent / 100) >= 1] if count else []
    found = zip(wanted, tally.latency_us.percentiles(wanted), strict=True)
    return [[round(percent, 5), us / 1000] for percent, us in found]


def _moment(result: Result, number: int, tally: Tally) -> Json:
    width_s = result.plan.interval_s
    lasted_s = min(width_s, result.plan.duration_s - number * width_s)
    p50, p99 = tally.latency_us.percentiles((50, 99))
    return {
        "at_s": number * width_s,
        "due_per_s": tally.due / lasted_s,
        "good_per_s": tally.good / lasted_s,
        "errors_per_s": tally.errors / lasted_s,
        "p50_ms": _ms(p50),
        "p99_ms": _ms(p99),
        "max_ms": _ms(tally.latency_us.highest),
    }


def _processes(result: Result) -> Json:
    found: Json = {}
    for name, usage in result.usage.items():
        first = usage.samples[0]
        cost_us = result.cpu_us_per_request(name)
        found[name] = {
            "cores": round(usage.cores, 4),
            "cpu_us_per_request": round(cost_us, 1) if cost_us is not None else None,
            "peak_mb": _mb(usage.peak_bytes),
            "over_time": [
                {
                    "at_s": round(after.at_s - first.at_s, 3),
                    "cores": round((after.cpu_s - before.cpu_s) / (after.at_s - before.at_s), 4),
                    "mb": _mb(after.memory_bytes),
                }
                for before, after in zip(usage.samples, usage.samples[1:], strict=False)
            ],
        }
    if not found and result.metrics is not None and result.closing_metrics is not None:
        cpu_s = result.metrics.total("process_cpu_seconds_total")
        if cpu_s:  # the process's own account: where it runs elsewhere
            found["server"] = {
                "cores": round(cpu_s / result.plan.duration_s, 4),
                "cpu_us_per_request": round(cpu_s / result.tally.sent * 1e6, 1) if result.tally.sent else None,
                "peak_mb": _mb(int(result.closing_metrics.total("process_resident_memory_bytes"))),
                "over_time": [],
            }
    return found


def _stages(metrics: Metrics) -> list[Json]:
    """Mean time of each stage of the bid path, the dearest first."""
    name = "bidder_stage_latency_seconds"
    stages = {dict(labels)["stage"] for (series, labels) in metrics.samples if series == f"{name}_count"}
    found = []
    for stage in stages:
        calls = metrics.total(f"{name}_count", stage=stage)
        if calls:
            spent_s = metrics.total(f"{name}_sum", stage=stage)
            found.append({"stage": stage, "calls": round(calls), "mean_us": round(spent_s / calls * 1e6, 2)})
    return sorted(found, key=lambda each: -each["mean_us"])


def _ms(us: float) -> float | None:
    return None if math.isnan(us) else round(us / 1000, 4)


def _mb(count: int) -> float:
    return round(count / 1e6, 1)
