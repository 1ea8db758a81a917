"""What a play came to: counts, latencies, prices, and whether it went well.

The rule: the exchange's own figures come from what it saw; only no-bid reasons and the model's side are the bidder's
account.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

from loadtest.connection import Answer
from loadtest.markup import Violation
from loadtest.scrape import Metrics
from loadtest.traffic import BidRequestCase, Kind
from loadtest.verify import Verdict

KEPT_EXAMPLES = 3


@dataclass(slots=True)
class Report:
    """Adds up verdicts. Latencies are kept one float each."""

    outcomes: Counter[str] = field(default_factory=Counter)  # "bid", "no-bid", "refused", "error", "lost"
    statuses: Counter[int] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)  # by rule
    examples: dict[str, list[str]] = field(default_factory=dict)  # by rule, the first few, with the request's id
    latencies_s: list[float] = field(default_factory=list)
    late: int = 0  # answered after tmax
    prices_usd: dict[str, list[float]] = field(default_factory=dict)  # CPM by format
    deal_bids: int = 0
    example: tuple[BidRequestCase, Answer] | None = None  # a short request of a known user that got a bid
    account: Metrics = field(default_factory=lambda: Metrics({}))  # what the bidder's /metrics grew by

    @property
    def requests(self) -> int:
        return sum(self.outcomes.values())

    @property
    def bids(self) -> int:
        return sum(len(prices) for prices in self.prices_usd.values())

    @property
    def no_bid_reasons(self) -> Counter[str]:
        return self.account.by("bidder_no_bids_total", "reason")

    def add(self, case: BidRequestCase, answer: Answer, verdict: Verdict, tmax_s: float) -> None:
        self.outcomes[verdict.outcome] += 1
        self.statuses[answer.status] += 1
        self.latencies_s.append(answer.took_s)
        self.late += answer.took_s > tmax_s
        for bid in verdict.bids:
            self.prices_usd.setdefault(bid.format, []).append(bid.price_usd)
            self.deal_bids += bid.deal
        for violation in verdict.violations:
            self._violated(case, violation)
        right = verdict.bids and not verdict.violations
        if right and (self.example is None or _plainness(case) > _plainness(self.example[0])):
            self.example = case, answer

    def lost(self, case: BidRequestCase, why: str) -> None:
        """A request without an answer."""
        self.outcomes["lost"] += 1
        self._violated(case, Violation("lost", why))

    def latency_ms(self, percent: float) -> float:
        """The latency that `percent` of the answers stayed within; NaN without answers."""
        ordered = sorted(self.latencies_s)
        return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)] * 1000 if ordered else math.nan

    def mean_price_usd(self, kind: str | None = None) -> float:
        """NaN without bids."""
        prices = (
            self.prices_usd.get(kind, []) if kind else [price for some in self.prices_usd.values() for price in some]
        )
        return math.fsum(prices) / len(prices) if prices else math.nan

    def failures(self) -> list[str]:
        """Why the play did not go well; empty if it did."""
        reasons = [
            f"{count} of {rule!r}: {'; '.join(self.examples[rule])}" for rule, count in sorted(self.violations.items())
        ]
        if broken := sum(count for status, count in self.statuses.items() if status >= 500):
            reasons.append(f"{broken} answers of 5xx; the bid path must never give one")
        if not self.bids:
            reasons.append(f"no bid in {self.requests} requests; is the catalog loaded and the model answering?")
        return reasons

    def _violated(self, case: BidRequestCase, violation: Violation) -> None:
        self.violations[violation.rule] += 1
        kept = self.examples.setdefault(violation.rule, [])
        if len(kept) < KEPT_EXAMPLES:
            kept.append(f"{violation.detail} (request {case.id})")


def _plainness(case: BidRequestCase) -> tuple[bool, bool, int]:
    """How good a request is to look at: spelled by the book, of a known user, short."""
    return case.kind is Kind.VALID, b'"buyeruid"' in case.body, -len(case.body)
