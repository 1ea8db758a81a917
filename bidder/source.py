"""Where the operator's documents come from: a local path or `s3://bucket/key`, read whole and within a limit.

The rule kept here: what is read is complete or it is an error. A file that changes while it is read, a body that ends
early, gzip data that breaks off and whatever exceeds the limit raise `SourceError`; nothing of them is handed on.
"""

from __future__ import annotations

import asyncio
import os
import time
import zlib
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar
from urllib.parse import urlsplit

_T = TypeVar("_T")

MAX_BYTES = 512 * 1024 * 1024  # as stored, and again after decompression
_CHUNK = 1024 * 1024
_RACY_S = 2.0  # a file changed this recently may change again without a new time stamp
_TRANSFER_S = 300.0
_GZIP_MAGIC = b"\x1f\x8b"


class SourceError(Exception):
    """A document could not be read. The message names the document and what went wrong."""


class TooLargeError(SourceError):
    """It is larger than the limit."""


@dataclass(slots=True, frozen=True)
class Content:
    """A document as stored. `stamp` changes when the document does; not `settled`: for a short while it might not."""

    data: bytes
    stamp: str
    settled: bool = True


class Source(Protocol):
    uri: str

    async def stamp(self) -> str:
        """What tells one version of the document from another, without reading it."""

    async def read(self) -> Content:
        """The whole document."""

    async def read_small(self, at_most: int) -> Content | None:
        """The whole document; None if it is larger than so many bytes."""

    async def aclose(self) -> None:
        """Give back connections. Reading again afterwards opens new ones."""


def open_source(
    uri: str | Path, *, endpoint_url: str | None = None, region: str | None = None, max_bytes: int = MAX_BYTES
) -> Source:
    """The source behind `uri`: `s3://bucket/key`, or a path. `endpoint_url` and `region` are S3's; None: the usual."""
    text = str(uri)
    if text.startswith("s3://"):
        return S3Source(text, endpoint_url=endpoint_url, region=region, max_bytes=max_bytes)
    if "://" in text:
        raise SourceError(f"{text}: only a path or s3://bucket/key can be read")
    return FileSource(text, max_bytes=max_bytes)


async def read_document(
    uri: str | Path, *, endpoint_url: str | None = None, region: str | None = None, max_bytes: int = MAX_BYTES
) -> bytes:
    """The document at `uri`, read once and unpacked where it is gzipped. SourceError: it cannot be had."""
    source = open_source(uri, endpoint_url=endpoint_url, region=region, max_bytes=max_bytes)
    try:
        content = await source.read()
    finally:
        await source.aclose()
    return await asyncio.to_thread(decompress, content.data, source.uri, max_bytes)


class FileSource:
    """A local file. Disk work is done in a thread."""

    def __init__(self, path: str, *, max_bytes: int = MAX_BYTES) -> None:
        self.uri = path
        self._max_bytes = max_bytes

    async def stamp(self) -> str:
        return _file_stamp(await asyncio.to_thread(self._stat))

    async def read(self) -> Content:
        return await asyncio.to_thread(self._read, self._max_bytes)

    async def read_small(self, at_most: int) -> Content | None:
        try:
            return await asyncio.to_thread(self._read, at_most)
        except TooLargeError:
            return None

    async def aclose(self) -> None:
        """Nothing is kept open."""

    def _stat(self) -> os.stat_result:
        try:
            return os.stat(self.uri)
        except OSError as error:
            raise SourceError(f"{self.uri}: {error.strerror}") from error

    def _read(self, at_most: int) -> Content:
        try:
            with open(self.uri, "rb") as file:
                before = os.fstat(file.fileno())
                if before.st_size > at_most:
                    raise _too_large(self.uri, at_most)
                data = _in_pieces(file, at_most + 1)
                after = os.fstat(file.fileno())
        except OSError as error:
            raise SourceError(f"{self.uri}: {error.strerror}") from error
        if len(data) > at_most:
            raise _too_large(self.uri, at_most)
        if _file_stamp(before) != _file_stamp(after) or len(data) != after.st_size:
            raise SourceError(f"{self.uri}: changed while it was read; write a new file and rename it into place")
        return Content(data, _file_stamp(after), time.time() - after.st_mtime > _RACY_S)


