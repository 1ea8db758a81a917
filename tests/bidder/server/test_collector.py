"""The garbage collector by the clock."""

from __future__ import annotations

import asyncio
import gc
import weakref

from bidder.server.collector import ALL_EVERY, ENOUGH, WORTH_A_LOOK, Collector


class Looks:
    """What a collector does, and a heap that grows by `young` objects a tick."""

    def __init__(self, young: int) -> None:
        self.young = young
        self.done: list[int | str] = []
        self.collector = Collector(self.done.append, lambda: self.done.append("freeze"), lambda: self.young)

    def after(self, ticks: int) -> list[int | str]:
        for _ in range(ticks):
            self.collector.tick()
        return self.done


def test_what_outlives_a_look_is_looked_at_once_more_and_then_frozen() -> None:
    """No look is at more than ENOUGH objects beside the newest, however many a bidder keeps."""
    looks = Looks(ENOUGH // 4)
    assert looks.after(8) == [0, 0, 0, 2, "freeze", 0, 0, 0, 2, "freeze"]


def test_few_young_objects_are_left_to_the_next_time() -> None:
    """A look that finds next to nothing is not taken; one a minute is, at all that is not frozen."""
    looks = Looks(WORTH_A_LOOK - 1)
    assert looks.after(2 * ALL_EVERY) == [2, 2]


def test_what_a_look_a_minute_leaves_counts_as_older() -> None:
    """So that what grows slowly is frozen in the end, too."""
    looks = Looks(WORTH_A_LOOK - 1)
    assert looks.after(6 * ALL_EVERY) == [2] * 6 + ["freeze", 2]


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
    collector = Collector(lambda _: looked.set(), young=lambda: WORTH_A_LOOK, interval_s=0.01)
    collector.start()
    try:
        assert not gc.isenabled()
        await asyncio.wait_for(looked.wait(), 30)
    finally:
        collector.stop()
        gc.unfreeze()
    assert gc.isenabled()
