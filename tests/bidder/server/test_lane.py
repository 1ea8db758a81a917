"""Who is let on the bid lane."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bidder.domain import Exchange
from bidder.metrics import Metrics
from bidder.pipeline import NO_CONTENT, Answer
from bidder.server.body import BodyError
from bidder.server.headers import Asked
from bidder.server.lane import Lane


class Pipeline:
    """Answers at once, and remembers what it was given."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def start(self, body: bytes, exchange: Exchange, arrived_s: float, answered: Callable[[Answer], None]) -> None:
        self.bodies.append(body)
        answered(NO_CONTENT)


class Lag:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(["generic", "slow"])


def lane_of(pipeline: Pipeline, metrics: Metrics, lag: Lag, max_in_flight: int = 2) -> Lane:
    exchanges = {name: Exchange(name, default_tmax_ms=tmax) for name, tmax in (("generic", 100), ("slow", 1000))}
    return Lane(pipeline, exchanges, metrics, max_body_bytes=100, max_in_flight=max_in_flight, lag=lag)  # type: ignore[arg-type]


@pytest.mark.parametrize(("path", "name"), [("/openrtb2/bid", "generic"), ("/openrtb2/bid/", "generic")])
def test_a_path_names_an_exchange(path: str, name: str) -> None:
    """Without a name it is the generic one."""
    assert Lane.name_of(path) == name
    assert Lane.name_of("/openrtb2/bid/slow") == "slow"
    assert Lane.name_of("/openrtb2/bidder") is None
    assert Lane.name_of("/healthz") is None


def test_a_turn_of_the_loop_that_lasts_sheds_what_it_has_read(metrics: Metrics) -> None:
    """By the exchange's own usual time; nothing of the request is looked at."""
    pipeline, lag, answers = Pipeline(), Lag(), list[Answer]()
    lane = lane_of(pipeline, metrics, lag)
    generic, slow = lane.stop("generic", "POST"), lane.stop("slow", "POST")
    lag.now_s = 0.06
    refused = lane.start(b"not gzip", Asked(gzipped=True), generic, 0.0, answers.append)
    assert refused is not None
    assert (refused.status, refused.outcome, pipeline.bodies) == (204, "overload", [])
    assert metrics.no_bids["overload"] == 1
    assert lane.start(b"{}", Asked(), slow, 0.0, answers.append) is None
    assert (pipeline.bodies, answers) == ([b"{}"], [NO_CONTENT])


def test_bids_under_way_are_counted_and_bounded(metrics: Metrics) -> None:
    """Until `ended`; a body that cannot be read takes no place."""
    lane = lane_of(Pipeline(), metrics, Lag())
    stop = lane.stop("generic", "POST")
    with pytest.raises(BodyError):
        lane.start(b"not gzip", Asked(gzipped=True), stop, 0.0, lambda _: None)
    admitted = [lane.start(b"{}", Asked(), stop, 0.0, lambda _: None) is None for _ in range(3)]
    assert (admitted, metrics.in_flight) == ([True, True, False], 2)
    lane.ended()
    assert lane.start(b"{}", Asked(), stop, 0.0, lambda _: None) is None
