"""Profiles held in the process, and the file that they come from."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import pytest

from bidder.domain import Profile
from bidder.state.embedded import EmbeddedProfiles
from bidder.state.profile_file import MAX_LINE_BYTES, ProfileFileError
from bidder.state.profiles import MAX_KEYS_PER_LOOKUP, ProfileStore

LINES = b"""{"key": "b:1", "s": ["sports"], "n": 3, "t": 1767225600, "c": {"spring": 2}}

{"key": "c:2"}
"""


async def opened(path: Path, content: bytes = LINES, **options: int) -> EmbeddedProfiles:
    await asyncio.to_thread(path.write_bytes, content)
    store = EmbeddedProfiles(path, **options)
    await store.start()
    return store


async def test_a_key_of_the_file_has_its_profile(tmp_path: Path) -> None:
    """A look-up gives the profile that the file has for the key, at once."""
    store = await opened(tmp_path / "profiles.jsonl")
    assert store.lookup(("b:1",), 0.0) == Profile(frozenset({"sports"}), 3, 1767225600, {"spring": 2})
    assert (store.counts.lookups, store.counts.hits, store.counts.misses) == (1, 1, 0)


async def test_a_gzip_file_is_read_whatever_its_name(tmp_path: Path) -> None:
    """Compression is told from the content."""
    store = await opened(tmp_path / "profiles", gzip.compress(LINES))
    assert store.lookup(("c:2",), 0.0) == Profile()


async def test_the_first_key_that_has_a_profile_wins(tmp_path: Path) -> None:
    """Keys are tried in their order."""
    store = await opened(tmp_path / "profiles.jsonl")
    found = store.lookup(("x:9", "b:1", "c:2"), 0.0)
    assert found is not None
    assert found.impressions_today == 3
    assert store.counts.keys == 2


async def test_a_key_that_is_not_there_is_a_miss(tmp_path: Path) -> None:
    """A miss gives None and is counted; a look-up without keys is none."""
    store = await opened(tmp_path / "profiles.jsonl")
    assert store.lookup(("x:9",), 0.0) is None
    assert store.lookup((), 0.0) is None
    assert (store.counts.lookups, store.counts.misses) == (1, 1)


async def test_only_so_many_keys_are_tried(tmp_path: Path) -> None:
    """Keys beyond the bound are not tried."""
    store = await opened(tmp_path / "profiles.jsonl")
    assert store.lookup((*["x:9"] * MAX_KEYS_PER_LOOKUP, "b:1"), 0.0) is None


async def test_without_a_file_the_store_is_empty_and_ready() -> None:
    """No file is no error; it is a store of no profiles, that asks for no key. It is ready between start and close."""
    store: ProfileStore = EmbeddedProfiles()
    assert not store.ready
    await store.start()
    assert store.ready
    keys = iter(("b:1",))
    assert store.lookup(keys, 0.0) is None
    assert [*keys] == ["b:1"]
    assert (store.counts.lookups, store.counts.misses) == (1, 1)
    await store.aclose()
    assert not store.ready


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "line 2: "),
        (b"[]", "line 2: not a JSON object"),
        (b'{"s": []}', "line 2: 'key' is not a string of 1 to 128"),
        (b'{"key": ""}', "line 2: 'key' is not a string of 1 to 128"),
        (b'{"key": "b:2", "seg": []}', "line 2: unknown field 'seg'"),
        (b'{"key": "b:2", "n": -3}', "line 2: 'n' is not a whole number from 0"),
        (b'{"key": "b:2", "s": "sports"}', "line 2: 's' is not an array of strings"),
        (b'{"key": "b:2", "s": ["' + b"x" * MAX_LINE_BYTES + b'"]}', "line 2: longer than"),
        (b'{"key": "b:1"}', "profile 2 has the key of an earlier one"),
    ],
)
async def test_a_wrong_line_is_named(tmp_path: Path, line: bytes, message: str) -> None:
    """The error says which line is wrong and what would be right."""
    with pytest.raises(ProfileFileError, match=message):
        await opened(tmp_path / "profiles.jsonl", b'{"key": "b:1"}\n' + line + b"\n")


async def test_a_file_that_ends_early_is_an_error(tmp_path: Path) -> None:
    """A gzip file cut short is refused, and so is none at all."""
    with pytest.raises(ProfileFileError, match="cannot be read"):
        await opened(tmp_path / "profiles.gz", gzip.compress(LINES)[:-12])
    with pytest.raises(ProfileFileError, match="cannot be read"):
        await EmbeddedProfiles(tmp_path / "absent.jsonl").start()


async def test_the_number_of_profiles_is_bounded(tmp_path: Path) -> None:
    """More profiles than are kept end the start with a clear error."""
    with pytest.raises(ProfileFileError, match="more than 1 profiles"):
        await opened(tmp_path / "profiles.jsonl", max_profiles=1)
