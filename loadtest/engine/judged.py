"""The answers that were kept are judged by all the rules, after the run.

The rule: while the clock runs, answers are only written down, so that judging is in no latency; they go to a file, so
that they take no memory.
"""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from loadtest.sending.message import Message
from loadtest.traffic import BidRequestCase
from loadtest.verify import Judge

KEPT_EXAMPLES = 3

Kept = tuple[int, bytes, int, bytes, bytes]  # number of the message, tag, status, head, body


@dataclass(slots=True)
class Judged:
    answers: int = 0
    violations: Counter[str] = field(default_factory=Counter)  # by rule
    examples: dict[str, list[str]] = field(default_factory=dict)  # by rule, the first few, with the request's id
    bids: Counter[str] = field(default_factory=Counter)  # by format
    prices_usd: float = 0.0  # CPM, their sum

    def add(self, case: BidRequestCase, status: int, head: bytes, body: bytes, judge: Judge) -> None:
        verdict = judge.verdict(case, status, _headers(head), body)
        self.answers += 1
        for bid in verdict.bids:
            self.bids[bid.format] += 1
            self.prices_usd += bid.price_usd
        for violation in verdict.violations:
            self.violations[violation.rule] += 1
            kept = self.examples.setdefault(violation.rule, [])
            if len(kept) < KEPT_EXAMPLES:
                kept.append(f"{violation.detail} (request {case.id})")


def judged(
    spools: Sequence[Path], cases: Sequence[BidRequestCase], messages: Sequence[Message], judge: Judge
) -> Judged:
    found = Judged()
    for spool in spools:
        for number, tag, status, head, body in _kept(spool):
            found.add(messages[number].as_sent(cases[number], tag), status, head, body, judge)
    return found


def _kept(spool: Path) -> Iterator[Kept]:
    with spool.open("rb") as file:
        while file.peek(1):
            yield pickle.load(file)  # noqa: S301 - written by our own worker, in a folder of ours


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