def _in_pieces(file: IO[bytes], at_most: int) -> bytes:
    """What `file.read(at_most)` reads. A kernel without preemption gives the core to nobody else during one read, and
    bids waited for 30 to 50 ms where 110 MB were read at once."""
    pieces = []
    while at_most > 0 and (piece := file.read(min(_CHUNK, at_most))):
        pieces.append(piece)
        at_most -= len(piece)
    return b"".join(pieces)


class S3Source:
    """An object in S3, through aioboto3. The client is made at the first use (it takes about 0.1 s) and kept."""

    def __init__(
        self, uri: str, *, endpoint_url: str | None = None, region: str | None = None, max_bytes: int = MAX_BYTES
    ) -> None:
        parts = urlsplit(uri, allow_fragments=False)
        self.uri = uri
        self._bucket, self._key = parts.netloc, uri.removeprefix(f"s3://{parts.netloc}").removeprefix("/")
        if not self._bucket or not self._key:
            raise SourceError(f"{uri}: not of the form s3://bucket/key")
        self._endpoint_url, self._region, self._max_bytes = endpoint_url, region, max_bytes
        self._client: Any = None
        self._stack = AsyncExitStack()

    async def stamp(self) -> str:
        async def head() -> str:
            client = await self._connected()
            return _object_stamp(await client.head_object(Bucket=self._bucket, Key=self._key))

        return await self._translated(head)

    async def read(self) -> Content:
        return await self._translated(lambda: self._get(self._max_bytes))

    async def read_small(self, at_most: int) -> Content | None:
        try:
            return await self._translated(lambda: self._get(at_most))
        except TooLargeError:
            return None

    async def aclose(self) -> None:
        self._client = None
        await self._stack.aclose()

    async def _get(self, at_most: int) -> Content:
        client = await self._connected()
        answer = await client.get_object(Bucket=self._bucket, Key=self._key)
        length = answer["ContentLength"]
        data = bytearray()
        body = answer["Body"]
        async with body:  # closes the connection if the reading ends early
            if length > at_most:
                raise _too_large(self.uri, at_most)
            while chunk := await body.read(_CHUNK):
                data += chunk
                if len(data) > at_most:
                    raise _too_large(self.uri, at_most)
        if len(data) != length:
            raise SourceError(f"{self.uri}: the body ended after {len(data)} of {length} bytes")
        return Content(bytes(data), _object_stamp(answer))

    async def _connected(self) -> Any:
        if self._client is None:
            import aioboto3  # here: importing it takes 0.3 s, and only S3 needs it
            from botocore.config import Config

            config = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "max_attempts": 3})
            client = aioboto3.Session().client(
                "s3", endpoint_url=self._endpoint_url, region_name=self._region, config=config
            )
            self._client = await self._stack.enter_async_context(client)
        return self._client

    async def _translated(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """`call()` within the transfer's time limit; every foreign error becomes a `SourceError`."""
        from aiohttp import ClientError as HttpError
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            async with asyncio.timeout(_TRANSFER_S):
                return await call()
        except TimeoutError as error:
            raise SourceError(f"{self.uri}: not answered within {_TRANSFER_S:.0f} s") from error
        except (BotoCoreError, ClientError, HttpError, OSError) as error:
            raise SourceError(f"{self.uri}: {error}") from error


def decompress(content: bytes, uri: str, max_bytes: int = MAX_BYTES) -> bytes:
    """The document itself: gzip data (told by its first bytes, whatever the name) unpacked within `max_bytes`."""
    if not content.startswith(_GZIP_MAGIC):
        return content
    out, rest = bytearray(), content
    while rest:
        member = zlib.decompressobj(wbits=31)
        try:
            out += member.decompress(rest, max_bytes + 1 - len(out))
        except zlib.error as error:
            raise SourceError(f"{uri}: broken gzip data: {error}") from error
        if len(out) > max_bytes:
            raise _too_large(uri, max_bytes)
        if not member.eof:
            raise SourceError(f"{uri}: the gzip data breaks off; the file is not complete")
        rest = member.unused_data
    return bytes(out)


def _file_stamp(stat: os.stat_result) -> str:
    return f"{stat.st_ino}-{stat.st_size}-{stat.st_mtime_ns}"


def _object_stamp(answer: dict[str, Any]) -> str:
    return f"{answer.get('ETag', '')}-{answer.get('VersionId', '')}"


def _too_large(uri: str, limit: int) -> TooLargeError:
    return TooLargeError(f"{uri}: larger than the limit of {limit} bytes")
