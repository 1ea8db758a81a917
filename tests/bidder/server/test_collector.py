"""The garbage collector by the clock."""

from __future__ import annotations

import asyncio
import gc

from bidder.server.collector import ALL_EVERY, MIDDLE_EVERY, Collector


def test_the_young_are_looked_at_often_and_all_rarely() -> None:
    """One look an interval; every sixtieth goes further, and one an hour all the way."""
    looked: list[int] = []
    collector = Collector(looked.append)
    for _ in range(ALL_EVERY):
        collector.look()
    assert (len(looked), looked.count(2), looked[-1]) == (ALL_EVERY, 1, 2)
    assert looked.count(1) == ALL_EVERY // MIDDLE_EVERY - 1


async def test_it_takes_the_collectors_place_and_gives_it_back() -> None:
    """Between start and stop nothing is collected by number, and the clock goes on."""
    looked = asyncio.Event()
    collector = Collector(lambda _: looked.set(), interval_s=0.01)
    collector.start()
    try:
        assert not gc.isenabled()
        await asyncio.wait_for(looked.wait(), 30)
    finally:
        collector.stop()
        gc.unfreeze()
    assert gc.isenabled()
