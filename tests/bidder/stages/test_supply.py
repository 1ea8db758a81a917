"""The supply chain: whom the bidder buys through."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidder.domain import NoBidReason
from bidder.stages.request import BidRequest
from bidder.stages.supply import DEFAULT_POLICY, MAX_NODES, SupplyPolicy, refuses
from bidder.stages.wire import read_tolerantly

INCOMPLETE = NoBidReason.INCOMPLETE_SUPPLY_CHAIN
BLOCKED = NoBidReason.BLOCKED_SUPPLY_CHAIN_NODE


def chain(*nodes: tuple[Any, Any], **changes: Any) -> dict[str, Any]:
    listed = [{"asi": asi, "sid": sid, "hp": 1} for asi, sid in nodes or [("ssp.example", "1")]]
    return {"complete": 1, "ver": "1.0", "nodes": listed} | changes


def bought_by(**request: Any) -> BidRequest:
    return read_tolerantly(
        json.dumps({"id": "a", "imp": [{"id": "1"}], "site": {"domain": "news.example"}} | request).encode()
    )


@pytest.mark.parametrize(
    ("reason", "nbr"),
    [
        (INCOMPLETE, 16),
        (BLOCKED, 17),
        (NoBidReason.ADS_TXT_UNAVAILABLE, 11),
        (NoBidReason.ADS_TXT_VIOLATION, 12),
    ],
)
def test_reasons_have_the_codes_of_the_list(reason: NoBidReason, nbr: int) -> None:
    """OpenRTB's no-bid reason codes."""
    assert reason.nbr == nbr


@pytest.mark.parametrize(
    "place",
    [
        lambda it: {"source": {"schain": it}},
        lambda it: {"source": {"ext": {"schain": it}}},
        lambda it: {"ext": {"schain": it}},
    ],
)
def test_a_chain_is_read_in_all_its_places(place: Any) -> None:
    """2.6's, 2.5's, and the oldest: complete it passes, incomplete it does not."""
    assert refuses(bought_by(**place(chain()))) is None
    assert refuses(bought_by(**place(chain(complete=0)))) is INCOMPLETE


def test_the_place_of_2_6_wins() -> None:
    """What 2.5's place says does not count beside it, in either direction."""
    source = {"schain": chain(complete=0), "ext": {"schain": chain()}}
    assert refuses(bought_by(source=source)) is INCOMPLETE
    source = {"schain": chain(), "ext": {"schain": chain(complete=0)}}
    assert refuses(bought_by(source=source)) is None


def test_no_chain_passes_unless_one_is_required() -> None:
    """Many exchanges send none; a policy may ask for it."""
    assert refuses(bought_by()) is None
    assert refuses(bought_by(source={"tid": "t"})) is None
    assert refuses(bought_by(), SupplyPolicy(chain_required=True)) is INCOMPLETE
    assert refuses(bought_by(source={"schain": chain()}), SupplyPolicy(chain_required=True)) is None


@pytest.mark.parametrize(
    "broken",
    [
        "chain",
        [],
        {},
        chain(nodes=[]),
        chain(nodes={}),
        chain(nodes=None),
        chain(nodes=["node"]),
        chain(nodes=[{"asi": "ssp.example"}]),
        chain(nodes=[{"sid": "1"}]),
        chain(("", "1")),
        chain(("ssp.example", None)),
        chain((1, "1")),
        chain(ver="2.0"),
        chain(*[("ssp.example", str(n)) for n in range(MAX_NODES + 1)]),
        chain(complete=None),
        chain(complete=2),
    ],
    ids=lambda it: str(it)[:40],
)
def test_a_chain_that_cannot_be_read_is_incomplete(broken: Any) -> None:
    """Whatever is wrong with it, also where incomplete chains are allowed (but for the flag itself)."""
    assert refuses(bought_by(source={"ext": {"schain": broken}})) is INCOMPLETE


