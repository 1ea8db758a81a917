"""The garbage collector by the clock."""

from __future__ import annotations

import asyncio
import gc
import weakref

from bidder.server.collector import ALL_EVERY, MIDDLE_EVERY, WORTH_A_LOOK, Collector


def test_the_young_are_looked_at_often_and_all_rarely() -> None:
    """One look an interval; one a minute goes further, and one an hour all the way."""
    looked: list[int] = []
    collector = Collector(looked.append, lambda: WORTH_A_LOOK)
    for _ in range(ALL_EVERY):
        collector.tick()
    assert (len(looked), looked.count(2), looked[-1]) == (ALL_EVERY, 1, 2)
    assert looked.count(1) == ALL_EVERY // MIDDLE_EVERY - 1


def test_few_young_objects_are_left_to_the_next_time() -> None:
    """A look that finds next to nothing is not taken; the rare ones are."""
    looked: list[int] = []
    collector = Collector(looked.append, lambda: WORTH_A_LOOK - 1)
    for _ in range(MIDDLE_EVERY):
        collector.tick()
    assert looked == [1]


def test_a_cycle_is_found_while_the_collector_is_off() -> None:
    """What no reference counts free is freed by a look, with the interpreter's own collector."""
    collector = Collector()
    gc.collect()
    gc.disable()
    try:
        found = weakref.ref(_cycle(WORTH_A_LOOK))
        assert found() is not None
        collector.tick()
        assert found() is None
    finally:
        gc.enable()


class _Node:
    """Refers to another."""

    other: _Node | None = None


def _cycle(count: int) -> _Node:
    first = last = _Node()
    for _ in range(count):
        last.other = last = _Node()
    last.other = first
    return first


async def test_it_takes_the_collectors_place_and_gives_it_back() -> None:
    """Between start and stop nothing is collected by number, and the clock goes on."""
    looked = asyncio.Event()
    collector = Collector(lambda _: looked.set(), lambda: WORTH_A_LOOK, interval_s=0.01)
    collector.start()
    try:
        assert not gc.isenabled()
        await asyncio.wait_for(looked.wait(), 30)
    finally:
        collector.stop()
        gc.unfreeze()
    assert gc.isenabled()
