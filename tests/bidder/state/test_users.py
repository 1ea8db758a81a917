"""The users of infra/cache.py in a real server: what they may do is enough for what they are for, and no more."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError

from bidder.domain import Profile
from bidder.state.load import load_profiles
from bidder.state.valkey import ValkeyProfiles

CACHE = Path(__file__).resolve().parents[3] / "infra/cache.py"
PASSWORD = "correcthorsebatterystaple"


def access_strings() -> dict[str, str]:
    """User → access string, from the source: the CDK is not among what the bidder is tested with."""
    source = CACHE.read_text()
    (profiles,) = re.findall(r'^PROFILES = "(.+?)"', source, re.MULTILINE)
    users = dict(re.findall(r'= User\("(\w+)", f"(.+?)"\)', source))
    return {name: text.replace("{PROFILES}", profiles) for name, text in users.items()}


@pytest.fixture
def url_of(server: Any) -> Callable[[str], str]:
    """The users as ElastiCache makes them; their URLs as the cache's secrets have them, but for TLS."""
    for name, text in access_strings().items():
        if name != "default":  # which is the test's own way in
            server.admin.execute_command("ACL", "SETUSER", name, *text.split(), f">{PASSWORD}")
    return lambda name: f"redis://{name}:{PASSWORD}@127.0.0.1:{server.port}/0"


async def test_the_loader_writes_what_the_reader_reads(
    url_of: Callable[[str], str], connect: Callable[..., Awaitable[ValkeyProfiles]], tmp_path: Path
) -> None:
    """Each with its own user, through the bidder's own code."""
    path = tmp_path / "profiles.jsonl"
    path.write_text('{"key": "b:1", "n": 3}\n')
    assert await asyncio.to_thread(load_profiles, path, url_of("loader"), expiry_s=3600) == 1
    store = await connect(url_of("reader"))
    assert store.ready
    answer = store.lookup(("b:1",), asyncio.get_running_loop().time() + 20)
    assert answer is not None
    assert await answer == Profile(impressions_today=3)


def test_neither_does_the_others_work(url_of: Callable[[str], str]) -> None:
    """A reader cannot write, a loader cannot read, and neither leaves the profiles."""
    with Redis.from_url(url_of("reader")) as reader, Redis.from_url(url_of("loader")) as loader:
        for refused in (
            lambda: reader.set("profile:b:1", "{}"),
            lambda: reader.mget(["other"]),
            lambda: reader.flushall(),
            lambda: loader.mget(["profile:b:1"]),
            lambda: loader.set("other", "1"),
            lambda: loader.keys(),
        ):
            with pytest.raises(NoPermissionError):
                refused()


def test_who_does_not_say_who_they_are_gets_nothing(server: Any, url_of: Callable[[str], str]) -> None:
    """The default user is off."""
    assert access_strings()["default"].startswith("off ")
    server.admin.execute_command("ACL", "SETUSER", "default", "reset", *access_strings()["default"].split())
    with Redis(port=server.port) as anyone, pytest.raises(AuthenticationError):
        anyone.mget(["profile:b:1"])
    with Redis.from_url(url_of("reader")) as reader:
        assert reader.mget(["profile:b:1"]) == [None]
