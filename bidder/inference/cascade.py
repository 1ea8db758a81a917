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

from msgspec import Struct

from bidder.domain import Rows, Scores
from bidder.inference.batcher import Asker, Batcher, Waiting
from bidder.inference.errors import InferenceError

logger = logging.getLogger(__name__)

Answered = Callable[[Scores], None]


class Tier(Protocol):
    """One way to get scores."""

    @property
    def name(self) -> str:
        """The `source` of its scores, and its label in the metrics."""
        ...

    def ask(self, rows: Rows, priors: Sequence[float], deadline_s: float, asker: Asker) -> None:
        """Start scoring. `asker` is told by `deadline_s` (of `loop.time()`): scores or an InferenceError."""
        ...


class SageMakerTier:
    """One target of a SageMaker endpoint, through its batcher."""

    __slots__ = ("_batcher", "name")

    def __init__(self, batcher: Batcher, name: str = "sagemaker") -> None:
        self._batcher = batcher
        self.name = name

    def ask(self, rows: Rows, priors: Sequence[float], deadline_s: float, asker: Asker) -> None:
        self._batcher.ask(rows, deadline_s, asker)


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

    def ask(self, rows: Rows, priors: Sequence[float], deadline_s: float, asker: Asker) -> None:
        (tier,) = self._random.choices(self._tiers, self._weights)
        tier.ask(rows, priors, deadline_s, asker)


class PriorTier:
    """The campaigns' own prior probabilities: no I/O, no failure."""

    __slots__ = ()
    name = "prior"

    def ask(self, rows: Rows, priors: Sequence[float], deadline_s: float, asker: Asker) -> None:
        asker.scored(Scores(priors, self.name))


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

    __slots__ = ("_busy", "_max", "_random", "_rate", "_tier", "answered", "dropped", "in_flight", "missed")

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
        self.in_flight = self.answered = self.missed = self.dropped = 0

    def copy(self, rows: Rows, priors: Sequence[float], deadline_s: float) -> None:
        if self._random.random() >= self._rate:
            return
        if self.in_flight >= self._max or self._busy():
            self.dropped += 1
            return
        self.in_flight += 1
        try:
            self._tier.ask(rows, priors, deadline_s, self)
        except Exception:  # whatever a shadow does wrong, the bid goes on
            self.in_flight -= 1
            self.missed += 1

    def scored(self, scores: Scores) -> None:
        self.in_flight -= 1
        self.answered += 1

    def failed(self, error: InferenceError) -> None:
        self.in_flight -= 1
        self.missed += 1


class Cascade:
    """Asks `steps` in order, then the prior. Construct inside the running loop.

    `answers` counts auctions by the tier that answered, `fallbacks` by the tier that did not.
    """

    def __init__(self, steps: Sequence[Step], *, shadow: Shadow | None = None) -> None:
        self.clock = asyncio.get_running_loop().time
        self._steps = (*steps, Step(PriorTier()))  # the prior never fails, so there is always a next step to fall to
        self.shadow = shadow
        self.answers: dict[str, int] = {step.tier.name: 0 for step in self._steps}
        self.fallbacks: dict[str, int] = {step.tier.name: 0 for step in steps}

    def ask(self, rows: Rows, priors: Sequence[float], deadline_s: float, answered: Answered) -> None:
        """Calls `answered` once with the scores of `rows`, by `deadline_s` (of `loop.time()`), perhaps before it
        returns. `priors` has one probability a row."""
        _Question(self, self._steps, rows, priors, deadline_s, answered).ask()
        if self.shadow is not None:
            self.shadow.copy(rows, priors, deadline_s)

    def score(self, rows: Rows, priors: Sequence[float], deadline_s: float) -> asyncio.Future[Scores]:
        """`ask`, for who waits with a future. It never fails; it can be cancelled."""
        waiting = Waiting()
        self.ask(rows, priors, deadline_s, waiting.scored)
        return waiting.future


class _Question(Struct):
    """One auction's way down the cascade: what the tier that is asked calls back. `steps`: that one and those below."""

    cascade: Cascade
    steps: tuple[Step, ...]
    rows: Rows
    priors: Sequence[float]
    deadline_s: float
    answered: Answered

    def ask(self) -> None:
        steps, deadline_s = self.steps, self.deadline_s
        step = steps[0]
        if step.share < 1.0:
            now = self.cascade.clock()
            deadline_s = now + (deadline_s - now) * step.share
        try:
            step.tier.ask(self.rows, self.priors, deadline_s, self)
        except Exception:  # a tier must not raise here; if one does, the bid is not what should suffer
            logger.exception("tier %s failed to take a question", step.tier.name)
            if self.steps is steps:  # nobody has been told yet
                self.failed(None)

    def scored(self, scores: Scores) -> None:
        self.steps = ()
        answers = self.cascade.answers
        answers[scores.source] = answers.get(scores.source, 0) + 1
        self.answered(scores)

    def failed(self, error: InferenceError | None) -> None:
        self.cascade.fallbacks[self.steps[0].tier.name] += 1
        self.steps = self.steps[1:]
        self.ask()
