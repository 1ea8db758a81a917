"""The cascade: hand-written tiers, no sockets."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest

from bidder.domain import Rows, Scores
from bidder.inference.cascade import Cascade, PriorTier, Shadow, SplitTier, Step
from bidder.inference.errors import BreakerOpen, Timeout

_ROWS, _PRIORS = Rows(2, b"1\n2\n"), (0.01, 0.02)


class HandTier:
    """A tier whose futures the test ends; it notes the deadlines it was given."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.futures: list[asyncio.Future[Scores]] = []
        self.deadlines: list[float] = []

    def score(self, rows: Rows, priors: Sequence[float], deadline_s: float) -> asyncio.Future[Scores]:
        future: asyncio.Future[Scores] = asyncio.get_running_loop().create_future()
        self.futures.append(future)
        self.deadlines.append(deadline_s)
        return future


class BrokenTier(HandTier):
    def score(self, rows: Rows, priors: Sequence[float], deadline_s: float) -> asyncio.Future[Scores]:
        raise RuntimeError("a bug")


def _deadline(within_s: float = 10.0) -> float:
    return asyncio.get_running_loop().time() + within_s


async def test_first_tier_answers() -> None:
    """The first tier's scores are the answer, and the second is not asked."""
    first, second = HandTier("sagemaker"), HandTier("local")
    cascade = Cascade([Step(first), Step(second)])
    answer = cascade.score(_ROWS, _PRIORS, _deadline())
    first.futures[0].set_result(Scores([0.3, 0.4], "sagemaker", "blue"))
    assert await answer == Scores([0.3, 0.4], "sagemaker", "blue")
    assert not second.futures
    assert cascade.answers == {"sagemaker": 1, "local": 0, "prior": 0}


async def test_failing_tiers_fall_to_the_prior(kit: Any) -> None:
    """Tier after tier is asked as each fails; at last the priors answer, and every fall is counted."""
    first, second = HandTier("sagemaker"), HandTier("local")
    cascade = Cascade([Step(first), Step(second)])
    answer = cascade.score(_ROWS, _PRIORS, _deadline())
    first.futures[0].set_exception(Timeout("late"))
    await kit.until(lambda: second.futures)
    second.futures[0].set_exception(BreakerOpen("resting"))
    assert await answer == Scores(_PRIORS, "prior")
    assert cascade.fallbacks == {"sagemaker": 1, "local": 1}
    assert cascade.answers["prior"] == 1


async def test_tier_that_fails_at_once_costs_no_turn_of_the_loop() -> None:
    """A refusal on the spot is passed on on the spot."""
    tier = HandTier("sagemaker")
    refused: asyncio.Future[Scores] = asyncio.get_running_loop().create_future()
    refused.set_exception(BreakerOpen("resting"))
    tier.score = lambda *_: refused  # type: ignore[method-assign]
    assert Cascade([Step(tier)]).score(_ROWS, _PRIORS, _deadline()).done()


async def test_without_tiers_the_prior_answers_synchronously() -> None:
    """No endpoint at all: the priors, at once."""
    answer = Cascade(()).score(_ROWS, _PRIORS, _deadline())
    assert answer.result() == Scores(_PRIORS, "prior")
    assert PriorTier().score(_ROWS, _PRIORS, 0.0).result().values is _PRIORS


async def test_tier_gets_its_share_of_the_time(kit: Any) -> None:
    """Half of the time left for the first, then half of what is left for the second; all of it by default."""
    first, second, third = HandTier("a"), HandTier("b"), HandTier("c")
    cascade = Cascade([Step(first, 0.5), Step(second, 0.5), Step(third)])
    deadline_s = _deadline(1000.0)
    cascade.score(_ROWS, _PRIORS, deadline_s)
    first.futures[0].set_exception(Timeout("late"))
    await kit.until(lambda: second.futures)
    second.futures[0].set_exception(Timeout("late"))
    await kit.until(lambda: third.futures)
    assert deadline_s - first.deadlines[0] == pytest.approx(500, abs=100)
    assert deadline_s - second.deadlines[0] == pytest.approx(500, abs=100)
    assert third.deadlines == [deadline_s]
    third.futures[0].cancel()


