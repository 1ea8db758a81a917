"""Filling a real Redis server from a profile file."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bidder.domain import Profile
from bidder.state.load import PROFILES_PER_ROUND_TRIP, load_profiles
from bidder.state.profile_file import ProfileFileError
from bidder.state.valkey import ValkeyProfiles


async def test_what_was_loaded_is_looked_up(
    server: Any, connect: Callable[..., Awaitable[ValkeyProfiles]], tmp_path: Path
) -> None:
    """Every profile of the file is in the store, also over several round trips."""
    path = tmp_path / "profiles.jsonl.gz"
    count = PROFILES_PER_ROUND_TRIP + 1
    path.write_bytes(gzip.compress(b"".join(b'{"key": "b:%d", "n": %d}\n' % (n, n) for n in range(count))))
    assert await asyncio.to_thread(load_profiles, path, server.url) == count
    assert server.admin.dbsize() == count
    store = await connect(server.url)
    last = store.lookup((f"b:{count - 1}",), asyncio.get_running_loop().time() + 20)
    assert last is not None
    assert await last == Profile(impressions_today=count - 1)


def test_profiles_expire_where_told(server: Any, tmp_path: Path) -> None:
    """With an expiry every key has a time to live; without one, none."""
    path = tmp_path / "profiles.jsonl"
    path.write_text('{"key": "b:1"}\n')
    load_profiles(path, server.url, expiry_s=3600)
    assert 0 < server.admin.ttl("profile:b:1") <= 3600
    load_profiles(path, server.url)
    assert server.admin.ttl("profile:b:1") == -1


def test_a_wrong_file_writes_nothing(server: Any, tmp_path: Path) -> None:
    """The file is checked whole before the store is touched."""
    path = tmp_path / "profiles.jsonl"
    path.write_text('{"key": "b:1"}\n{"key": 2}\n')
    with pytest.raises(ProfileFileError, match="line 2"):
        load_profiles(path, server.url)
    assert server.admin.dbsize() == 0


def test_a_store_that_is_down_is_named_without_its_password(new_server: Any, tmp_path: Path) -> None:
    """The error says which store failed and after how many profiles."""
    path = tmp_path / "profiles.jsonl"
    path.write_text('{"key": "b:1"}\n')
    port = new_server().port
    with pytest.raises(ConnectionError, match=f"127.0.0.1:{port}/0 failed after 0 profiles") as caught:
        load_profiles(path, f"redis://:battery@127.0.0.1:{port}/0")
    assert "battery" not in str(caught.value)
