"""Histograms for CloudWatch: a line in its Embedded Metric Format for each, with what was observed since the last.

The rule kept here: percentiles are made of these lines by CloudWatch, over all processes together, so a line has the
whole distribution. What collectors make of a Prometheus histogram for CloudWatch is its sum and its count, of which
no percentile can be told (decision 9). A bucket's count is spread evenly over the bucket, as `histogram_quantile` does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import orjson

from bidder.metrics import Buckets

Histograms = Callable[[], Iterable[tuple[str, Mapping[str, str], Buckets]]]
"""Name, labels and state of every histogram."""

PLACES = 4
"""A bucket's count stands at so many values inside it. The format takes 100 values, and no histogram has more than 24
bounds."""

_DIMENSIONS = ("stage", "role")  # others, such as the endpoint's name, would make a new metric of each deployment


def spread(bounds: Sequence[float], counts: Sequence[int]) -> dict[float, int]:
    """Values and how often each stands for an observation. `counts` has one more than `bounds`: what is above the last
    bound counts as the last bound."""
    values: dict[float, int] = {}
    lower = 0.0
    for upper, count in zip(bounds, counts, strict=False):
        for place in range(PLACES):
            share = count * (place + 1) // PLACES - count * place // PLACES
            if share:
                values[lower + (upper - lower) * (place + 0.5) / PLACES] = share
        lower = upper
    if counts[-1]:
        values[lower] = counts[-1]
    return values


class HistogramLines:
    """Hands a line for each histogram that grew to `write`, every `interval_s` between `start` and `stop`, and once
    more when it is stopped. `service` is the value of the dimension Service."""

    def __init__(
        self,
        namespace: str,
        service: str,
        histograms: Histograms,
        write: Callable[[str], object],
        *,
        interval_s: float = 60.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._namespace = namespace
        self._service = service
        self._histograms = histograms
        self._write = write
        self._interval_s = interval_s
        self._clock = clock
        self._last: dict[tuple[str, ...], tuple[list[int], float]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin, on the running loop."""
        self._timer = asyncio.get_running_loop().call_later(self._interval_s, self._tick)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self.put_out()

    def put_out(self) -> None:
        """A line for each histogram that has grown since it was called last."""
        for name, labels, histogram in self._histograms():
            key = (name, *labels.values())
            counts, total = list(histogram.counts), histogram.total
            before, total_before = self._last.get(key, ([0] * len(counts), 0.0))
            self._last[key] = counts, total
            grown = [now - then for now, then in zip(counts, before, strict=True)]
            if any(grown):
                self._write(self._line(name, labels, spread(histogram.bounds, grown), total - total_before))

    def _line(self, name: str, labels: Mapping[str, str], values: Mapping[float, int], total: float) -> str:
        dimensions = {"Service": self._service} | {label: labels[label] for label in _DIMENSIONS if label in labels}
        unit = "Seconds" if name.endswith("_seconds") else "Count"
        told = {
            "Namespace": self._namespace,
            "Dimensions": [[*dimensions]],
            "Metrics": [{"Name": name, "Unit": unit}],
        }
        distribution = {
            "Values": list(values),
            "Counts": list(values.values()),
            "Min": min(values),
            "Max": max(values),
            "Count": sum(values.values()),
            "Sum": total,
        }
        about = {"Timestamp": int(self._clock() * 1000), "CloudWatchMetrics": [told]}
        return orjson.dumps({"_aws": about, **dimensions, name: distribution}).decode()

    def _tick(self) -> None:
        self.start()
        self.put_out()
