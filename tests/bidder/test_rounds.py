"""What comes in one turn of the loop is taken together when it is over."""

from __future__ import annotations

import asyncio

import pytest

from bidder.rounds import GROUP, Round


async def test_a_round_is_over_with_the_turn() -> None:
    """All that was added, in order; nothing before, and nothing twice."""
    groups: list[list[int]] = []
    numbers = Round(groups.append)
    assert numbers.added == []
    for number in range(3):
        numbers.add(number)
    assert numbers.added == [0, 1, 2]
    assert groups == []
    await asyncio.sleep(0)
    assert groups == [[0, 1, 2]]
    await asyncio.sleep(0)
    assert groups == [[0, 1, 2]]
    assert numbers.added == []


async def test_groups_are_bounded() -> None:
    """The last one holds the rest."""
    groups: list[list[int]] = []
    numbers = Round(groups.append)
    for number in range(2 * GROUP + 1):
        numbers.add(number)
    await asyncio.sleep(0)
    assert [len(group) for group in groups] == [GROUP, GROUP, 1]
    assert [number for group in groups for number in group] == list(range(2 * GROUP + 1))


async def test_what_is_added_meanwhile_has_the_next_round() -> None:
    """So that no round goes on for ever."""
    groups: list[list[str]] = []

    def take(group: list[str]) -> None:
        groups.append(group)
        if len(groups) < 3:
            words.add("again")

    words = Round(take)
    words.add("first")
    await asyncio.sleep(0)
    assert groups == [["first"]]
    await asyncio.sleep(0)
    assert groups == [["first"], ["again"]]


async def test_a_round_may_be_ended_before() -> None:
    """Then nothing is left for the end of the turn."""
    groups: list[list[int]] = []
    numbers = Round(groups.append)
    numbers.add(1)
    numbers.end()
    assert groups == [[1]]
    numbers.add(2)
    await asyncio.sleep(0)
    numbers.end()
    assert groups == [[1], [2]]


async def test_the_end_of_a_round_is_said_once() -> None:
    """After the last group, and not of a round of which nothing is left; also where a group could not be taken."""
    told: list[object] = []
    numbers = Round(lambda group: told.append(len(group)), lambda: told.append("over"))
    for number in range(GROUP + 1):
        numbers.add(number)
    await asyncio.sleep(0)
    assert told == [GROUP, 1, "over"]
    numbers.add(1)
    numbers.end()
    await asyncio.sleep(0)
    assert told[3:] == [1, "over"]

    def fail(_: list[int]) -> None:
        raise RuntimeError("a bug")

    told.clear()
    broken = Round(fail, lambda: told.append("over"))
    broken.add(1)
    with pytest.raises(RuntimeError):
        broken.end()
    assert told == ["over"]
