"""The TC strings of generated requests: few kinds of them, again and again, as in live traffic.

The rule: data and seeded draws only. Since TCF 2.2 a string's times are whole days, and nearly everyone takes or
refuses all at once, so that a string depends on little but the consent tool and the day: the same ones come back from
many people. Source: IAB Europe, TC string, version 2.2, core segment.
"""

from __future__ import annotations

import base64
from functools import lru_cache
from random import Random

from loadtest.zipf import Zipf

TOOLS = (300, 6, 10, 28, 31, 134, 5, 68)  # ids of consent tools
DAYS = 60
_FIRST_DAY = 17_040_672_000  # 1 January 2024, in tenths of a second
_DAY = 864_000
_CHOICES = Zipf([(tool, day) for day in range(DAYS) for tool in TOOLS])


def draw(rng: Random, granted: bool) -> str:
    """One of 960 strings, the commonest first."""
    tool, day = _CHOICES.pick(rng)
    return consent_string(granted, tool, day)


@lru_cache(maxsize=2 * DAYS * len(TOOLS))
def consent_string(granted: bool, tool: int, day: int) -> str:
    """A core string by `tool` of the `day`th day that grants all purposes to all of 800 vendors, or none to anyone."""
    decis = _FIRST_DAY + _DAY * day
    purposes = (1 << 24) - (1 << 14) if granted else 0  # the first ten bits
    vendors = (1 << 800) - 1 if granted else 0
    fields = (
        (2, 6), (decis, 36), (decis, 36), (tool, 12), (1, 12), (1, 6), (4 << 6 | 13, 12), (48, 12), (4, 6),
        (1, 1), (0, 1), (0, 12), (purposes, 24), (0, 24), (0, 1), (4 << 6 | 13, 12), (800, 16), (0, 1),
        (vendors, 800), (0, 16), (0, 1), (0, 12),
    )  # fmt: skip
    bits = "".join(f"{value:0{width}b}" for value, width in fields)
    padded = bits + "0" * (-len(bits) % 8)
    return base64.urlsafe_b64encode(int(padded, 2).to_bytes(len(padded) // 8, "big")).rstrip(b"=").decode()
