"""The cascade: hand-written tiers, no sockets."""

from __future__ import annotations

import asyncio
import random
import weakref
from collections.abc import Sequence
from typing import Any

import pytest

from bidder.domain import Rows, Scores
from bidder.inference.batcher import Member, Waiting
from bidder.inference.cascade import Cascade, Shadow, SplitTier, Step
from bidder.inference.errors import BreakerOpen, Timeout

_ROWS, _PRIORS = Rows(2, b"1\n2\n"), (0.01, 0.02)


class Asking:
    """A question that keeps its answers."""

    def __init__(self, due_s: float = 0.0) -> None:
        self.rows = _ROWS
        self.due_s = due_s
        self.answers: list[Scores] = []

    def priors(self) -> Sequence[float]:
        return _PRIORS

    def scored(self, scores: Scores) -> None:
        self.answers.append(scores)


class HandTier:
    """A tier whose askers the test tells."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.askers: list[Member] = []
        self.sent = 0

    @property
    def deadlines(self) -> list[float]:
        return [asker.deadline_s for asker in self.askers]

    def ask(self, members: Sequence[Member]) -> None:
        self.askers += members

    def send(self) -> None:
        self.sent += 1


class RefusingTier(HandTier):
    def ask(self, members: Sequence[Member]) -> None:
        for member in members:
            member.failed(BreakerOpen("resting"))


class BrokenTier(HandTier):
    """Raises, after it has told the asker if `scores` are given."""

    def __init__(self, name: str, scores: Scores | None = None) -> None:
        super().__init__(name)
        self.scores = scores

    def ask(self, members: Sequence[Member]) -> None:
        if self.scores is not None:
            members[0].scored(self.scores)
        raise RuntimeError("a bug")


def _deadline(within_s: float = 10.0) -> float:
    return asyncio.get_running_loop().time() + within_s


async def test_first_tier_answers() -> None:
    """The first tier's scores are the answer, and the second is not asked."""
    first, second = HandTier("sagemaker"), HandTier("local")
    cascade = Cascade([Step(first), Step(second)])
    answer = cascade.score(_ROWS, _PRIORS, _deadline())
    first.askers[0].scored(Scores([0.3, 0.4], "sagemaker", "blue"))
    assert await answer == Scores([0.3, 0.4], "sagemaker", "blue")
    assert not second.askers
    assert cascade.answers == {"sagemaker": 1, "local": 0, "prior": 0}


async def test_failing_tiers_fall_to_the_prior() -> None:
    """Tier after tier is asked as each fails; at last the priors answer, and every fall is counted."""
    first, second = HandTier("sagemaker"), HandTier("local")
    cascade = Cascade([Step(first), Step(second)])
    answer = cascade.score(_ROWS, _PRIORS, _deadline())
    first.askers[0].failed(Timeout("late"))
    second.askers[0].failed(BreakerOpen("resting"))
    assert await answer == Scores(_PRIORS, "prior")
    assert cascade.fallbacks == {"sagemaker": 1, "local": 1}
    assert cascade.answers["prior"] == 1


async def test_tier_that_fails_at_once_costs_no_turn_of_the_loop() -> None:
    """A refusal on the spot is passed on on the spot."""
    tier = RefusingTier("sagemaker")
    assert Cascade([Step(tier)]).score(_ROWS, _PRIORS, _deadline()).done()


async def test_without_tiers_the_prior_answers_synchronously() -> None:
    """No endpoint at all: the priors, at once."""
    question = Asking(_deadline())
    Cascade(()).ask([question])
    assert question.answers == [Scores(_PRIORS, "prior")]
    assert question.answers[0].values is _PRIORS


async def test_tier_gets_its_share_of_the_time() -> None:
    """Half of the time left for the first, then half of what is left for the second; all of it by default."""
    first, second, third = HandTier("a"), HandTier("b"), HandTier("c")
    cascade = Cascade([Step(first, 0.5), Step(second, 0.5), Step(third)])
    deadline_s = _deadline(1000.0)
    cascade.score(_ROWS, _PRIORS, deadline_s)
    first.askers[0].failed(Timeout("late"))
    second.askers[0].failed(Timeout("late"))
    assert deadline_s - first.deadlines[0] == pytest.approx(500, abs=100)
    assert deadline_s - second.deadlines[0] == pytest.approx(500, abs=100)
    assert third.deadlines == [deadline_s]


async def test_tier_with_a_bug_does_not_harm_the_bid(caplog: pytest.LogCaptureFixture) -> None:
    """A tier that raises is logged and passed by; if it had told the scores before, they count, and once."""
    cascade = Cascade([Step(BrokenTier("broken"))])
    assert (await cascade.score(_ROWS, _PRIORS, _deadline())).source == "prior"
    assert "tier broken failed to take a question" in caplog.text
    question, told = Asking(_deadline()), Scores([0.3, 0.4], "odd")
    Cascade([Step(BrokenTier("odd", told))]).ask([question])
    assert question.answers == [told]


