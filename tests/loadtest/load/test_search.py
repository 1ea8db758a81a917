"""The search for the highest rate."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loadtest.load.search import Found, highest


@given(st.floats(1, 100_000), st.floats(1, 50_000), st.floats(0.02, 0.5))
def test_the_limit_is_bracketed_as_closely_as_asked_for(limit: float, start: float, precision: float):
    """What holds is at or below the limit, what breaks is above it, and they are no further apart than asked for. No
    rate is tried twice, and none needs many tries."""
    tried: list[float] = []

    def holds(rate: float) -> bool:
        tried.append(rate)
        return rate <= limit

    found = highest(holds, start, most=50_000, precision=precision)
    assert len(tried) == len(set(tried)) < 40
    assert found.holds <= limit
    if found.breaks is None:
        assert found.holds == 50_000
    else:
        assert limit < found.breaks
        assert found.breaks - found.holds <= precision * found.breaks


def test_nothing_holds():
    """Not even one a second."""
    assert highest(lambda rate: False, 200, most=1000, precision=0.1) == Found(0.0, 1.0)


def test_everything_holds():
    """The most that may be tried is tried."""
    assert highest(lambda rate: True, 200, most=1000, precision=0.1) == Found(1000, None)
