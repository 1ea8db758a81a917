"""A compiled catalog as one file: named parts of bytes, read where they lie.

The rule kept here: nothing in it is code, and nothing in it is believed before its length, its checksum and the version
of the code that wrote it are found right. It is written to the end before it gets its name.

A file: 8 bytes that say what it is; u64 length of the file; u64 place and u32 length of the directory; u32 CRC-32 of
all that follows; the parts; the directory, JSON. All little-endian.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from struct import Struct
from typing import IO, overload
from zlib import crc32

import orjson

from bidder.domain import Campaign, CreativeSpec
from bidder.domain.records import Codec, Shared

MAGIC = b"\x89BIDCAT\n"
_HEAD = Struct("<8sQQII")
_PIECE = 1024 * 1024
_MADE_BY = ("domain/**/*.py", "catalog/**/*.py", "stages/**/*.py", "data/*.json")


class CatalogError(Exception):
    """The catalog cannot be used. The message is the report: one line a problem, the first 20 of them."""


def fingerprint_of(stored: bytes) -> str:
    """What tells one document from another: 12 hex digits of the SHA-256."""
    return hashlib.sha256(stored).hexdigest()[:12]


@cache
def code_version() -> str:
    """What compiled catalogs depend on beside their document: 16 hex digits of the code that reads and writes them."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(path for pattern in _MADE_BY for path in root.glob(pattern)):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root)} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def write_image(out: IO[bytes], parts: Iterable[tuple[str, Iterable[bytes]]]) -> None:
    """Write an image to `out`, which is empty and can be gone back in."""
    out.write(bytes(_HEAD.size))
    at, checksum = _HEAD.size, 0
    directory: dict[str, tuple[int, int]] = {}

    def add(pieces: Iterable[bytes]) -> int:
        nonlocal at, checksum
        start = at
        for piece in pieces:
            out.write(piece)
            checksum = crc32(piece, checksum)
            at += len(piece)
        return start

    for name, pieces in parts:
        start = add(pieces)
        directory[name] = start, at - start
    start = add([orjson.dumps({"code": code_version(), "parts": directory})])
    out.seek(0)
    out.write(_HEAD.pack(MAGIC, at, start, at - start, checksum))


@contextmanager
def put_in_place(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, 0600, that takes its name when all went well. Whoever is last of two writers wins."""
    descriptor, unfinished = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb", _PIECE) as out:
            yield out
        os.replace(unfinished, path)
    except BaseException:
        os.unlink(unfinished)
        raise


class Image:
    """An image, checked. `sections`: its parts by name. `campaigns`: read when they are asked for.

    CatalogError: it is none, is damaged, or was made by another version of the bidder."""

    def __init__(self, data: bytes | mmap.mmap, name: str) -> None:
        self.sections = _checked(data, name)
        self.version: str = orjson.loads(self.sections["about"])["version"]
        self.campaigns: Sequence[Campaign] = Records(self.sections)


def map_image(path: str) -> Image:
    """The image in a file of ours, mapped: pages that are not used take no memory."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode) or about.st_uid != os.geteuid() or about.st_mode & 0o022:
                raise CatalogError(f"{path}: not a file that is ours and that only we can write")
            mapped = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:  # ValueError: it is empty
        raise CatalogError(f"{path}: {error}") from error
    return Image(mapped, path)


def is_image(data: bytes) -> bool:
    return data.startswith(MAGIC)


def _checked(data: bytes | mmap.mmap, name: str) -> Mapping[str, memoryview]:
    view = memoryview(data)
    if len(view) < _HEAD.size or view[: len(MAGIC)] != MAGIC:
        raise CatalogError(f"{name}: not a compiled catalog")
    _, length, start, directory_length, checksum = _HEAD.unpack_from(view)
    if length != len(view) or not _HEAD.size <= start <= start + directory_length <= length:
        raise CatalogError(f"{name}: the compiled catalog is cut off")
    found = 0
    for at in range(_HEAD.size, length, _PIECE):
        found = crc32(view[at : at + _PIECE], found)
        if isinstance(data, mmap.mmap):
            data.madvise(mmap.MADV_DONTNEED)  # looking at it has brought it in
    if found != checksum:
        raise CatalogError(f"{name}: the compiled catalog is damaged: its checksum is wrong")
    directory = orjson.loads(view[start : start + directory_length])
    if directory["code"] != code_version():
        raise CatalogError(
            f"{name}: compiled by another version of the bidder; compile it anew with python -m bidder compile-catalog"
        )
    return {part: view[at : at + size] for part, (at, size) in directory["parts"].items()}


# -- the campaigns in it ----------------------------------------------------------------------------------------------


class Records(Sequence[Campaign]):
    """The campaigns of an image, best last, each made anew whenever it is asked for: 20 µs."""

    def __init__(self, sections: Mapping[str, memoryview]) -> None:
        self._records = sections["records"]
        self._ends = sections["ends"].cast("Q")
        specs = Shared(map(Codec(CreativeSpec).read, orjson.loads(sections["specs"])))
        self._read: Callable[[Mapping[str, object]], Campaign] = Codec(Campaign, {CreativeSpec: specs}).read

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, at: int) -> Campaign: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Campaign]: ...
    def __getitem__(self, at: int | slice) -> Campaign | Sequence[Campaign]:
        if isinstance(at, slice):
            return [self[number] for number in range(*at.indices(len(self)))]
        number = range(len(self))[at]
        return self._read(orjson.loads(self._records[self._ends[number] : self._ends[number + 1]]))
