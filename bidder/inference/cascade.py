"""Who answers: the tiers in order, the last of which always does.

The rule kept here: a bid always gets scores. A tier that fails, or does not answer within its share of the time left,
passes the question on; the prior closes the row. Shadow copies go out beside it, never change the answer and are the
first thing to be dropped.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bidder.domain import Rows, Scores
from bidder.inference.batcher import Batcher
from bidder.inference.errors import InferenceError

logger = logging.getLogger(__name__)


class Tier(Protocol):
    """One way to get scores."""

    @property
    def name(self) -> str:
        """The `source` of its scores, and its label in the metrics."""
        ...

    def score(self, rows: Rows, priors: Sequence[float], deadline_s: float) -> asyncio.Future[Scores]:
        """Start scoring. The future ends by `deadline_s` (of `loop.time()`), with scores or an InferenceError."""
        ...


class SageMakerTier:
    """One target of a SageMaker endpoint, through its batcher."""

    __slots__ = ("_batcher", "name")

    def __init__(self, batcher: Batcher, name: str = "sagemaker") -> None:
        self._batcher = batcher
        self.name = name

    def score(self, rows: Rows, priors: Sequence[float], deadline_s: float) -> asyncio.Future[Scores]:
        return self._batcher.submit(rows, deadline_s)


class SplitTier:
    """Sends each auction to one of several tiers, by weight: a test of variants that the bidder chooses."""

    __slots__ = ("_random", "_tiers", "_weights", "name")

    def __init__(
        self, tiers: Sequence[tuple[Tier, float]], *, name: str = "sagemaker", rng: random.Random | None = None
    ) -> None:
        if not tiers or min(weight for _, weight in tiers) < 0 or sum(weight for _, weight in tiers) <= 0:
            raise ValueError("variants need weights of 0 or more, and at least one above 0")
        self.name = name
        self._tiers = [tier for tier, _ in tiers]
        self._weights = [weight for _, weight in tiers]
        self._random = rng or random.Random()

    def score(self, rows: Rows, priors: Sequence[float], deadline_s: float) -> asyncio.Future[Scores]:
        (tier,) = self._random.choices(self._tiers, self._weights)
        return tier.score(rows, priors, deadline_s)


class PriorTier:
    """The campaigns' own prior probabilities: no I/O, no failure."""

    __slots__ = ("_loop",)
    name = "prior"

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def score(self, rows: Rows, priors: Sequence[float], deadline_s: float) -> asyncio.Future[Scores]:
        future: asyncio.Future[Scores] = self._loop.create_future()
        future.set_result(Scores(priors, self.name))
        return future


@dataclass(frozen=True, slots=True)
class Step:
    """A tier and the share (0 to 1] of the time left when it is asked that it may use."""

    tier: Tier
    share: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 < self.share <= 1.0:
            raise ValueError(f"tier {self.tier.name}: a share of {self.share}; must be above 0, at most 1")


class Shadow:
    """A tier that gets copies of a share `rate` of the questions. Its answers are counted and thrown away.

    At most `max_in_flight` copies are under way, and none starts while `busy()` says that the answering tiers queue.
    """

    __slots__ = ("_busy", "_max", "_random", "_rate", "_tier", "answered", "dropped", "failed", "in_flight")

    def __init__(
        self,
        tier: Tier,
        rate: float,
        *,
        busy: Callable[[], bool],
        max_in_flight: int = 64,
        rng: random.Random | None = None,
    ) -> None:
        self._tier = tier
        self._rate = rate
        self._busy = busy
        self._max = max_in_flight
        self._random = rng or random.Random()
        self.in_flight = self.answered = self.failed = self.dropped = 0

    def copy(self, rows: Rows, priors: Sequence[float], deadline_s: float) -> None:
        if self._random.random() >= self._rate:
            return
        if self.in_flight >= self._max or self._busy():
            self.dropped += 1
            return
        self.in_flight += 1
        try:
            self._tier.score(rows, priors, deadline_s).add_done_callback(self._done)
        except Exception:  # whatever a shadow does wrong, the bid goes on
            self.in_flight -= 1
            self.failed += 1

    def _done(self, future: asyncio.Future[Scores]) -> None:
        self.in_flight -= 1
        if future.cancelled() or future.exception() is not None:
            self.failed += 1
        else:
            self.answered += 1


class Cascade:
    """Asks `steps` in order, then the prior. Construct inside the running loop.

    `answers` counts auctions by the tier that answered, `fallbacks` by the tier that did not.
    """

    def __init__(self, steps: Sequence[Step], *, shadow: Shadow | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._steps = (*steps, Step(PriorTier()))  # the prior never fails, so there is always a next step to fall to
        self.shadow = shadow
        self.answers: dict[str, int] = {step.tier.name: 0 for step in self._steps}
        self.fallbacks: dict[str, int] = {step.tier.name: 0 for step in steps}

    def score(self, rows: Rows, priors: Sequence[float], deadline_s: float) -> asyncio.Future[Scores]:
        """The scores of `rows`, by `deadline_s` (of `loop.time()`).

        `priors` has one probability a row. The future never fails; it can be cancelled.
        """
        answer: asyncio.Future[Scores] = self._loop.create_future()
        _Question(self, rows, priors, deadline_s, answer).ask(self._steps)
        if self.shadow is not None:
            self.shadow.copy(rows, priors, deadline_s)
        return answer


class _Question:
    """One auction's way down the cascade: the callback of the tier that is asked."""

    __slots__ = ("_answer", "_cascade", "_deadline_s", "_priors", "_rows", "_steps")

    def __init__(
        self, cascade: Cascade, rows: Rows, priors: Sequence[float], deadline_s: float, answer: asyncio.Future[Scores]
    ) -> None:
        self._cascade = cascade
        self._rows = rows
        self._priors = priors
        self._deadline_s = deadline_s
        self._answer = answer
        self._steps: tuple[Step, ...] = ()

    def ask(self, steps: tuple[Step, ...]) -> None:
        self._steps = steps
        deadline_s, share = self._deadline_s, steps[0].share
        if share < 1.0:
            now = self._cascade._loop.time()
            deadline_s = now + (deadline_s - now) * share
        try:
            future = steps[0].tier.score(self._rows, self._priors, deadline_s)
        except Exception:  # a tier must not raise here; if one does, the bid is not what should suffer
            logger.exception("tier %s failed to take a question", steps[0].tier.name)
            self._fall()
            return
        if future.done():
            self(future)
        else:
            future.add_done_callback(self)

    def __call__(self, future: asyncio.Future[Scores]) -> None:
        error = asyncio.CancelledError() if future.cancelled() else future.exception()
        if error is None:
            self._settle(future.result())
            return
        if not isinstance(error, InferenceError | asyncio.CancelledError):
            logger.error("tier %s failed in an unknown way", self._steps[0].tier.name, exc_info=error)
        self._fall()

    def _fall(self) -> None:
        self._cascade.fallbacks[self._steps[0].tier.name] += 1
        self.ask(self._steps[1:])

    def _settle(self, scores: Scores) -> None:
        answers = self._cascade.answers
        answers[scores.source] = answers.get(scores.source, 0) + 1
        if not self._answer.done():
            self._answer.set_result(scores)
