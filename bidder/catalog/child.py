"""The process beside the bidder that reads, checks and compiles a large catalog.

The rule kept here: the bidder's own process does none of that work, for its bids would wait: Python's threads take
turns. An order in JSON comes in on standard input, the answer goes out as JSON on standard output; the image stays
where the answer says. Others go first: the child is nice.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import orjson

from bidder import logs
from bidder.catalog.cache import directory_for, image_path, sweep
from bidder.catalog.image import CatalogError, Image, fingerprint_of, is_image, map_image, put_in_place
from bidder.domain import Rates
from bidder.source import SourceError, decompress, open_source

_LOG = logging.getLogger(__name__)


@dataclass(slots=True, frozen=True)
class Order:
    """What the child shall do: with the document at `uri`, unless its fingerprint is one of `known`."""

    uri: str
    known: Sequence[str] = ()
    directory: str = ""  # for images; "" = the usual one
    rates: Rates | None = None
    endpoint_url: str | None = None
    region: str | None = None


@dataclass(slots=True, frozen=True)
class Delivery:
    """What it found: where the image is, or what is wrong. Neither: the document is known. `stamp` and `settled`: see
    `source.Content`; `fingerprint` "": it could not be read."""

    path: str = ""
    error: str = ""
    fingerprint: str = ""
    stamp: str = ""
    settled: bool = False


class Stop:
    """Ends a child early, from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self.asked_for = False

    def ask(self) -> None:
        with self._lock:
            self.asked_for = True
            if self._child is not None:
                self._child.kill()  # if it has not ended

    def can_end(self, child: subprocess.Popen[bytes]) -> None:
        """This is the child from now on."""
        with self._lock:
            self._child = child
            if self.asked_for:
                child.kill()


def in_a_child(order: Order, stop: Stop) -> Delivery:
    """Have it done. For a thread; `stop` ends it early. CatalogError: the child failed without a word."""
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os; os.setpriority(os.PRIO_PROCESS, 0, max(10, os.getpriority(os.PRIO_PROCESS, 0)));"
            "from bidder.catalog.child import main; main()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path},
    ) as child:
        stop.can_end(child)
        # No look at `stop` now and then: a thread that wakes up takes the interpreter, and may wait for a core with it.
        answer, _ = child.communicate(_asked(order))
    if stop.asked_for:
        raise CatalogError(f"{order.uri}: reading was stopped")
    if child.returncode:
        raise CatalogError(f"{order.uri}: the process that compiles the catalog ended with status {child.returncode}")
    return Delivery(**orjson.loads(answer))


def _asked(order: Order) -> bytes:
    named = {name: getattr(order, name) for name in Order.__slots__} | {"log_format": logs.format_in_use()}
    if rates := order.rates:
        named["rates"] = {"date": rates.date, "base": rates.base, "per_base": dict(rates.per_base)}
    return orjson.dumps(named)


async def deliver(order: Order) -> Delivery:
    """What the child does."""
    source = open_source(order.uri, endpoint_url=order.endpoint_url, region=order.region)
    try:
        content = await source.read()
    except SourceError as error:
        return Delivery(error=str(error))
    finally:
        await source.aclose()
    path, wrong, found = "", "", fingerprint_of(content.data)
    if found not in order.known:
        try:
            path = str(_image_of(content.data, order))
        except (CatalogError, SourceError) as error:
            wrong = str(error)
        except OSError as error:  # not the document's fault: it is tried again
            return Delivery(error=f"{order.uri}: its compiled form cannot be written: {error}")
    return Delivery(path, wrong, found, content.stamp, content.settled)


def _image_of(stored: bytes, order: Order) -> Path:
    """The image, from the directory if it is there and sound, else made anew."""
    directory = directory_for(order.directory)
    path = image_path(directory, stored, order.rates)
    try:
        map_image(str(path))
    except CatalogError as error:
        if path.exists():
            _LOG.warning("made anew: %s", error)
        with put_in_place(path) as out:
            make_image(stored, order.uri, order.rates, out)
    sweep(directory, path)
    return path


def make_image(stored: bytes, uri: str, rates: Rates | None, out: IO[bytes]) -> None:
    """Write the image of what is at `uri` to `out`: compiled, or copied where it is one, as `Image` checks it when it
    is used. CatalogError, SourceError: what is wrong."""
    document = decompress(stored, uri)
    if is_image(document):
        Image(document, uri)
        out.write(document)
        return
    from bidder.catalog.compile import compile_document  # here: it takes 0.3 s to import, and a start has no need of it

    try:
        compile_document(document, rates, out)
    except CatalogError as error:
        raise CatalogError(f"{uri}: the catalog is not usable:\n{error}") from error


def main() -> None:
    """The child."""
    asked = orjson.loads(sys.stdin.buffer.read())
    logs.configure(asked.pop("log_format"))
    rates = asked.pop("rates")
    answer = asyncio.run(deliver(Order(**asked, rates=rates and Rates(**rates))))
    sys.stdout.buffer.write(orjson.dumps(answer))
