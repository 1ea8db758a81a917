"""Tables of a compiled catalog, and what is kept of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidder.stages.bitmaps import bits_of
from bidder.stages.tables import (
    LONGEST,
    MAX_KNOWN,
    MAX_SET,
    Kept,
    KeptOfSets,
    KeptOfTexts,
    Masks,
    Table,
    bitmap,
    bits_between,
    named_in,
    pack,
)

CAMPAIGNS = 96


@given(st.dictionaries(st.text(max_size=5), st.sets(st.integers(0, CAMPAIGNS - 1), min_size=1), max_size=40))
def test_a_table_gives_back_what_was_packed(numbers: dict[str, set[int]]) -> None:
    """For rare values and frequent ones, in every run of campaigns; nothing for what is not there."""
    table = Table(memoryview(pack({value: sorted(some) for value, some in numbers.items()}, CAMPAIGNS)))
    assert set(table) == set(numbers)
    for start, end in ((0, CAMPAIGNS), (0, 8), (3, 10), (16, CAMPAIGNS), (41, 63)):
        for value, some in numbers.items():
            assert [start + bit for bit in bits_of(table.mask(value, start, end))] == sorted(
                (number for number in some if start <= number < end), reverse=True
            )
        assert table.mask("not there", start, end) == 0
        together = Masks(table, start, end).any_of_many([*numbers, "not there"])
        assert {start + bit for bit in bits_of(together)} == {
            n for s in numbers.values() for n in s if start <= n < end
        }


@given(st.sets(st.integers(0, 4095), min_size=1, max_size=64), st.integers(0, 2048), st.integers(1, 2048))
def test_a_run_of_campaigns_begins_anywhere(numbers: set[int], start: int, count: int) -> None:
    """Also where a value is a long list, and for those that name none."""
    end = start + count
    expected = sorted((number for number in numbers if start <= number < end), reverse=True)
    table = Table(memoryview(pack({"v": sorted(numbers)}, 4096)))
    assert [start + bit for bit in bits_of(table.mask("v", start, end))] == expected
    data = memoryview(bitmap(sorted(numbers), 4096))
    assert [start + bit for bit in bits_of(bits_between(data, start, end))] == expected


def test_a_large_table_is_asked_for_long_lists_too() -> None:
    """Where there are too many values for a set of them."""
    count = MAX_KNOWN
    table = Table(memoryview(pack({f"v{number}": [number] for number in range(count)}, count)))
    asked = [f"v{number}" for number in (3, 77, count - 1)] + [f"w{number}" for number in range(500)]
    assert list(bits_of(Masks(table, 0, count).any_of_many(asked))) == [count - 1, 77, 3]
    small = Table(memoryview(pack({"w7": [0], "x": [1]}, 8)))
    assert named_in(small, table)(asked) >= {"w7", "v3", "v77", f"v{count - 1}"}
    assert named_in(small, small)(asked) == {"w7"}


def test_who_names_nothing_is_in_every_mask() -> None:
    """And a value that nobody names lets through them alone."""
    masks = Masks(Table(memoryview(pack({7: [0], 9: [1]}, 8))), 0, 8, anywhere=0b100)
    assert (masks.of(7), masks.of(8), masks.any_of([7, 9])) == (0b101, 0b100, 0b111)


def test_what_is_asked_for_stays_and_the_rest_is_forgotten() -> None:
    """Never more than twice the limit, and what is asked for again and again is made once."""
    made: list[int] = []

    def make(key: int) -> int:
        made.append(key)
        return -key

    kept: Kept[int, int] = Kept(make, 10)
    for key in range(1, 1000):
        assert kept[key] == -key
        assert kept[0] == 0
        assert len(kept) <= 10
    assert made.count(0) == 1
    assert kept.find(999) == -999
    assert kept.find(1) is None


def test_all_that_is_kept_can_be_let_go_bit_by_bit() -> None:
    """Of both generations."""
    kept: Kept[int, str] = Kept(str, 10)
    for key in range(15):
        assert kept[key] == str(key)
    turns = 1
    while kept.let_go(4):
        turns += 1
    assert turns == 5
    assert not kept
    assert kept.find(3) is None


def test_large_sets_are_not_kept() -> None:
    """What a hostile request asks for is made, and forgotten."""
    kept: KeptOfSets[int] = KeptOfSets(len, 8)
    usual, large = frozenset(map(str, range(MAX_SET))), frozenset(map(str, range(MAX_SET + 1)))
    assert (kept[usual], kept[large]) == (MAX_SET, MAX_SET + 1)
    assert list(kept) == [usual]
    with_text: KeptOfTexts[tuple[str, frozenset[str]], int] = KeptOfTexts(len, 8)
    assert with_text["site", usual] == with_text["site", large] == 2
    assert list(with_text) == [("site", usual)]


@pytest.mark.parametrize("key", ["x" * LONGEST, ("site", "", "x" * LONGEST, 7), ("€" * (LONGEST // 2),)])
def test_what_was_made_for_long_texts_is_not_kept(key: str | tuple[object, ...]) -> None:
    """It is made each time; short ones are kept, whatever they are, lone surrogates too."""
    made: list[object] = []
    kept: KeptOfTexts[object, int] = KeptOfTexts(lambda asked: made.append(asked) or len(made), 8)
    assert [kept[key], kept[key]] == [1, 2]
    short = (frozenset({"a", 3}), "\ud800", None, 1 << 70)
    assert kept[short] == kept[short] == 3
    assert list(kept) == [short]


def test_sets_of_long_texts_are_not_kept() -> None:
    """However few they are."""
    made: list[object] = []
    kept: KeptOfSets[int] = KeptOfSets(lambda asked: made.append(asked) or len(made), 8)
    assert [kept[frozenset({"x" * LONGEST})], kept[frozenset({"x" * LONGEST})]] == [1, 2]
    assert not kept
