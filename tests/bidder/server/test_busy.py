"""How much is shed of what the loop cannot do."""

from __future__ import annotations

import pytest

from bidder.server.busy import PATIENCE, WINDOW_S, Busy


class Load:
    """A loop under a load: `offered` in times of what it can do, where answering at once costs a tenth of a bid."""

    def __init__(self, most: float = 0.95) -> None:
        self.now_s = self.cpu_s = 0.0
        self.busy = Busy(most, clock=lambda: self.now_s, cpu_clock=lambda: self.cpu_s)

    def passes(self, offered: float, windows: int) -> list[float]:
        """The shares that were shed."""
        shed = []
        for _ in range(windows):
            self.now_s += WINDOW_S
            self.cpu_s += WINDOW_S * min(1.0, offered * (1 - 0.9 * self.busy.shed))
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
