"""The catalog that is bid with now, and its replacement when the document changes.

The rule kept here: the last good catalog stays until another one is loaded, checked and compiled as a whole; the
change is one assignment. Whatever is wrong with a new document (missing, cut off, invalid, half-written) is counted,
and logged once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Generic, TypeVar

from bidder.catalog.child import Delivery, Order, Stop
from bidder.catalog.image import CatalogError
from bidder.catalog.loader import Catalog, MakeIndex, obtain, open_catalog
from bidder.catalog.niceness import be_nice
from bidder.domain import Rates
from bidder.source import SourceError, open_source

T = TypeVar("T")

_LOG = logging.getLogger(__name__)


class CatalogStore(Generic[T]):
    """Holds `current`, from `start()` on. `reloads`, `reload_failures`, `last_error` and `age_s` are there to be read.

    `last_error` is empty when the newest document is in use. `before_swap` may be set: it is awaited with the index of
    each catalog that is about to replace another. `on_swap` is called on the loop with each catalog that was replaced,
    once the next one is in use.
    """

    current: Catalog[T]

    def __init__(
        self,
        uri: str | Path,
        make_index: MakeIndex[T],
        *,
        rates: Rates | None = None,
        interval_s: float = 5.0,
        endpoint_url: str | None = None,
        region: str | None = None,
        directory: str = "",
        on_swap: Callable[[Catalog[T]], None] | None = None,
    ) -> None:
        self.reloads = 0
        self.reload_failures = 0
        self.last_error = ""
        try:
            self._source = open_source(uri, endpoint_url=endpoint_url, region=region)
        except SourceError as error:
            raise CatalogError(str(error)) from error
        self.before_swap: Callable[[T], Awaitable[None]] | None = None
        self._make_index = make_index
        self._order = Order(self._source.uri, (), directory, rates, endpoint_url, region)
        self._interval_s = interval_s
        self._on_swap = on_swap
        self._seen = ""  # stamp of the version last read; empty: read again
        self._rejected = ""  # fingerprint of the version last found bad
        self._busy = asyncio.Lock()
        self._closing = Stop()
        self._aside = ThreadPoolExecutor(1, "catalog", be_nice)  # for what is done while bids are answered
        self._watcher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load, then watch. CatalogError: there is no catalog to fall back to; the message is the report."""
        try:
            delivery, image = await obtain(self._source, self._order, self._closing)
        except SourceError as error:
            raise CatalogError(str(error)) from error
        self.current = await self._open(delivery, image, thread=None)
        self._rejected = ""
        self._watcher = asyncio.create_task(self._watch(), name="catalog-watcher")

    async def aclose(self) -> None:
        """Stop watching, a load under way included."""
        self._closing.ask()
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        self._aside.shutdown(wait=False)
        await self._source.aclose()

    @property
    def age_s(self) -> float:
        """Seconds since the current catalog was loaded."""
        return time.time() - self.current.loaded_unix_s

    async def reload_now(self) -> bool:
        """Read the document even if it looks unchanged. True: there is a new catalog. A failure is in `last_error`."""
        return await self._reload(force=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            await self._reload(force=False)

    async def _reload(self, *, force: bool) -> bool:
        async with self._busy:
            try:
                catalog = await self._changed(force)
            except Exception as error:  # whatever it is, bidding goes on with the catalog that is there
                self._failed(str(error) or repr(error))
                return False
            if catalog is None:
                return False
            await self._prepare(catalog)
            self._swap(catalog)
            return True

    async def _changed(self, force: bool) -> Catalog[T] | None:
        """The new catalog, if the document is another one than both the current and the last rejected."""
        if not force and await self._source.stamp() == self._seen:
            return None
        known = [self.current.fingerprint, *([self._rejected] if self._rejected and not force else ())]
        delivery, image = await obtain(self._source, replace(self._order, known=known), self._closing, self._aside)
        if delivery.fingerprint not in known:
            return await self._open(delivery, image, self._aside)
        self._seen = delivery.stamp if delivery.settled else ""
        if delivery.fingerprint == self.current.fingerprint:
            self.last_error = self._rejected = ""
        return None

    async def _open(self, delivery: Delivery, image: bytes, thread: Executor | None) -> Catalog[T]:
        self._seen = delivery.stamp if delivery.settled else ""
        self._rejected = delivery.fingerprint  # until it proves to be good
        opened = asyncio.get_running_loop().run_in_executor(
            thread, open_catalog, delivery, image, self._source.uri, self._make_index
        )
        return await opened

    async def _prepare(self, catalog: Catalog[T]) -> None:
        if self.before_swap is not None:
            try:
                await self.before_swap(catalog.index)
            except Exception:
                _LOG.exception("catalog %s comes into use unprepared", catalog.source)

    def _swap(self, catalog: Catalog[T]) -> None:
        replaced, self.current = self.current, catalog
        self.reloads += 1
        self.last_error = self._rejected = ""
        _LOG.info(
            "catalog %s: version %s (%s), %d campaigns",
            catalog.source,
            catalog.version,
            catalog.fingerprint,
            len(catalog.campaigns),
        )
        if self._on_swap is not None:
            try:
                self._on_swap(replaced)
            except Exception:
                _LOG.exception("catalog %s is in use, but telling of the swap failed", catalog.source)

    def _failed(self, error: str) -> None:
        self.reload_failures += 1
        if error != self.last_error:
            _LOG.error(
                "catalog version %s, loaded %.0f s ago, stays in use; the new one failed: %s",
                self.current.version,
                self.age_s,
                " | ".join(error.splitlines()),
            )
        self.last_error = error
