"""The index of a catalog: what is done when it is made, so that no request waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidder.stages.compiled import compiled, specs_of
from bidder.stages.index import Entries, _bounds, compile_index

Make = Callable[..., Any]


def test_the_values_of_small_tables_are_read_when_the_index_is_made(make_campaign: Make) -> None:
    """Reading one takes milliseconds where there are thousands of values: not in a request."""
    index = compile_index([make_campaign(deals=frozenset({"d-1", "d-2"}))])
    assert index._deals._known == {"d-1", "d-2"}


@given(st.integers(0, 9), st.integers(0, 5000), st.integers(1, 160), st.integers(1, 320))
def test_shards_hold_all_campaigns(start: int, count: int, size: int, most: int) -> None:
    """From the best on, each campaign in one of them; the first has as many as are asked for."""
    end = start + count
    bounds = _bounds(start, end, size, most)
    assert [place for low, high in bounds for place in range(high - 1, low - 1, -1)] == list(range(start, end))[::-1]
    assert not bounds or bounds[0][1] - bounds[0][0] == min(count, size)


def test_campaigns_with_deals_have_shards_of_their_own(make_campaign: Make) -> None:
    """Both best last, and where one begins the other has ended."""
    campaigns = [make_campaign(str(n), deals=frozenset({"d"} if n % 3 == 1 else ())) for n in range(10)]
    index = compile_index(campaigns, 4, 4)
    assert [campaign.id for campaign in index.campaigns] == [*"741", *"9865320"]
    assert [(shard.start, shard.count) for shard in index.deal_shards] == [(0, 3)]
    assert [(shard.start, shard.count) for shard in index.open_shards] == [(6, 4), (3, 3)]
    assert index.shards == (*index.deal_shards, *index.open_shards)
    for shard in index.shards:
        assert shard.with_deal(["d"]) == (shard.everyone if shard.start < 3 else 0)


def test_campaigns_in_another_order_are_refused(make_campaign: Make) -> None:
    """Or those with deals would never be found."""
    campaigns = [make_campaign("open"), make_campaign("private", deals=frozenset({"d"}))]
    assert list(compiled(campaigns[::-1], specs_of(campaigns)))
    with pytest.raises(ValueError, match="stands after one that has none"):
        list(compiled(campaigns, specs_of(campaigns)))


@given(st.lists(st.integers(0, 19)), st.integers(1, 6))
def test_what_was_asked_for_lately_is_kept(places: list[int], limit: int) -> None:
    """The last places that differ are there, as many as the limit, and never more than twice that."""
    made: list[int] = []

    def make(place: int) -> Any:
        made.append(place)
        return (place,)

    entries = Entries(make, 20, limit)
    for number, place in enumerate(places):
        known, before = {*places[:number][::-1][:limit]}, len(made)
        assert entries[place] == (place,) == entries.kept[place]
        assert place not in known or len(made) == before
        assert len(entries._old) + len(entries._young) <= 2 * limit
        assert sorted(entries._young) == [each for each in range(20) if entries.kept[each]]
    while entries.let_go(2):
        pass
    assert not any(entries.kept)
    assert not entries._old
