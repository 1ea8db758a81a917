"""The event loop's lag is seen."""

from __future__ import annotations

import asyncio
import time

import uvloop

from bidder.server.lag import LoopLag


async def blocked() -> list[float]:
    """The lags seen while the loop is blocked for 60 ms and then runs freely until five were seen."""
    lags: list[float] = []
    enough = asyncio.Event()

    def observe(lag_s: float) -> None:
        lags.append(lag_s)
        if len(lags) == 5:
            enough.set()

    lag = LoopLag(observe, interval_s=0.01)
    lag.start()
    time.sleep(0.06)  # noqa: ASYNC251 - the fault under test
    async with asyncio.timeout(20):
        await enough.wait()
    lag.stop()
    return lags


async def test_a_blocked_loop_is_seen() -> None:
    """The wake-up that a block of 60 ms held up is at least 50 ms late, less the timer's resolution; none is early."""
    lags = await blocked()
    assert lags[0] > 0.045
    assert min(lags) >= 0.0


def test_a_blocked_loop_is_seen_under_uvloop() -> None:
    """So it is on the loop used in production, whose own clock stands still meanwhile."""
    assert uvloop.run(blocked())[0] > 0.045


async def test_nothing_is_observed_after_the_stop() -> None:
    """A stopped measurement leaves no timer behind."""
    lags: list[float] = []
    stopped, running = LoopLag(lags.append, interval_s=0.001), asyncio.Event()
    stopped.start()
    stopped.stop()
    later = LoopLag(lambda lag_s: running.set(), interval_s=0.01)
    later.start()
    async with asyncio.timeout(20):
        await running.wait()
    later.stop()
    assert lags == []
