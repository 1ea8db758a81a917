"""A replaced catalog goes a little at a time, and not before the bids that hold it."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from bidder.pipeline import Compiled
from bidder.server.replaced import Pace, let_go_of
from bidder.stages.encode import Encoder
from bidder.stages.index import compile_index

Make = Callable[..., Any]
CAMPAIGNS, A_SHARD = 40, 8
AT_ONCE = Pace(objects=1, every_s=0.0, shards_after_s=0.0)
TURNS = 1_000


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """As in the bidder: what goes has to go by reference counts."""
    gc.disable()
    yield
    gc.unfreeze()
    gc.enable()


def looked_at(make_campaign: Make) -> Compiled:
    """With shards of A_SHARD campaigns, all of which have been looked at."""
    index = compile_index([make_campaign(id=f"c{number}") for number in range(CAMPAIGNS)], A_SHARD, A_SHARD)
    for place in range(CAMPAIGNS):
        assert index.entries[place]
    return Compiled(index, Encoder("https://bidder.example"))


async def test_no_turn_of_the_loop_frees_more_than_a_part(make_campaign: Make) -> None:
    """An object, or a shard, a turn: what a swap costs the loop does not grow with the catalog."""
    compiled = looked_at(make_campaign)
    entries = compiled.index.entries
    shards = [weakref.ref(shard) for shard in compiled.index.shards]
    let_go_of(compiled, AT_ONCE)
    del compiled
    kept, alive = [sum(map(bool, entries.kept))], [len(shards)]
    while alive[-1]:
        assert len(alive) < TURNS
        await asyncio.sleep(0)
        kept.append(sum(map(bool, entries.kept)))
        alive.append(sum(shard() is not None for shard in shards))
    for counts, first in ((kept, CAMPAIGNS - 1), (alive, CAMPAIGNS // A_SHARD)):
        assert (counts[0], counts[-1]) == (first, 0)
        assert all(before - after <= 1 for before, after in pairwise(counts))


async def test_a_bid_under_way_has_what_it_needs(make_campaign: Make) -> None:
    """Who still holds the index has all of it; it goes with the last one that does."""
    compiled = looked_at(make_campaign)
    index = compiled.index
    shards = [weakref.ref(shard) for shard in index.shards]
    let_go_of(compiled, AT_ONCE)
    del compiled
    for _ in range(2 * CAMPAIGNS):
        await asyncio.sleep(0)
    assert [shard() for shard in shards] == list(index.shards)
    assert index.campaign("c7") is not None
    del index
    assert [shard() for shard in shards] == [None] * len(shards)