def test_a_policy_may_take_incomplete_chains() -> None:
    """They must still be readable, and their nodes not blocked."""
    policy = SupplyPolicy(incomplete_allowed=True, blocked_systems=frozenset({"bad.example"}))
    assert refuses(bought_by(source={"schain": chain(complete=0)}), policy) is None
    assert refuses(bought_by(source={"schain": chain(nodes=[])}), policy) is INCOMPLETE
    assert refuses(bought_by(source={"schain": chain(("bad.example", "1"), complete=0)}), policy) is BLOCKED


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (("ssp.example", "1"), None),
        (("bad.example", "1"), BLOCKED),
        (("BAD.example.", "1"), BLOCKED),
        (("ssp.example", "666"), BLOCKED),
        (("ssp.example", 666), BLOCKED),
        (("listed.example", "7"), None),
        (("listed.example", "8"), BLOCKED),
        (("WWW.bad.example.", "1"), BLOCKED),
    ],
)
def test_any_blocked_node_refuses_the_chain(node: tuple[str, Any], reason: NoBidReason | None) -> None:
    """A blocked system, a blocked account, an account that its system's sellers.json does not have."""
    policy = SupplyPolicy(
        blocked_systems=frozenset({"bad.example"}),
        blocked_sellers=frozenset({("ssp.example", "666")}),
        sellers={"listed.example": frozenset({"7"})},
    )
    assert refuses(bought_by(source={"schain": chain(("first.example", "1"), node)}), policy) is reason


AUTHORISED = SupplyPolicy(
    authorised={
        "news.example": frozenset({("ssp.example", "1"), ("reseller.example", "2")}),
        "com.example.app": frozenset({("ssp.example", "9")}),
    }
)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (bought_by(source={"schain": chain()}), None),
        (bought_by(source={"schain": chain(("ssp.example", "1"), ("reseller.example", "2"))}), None),
        (bought_by(source={"schain": chain(("ssp.example", "3"))}), NoBidReason.ADS_TXT_VIOLATION),
        (
            bought_by(source={"schain": chain(("ssp.example", "1"), ("other.example", "2"))}),
            NoBidReason.ADS_TXT_VIOLATION,
        ),
        (bought_by(), NoBidReason.ADS_TXT_UNAVAILABLE),
        (bought_by(site={"domain": "WWW.News.example"}), NoBidReason.ADS_TXT_UNAVAILABLE),
        (bought_by(site={"domain": "m.news.example"}), NoBidReason.ADS_TXT_UNAVAILABLE),
        (bought_by(site={"domain": "badnews.example"}), None),
        (bought_by(site={"publisher": {"domain": "news.example"}}), NoBidReason.ADS_TXT_UNAVAILABLE),
        (bought_by(site={"domain": "unknown.example"}), None),
        (bought_by(site=None, app={"bundle": "com.example.app"}, source={"schain": chain()}), "violation"),
        (bought_by(site=None), None),
    ],
    ids=str,
)
def test_sellers_must_be_authorised_where_ads_txt_is_known(
    request_: dict[str, Any], reason: NoBidReason | str | None
) -> None:
    """All of the chain must stand in it; without a chain nobody is known to. The unknown publisher is not checked."""
    expected = NoBidReason.ADS_TXT_VIOLATION if reason == "violation" else reason
    assert refuses(request_, AUTHORISED) is expected


def test_a_policy_may_buy_authorised_inventory_only() -> None:
    """A publisher whose ads.txt is not at hand is refused then."""
    policy = replace(AUTHORISED, authorisation_required=True)
    unknown = bought_by(site={"domain": "unknown.example"}, source={"schain": chain()})
    assert refuses(unknown, policy) is NoBidReason.ADS_TXT_UNAVAILABLE
    assert refuses(bought_by(source={"schain": chain()}), policy) is None


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "1", "ssp.example", "1.0"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["complete", "nodes", "ver", "asi", "sid", "ext", "schain"]), inner, max_size=5
        )
    ),
    max_leaves=12,
)


@given(_json)
def test_whatever_stands_in_its_place_never_raises_and_passes_only_if_whole(value: Any) -> None:
    """Only a complete chain of readable nodes passes."""
    verdict = refuses(bought_by(source={"ext": {"schain": value}}), DEFAULT_POLICY)
    if value is None:
        assert verdict is None
    elif verdict is None:
        assert value["complete"] in (1, "1")
        assert all(node["asi"] and node["sid"] for node in value["nodes"])
        assert value["nodes"]
    else:
        assert verdict is INCOMPLETE