async def test_tier_with_a_bug_does_not_harm_the_bid(caplog: pytest.LogCaptureFixture) -> None:
    """A tier that raises, or fails in a way of its own, is logged and passed by."""
    odd = HandTier("odd")
    cascade = Cascade([Step(BrokenTier("broken")), Step(odd)])
    answer = cascade.score(_ROWS, _PRIORS, _deadline())
    odd.futures[0].set_exception(ZeroDivisionError())
    assert (await answer).source == "prior"
    assert "tier broken failed to take a question" in caplog.text
    assert "tier odd failed in an unknown way" in caplog.text


async def test_cancelled_answer_is_left_alone() -> None:
    """A caller that went away is not an error when the tier answers."""
    tier = HandTier("sagemaker")
    answer = Cascade([Step(tier)]).score(_ROWS, _PRIORS, _deadline())
    answer.cancel()
    tier.futures[0].set_result(Scores([0.3, 0.4], "sagemaker"))
    await asyncio.sleep(0)
    assert answer.cancelled()


async def test_tier_that_cancels_its_future_is_passed_by() -> None:
    """A tier's cancelled future is a failure of the tier, not of the bid."""
    tier = HandTier("sagemaker")
    answer = Cascade([Step(tier)]).score(_ROWS, _PRIORS, _deadline())
    tier.futures[0].cancel()
    assert (await answer).source == "prior"


async def test_variants_are_chosen_by_weight() -> None:
    """With weights of 3 to 1, three quarters go to the first; a weight of 0 gets none."""
    tiers = [HandTier("blue"), HandTier("green"), HandTier("off")]
    split = SplitTier(list(zip(tiers, (3.0, 1.0, 0.0), strict=True)), rng=random.Random(1))
    for _ in range(1000):
        split.score(_ROWS, _PRIORS, 0.0).cancel()
    assert [len(tier.futures) for tier in tiers] == [pytest.approx(750, abs=60), pytest.approx(250, abs=60), 0]


@pytest.mark.parametrize("weights", [[], [0.0], [1.0, -1.0]])
def test_weights_that_cannot_be(weights: list[float]) -> None:
    """Weights must leave something to choose."""
    with pytest.raises(ValueError, match="weights"):
        SplitTier([(HandTier("x"), weight) for weight in weights])


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1])
def test_share_that_cannot_be(share: float) -> None:
    """A share of the time is above 0 and at most 1."""
    with pytest.raises(ValueError, match="share"):
        Step(HandTier("x"), share)


async def test_shadow_never_changes_the_answer() -> None:
    """Copies go to the shadow; whatever it answers, raises or leaves open, the answer is the first tier's."""
    tier, copy = HandTier("sagemaker"), HandTier("shadow")
    shadow = Shadow(copy, 1.0, busy=lambda: False)
    cascade = Cascade([Step(tier)], shadow=shadow)
    answers = [cascade.score(_ROWS, _PRIORS, _deadline()) for _ in range(3)]
    copy.futures[0].set_result(Scores([0.9, 0.9], "shadow"))
    copy.futures[1].set_exception(Timeout("late"))
    for future in tier.futures:
        future.set_result(Scores([0.3, 0.4], "sagemaker"))
    assert [list((await answer).values) for answer in answers] == [[0.3, 0.4]] * 3
    assert (shadow.answered, shadow.failed, shadow.in_flight) == (1, 1, 1)
    broken = Cascade([], shadow=Shadow(BrokenTier("shadow"), 1.0, busy=lambda: False))
    assert (await broken.score(_ROWS, _PRIORS, _deadline())).source == "prior"


async def test_shadow_is_bounded_and_dropped_first(kit: Any) -> None:
    """No more copies than the bound, none while the answering tiers queue, and the rate holds."""
    copy, busy = HandTier("shadow"), [False]
    shadow = Shadow(copy, 1.0, busy=lambda: busy[0], max_in_flight=2)
    cascade: Any = Cascade([], shadow=shadow)
    for _ in range(5):
        cascade.score(_ROWS, _PRIORS, _deadline())
    assert (shadow.in_flight, shadow.dropped) == (2, 3)
    for future in copy.futures:
        future.cancel()
    await kit.until(lambda: not shadow.in_flight)
    busy[0] = True
    cascade.score(_ROWS, _PRIORS, _deadline())
    assert (len(copy.futures), shadow.dropped) == (2, 4)
    rare = Shadow(copy, 0.1, busy=lambda: True, rng=random.Random(2))
    for _ in range(1000):
        rare.copy(_ROWS, _PRIORS, 0.0)
    assert rare.dropped == pytest.approx(100, abs=40)
