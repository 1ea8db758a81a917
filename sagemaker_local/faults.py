"""Faults on demand: what is to go wrong with one call, and what a spoilt answer looks like.

Rule: settings are worked out once, when they are set; a call draws one number for the faults that exclude each other.
"""

from __future__ import annotations

import ast
import json
import random
import time
from collections.abc import Callable
from typing import Final

from .config import Faults

HANG: Final = "hang"
CLOSE: Final = "close"
GARBAGE: Final = "garbage"
TRUNCATE: Final = "truncate"
TRICKLE: Final = "trickle"
SPOILT_ANSWERS: Final = frozenset({GARBAGE, TRUNCATE, TRICKLE})  # the container is asked, its answer is not what it was


class FaultInjector:
    """The faults of one endpoint or variant, with the state that throttling needs."""

    def __init__(self, settings: Faults, rng: random.Random, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self._rng = rng
        self._clock = clock
        shares = {
            HANG: settings.hang_share,
            CLOSE: settings.close_share,
            GARBAGE: settings.garbage_share,
            TRUNCATE: settings.truncate_share,
            TRICKLE: settings.trickle_share,
            **settings.errors,
        }
        self._thresholds: list[tuple[float, str]] = []
        total = 0.0
        for kind, share in shares.items():
            total += share
            if share:
                self._thresholds.append((total, kind))
        self._tokens = self._burst = max(1.0, settings.max_calls_per_s or 0.0)
        self._filled_at_s = clock()

    def admit(self) -> bool:
        """False for a call above `max_calls_per_s`: a token bucket that holds one second's calls."""
        rate = self.settings.max_calls_per_s
        if rate is None:
            return True
        now_s = self._clock()
        self._tokens = min(self._burst, self._tokens + (now_s - self._filled_at_s) * rate)
        self._filled_at_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def draw_delay_s(self) -> float:
        settings = self.settings
        delay_ms = settings.latency_ms
        if settings.slow_share and self._rng.random() < settings.slow_share:
            delay_ms += settings.slow_ms
        return delay_ms / 1000

    def draw_fault(self) -> str | None:
        """HANG, CLOSE, GARBAGE, TRUNCATE, TRICKLE, the name of an error, or None: the call goes well."""
        if not self._thresholds:
            return None
        drawn = self._rng.random()
        return next((kind for threshold, kind in self._thresholds if drawn < threshold), None)

    def garbage(self, length: int) -> bytes:
        return self._rng.randbytes(max(length, 16))


def truncate_rows(body: bytes, content_type: bytes) -> bytes:
    """The first half of the rows, still well formed.

    Rows are those of a .npy array, of a JSON array (or the first array in a JSON object), lines, or the values of a
    single line of CSV. Anything else loses its second half as bytes.
    """
    if body.startswith(b"\x93NUMPY"):
        return _truncate_npy(body)
    if content_type.startswith(b"application/json") and not content_type.startswith(b"application/jsonlines"):
        return _truncate_json(body)
    if content_type.startswith((b"text/", b"application/jsonlines")):
        lines = body.splitlines(keepends=True)
        if len(lines) > 1:
            return b"".join(lines[: len(lines) // 2])
        values = body.split(b",")
        return b",".join(values[: len(values) // 2])
    return body[: len(body) // 2]


def _truncate_json(body: bytes) -> bytes:
    try:
        value = json.loads(body)
    except ValueError:
        return body[: len(body) // 2]
    if isinstance(value, list):
        value = value[: len(value) // 2]
    elif isinstance(value, dict):
        key = next((key for key, member in value.items() if isinstance(member, list)), None)
        if key is not None:
            value[key] = value[key][: len(value[key]) // 2]
    return json.dumps(value).encode()


def _truncate_npy(body: bytes) -> bytes:
    """Halve the first axis of a C-ordered array (format: numpy.lib.format)."""
    start = 10 if body[6] == 1 else 12
    end = start + int.from_bytes(body[8:start], "little")
    header = body[start:end].decode("latin-1")
    try:
        shape = ast.literal_eval(header.strip())["shape"]
        rows, *rest = shape
    except (SyntaxError, TypeError, KeyError, ValueError):  # no array, or one of no dimensions
        return body[: len(body) // 2]
    kept = rows // 2
    # The new shape is never longer than the old one, so the padding keeps the header's length.
    header = header.rstrip().replace(f"'shape': {shape}", f"'shape': {(kept, *rest)}").ljust(len(header) - 1) + "\n"
    row_bytes = (len(body) - end) // rows if rows else 0
    return body[:start] + header.encode("latin-1") + body[end : end + kept * row_bytes]
