"""A catalog's URI → a `Catalog`, ready to bid with.

The rule kept here: the work is done beside the event loop, that of large catalogs in another process, and a catalog is
whole before anyone sees it. Small or large, document or image made off line: what is bid with is an image.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from bidder.catalog.child import Delivery, Order, Stop, in_a_child, make_image
from bidder.catalog.image import CatalogError, Image, fingerprint_of, map_image
from bidder.domain import Campaign, Rates
from bidder.source import Content, Source, SourceError, TooLargeError, decompress, open_source
from bidder.stages.tables import Sections

T = TypeVar("T")

SMALL_BYTES = 256 * 1024
"""A document up to this size, as stored and unpacked, is compiled in a thread and kept in memory: starting a process
takes longer."""

MakeIndex = Callable[[Sections, Sequence[Campaign]], T]
"""Parts of a compiled catalog, and its campaigns, best last → what is bid with."""


@dataclass(slots=True, frozen=True)
class Catalog(Generic[T]):
    """All campaigns, best last, and the index compiled from them. `fingerprint`: 12 hex digits of the SHA-256."""

    version: str
    source: str
    fingerprint: str
    loaded_unix_s: float
    campaigns: Sequence[Campaign]
    index: T


async def load(
    uri: str | Path,
    make_index: MakeIndex[T],
    *,
    rates: Rates | None = None,
    endpoint_url: str | None = None,
    region: str | None = None,
    directory: str = "",
) -> Catalog[T]:
    """The catalog at a path or `s3://bucket/key`, gzipped or not, compiled or not. `directory`: where large ones are
    kept compiled; "" = the usual one. CatalogError: what is wrong with it."""
    order = Order(str(uri), (), directory, rates, endpoint_url, region)
    try:
        source = open_source(uri, endpoint_url=endpoint_url, region=region)
        try:
            delivery, image = await obtain(source, order, Stop())
        finally:
            await source.aclose()
    except SourceError as error:
        raise CatalogError(str(error)) from error
    return await asyncio.to_thread(open_catalog, delivery, image, str(uri), make_index)


async def obtain(source: Source, order: Order, stop: Stop, thread: Executor | None = None) -> tuple[Delivery, bytes]:
    """What is at the source now; if it is small, its image. `stop` ends it early, from another thread. SourceError: it
    cannot be read; CatalogError: nobody can say what is wrong; else that stands in the delivery. `thread`: where the
    work is done; None: in any."""
    loop = asyncio.get_running_loop()
    content = await source.read_small(SMALL_BYTES)
    found = None if content is None else await loop.run_in_executor(thread, _small, content, order)
    return found or (await loop.run_in_executor(thread, in_a_child, order, stop), b"")


def _small(content: Content, order: Order) -> tuple[Delivery, bytes] | None:
    """None: it is large when unpacked."""
    out, error, found = io.BytesIO(), "", fingerprint_of(content.data)
    try:
        decompress(content.data, order.uri, SMALL_BYTES)
        if found not in order.known:
            make_image(content.data, order.uri, order.rates, out)
    except TooLargeError:
        return None
    except (CatalogError, SourceError) as wrong:
        error = str(wrong)
    return Delivery("", error, found, content.stamp, content.settled), out.getvalue()


def open_catalog(delivery: Delivery, image: bytes, uri: str, make_index: MakeIndex[T]) -> Catalog[T]:
    """The catalog that was obtained. For a thread. CatalogError: what is wrong with it."""
    if delivery.error:
        raise CatalogError(delivery.error)
    opened = Image(image, uri) if image else map_image(delivery.path)
    index = make_index(opened.sections, opened.campaigns)
    return Catalog(opened.version, uri, delivery.fingerprint, time.time(), opened.campaigns, index)
