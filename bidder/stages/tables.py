"""Tables of a compiled catalog: which campaigns name which value, as bytes that are used where they lie.

The rule kept here: nothing is unpacked before it is asked for. A table is found by the value's hash, a frequent value
has a bit for each campaign, a rare one the list of its campaigns; what was asked for lately is kept as an integer.

A table: u32 number of slots (a power of two); a u32 for each slot, 0 or 1 + the place of an entry; the entries, each
u16 length of the key, u8 whether it is a bitmap, u32 length of the rest, the key in UTF-8, the bitmap or u32 numbers in
order. All little-endian.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from marshal import dumps
from struct import Struct, unpack_from
from typing import Any, Generic, TypeVar
from zlib import crc32

from bidder.domain import NOTHING
from bidder.stages.bitmaps import mask_of

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

Value = str | int
Sections = Mapping[str, memoryview]
"""A compiled catalog: its parts by name."""

_ENTRY = Struct("<HBI")
MAX_KNOWN = 1 << 14  # slots of a table whose values are held as a set, once it is asked for a long list
OFTEN = 128  # one campaign in so many: to set their bits one by one would cost twice what reading them does
_SLOTS_A_KEY = 4  # so that three of four values that are not there are told by one look


def key_of(value: Value) -> bytes:
    return (value if type(value) is str else str(value)).encode("utf-8", "surrogatepass")


def pack(numbers_by_value: Mapping[Value, Sequence[int]], count: int) -> bytes:
    """A table over `count` campaigns; the numbers of each value are in rising order."""
    size = 4 << max(0, (_SLOTS_A_KEY * len(numbers_by_value) // 4).bit_length())
    slots = array("I", bytes(4 * size))
    entries = bytearray()
    for key, numbers in sorted((key_of(value), numbers) for value, numbers in numbers_by_value.items()):
        place = crc32(key) & (size - 1)
        while slots[place]:
            place = (place + 1) & (size - 1)
        slots[place] = len(entries) + 1
        is_bitmap = OFTEN * len(numbers) >= count
        rest = bitmap(numbers, count) if is_bitmap else array("I", numbers).tobytes()
        entries += _ENTRY.pack(len(key), is_bitmap, len(rest)) + key + rest
    return size.to_bytes(4, "little") + slots.tobytes() + entries


def bitmap(numbers: Iterable[int], count: int) -> bytes:
    """`count` bits, of which these are set."""
    return mask_of(list(numbers)).to_bytes((count + 7) // 8, "little")


def bits_between(data: memoryview, start: int, end: int) -> int:
    """Bits [start, end) of a bitmap, the first as the lowest."""
    mask = int.from_bytes(data[start >> 3 : (end + 7) >> 3], "little") >> (start & 7)
    return mask & ((1 << (end - start)) - 1)


class Table:
    """One table, read where it lies."""

    __slots__ = ("_entries", "_known", "_last", "_slots")

    def __init__(self, data: memoryview) -> None:
        size = int.from_bytes(data[:4], "little")
        self._last = size - 1
        self._slots = data[4 : 4 + 4 * size].cast("I")
        self._entries = data[4 + 4 * size :]
        self._known: frozenset[str] | None = None

    def __bool__(self) -> bool:
        return len(self._entries) > 0

    def __iter__(self) -> Iterator[str]:
        """All values, integers as text. For small tables."""
        at = 0
        while at < len(self._entries):
            key_length, _, length = _ENTRY.unpack_from(self._entries, at)
            at += _ENTRY.size
            yield str(self._entries[at : at + key_length], "utf-8", "surrogatepass")
            at += key_length + length

    def mask(self, value: Value, start: int, end: int) -> int:
        """The campaigns of [start, end) that name the value, the first as the lowest bit."""
        found = self._find(value)
        if found is None:
            return 0
        is_bitmap, rest = found
        if is_bitmap:
            return bits_between(rest, start, end)
        numbers = rest.cast("I")  # not unpacked: a list is long, and this shard's part of it is short
        return mask_of(array("I", numbers[bisect_left(numbers, start) : bisect_left(numbers, end)].tobytes()), start)

    def numbers(self, value: Value) -> tuple[int, ...]:
        """The list of a rare value; of tables that have no other."""
        found = self._find(value)
        return () if found is None else unpack_from(f"<{len(found[1]) // 4}I", found[1])

    def those_named(self, texts: Iterable[str]) -> frozenset[str]:
        """Of many texts the few that are values here, and hardly others: 0.03 µs for one that is not, 0.25 µs in a
        large table, whose values are not all made texts."""
        if (known := self._known or self.names()) is not None:
            return known.intersection(texts)
        slots, last = self._slots, self._last
        return frozenset([each for each in texts if slots[crc32(each.encode("utf-8", "surrogatepass")) & last]])

    def names(self) -> frozenset[str] | None:
        """All values of a table that is not large."""
        if self._last >= MAX_KNOWN:
            return None
        if self._known is None:
            self._known = frozenset(self)
        return self._known

    def _find(self, value: Value) -> tuple[int, memoryview] | None:
        key = key_of(value)
        place = crc32(key) & self._last
        while slot := self._slots[place]:
            key_length, is_bitmap, length = _ENTRY.unpack_from(self._entries, slot - 1)
            begin = slot - 1 + _ENTRY.size
            if key_length == len(key) and self._entries[begin : begin + key_length] == key:
                begin += key_length
                return is_bitmap, self._entries[begin : begin + length]
            place = (place + 1) & self._last
        return None


def named_in(*tables: Table) -> Callable[[Iterable[str]], frozenset[str]]:
    """`those_named` of all of them at once."""
    names = [known for table in tables if (known := table.names()) is not None]
    if len(names) == len(tables):
        return NOTHING.union(*names).intersection
    return lambda texts: NOTHING.union(*[table.those_named(texts) for table in tables])


MAX_SET = 64
"""Values of a set that is kept: a hostile request's is not."""
LONGEST = 2048
"""Bytes of a key that is kept, as marshal has it, of such texts as requests hold."""


