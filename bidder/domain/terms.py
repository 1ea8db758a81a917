"""Words that the whole domain shares: the micro-unit of money, the formats of an ad, what nothing is."""

from __future__ import annotations

from enum import IntEnum

MICROS = 1_000_000
NOTHING: frozenset[str] = frozenset()
NO_CODES: frozenset[int] = frozenset()


class Format(IntEnum):
    """The four kinds of ad; the values are those of `bid.mtype` (section 4.2.3)."""

    BANNER = 1
    VIDEO = 2
    AUDIO = 3
    NATIVE = 4


BANNER, VIDEO, AUDIO, NATIVE = Format
"""The members by themselves: on Python 3.11 looking one up in its class costs 0.22 µs, dozens of times a bid."""
