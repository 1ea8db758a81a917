"""The bits of a base64url string, taken from left to right, as TC and GPP strings are written.

The rule kept here: strict and bounded. A character outside the alphabet, a string too long, or a field past the end is
`UnreadableError`; nothing is guessed.
"""

from __future__ import annotations

from binascii import a2b_base64
from struct import Struct

MAX_CHARACTERS = 8192
"""Of one string; a real TC string with many publisher restrictions has about 2,000."""

MAX_FIBONACCI_BITS = 24

_BEYOND = bytes(8)
AHEAD = Struct(">Q").unpack_from
"""The next 64 bits from a byte on: a quarter of what `int.from_bytes` of a slice costs."""

# base64url's own characters → base64's; those of base64 that are not base64url's → one that is neither.
_TO_BASE64 = bytes.maketrans(b"-_+/=", b"+/!!!")


class UnreadableError(ValueError):
    """The string is not what it should be. Its text is never repeated: it says much about a person."""


class Bits:
    """A reader of bits. Six a character: base64url without padding.

    `data` has eight zero bytes more than the text, so that a look beyond the end needs no care; `skip` notices the
    end."""

    __slots__ = ("data", "length", "position")

    def __init__(self, text: str) -> None:
        if not 0 < len(text) <= MAX_CHARACTERS:
            raise UnreadableError("empty, or too long")
        try:
            # Any number of characters is allowed: filled up with zero bits, which `length` keeps out of reach.
            base64 = text.encode("ascii").translate(_TO_BASE64) + b"A" * (-len(text) % 4)
            self.data = a2b_base64(base64, strict_mode=True) + _BEYOND
        except ValueError:
            raise UnreadableError("not base64url") from None
        self.length = 6 * len(text)
        self.position = 0

    def take(self, width: int) -> int:
        """The next `width` bits, 57 at most, as an unsigned integer."""
        start = self.position
        self.position = end = start + width
        if end > self.length:
            raise UnreadableError("ends too early")
        ahead: int = AHEAD(self.data, start >> 3)[0]
        return ahead >> (64 - (start & 7) - width) & ((1 << width) - 1)

    def skip(self, width: int) -> None:
        self.position += width
        if self.position > self.length:
            raise UnreadableError("ends too early")

    def at(self, position: int) -> bool:
        """The bit at an absolute position within what was already taken or skipped."""
        return bool(self.data[position >> 3] >> (7 - (position & 7)) & 1)

    def take_fibonacci(self) -> int:
        """The next integer in Fibonacci coding: ends with two ones (GPP Consent String Specification, "Fibonacci")."""
        value, number, following, previous = 0, 1, 2, 0
        for _ in range(MAX_FIBONACCI_BITS):
            bit = self.take(1)
            if bit and previous:
                return value
            value += number * bit
            number, following, previous = following, number + following, bit
        raise UnreadableError("a Fibonacci number without an end")
