"""A pod from the bytes of its request to the bytes of its answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from bidder.domain import Auction, Exchange, Goal, GoalKind, Rates
from bidder.stages.decode import decode
from bidder.stages.encode import Encoder
from bidder.stages.index import compile_index
from bidder.stages.price import price
from bidder.stages.target import target

from ..conftest import VIDEO  # isort: skip

Make = Callable[..., Any]


@pytest.fixture
def answer(make_body: Make, make_campaign: Make, make_creative: Make, exchange: Exchange, rates: Rates) -> Make:
    """The bids for these impressions. Five advertisers, each with videos of 15 and 30 s, worth 5, 6 … USD CPM."""
    campaigns = [
        make_campaign(
            f"c{n}",
            advertiser_id=f"a{n}",
            domains=(f"a{n}.example",),
            goal=Goal(GoalKind.CPM, (n + 5) * 1_000_000),
            max_cpm_micros=100_000_000,
            creatives=tuple(make_creative(f"v{n}-{seconds}", VIDEO, duration_s=seconds) for seconds in (15, 30)),
        )
        for n in range(5)
    ]

    def run(*impressions: dict[str, Any]) -> list[dict[str, Any]]:
        imp = [{"id": str(n), **each} for n, each in enumerate(impressions)]
        auction = decode(make_body(imp=imp))
        assert isinstance(auction, Auction)
        candidates = target(auction, exchange, None, compile_index(campaigns), rates, 1e9, 8)
        bids = price(candidates, [1.0] * len(candidates), auction, exchange, rates).bids
        response = orjson.loads(Encoder().encode(auction, bids, exchange)) if bids else {"seatbid": []}
        return [bid for seat in response["seatbid"] for bid in seat["bid"]]

    return run


def video(**changes: Any) -> dict[str, Any]:
    floor = changes.pop("bidfloor", 0)
    return {"video": {"mimes": ["video/mp4"], "linearity": 1} | changes, "bidfloor": floor}


def facts(bids: list[dict[str, Any]]) -> list[tuple[str, str, int, float]]:
    return [(bid["impid"], bid["crid"], bid["dur"], bid["price"]) for bid in bids]


def test_a_dynamic_pod_gets_several_bids_of_one_impression(answer: Make) -> None:
    """Each with a duration, an id and an advertiser of its own; the best that 45 seconds hold."""
    bids = answer(video(podid="p", poddur=45, maxseq=4))
    assert sorted(facts(bids)) == [("0", "v2-15", 15, 7.0), ("0", "v3-15", 15, 8.0), ("0", "v4-15", 15, 9.0)]
    assert len({bid["id"] for bid in bids}) == len({tuple(bid["adomain"]) for bid in bids}) == 3
    assert not any("slotinpod" in bid for bid in bids)  # any place will do


def test_each_bid_of_a_pod_pays_for_its_own_seconds(answer: Make) -> None:
    """0.5 USD a second: 7.50 for 15 s, beyond what two of the five pay, and 15 for 30 s, beyond all."""
    bids = answer(video(poddur=120, maxseq=8, mincpmpersec=0.5))
    assert sorted(facts(bids)) == [("0", "v3-15", 15, 8.0), ("0", "v4-15", 15, 9.0)]


def test_durations_that_a_pod_requires_are_kept(answer: Make) -> None:
    """`rqddurs`."""
    assert {bid["dur"] for bid in answer(video(poddur=60, rqddurs=[30]))} == {30}


def test_a_structured_pod_gets_one_bid_a_place(answer: Make) -> None:
    """From another advertiser each; their own `maxduration` holds."""
    bids = answer(*(video(podid="p", maxduration=15) for _ in range(3)))
    assert sorted(facts(bids)) == [("0", "v4-15", 15, 9.0), ("1", "v3-15", 15, 8.0), ("2", "v2-15", 15, 7.0)]


def test_a_hybrid_pod_repeats_no_advertiser_across_its_parts(answer: Make) -> None:
    """A place of 15 s, and 30 s to fill."""
    bids = answer(video(podid="p", slotinpod=1, maxduration=15), video(podid="p", poddur=30))
    assert sorted(facts(bids)) == [("0", "v4-15", 15, 9.0), ("1", "v2-15", 15, 7.0), ("1", "v3-15", 15, 8.0)]


def test_a_pod_whose_floor_nobody_pays_gets_no_bid(answer: Make) -> None:
    """9 USD is the most."""
    assert answer(video(poddur=60, bidfloor=9.000001)) == []
    assert len(answer(video(poddur=60, bidfloor=9))) == 1
