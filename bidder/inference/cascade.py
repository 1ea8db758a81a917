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
from bidder.inference.batcher import Member
from bidder.inference.errors import InferenceError

logger = logging.getLogger(__name__)

PRIOR = "prior"
"""The source of scores that are the campaigns' own probabilities: no I/O, no failure."""


class Question(Protocol):
    """One auction's rows. `scored` is called once with their scores, by `due_s` (of `loop.time()`)."""

    @property
    def rows(self) -> Rows: ...
    @property
    def due_s(self) -> float: ...

    def priors(self) -> Sequence[float]:
        """One probability a row: what answers if nothing else does."""
        ...

    def scored(self, scores: Scores) -> None: ...


class Tier(Protocol):
    """One way to get scores."""

    @property
    def name(self) -> str:
        """The `source` of its scores, and its label in the metrics."""
        ...

    def ask(self, members: Sequence[Member]) -> None:
        """Take their rows, which leave with the next `send`. Each is told by its deadline: scores or an
        InferenceError."""
        ...

    def send(self) -> None:
        """All that are to share a call have been asked about."""
        ...


class SplitTier:
    """Sends each auction to one of several tiers, by weight: a test of variants that the bidder chooses."""

    __slots__ = ("_choices", "_random", "_tiers", "_weights", "name")

    def __init__(
        self, tiers: Sequence[tuple[Tier, float]], *, name: str = "sagemaker", rng: random.Random | None = None
    ) -> None:
        if not tiers or min(weight for _, weight in tiers) < 0 or sum(weight for _, weight in tiers) <= 0:
            raise ValueError("variants need weights of 0 or more, and at least one above 0")
        self.name = name
        self._tiers = [tier for tier, _ in tiers]
        self._choices = range(len(tiers))
        self._weights = [weight for _, weight in tiers]
        self._random = rng or random.Random()

    def ask(self, members: Sequence[Member]) -> None:
        chosen = self._random.choices(self._choices, self._weights, k=len(members))
        for choice, tier in enumerate(self._tiers):
            if its := [member for member, one in zip(members, chosen, strict=True) if one == choice]:
                tier.ask(its)

    def send(self) -> None:
        for tier in self._tiers:
            tier.send()


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

    def copy(self, question: Question) -> None:
        if self._random.random() >= self._rate:
            return
        if self.in_flight >= self._max or self._busy():
            self.dropped += 1
            return
        self.in_flight += 1
        try:
            self._tier.ask((_Copy(question.rows, question.due_s, self),))
        except Exception:  # whatever a shadow does wrong, the bid goes on
            self.in_flight -= 1
            self.missed += 1

    def send(self) -> None:
        self._tier.send()

    def scored(self) -> None:
        self.in_flight -= 1
        self.answered += 1

    def failed(self) -> None:
        self.in_flight -= 1
        self.missed += 1


class _Copy(Struct, eq=False):
    """What a shadow is asked."""

    rows: Rows
    deadline_s: float
    shadow: Shadow
    done: bool = False

    def scored(self, _: Scores) -> None:
        self.shadow.scored()

    def failed(self, _: InferenceError) -> None:
        self.shadow.failed()


class Cascade:
    """Asks `steps` in order, then the prior. Construct inside the running loop.

    `answers` counts auctions by the tier that answered, `fallbacks` by the tier that did not.
    """

    def __init__(self, steps: Sequence[Step], *, shadow: Shadow | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._steps = tuple(steps)
        self._is_due = False
        self.shadow = shadow
        self.answers: dict[str, int] = {step.tier.name: 0 for step in steps} | {PRIOR: 0}
        self.fallbacks: dict[str, int] = {step.tier.name: 0 for step in steps}

    def ask(self, questions: Sequence[Question]) -> None:
        """Calls `scored` of each once, by its `due_s`, perhaps before it returns. Their rows leave with the next
        `send`: said once a turn of the loop, when all have been asked."""
        self.go_on(questions, self._steps)
        if self.shadow is not None:
            for question in questions:
                self.shadow.copy(question)

    def send(self) -> None:
        """What was asked leaves now, as far as the tiers have free slots."""
        self._is_due = False
        for step in self._steps:
            step.tier.send()
        if self.shadow is not None:
            self.shadow.send()

    def score(self, rows: Rows, priors: Sequence[float], due_s: float) -> asyncio.Future[Scores]:
        """`ask`, for who waits with a future. It never fails; it can be cancelled."""
        caller = _Caller(rows, due_s, priors, asyncio.get_running_loop().create_future())
        self.ask((caller,))
        self._send_soon()
        return caller.future

    def fall_back(self, question: Question, steps: tuple[Step, ...]) -> None:
        """Puts it to the next tier; those that fail in one turn of the loop share a call again."""
        self.go_on((question,), steps)
        if steps:
            self._send_soon()

    def go_on(self, questions: Sequence[Question], steps: tuple[Step, ...]) -> None:
        """Puts them to the first of `steps`, or answers with priors where none is left."""
        if not steps:
            for question in questions:
                self.answers[PRIOR] += 1
                question.scored(Scores(question.priors(), PRIOR))
            return
        tier, share, now_s = steps[0].tier, steps[0].share, self._loop.time()
        asked = []
        for question in questions:
            deadline_s = question.due_s
            if share < 1.0:
                deadline_s = now_s + (deadline_s - now_s) * share
            asked.append(_Asked(question.rows, deadline_s, self, steps, question))
        try:
            tier.ask(asked)
        except Exception:  # a tier must not raise here; if one does, the bids are not what should suffer
            logger.exception("tier %s failed to take a question", tier.name)
            for each in asked:
                each.done = True
                each.failed(None)  # if it has not been told yet

    def _send_soon(self) -> None:
        """At the end of this turn of the loop, once."""
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self.send)


class _Caller(Struct, eq=False):
    """A question of who waits with a future."""

    rows: Rows
    due_s: float
    probabilities: Sequence[float]
    future: asyncio.Future[Scores]

    def priors(self) -> Sequence[float]:
        return self.probabilities

    def scored(self, scores: Scores) -> None:
        if not self.future.done():
            self.future.set_result(scores)


class _Asked(Struct, eq=False, gc=False):
    """A question put to a tier, the first of `steps`: what that tier calls back. It lets go of the question then: the
    batch it is in may go on without it. The collector passes it by: no question leads to what is asked for it."""

    rows: Rows
    deadline_s: float
    cascade: Cascade
    steps: tuple[Step, ...]
    question: Question | None
    done: bool = False

    def scored(self, scores: Scores) -> None:
        question, self.question = self.question, None
        if question is not None:
            self.cascade.answers[self.steps[0].tier.name] += 1
            question.scored(scores)

    def failed(self, error: InferenceError | None) -> None:
        question, self.question = self.question, None
        if question is not None:
            self.cascade.fallbacks[self.steps[0].tier.name] += 1
            self.cascade.fall_back(question, self.steps[1:])