async def test_questions_are_asked_together_and_answered_apart() -> None:
    """One that the first tier refuses goes on; a tier that raises harms none that was told, and tells none twice."""

    class Picky(HandTier):
        def ask(self, members: Sequence[Member]) -> None:
            super().ask(members)
            members[1].failed(BreakerOpen("resting"))

    tier, second = Picky("sagemaker"), BrokenTier("local")
    cascade = Cascade([Step(tier), Step(second)])
    questions = [Asking(_deadline()) for _ in range(3)]
    cascade.ask(questions)
    assert [len(question.answers) for question in questions] == [0, 1, 0]
    for asker in tier.askers:
        asker.scored(Scores([0.3, 0.4], "sagemaker"))
    assert [answer.source for question in questions for answer in question.answers] == [
        "sagemaker",
        "prior",
        "sagemaker",
    ]
    broken, questions = BrokenTier("broken", Scores([0.3, 0.4], "broken")), [Asking(_deadline()) for _ in range(3)]
    Cascade([Step(broken)]).ask(questions)
    assert [answer.source for question in questions for answer in question.answers] == ["broken", "prior", "prior"]


async def test_who_runs_the_turn_says_when_all_were_asked() -> None:
    """To every tier and the shadow; what fails over, or waits with a future, leaves when its turn ends."""
    first, second, copied = HandTier("sagemaker"), HandTier("local"), HandTier("shadow")
    split = SplitTier([(first, 1.0)])
    cascade = Cascade([Step(split), Step(second)], shadow=Shadow(copied, 1.0, busy=lambda: False))
    cascade.ask([Asking(_deadline()) for _ in range(3)])
    await asyncio.sleep(0)
    assert (first.sent, second.sent, copied.sent) == (0, 0, 0)
    cascade.send()
    assert (first.sent, second.sent, copied.sent) == (1, 1, 1)
    for asker in first.askers:
        asker.failed(Timeout("late"))
    assert (len(second.askers), second.sent) == (3, 1)
    await asyncio.sleep(0)
    assert second.sent == 2
    for asker in second.askers:
        asker.failed(Timeout("late"))  # priors answer: nothing is left to be sent
    await asyncio.sleep(0)
    assert second.sent == 2
    answer = cascade.score(_ROWS, _PRIORS, _deadline())
    await asyncio.sleep(0)
    assert (first.sent, answer.done()) == (3, False)


async def test_what_was_told_is_let_go() -> None:
    """A batch may hold the asker for longer: the auction is not held with it, and nothing reaches it any more."""
    for tell in (lambda asker: asker.failed(Timeout("late")), lambda asker: asker.scored(Scores([0.3, 0.4], "late"))):
        tier, question = HandTier("sagemaker"), Asking(_deadline())
        cascade = Cascade([Step(tier)])
        cascade.ask([question])
        gone = weakref.ref(question)
        tell(tier.askers[0])
        assert len(question.answers) == 1
        tier.askers[0].scored(Scores([0.5, 0.6], "later"))
        assert len(question.answers) == 1
        assert sum(cascade.answers.values()) == 1
        del question
        assert gone() is None


async def test_cancelled_answer_is_left_alone() -> None:
    """A caller that went away is not an error when the tier answers."""
    tier = HandTier("sagemaker")
    answer = Cascade([Step(tier)]).score(_ROWS, _PRIORS, _deadline())
    answer.cancel()
    tier.askers[0].scored(Scores([0.3, 0.4], "sagemaker"))
    assert answer.cancelled()


async def test_variants_are_chosen_by_weight() -> None:
    """With weights of 3 to 1, three quarters go to the first; a weight of 0 gets none."""
    tiers = [HandTier("blue"), HandTier("green"), HandTier("off")]
    split = SplitTier(list(zip(tiers, (3.0, 1.0, 0.0), strict=True)), rng=random.Random(1))
    for _ in range(1000):
        split.ask([Waiting(_ROWS, 0.0)])
    assert [len(tier.askers) for tier in tiers] == [pytest.approx(750, abs=60), pytest.approx(250, abs=60), 0]


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
    copy.askers[0].scored(Scores([0.9, 0.9], "shadow"))
    copy.askers[1].failed(Timeout("late"))
    for asker in tier.askers:
        asker.scored(Scores([0.3, 0.4], "sagemaker"))
    assert [list((await answer).values) for answer in answers] == [[0.3, 0.4]] * 3
    assert (shadow.answered, shadow.missed, shadow.in_flight) == (1, 1, 1)
    broken = Cascade([], shadow=Shadow(BrokenTier("shadow"), 1.0, busy=lambda: False))
    assert (await broken.score(_ROWS, _PRIORS, _deadline())).source == "prior"


async def test_shadow_is_bounded_and_dropped_first() -> None:
    """No more copies than the bound, none while the answering tiers queue, and the rate holds."""
    copy, busy = HandTier("shadow"), [False]
    shadow = Shadow(copy, 1.0, busy=lambda: busy[0], max_in_flight=2)
    cascade: Any = Cascade([], shadow=shadow)
    for _ in range(5):
        cascade.score(_ROWS, _PRIORS, _deadline())
    assert (shadow.in_flight, shadow.dropped) == (2, 3)
    for asker in copy.askers:
        asker.failed(Timeout("late"))
    assert shadow.in_flight == 0
    busy[0] = True
    cascade.score(_ROWS, _PRIORS, _deadline())
    assert (len(copy.askers), shadow.dropped) == (2, 4)
    rare = Shadow(copy, 0.1, busy=lambda: True, rng=random.Random(2))
    for _ in range(1000):
        rare.copy(Asking())
    assert rare.dropped == pytest.approx(100, abs=40)