class Kept(dict[K, V], Generic[K, V]):
    """What was made for the keys asked for lately: `limit` to twice as many. A look-up that hits is a plain dict's.

    Two generations: when the young one is full it becomes the old one, and what is asked for again moves back. `make`
    does not hold who holds this: a replaced catalog must go by reference counts, since the collector passes it by."""

    __slots__ = ("_limit", "_old", "make")

    def __init__(self, make: Callable[[K], V], limit: int) -> None:
        super().__init__()
        self.make = make
        self._limit = limit
        self._old: dict[K, V] = {}

    def __missing__(self, key: K) -> V:
        value = self._old.pop(key, None)
        return self.keep(key, self.make(key) if value is None else value)

    def find(self, key: K) -> V | None:
        """What is kept for the key, if anything. For what is not made of the key alone."""
        if key in self:
            return self[key]
        value = self._old.pop(key, None)
        return value if value is None else self.keep(key, value)

    def keep(self, key: K, value: V) -> V:
        if len(self) >= self._limit:
            self._old = dict(self)
            self.clear()
        self[key] = value
        return value

    def let_go(self, count: int) -> bool:
        """Forget up to `count` of them; whether there were any."""
        generation = self or self._old
        for _ in range(min(count, len(generation))):
            generation.popitem()
        return bool(self or self._old)


class KeptOfTexts(Kept[K, V]):
    """The same by texts that requests hold, or tuples of them and of sets; what was made for very long ones, or for
    very large sets, is not kept."""

    __slots__ = ()

    def __missing__(self, key: K) -> V:
        value = self._old.pop(key, None)
        if value is None:
            value = self.make(key)
            if self._is_large(key):
                return value
        return self.keep(key, value)

    def _is_large(self, key: Any) -> bool:
        for each in key if type(key) is tuple else ():
            if type(each) is frozenset and len(each) > MAX_SET:
                return True
        return len(dumps(key)) > LONGEST


class KeptOfSets(KeptOfTexts[frozenset[Any], V]):
    """The same of sets; what was made for one of more than `most` values is not kept either."""

    __slots__ = ("_most",)

    def __init__(self, make: Callable[[frozenset[Any]], V], limit: int, most: int = MAX_SET) -> None:
        super().__init__(make, limit)
        self._most = most

    def _is_large(self, key: frozenset[Any]) -> bool:
        return len(key) > self._most or len(dumps(key)) > LONGEST


class Masks:
    """A table as one shard sees it: the campaigns of [start, end), and those that name no value take all of them."""

    __slots__ = ("_end", "_start", "anywhere", "table")

    def __init__(self, table: Table, start: int, end: int, anywhere: int = 0) -> None:
        self.table, self._start, self._end = table, start, end
        self.anywhere = anywhere

    def __bool__(self) -> bool:
        return bool(self.table)

    def of(self, value: Value) -> int:
        """The campaigns that name the value, or none at all."""
        mask = self.table.mask(value, self._start, self._end)
        return mask | self.anywhere if mask else self.anywhere

    def any_of(self, values: Iterable[Value]) -> int:
        """The campaigns that name at least one of `values`, or none at all."""
        mask = self.anywhere
        for value in values:
            mask |= self.table.mask(value, self._start, self._end)
        return mask

    def any_of_many(self, texts: Iterable[str]) -> int:
        """The same for long lists of texts."""
        return self.any_of(self.table.those_named(texts))

    def each(self) -> Iterator[tuple[str, int]]:
        """All values with their campaigns. For small tables."""
        for value in self.table:
            yield value, self.of(value)
