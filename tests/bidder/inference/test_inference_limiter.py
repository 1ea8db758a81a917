"""The limiter's arithmetic: times are numbers, nothing waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bidder.inference.limiter import Limiter, Outcome, State


def _run(limiter: Limiter, outcome: Outcome, times: int, now_s: float = 0.0) -> None:
    for _ in range(times):
        if limiter.acquire(now_s):
            limiter.release(outcome, now_s)


def test_in_flight_is_bounded() -> None:
    """No slot beyond the bound; a released one serves again."""
    limiter = Limiter(2)
    assert [limiter.acquire(0.0) for _ in range(3)] == [True, True, False]
    limiter.release(Outcome.SUCCESS, 0.0)
    assert limiter.acquire(0.0)


def test_few_failures_leave_it_closed() -> None:
    """One call in ten failing does not open the breaker."""
    limiter = Limiter(4)
    for _ in range(50):
        _run(limiter, Outcome.SUCCESS, 9)
        _run(limiter, Outcome.DROPPED, 1)
    assert limiter.state is State.CLOSED


def test_half_failing_opens() -> None:
    """When half of the window failed, no call passes until the rest is over."""
    limiter = Limiter(4, window=32, failure_ratio=0.5, open_s=1.0)
    _run(limiter, Outcome.DROPPED, 15)
    assert limiter.state is State.CLOSED
    _run(limiter, Outcome.DROPPED, 1)
    assert limiter.state is State.OPEN
    assert limiter.refuses(0.99)
    assert not limiter.acquire(0.99)


def test_ignored_outcomes_do_not_count() -> None:
    """What says nothing about the endpoint opens nothing."""
    limiter = Limiter(4)
    _run(limiter, Outcome.IGNORE, 1000)
    assert limiter.state is State.CLOSED


def test_probing_is_one_at_a_time() -> None:
    """After the rest, one call is let through; the next only after it came back."""
    limiter = Limiter(4, window=4, open_s=1.0)
    _run(limiter, Outcome.DROPPED, 4)
    assert limiter.acquire(1.0)
    assert limiter.refuses(1.0)
    assert not limiter.acquire(1.0)
    limiter.release(Outcome.SUCCESS, 1.0)
    assert limiter.acquire(1.0)


def test_successful_probes_close_it() -> None:
    """Three good probes in a row and calls flow again, with a clean window."""
    limiter = Limiter(4, window=4, open_s=1.0, probes=3)
    _run(limiter, Outcome.DROPPED, 4)
    _run(limiter, Outcome.SUCCESS, 3, now_s=1.0)
    assert limiter.state is State.CLOSED
    _run(limiter, Outcome.DROPPED, 1, now_s=1.0)
    assert limiter.state is State.CLOSED


def test_failed_probe_doubles_the_rest() -> None:
    """Each failed probe doubles the rest, up to its bound."""
    limiter = Limiter(4, window=4, open_s=1.0, max_open_s=3.0)
    _run(limiter, Outcome.DROPPED, 4)
    now_s = 0.0
    for rest_s in (1.0, 2.0, 3.0, 3.0):
        assert limiter.refuses(now_s + rest_s - 0.01)
        now_s += rest_s
        _run(limiter, Outcome.DROPPED, 1, now_s)
    assert limiter.opened == 5


def test_late_outcomes_of_old_calls_do_not_reopen() -> None:
    """Calls sent before it opened come back while it is open: they change nothing, and probes wait for them."""
    limiter = Limiter(8, window=4, open_s=1.0)
    assert all(limiter.acquire(0.0) for _ in range(6))
    for _ in range(5):
        limiter.release(Outcome.DROPPED, 0.0)
    assert limiter.opened == 1
    assert not limiter.acquire(1.0)
    limiter.release(Outcome.DROPPED, 1.0)
    assert limiter.acquire(1.0)


@given(st.lists(st.tuples(st.sampled_from(Outcome), st.floats(0, 2), st.booleans()), max_size=200))
def test_slots_always_balance(steps: list[tuple[Outcome, float, bool]]) -> None:
    """Whatever happens, in-flight stays within its bound, and a rest and a success streak bring it back."""
    limiter, now_s, held = Limiter(3, window=4), 0.0, 0
    for outcome, wait_s, release in steps:
        now_s += wait_s
        if release and held:
            limiter.release(outcome, now_s)
            held -= 1
        elif limiter.acquire(now_s):
            held += 1
        assert limiter.in_flight == held <= 3
    for _ in range(held):
        limiter.release(Outcome.IGNORE, now_s)
    for _ in range(3):
        now_s += 10.0
        _run(limiter, Outcome.SUCCESS, 1, now_s)
    assert limiter.state is State.CLOSED
