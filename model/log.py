"""The event log: the rows the bidder served, as the trainer reads them.

The rule: nothing is assumed about the features but what the file's own header says, and nothing doubtful is read. A
line that is short, not a number or not finite ends the reading with its file, its line and what would be right.

The format, plain or gzip:

    # {"format": "bidder-rows/1", "features": [...], "features_version": "<12 hex>", "categorical": [...]}
    auction_id,impression_id,campaign_id,<the features>[,label]
    one line per served row

A category is a stable hash in 0..16,777,215, so that float32 holds it exactly; 0 means unknown.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

FORMAT = "bidder-rows/1"
IDS = ("auction_id", "impression_id", "campaign_id")
LABEL = "label"
CATEGORY_LIMIT = 1 << 24
MAX_FEATURES = 4096
CHUNK_ROWS = 20_000  # lines held as text at a time


class LogError(ValueError):
    """A log that cannot be read; the text says where and what would be right."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a log says of its rows. `features` are in row order; `categorical` are those that hash a category."""

    features: tuple[str, ...]
    features_version: str
    categorical: tuple[str, ...]

    def sha256(self) -> str:
        """The digest by which an artifact names the header that it learned from."""
        text = json.dumps([FORMAT, self.features, self.features_version, self.categorical], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class EventLog:
    """Rows in file order: `rows` is float32 (n, features), `labels` float32 (n,) of 0 and 1, or None."""

    header: Header
    auction_ids: list[str]
    impression_ids: list[str]
    campaign_ids: list[str]
    rows: NDArray[np.float32]
    labels: NDArray[np.float32] | None

    def __len__(self) -> int:
        return len(self.auction_ids)


def read(path: Path) -> EventLog:
    """Reads one log file, or all the files of a folder in the order of their names; their headers must agree.

    Raises LogError.
    """
    files = (
        sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith(".")) if path.is_dir() else [path]
    )
    if not files:
        raise LogError(f"{path}: the folder holds no log file")
    parts = [_read_file(file) for file in files]
    first = parts[0]
    for file, part in zip(files, parts, strict=True):
        if part.header != first.header or (part.labels is None) != (first.labels is None):
            raise LogError(f"{file}: its header differs from that of {files[0]}; a log has one list of features")
    return EventLog(
        first.header,
        [name for part in parts for name in part.auction_ids],
        [name for part in parts for name in part.impression_ids],
        [name for part in parts for name in part.campaign_ids],
        np.concatenate([part.rows for part in parts]),
        None if first.labels is None else np.concatenate([p.labels for p in parts if p.labels is not None]),
    )


def append_labels(source: Path, target: Path, labels: NDArray[np.float32]) -> None:
    """Copies the unlabelled log `source` with one label a row; the rows keep their bytes. A name in .gz compresses."""
    with _reading(source) as lines, _writing(target) as out:
        out.write(next(lines) + "\n")
        out.write(f"{next(lines)},{LABEL}\n")
        for line, label in zip(lines, labels, strict=True):
            out.write(f"{line},{int(label)}\n")


def _read_file(path: Path) -> EventLog:
    with _reading(path) as lines:
        header, labelled = _header(path, next(lines, ""), next(lines, ""))
        names = (*header.features, LABEL) if labelled else header.features
        ids: list[list[str]] = []
        blocks: list[NDArray[np.float32]] = []
        number = 3
        while chunk := list(islice(lines, CHUNK_ROWS)):
            blocks.append(_block(path, chunk, number, names, ids))
            number += len(chunk)
    if not blocks:
        raise LogError(f"{path}: the log has no rows")
    table = np.concatenate(blocks)
    rows = np.ascontiguousarray(table[:, : len(header.features)])
    labels = np.ascontiguousarray(table[:, -1]) if labelled else None
    _check_values(path, header, rows, labels)
    return EventLog(header, [i[0] for i in ids], [i[1] for i in ids], [i[2] for i in ids], rows, labels)


