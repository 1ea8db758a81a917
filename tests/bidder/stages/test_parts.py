"""Parts of a request that are remembered by their bytes: the same each time, and bounded."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import DecodeError

from bidder.domain import Auction, BannerOffer, NoBid, NoBidReason
from bidder.stages.decode import MalformedError, decode
from bidder.stages.impression import BANNERS
from bidder.stages.parts import Parts

Make = Callable[..., Any]
BOX = {"w": 300, "h": 250}


def auction_of(body: bytes) -> Auction:
    found = decode(body)
    assert isinstance(found, Auction)
    return found


def test_a_part_seen_before_is_the_same_object(make_body: Make) -> None:
    """Neither read nor made again; another one is another."""
    first, again, other = (
        auction_of(make_body(imp=[{"id": "1", "banner": BOX | {"pos": pos}}], bcat=[f"IAB{pos}"])) for pos in (1, 1, 2)
    )
    assert first.slots[0].banner is again.slots[0].banner
    assert first.blocked_categories is again.blocked_categories
    assert first.slots[0].banner != other.slots[0].banner
    assert first.blocked_categories != other.blocked_categories


def test_what_deviates_means_the_same(make_body: Make) -> None:
    """Numbers in strings, in a part or elsewhere."""
    plain = auction_of(make_body(imp=[{"id": "1", "banner": BOX}], badv=["A.example"]))
    inside = auction_of(make_body(imp=[{"id": "1", "banner": {"w": "300", "h": 250.0}}], badv="A.example"))
    outside = auction_of(make_body(imp=[{"id": "1", "banner": BOX, "instl": "0"}], badv=["A.example"]))
    assert plain == inside == outside


def test_null_and_absent_are_the_same(make_body: Make) -> None:
    """For offers and block lists."""
    absent = auction_of(make_body(imp=[{"id": "1", "banner": BOX}], bcat=[], badv=[]))
    null = make_body(imp=[{"id": "1", "banner": BOX, "video": None, "native": None}], bcat=[], badv=[])
    assert auction_of(null) == auction_of(null.replace(b"[]", b"null")) == absent


def test_identical_parts_of_a_pod_close_each_others_places(make_body: Make) -> None:
    """They are one object by their bytes, and two impressions; the next request has its places open again."""
    video = {"mimes": ["video/mp4"], "podid": "p", "slotinpod": 1, "maxseq": 3}
    places = []
    for count in (1, 2, 1):
        found = auction_of(make_body(imp=[{"id": str(each), "video": video} for each in range(count)]))
        places.append([slot.video.pod.open_places for slot in found.slots if slot.video and slot.video.pod])
    assert places == [[{1}], [set(), set()], [{1}]]


@pytest.mark.parametrize("before", [0, 70])
def test_a_part_that_cannot_be_read_counts_wherever_it_stands(make_body: Make, before: int) -> None:
    """Also beyond the impressions that are bid on, and in a request that would be refused for its chain."""
    incomplete = {"schain": {"complete": 0, "ver": "1.0", "nodes": []}}
    imps: list[dict[str, Any]] = [{"id": str(number), "banner": BOX} for number in range(before)]
    found = decode(make_body(imp=[*imps, {"id": "x", "banner": 7}], source=incomplete))
    assert isinstance(found, NoBid)
    assert found.reason is NoBidReason.INVALID_REQUEST
    with pytest.raises(MalformedError):
        decode(make_body(imp=[*imps, {"id": "x", "video": {}}], source=incomplete))


def test_what_is_remembered_is_bounded() -> None:
    """In bytes, twice `room` at most, of which no part has more than the 64th."""
    read = []
    parts: Parts[list[int], int] = Parts(list[int], lambda found: read.append(found) or len(found), 1280)
    for number in range(10_000):
        assert parts.read(b"[%d]" % number) == 1
        assert parts.known
    assert sum(map(len, parts.known)) <= 1280
    long = json.dumps([1] * 20).encode()
    read.clear()
    assert [parts.read(long), parts.read(long)] == [20, 20]
    assert len(read) == 2
    assert [parts.known[b"[9999]"], parts.read(b"null")] == [1, None]
    assert len(read) == 2


def test_what_means_nothing_takes_no_room() -> None:
    """It is read each time."""
    parts: Parts[list[int], list[int]] = Parts(list[int], lambda found: found, 1280)
    assert parts.read(b"[1]") == [1]
    assert {parts.read(each) for each in [b"null", b"[]"] * 1000} == {None}
    assert parts.known == {b"[1]": [1]}


def test_what_is_asked_for_again_stays_remembered() -> None:
    """Also where more comes by than is remembered."""
    read = []
    parts: Parts[list[int], str] = Parts(list[int], lambda found: read.append(found) or "meant", 1280)
    for number in range(1000):
        key = b"[%d]" % (number % 7 if number % 2 else number)
        assert (parts.known.get(key) or parts.read(key)) == "meant"
    assert len(read) == 500 + 3  # those of an odd rest, and the others' even ones were among the first


def test_what_is_not_typed_to_the_letter_is_not_remembered() -> None:
    """It raises each time."""
    for _ in range(2):
        with pytest.raises(DecodeError):
            BANNERS.read(b'{"w":"300"}')
    assert BANNERS.read(b'{"w":300,"h":250}') == BannerOffer(sizes=((300, 250),))
