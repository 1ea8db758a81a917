"""Sample requests for Inference Recommender: `python -m infra.sample_requests ROWS TAR [--rows N] [--requests N]`.

ROWS is what `python -m bidder rows` writes (or a labelled training log); TAR is what the model package's
SamplePayloadUrl points to: one request body a file, as the bidder sends it, in CSV.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import sys
import tarfile
from itertools import islice
from pathlib import Path
from typing import TextIO

IDS = 3  # auction, impression and campaign stand before the features


class RowsError(ValueError):
    """A file that holds no rows; the text says what would be right."""


def bodies(rows: TextIO, rows_a_request: int, requests: int) -> list[bytes]:
    """Up to `requests` bodies of `rows_a_request` lines: features alone, no header. Raises RowsError."""
    try:
        features = json.loads(rows.readline().removeprefix("#"))["features"]
    except (ValueError, KeyError, TypeError) as error:
        raise RowsError("the first line is no header of rows; expected what `python -m bidder rows` writes") from error
    rows.readline()  # the names of the columns
    lines = (",".join(line.rstrip("\n").split(",")[IDS : IDS + len(features)]) + "\n" for line in rows)
    found = [list(islice(lines, rows_a_request)) for _ in range(requests)]
    whole = ["".join(each).encode("ascii") for each in found if len(each) == rows_a_request]
    if not whole:
        raise RowsError(f"there are fewer than {rows_a_request} rows, so not one request")
    return whole


def pack(parts: list[bytes], target: Path) -> None:
    """Writes a tar.gz with one file a body; the same bodies give the same bytes."""
    with (
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as out,
    ):
        for number, body in enumerate(parts):
            info = tarfile.TarInfo(f"request-{number:04}.csv")
            info.size = len(body)
            out.addfile(info, io.BytesIO(body))


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 1 when there are no rows."""
    parser = argparse.ArgumentParser(prog="python -m infra.sample_requests", description="Requests for a load test.")
    parser.add_argument("rows", type=Path, metavar="ROWS")
    parser.add_argument("target", type=Path, metavar="TAR")
    parser.add_argument("--rows", type=int, default=32, dest="rows_a_request", help="rows a request (default 32)")
    parser.add_argument("--requests", type=int, default=200, help="at most so many requests (default 200)")
    options = parser.parse_args(arguments)
    try:
        opener = gzip.open if options.rows.suffix == ".gz" else open
        with opener(options.rows, "rt", encoding="utf-8") as file:
            found = bodies(file, options.rows_a_request, options.requests)
    except (RowsError, OSError) as error:
        print(f"{options.rows}: {error}", file=sys.stderr)
        return 1
    pack(found, options.target)
    print(f"{len(found)} requests of {options.rows_a_request} rows written to {options.target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
