"""The index of a catalog: what is done when it is made, so that no request waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bidder.stages.index import Entries, _bounds, compile_index

Make = Callable[..., Any]


def test_the_values_of_small_tables_are_read_when_the_index_is_made(make_campaign: Make) -> None:
    """Reading one takes milliseconds where there are thousands of values: not in a request."""
    index = compile_index([make_campaign(deals=frozenset({"d-1", "d-2"}))])
    assert index._deals._known == {"d-1", "d-2"}


@given(st.integers(0, 5000), st.integers(1, 20), st.integers(1, 40))
def test_shards_are_whole_bytes_of_all_campaigns(count: int, size: int, most: int) -> None:
    """From the best on, each campaign in one of them; the first has at least as many as are asked for."""
    bounds = _bounds(count, 8 * size, 8 * most)
    assert [place for start, end in bounds for place in range(end - 1, start - 1, -1)] == list(range(count))[::-1]
    assert all(start % 8 == 0 for start, _ in bounds)
    assert not bounds or bounds[0][1] - bounds[0][0] >= min(count, 8 * size)


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
