"""The bill as a table or as JSON.

The rule kept here: whatever is printed says as of when its prices are, and which of them nobody could verify.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from infra.cost.bill import Bill
from infra.cost.compute import SPOT_SHARE, Way
from infra.cost.prices import PriceList


def table(made: Bill, ways: Iterable[Way], scoring: Iterable[Way], prices: PriceList) -> str:
    """The bill for people: lines, totals, the other ways to buy, and what to distrust."""
    parts = (
        _lines(made, prices),
        _ways("Ways to run the bidder", ways, made, prices),
        _ways("Ways to buy the endpoint", scoring, made, prices),
        _doubts(made, prices),
    )
    return "\n".join(line for part in parts for line in part) + "\n"


def _lines(made: Bill, prices: PriceList) -> Iterator[str]:
    yield f"A month in {prices.region}: {made.load.qps:,.0f} requests/s, {made.load.bid_rate:.0%} bids"
    yield f"{'part':<11}{'':<35}{'quantity':>16}  {'unit':<30}{'USD':>12}"
    for line in made.lines:
        mark = "" if all(prices[name].verified for name in line.prices) else " ?"
        yield f"{line.part:<11}{line.what:<35}{line.quantity:>16,.1f}  {line.unit:<30}{line.usd:>12,.2f}{mark}"
    yield f"{'total':<94}{made.usd:>12,.2f}"
    yield from _each("a million requests", made.usd_per_million_requests)
    yield from _each("a million bids", made.usd_per_million_bids)


def _each(what: str, usd: float | None) -> Iterator[str]:
    yield f"{what:<94}{'-' if usd is None else format(usd, ',.4f'):>12}"


def _ways(title: str, ways: Iterable[Way], made: Bill, prices: PriceList) -> Iterator[str]:
    yield ""
    yield f"{title:<30}{'':<14}{'':>16}  {'USD':>12}{'of dearest':>12}{'a million requests':>20}"
    listed = sorted(ways, key=lambda way: way.usd)
    dearest = max(way.usd for way in listed)
    for way in listed:
        mark = "" if all(prices[name].verified for name in way.prices) else " ?"
        each = format(way.usd / made.requests * 1e6, ",.4f") if made.requests else "-"
        count = f"{way.units:,} {way.unit}"
        bought = f"{way.platform:<30}{way.purchase:<14}{count:>16}"
        yield f"{bought}  {way.usd:>12,.2f}{way.usd / dearest:>12.0%}{each:>20}{mark}"


def _doubts(made: Bill, prices: PriceList) -> Iterator[str]:
    unverified = [name for name in made.price_names() if not prices[name].verified]
    share = sum(line.usd for line in made.lines if set(line.prices) & set(unverified)) / made.usd if made.usd else 0.0
    yield ""
    yield f"Prices of {prices.date}, before taxes, free tiers other than of data transfer, support and discounts."
    if unverified:
        yield f"? {len(unverified)} of the prices used could not be verified; {share:.0%} of the total stands on them:"
        yield from (f"    {name}: see {prices[name].source}" for name in unverified)
    yield f"Spot is priced for {SPOT_SHARE:.0%} of the tasks, Graviton for x86's CPU time: that is to be measured."


def document(made: Bill, ways: Iterable[Way], scoring: Iterable[Way], prices: PriceList) -> dict[str, Any]:
    """The same for programs; no figure is rounded."""
    return {
        "region": prices.region,
        "prices_of": prices.date.isoformat(),
        "usd": made.usd,
        "usd_per_million_requests": made.usd_per_million_requests,
        "usd_per_million_bids": made.usd_per_million_bids,
        "by_part": made.by_part(),
        "lines": [asdict(line) for line in made.lines],
        "ways_to_bid": [asdict(way) for way in ways],
        "ways_to_score": [asdict(way) for way in scoring],
        "unverified": [name for name in made.price_names() if not prices[name].verified],
        "workload": asdict(made.load),
    }
