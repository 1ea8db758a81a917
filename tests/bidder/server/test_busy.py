"""How much is shed of what the loop cannot do."""

from __future__ import annotations

import resource
import threading

import pytest

from bidder.server.busy import PATIENCE, PAUSES, WINDOW_S, Busy, Usage, thread_usage


class Load:
    """A loop under a load: `offered` in times of what it can do, where answering at once costs a tenth of a bid.
    `taken`: the share of the core that a neighbour takes."""

    def __init__(self, most: float = 0.95) -> None:
        self.used = Usage(0.0, 0.0, 0)
        self.taken = 0.0
        self.busy = Busy(most, lambda: self.used)

    def passes(self, offered: float, windows: int) -> list[float]:
        """The shares that were shed."""
        shed = []
        for _ in range(windows):
            wanted = min(1.0, offered * (1 - 0.9 * self.busy.shed) / (1 - self.taken))
            pauses = round(300 * (1 - wanted))
            self.used = Usage(
                self.used.now_s + WINDOW_S, self.used.wanted_s + WINDOW_S * wanted, self.used.pauses + pauses
            )
            self.busy.look()
            shed.append(self.busy.shed)
        return shed


@pytest.mark.parametrize("offered", [1.2, 1.5, 2.0, 3.0])
def test_enough_is_shed_that_a_little_time_is_left(offered: float) -> None:
    """Within four seconds of the begin of an overload, and steadily: neither more nor less than the aim needs."""
    load = Load()
    load.passes(offered, 40)
    wanted = (1 - 0.95 / offered) / 0.9
    assert load.passes(offered, 100) == pytest.approx([wanted] * 100, abs=0.06)
    assert load.busy.share == pytest.approx(0.95, abs=0.06 * offered)


def test_under_far_too_much_the_share_is_right_in_the_mean() -> None:
    """It swings there, as a step that is right for less is too large."""
    load = Load()
    load.passes(6.0, 40)
    shed = load.passes(6.0, 100)
    assert sum(shed) / len(shed) == pytest.approx((1 - 0.95 / 6) / 0.9, abs=0.06)
    assert min(shed) > 0.7


def test_nothing_is_shed_below_the_aim() -> None:
    """However long it lasts."""
    load = Load()
    assert not any(load.passes(0.94, 1000))


def test_a_moment_of_work_is_no_overload() -> None:
    """A catalog that is swapped, a collection: shorter than the patience, and often."""
    load = Load()
    for _ in range(20):
        assert not any(load.passes(1.0, PATIENCE - 1))
        assert not any(load.passes(0.5, 1))


def test_all_are_taken_soon_after_an_overload() -> None:
    """Within a second of ten times what can be done."""
    load = Load()
    load.passes(10.0, 20)
    assert load.busy.shed > 0.9
    assert load.passes(0.3, 10)[-1] == 0.0


def test_more_than_can_even_be_refused_is_refused() -> None:
    """The share is never above one."""
    load = Load()
    assert max(load.passes(50.0, 100)) == 1.0
    assert not load.busy.takes()


def test_a_neighbour_on_the_core_is_no_reason_to_take_more() -> None:
    """Half a core is too little for four fifths of what one could do: what waits for the core counts as busy."""
    load = Load()
    load.taken = 0.5
    load.passes(0.8, 40)
    assert load.passes(0.8, 100) == pytest.approx([(1 - 0.95 * 0.5 / 0.8) / 0.9] * 100, abs=0.06)


def test_waiting_for_the_core_alone_is_no_overload() -> None:
    """Where a neighbour makes it wait each time it has something to do, and it still comes to wait for that."""
    used = [Usage(number * WINDOW_S, number * WINDOW_S * 0.98, number * (PAUSES + 1)) for number in range(100)]
    busy = Busy(0.95, iter(used).__next__)
    for _ in used:
        busy.look()
        assert busy.shed == 0.0


def test_what_was_shed_is_taken_again_under_such_a_neighbour() -> None:
    """Slowly, but it does not stay."""
    used = [Usage(number * WINDOW_S, number * WINDOW_S * 0.98, number * (PAUSES + 1)) for number in range(200)]
    busy = Busy(0.95, iter(used).__next__)
    busy.shed = 1.0
    for _ in used:
        busy.look()
    assert busy.shed == 0.0


def test_the_usage_is_of_the_thread_that_asks() -> None:
    """Another thread's work is not in it; its own is; and waiting for something is a pause."""
    before = thread_usage()
    worker = threading.Thread(target=lambda: sum(range(2_000_000)))
    worker.start()
    worker.join()
    after = thread_usage()
    assert after.pauses > before.pauses or not hasattr(resource, "RUSAGE_THREAD")
    while thread_usage().wanted_s < after.wanted_s + 0.02:
        pass
    assert thread_usage().now_s > after.now_s


def test_at_one_nothing_is_ever_shed() -> None:
    """For measuring what a loop can do."""
    load = Load(most=1.0)
    assert not any(load.passes(3.0, 100))
    assert load.busy.share == pytest.approx(1.0)


def test_what_is_shed_is_spread_evenly() -> None:
    """A quarter is every fourth."""
    busy = Busy(0.95)
    busy.shed = 0.25
    taken = [busy.takes() for _ in range(40)]
    assert taken.count(False) == 10
    assert taken[3::4] == [False] * 10