def _header(path: Path, first: str, second: str) -> tuple[Header, bool]:
    try:
        if not first.startswith("#"):
            raise ValueError("no '#'")
        facts = json.loads(first[1:])
        header = Header(tuple(facts["features"]), facts["features_version"], tuple(facts["categorical"]))
        known = facts["format"] == FORMAT and all(
            isinstance(name, str) for name in header.features + header.categorical
        )
    except (ValueError, TypeError, KeyError):
        known = False
    if not known:
        raise LogError(
            f"{path}:1: expected '#' and JSON with format {FORMAT!r}, features, features_version and categorical"
        )
    if not 0 < len(header.features) <= MAX_FEATURES or len(set(header.features)) != len(header.features):
        raise LogError(f"{path}:1: expected 1 to {MAX_FEATURES} features, each named once")
    if not isinstance(header.features_version, str) or not header.features_version.isalnum():
        raise LogError(f"{path}:1: features_version must be letters and digits, got {header.features_version!r}")
    if unknown := sorted(set(header.categorical) - set(header.features)):
        raise LogError(f"{path}:1: categorical names {unknown[0]!r}, which is not among the features")
    columns, expected = second.split(","), [*IDS, *header.features]
    if columns not in (expected, [*expected, LABEL]):
        raise LogError(
            f"{path}:2: the columns must be {','.join(IDS)}, the header's features in order, and maybe {LABEL}"
        )
    return header, columns[-1] == LABEL and len(columns) == len(expected) + 1


def _block(
    path: Path, lines: list[str], number: int, names: tuple[str, ...], ids: list[list[str]]
) -> NDArray[np.float32]:
    """Lines to a float32 table, ids appended to `ids`. `number` is the file's line number of the first."""
    commas = len(names) - 1
    tails = []
    for offset, line in enumerate(lines):
        # Ids with a comma come quoted; csv only then, since splitting off three fields is five times as fast.
        fields = line.split(",", 3) if '"' not in line else _quoted(line)
        if len(fields) != 4 or fields[3].count(",") != commas:
            found = line.count(",") + 1
            raise LogError(f"{path}:{number + offset}: {found} fields, expected {len(names) + len(IDS)}")
        ids.append(fields[:3])
        tails.append(fields[3])
    try:
        table = np.loadtxt(tails, dtype=np.float32, delimiter=",", ndmin=2, comments=None)
        if np.isfinite(table).all():
            return table
    except ValueError:
        pass
    raise LogError(_first_bad_number(path, tails, number, names))


def _quoted(line: str) -> list[str]:
    fields = next(csv.reader([line]))
    return [*fields[:3], ",".join(fields[3:])]


def _first_bad_number(path: Path, tails: list[str], number: int, names: tuple[str, ...]) -> str:
    for offset, tail in enumerate(tails):
        for name, text in zip(names, tail.split(","), strict=True):
            try:
                good = bool(abs(float(text)) <= float(np.finfo(np.float32).max))
            except ValueError:
                good = False
            if not good:
                return f"{path}:{number + offset}: {name} is {text[:40]!r}, expected a finite number"
    return f"{path}:{number}: the next {len(tails)} lines hold something that is no number"


def _check_values(path: Path, header: Header, rows: NDArray[np.float32], labels: NDArray[np.float32] | None) -> None:
    for name in header.categorical:
        values = rows[:, header.features.index(name)]
        bad = (values < 0) | (values >= CATEGORY_LIMIT) | (values != np.floor(values))
        if bad.any():
            line = int(np.argmax(bad)) + 3
            raise LogError(
                f"{path}:{line}: {name} is {values[line - 3]}, expected a whole number in 0..{CATEGORY_LIMIT - 1}"
            )
    if labels is not None and (wrong := (labels != 0) & (labels != 1)).any():
        line = int(np.argmax(wrong)) + 3
        raise LogError(f"{path}:{line}: label is {labels[line - 3]}, expected 0 or 1")


@contextmanager
def _reading(path: Path) -> Iterator[Iterator[str]]:
    """Lines without their ends, from gzip or plain text. What cannot be opened or unpacked becomes a LogError."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with (
            gzip.open(path, "rt", encoding="utf-8", newline="\n")
            if packed
            else path.open(encoding="utf-8", newline="\n") as file
        ):
            yield (line.rstrip("\r\n") for line in file)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise LogError(f"{path}: broken gzip ({error}); write the log again or cut it to its whole part") from error
    except UnicodeDecodeError as error:
        raise LogError(f"{path}: not UTF-8 text at byte {error.start}") from error
    except OSError as error:
        raise LogError(f"{error.filename or path}: {error.strerror or error}") from error


@contextmanager
def _writing(path: Path) -> Iterator[TextIO]:
    with path.open("wb") as raw:
        # No name and no time inside the gzip: the same rows give the same bytes.
        packed = gzip.GzipFile("", "wb", 6, raw, mtime=0) if path.suffix == ".gz" else None
        with TextIOWrapper(packed or raw, encoding="utf-8", newline="\n") as text:
            yield text
