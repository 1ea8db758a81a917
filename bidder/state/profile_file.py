"""The profile file: JSON lines, plain or gzip, one profile a line with its key.

    {"key": "b:5f3a…", "s": ["sports"], "n": 3, "t": 1767225600, "c": {"spring-sale": 2}}

The rule kept here: the file is read strictly and within bounds. The first line that is not right ends the reading, with
its number and what would be right; the key is not repeated in the message.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import orjson

from bidder.domain import Profile
from bidder.state.profiles import MAX_VALUE_BYTES, profile_from

MAX_KEY_LENGTH = 128
MAX_LINE_BYTES = MAX_VALUE_BYTES + 4 * MAX_KEY_LENGTH
_FIELDS = {"key", "s", "n", "t", "c"}
_GZIP_MAGIC = b"\x1f\x8b"


class ProfileFileError(ValueError):
    """A profile file that cannot be read; the text says where and what would be right."""


def read_profiles(path: Path) -> Iterator[tuple[str, Profile]]:
    """The keys and profiles of the file, in its order; empty lines are skipped. ProfileFileError: see the module."""
    number = 0
    try:
        with _open(path) as lines:
            while line := lines.readline(MAX_LINE_BYTES + 1):
                number += 1
                if line.strip():
                    yield _entry(line)
    except (OSError, EOFError, zlib.error) as error:
        raise ProfileFileError(f"{path}, after line {number}: cannot be read: {error}") from error
    except ValueError as error:
        raise ProfileFileError(f"{path}, line {number}: {error}") from error


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        zipped = file.read(2) == _GZIP_MAGIC
    return cast("BinaryIO", gzip.open(path) if zipped else path.open("rb"))


def _entry(line: bytes) -> tuple[str, Profile]:
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(f"longer than {MAX_LINE_BYTES} bytes")
    entry = orjson.loads(line)
    if type(entry) is not dict:
        raise ValueError('not a JSON object, as {"key": "b:5f3a", "s": ["sports"]}')
    if unknown := entry.keys() - _FIELDS:
        raise ValueError(f"unknown field {min(unknown)!r}: 'key', 's', 'n', 't' and 'c' are known")
    key = entry.get("key")
    if type(key) is not str or not 0 < len(key) <= MAX_KEY_LENGTH:
        raise ValueError(f"'key' is not a string of 1 to {MAX_KEY_LENGTH} characters")
    return key, profile_from(entry)
