"""What the workers on one port tell each other: their metrics, so that a scrape that reaches one of them gets all.

The rule kept here: a Unix socket each, in a folder of the supervisor's; who connects is sent a snapshot, and reads no
more and waits no longer than is bounded. A worker that does not answer is left out: its series have a gap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import orjson

from bidder.metrics import Family, Metrics, Together

MAX_BYTES = 16 << 20
PATIENCE_S = 1.0


class Peers:
    """This worker, `place`, among those that share `folder`."""

    def __init__(self, folder: Path, place: int, metrics: Metrics) -> None:
        self._folder = folder
        self._place = str(place)
        self._metrics = metrics
        self._server: asyncio.Server | None = None

    @property
    def _path(self) -> Path:
        return self._folder / f"{self._place}.sock"

    async def start(self) -> None:
        self._path.unlink(missing_ok=True)  # of one that stood in this place before
        self._server = await asyncio.start_unix_server(self._tell, self._path)

    async def aclose(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._path.unlink(missing_ok=True)

    async def scrape(self) -> Iterator[bytes]:
        """The metrics of all workers, in the text exposition format, piece by piece."""
        others = [path for path in self._folder.glob("*.sock") if path.stem != self._place]
        told = await asyncio.gather(*map(_ask, others))
        snapshots = {path.stem: families for path, families in zip(others, told, strict=True) if families is not None}
        snapshots[self._place] = self._metrics.snapshot()
        return Together(dict(sorted(snapshots.items()))).pieces()

    async def _tell(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            writer.write(orjson.dumps(self._metrics.snapshot()))
            await writer.drain()
        writer.close()


async def _ask(path: Path) -> list[Family] | None:
    """A peer's snapshot; None: it has none to give."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_unix_connection(path, limit=MAX_BYTES)
            try:
                told = await reader.read(MAX_BYTES)
                while part := await reader.read(MAX_BYTES - len(told)):
                    told += part
            finally:
                writer.close()
        families: list[Family] = orjson.loads(told)
    except (OSError, TimeoutError, orjson.JSONDecodeError):
        return None
    return families
