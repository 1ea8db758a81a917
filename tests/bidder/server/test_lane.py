"""Who is let on the bid lane."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from bidder.domain import Exchange
from bidder.metrics import Metrics
from bidder.pipeline import NO_CONTENT, Answer, Arrival
from bidder.rounds import GROUP
from bidder.server.body import BodyError
from bidder.server.busy import Busy
from bidder.server.headers import Asked
from bidder.server.lane import Lane


class Pipeline:
    """Answers at once, and remembers what it was given."""

    def __init__(self) -> None:
        self.groups: list[list[bytes]] = []

    def take(self, arrivals: Iterable[Arrival]) -> None:
        group = list(arrivals)
        self.groups.append([arrival.body for arrival in group])
        for arrival in group:
            arrival.answered(NO_CONTENT)

    def send(self) -> None: ...


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(["generic", "slow"])


def lane_of(pipeline: Pipeline, metrics: Metrics, clock: Clock, max_in_flight: int = 2) -> Lane:
    exchanges = {name: Exchange(name, default_tmax_ms=tmax) for name, tmax in (("generic", 100), ("slow", 1000))}
    return Lane(pipeline, exchanges, metrics, max_body_bytes=100, max_in_flight=max_in_flight, clock=clock)  # type: ignore[arg-type]


@pytest.mark.parametrize(("path", "name"), [("/openrtb2/bid", "generic"), ("/openrtb2/bid/", "generic")])
def test_a_path_names_an_exchange(path: str, name: str) -> None:
    """Without a name it is the generic one."""
    assert Lane.name_of(path) == name
    assert Lane.name_of("/openrtb2/bid/slow") == "slow"
    assert Lane.name_of("/openrtb2/bidder") is None
    assert Lane.name_of("/healthz") is None


async def test_what_has_waited_too_long_is_shed(metrics: Metrics) -> None:
    """By the exchange's own usual time; nothing of the request is looked at."""
    pipeline, clock, answers = Pipeline(), Clock(), list[Answer]()
    lane = lane_of(pipeline, metrics, clock)
    for name in ("generic", "slow"):
        assert lane.start(b"of " + name.encode(), Asked(), lane.stop(name, "POST"), 0.0, answers.append) is None
    clock.now_s = 0.06
    await asyncio.sleep(0)
    assert pipeline.groups == [[b"of slow"]]
    assert [answer.outcome for answer in answers] == ["overload", "no_bid"]
    assert (answers[0].status, metrics.no_bids["overload"]) == (204, 1)


async def test_what_comes_in_one_turn_starts_together(metrics: Metrics) -> None:
    """When the turn is over, in order, in groups of a bounded size; nothing waits for a later turn."""
    pipeline, answers = Pipeline(), list[Answer]()
    lane = lane_of(pipeline, metrics, Clock(), max_in_flight=1000)
    bodies = [b"%d" % number for number in range(GROUP + 3)]
    for body in bodies:
        lane.start(body, Asked(), lane.stop("generic", "POST"), 0.0, answers.append)
    assert pipeline.groups == []
    await asyncio.sleep(0)
    assert pipeline.groups == [bodies[:GROUP], bodies[GROUP:]]
    lane.start(b"later", Asked(), lane.stop("generic", "POST"), 0.0, answers.append)
    await asyncio.sleep(0)
    assert pipeline.groups[2:] == [[b"later"]]
    assert len(answers) == GROUP + 4


async def test_bids_under_way_are_counted_and_bounded(metrics: Metrics) -> None:
    """Until they have their answers; a body that cannot be read takes no place."""
    lane = lane_of(Pipeline(), metrics, Clock())
    stop = lane.stop("generic", "POST")
    with pytest.raises(BodyError):
        lane.start(b"not gzip", Asked(gzipped=True), stop, 0.0, lambda _: None)
    admitted = [lane.start(b"{}", Asked(), stop, 0.0, lambda _: None) is None for _ in range(3)]
    assert (admitted, metrics.in_flight) == ([True, True, False], 2)
    metrics.in_flight -= 1
    assert lane.start(b"{}", Asked(), stop, 0.0, lambda _: None) is None


async def test_a_share_is_answered_at_once_where_there_is_too_much_to_do(metrics: Metrics) -> None:
    """Nothing of it is looked at, not even its compression; the others are taken."""
    pipeline, answers, busy = Pipeline(), list[Answer](), Busy(0.95)
    lane = Lane(pipeline, {"generic": Exchange("generic")}, metrics, max_body_bytes=100, max_in_flight=9, busy=busy)  # type: ignore[arg-type]
    busy.shed = 0.5
    at_once = [
        lane.start(b"%d" % number, Asked(gzipped=number % 2 == 1), lane.stop("generic", "POST"), 0.0, answers.append)
        for number in range(4)
    ]
    await asyncio.sleep(0)
    assert [answer and (answer.status, answer.outcome) for answer in at_once] == [None, (204, "overload")] * 2
    assert pipeline.groups == [[b"0", b"2"]]
    assert metrics.no_bids["overload"] == 2
