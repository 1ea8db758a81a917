"""A new catalog is bid with beside the traffic before it takes over.

The rule kept here: nothing is remembered of a new catalog, so that its first bids would cost several times what later
ones do (100,000 campaigns: three times for the first 200), all in a row and on the event loop. So auctions that are
bid on with the old one meanwhile are bid on with the new one, too, in a thread that leaves the interpreter to the loop
for most of the time. What comes out is thrown away; nothing is counted, and no auction is kept for longer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from threading import Event

from bidder.catalog.niceness import be_nice
from bidder.domain import Auction, Exchange, Rates
from bidder.pipeline import Compiled, Open, Pipeline
from bidder.stages.features import features
from bidder.stages.price import price
from bidder.stages.target import target

Asked = tuple[Auction, Exchange, Rates, float]
"""Of an auction: what the stages ask; Unix seconds at arrival. Not who is to be answered."""


@dataclass(frozen=True, slots=True)
class Length:
    """So many auctions at most, collected for `collect_s` at most; after each the thread rests `rest` times as long as
    it took."""

    auctions: int = 1024
    collect_s: float = 1.0
    rest: float = 3.0


class Rehearsal:
    """Call it, on the loop, with a catalog that is about to be used; it returns when that has been bid with."""

    def __init__(self, pipeline: Pipeline, per_slot: int, length: Length = Length()) -> None:
        self._pipeline = pipeline
        self._per_slot = per_slot
        self._length = length

    async def __call__(self, compiled: Compiled) -> None:
        auctions = await self._collected()
        ended, thread = Event(), ThreadPoolExecutor(1, "rehearsal", be_nice)
        try:
            await asyncio.get_running_loop().run_in_executor(thread, self._play, compiled, auctions, ended)
        finally:
            ended.set()
            thread.shutdown(wait=False)

    async def _collected(self) -> Sequence[Asked]:
        """Auctions that come from now on."""
        found: list[Asked] = []
        enough = asyncio.Event()

        def look(group: Iterable[Open]) -> None:
            found.extend([(each.auction, each.exchange, each.rates, each.now_s) for each in group])
            if len(found) >= self._length.auctions:
                enough.set()

        self._pipeline.on_group = look
        try:
            with suppress(TimeoutError):  # those that came will do
                async with asyncio.timeout(self._length.collect_s):
                    await enough.wait()
        finally:
            self._pipeline.on_group = None
        return found[: self._length.auctions]

    def _play(self, compiled: Compiled, auctions: Sequence[Asked], ended: Event) -> None:
        for asked in auctions:
            if ended.is_set():
                return
            since_s = time.perf_counter()
            self._bid(compiled, *asked)
            ended.wait(self._length.rest * (time.perf_counter() - since_s))

    def _bid(self, compiled: Compiled, auction: Auction, exchange: Exchange, rates: Rates, now_s: float) -> None:
        candidates = target(auction, exchange, None, compiled.index, rates, now_s, self._per_slot)
        if candidates:
            features(candidates, auction, exchange, None, rates, now_s)
            priors = [candidate.campaign.prior for candidate in candidates]
            bids = price(candidates, priors, auction, exchange, rates).bids
            if bids:
                compiled.encoder.answer(auction, bids, exchange)
