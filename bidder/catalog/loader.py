"""A catalog's URI → a `Catalog`, ready to bid with.

The rule kept here: the work is done beside the event loop, and a catalog is whole before anyone sees it.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from bidder.catalog.reader import CatalogError, read_catalog
from bidder.domain import Campaign, Rates
from bidder.source import SourceError, decompress, open_source

T = TypeVar("T")


@dataclass(slots=True, frozen=True)
class Catalog(Generic[T]):
    """All campaigns, best first, and the index compiled from them. `fingerprint`: 12 hex digits of the SHA-256."""

    version: str
    source: str
    fingerprint: str
    loaded_unix_s: float
    campaigns: tuple[Campaign, ...]
    index: T


async def load(
    uri: str | Path,
    compile_index: Callable[[Sequence[Campaign]], T],
    *,
    rates: Rates | None = None,
    endpoint_url: str | None = None,
    region: str | None = None,
) -> Catalog[T]:
    """The catalog at a path or `s3://bucket/key`, gzipped or not. CatalogError: what is wrong with it."""
    try:
        source = open_source(uri, endpoint_url=endpoint_url, region=region)
        try:
            content = await source.read()
        finally:
            await source.aclose()
    except SourceError as error:
        raise CatalogError(str(error)) from error
    return await asyncio.to_thread(build, content.data, str(uri), compile_index, rates)


def build(
    data: bytes,
    uri: str,
    compile_index: Callable[[Sequence[Campaign]], T],
    rates: Rates | None = None,
    stop: threading.Event | None = None,
) -> Catalog[T]:
    """The catalog in `data`, the document as stored. For a thread; `stop` ends it early with a CatalogError."""
    with _quiet_collector():
        try:
            version, campaigns = read_catalog(decompress(data, uri), rates, stop)
        except SourceError as error:
            raise CatalogError(str(error)) from error
        except CatalogError as error:
            raise CatalogError(f"{uri}: the catalog is not usable:\n{error}") from error
        whole = tuple(campaigns)
        return Catalog(version, uri, fingerprint(data), time.time(), whole, compile_index(whole))


def fingerprint(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


@contextmanager
def _quiet_collector() -> Iterator[None]:
    """No collections while millions of lasting objects are made, and none that walks through them afterwards.

    They hold no cycles, and are freed by their reference counts when the catalog is replaced. Without this, 100,000
    campaigns stop all threads again and again while they load, for up to 660 ms.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_on:
            gc.enable()
