"""What 2.5 has in an `ext`: read as 2.6's place if it is typed to the letter, else as far as it can be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bidder.stages.decode import begin
from bidder.stages.request import EID, UID, BidRequest, SupplyChain, SupplyChainNode
from bidder.stages.wire import read

CHAIN = {"complete": 1, "ver": "1.0", "nodes": [{"asi": "ssp.example", "sid": "1", "hp": 1}]}
UNREADABLE = SupplyChain(0, [], "")


def request(**fields: Any) -> BidRequest:
    return read(json.dumps({"id": "a", "imp": [{"id": "1"}]} | fields).encode(), begin)[0]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (1, "1.0", "1")),
        ({"complete": "1"}, (1, "1.0", "1")),
        ({"complete": "yes"}, (0, "1.0", "1")),
        ({"ver": None}, (1, "1.0", "1")),
        ({"ver": 1.0}, (1, "1.0", "1")),
        ({"nodes": [{"asi": "ssp.example", "sid": 7}]}, (1, "1.0", "7")),
    ],
)
def test_a_chain_is_read_as_far_as_it_can_be(changes: Any, expected: tuple[int, str, str]) -> None:
    """In both of its earlier places."""
    complete, version, seller = expected
    chain = SupplyChain(complete, [SupplyChainNode("ssp.example", seller)], version)
    earlier, oldest = request(source={"ext": {"schain": CHAIN | changes}}), request(ext={"schain": CHAIN | changes})
    assert earlier.source is not None
    assert earlier.source.ext is not None
    assert earlier.source.ext.schain == chain
    assert oldest.ext is not None
    assert oldest.ext.schain == chain


@pytest.mark.parametrize("broken", [7, "chain", [], CHAIN | {"nodes": 7}, CHAIN | {"ver": []}, CHAIN | {"nodes": [7]}])
def test_a_chain_that_cannot_be_read_is_there_and_incomplete(broken: Any) -> None:
    """Not absent: it would pass."""
    ext = request(ext={"schain": broken}).ext
    assert ext is not None
    assert ext.schain == UNREADABLE


@pytest.mark.parametrize(
    ("eids", "expected"),
    [
        ([{"source": "s", "uids": [{"id": "u", "atype": 1}]}], [EID("s", [UID("u")])]),
        ([{"source": "s", "uids": [{"id": 7}, "u", {"id": "u"}]}], [EID("s", [UID(), UID(), UID("u")])]),
        ([{"source": 7, "uids": [{"id": "u"}]}, 7, {"source": "s", "uids": [{"id": "u"}]}], [EID("s", [UID("u")])]),
        ([{"source": "s", "uids": 7}], [EID("s", [])]),
        ("eids", []),
    ],
)
def test_identifiers_that_cannot_be_read_are_left_out(eids: Any, expected: list[EID]) -> None:
    """They are hints; an identifier keeps its place, as only the first of a source count."""
    user = request(user={"ext": {"eids": eids}}).user
    assert user is not None
    assert user.ext is not None
    assert user.ext.eids == expected
