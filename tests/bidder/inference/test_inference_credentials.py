"""Credentials at hand, whatever the chain does in the background."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bidder.inference.credentials import Credentials, RefreshedCredentials, StaticCredentials, chain_credentials
from bidder.inference.errors import CredentialsUnavailable

_FIRST, _SECOND = Credentials("AKID1", "secret-1", "token-1"), Credentials("AKID2", "secret-2", "token-2")


class Chain:
    """A hand-driven credential chain: each fetch takes the next answer, and waits while there is none."""

    def __init__(self, *answers: tuple[Credentials, float] | Exception) -> None:
        self.answers: asyncio.Queue[tuple[Credentials, float] | Exception] = asyncio.Queue()
        for answer in answers:
            self.answers.put_nowait(answer)

    async def __call__(self) -> tuple[Credentials, float]:
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def _source(chain: Chain, clock: Clock) -> RefreshedCredentials:
    return RefreshedCredentials(chain, clock=clock, poll_s=0.001, retry_s=0.001, first_s=0.2)


def test_no_secret_in_repr() -> None:
    """Neither secret nor token shows where objects are printed."""
    shown = repr(_FIRST) + repr(StaticCredentials("AKID1", "secret-1", "token-1")) + repr(_source(Chain(), Clock()))
    assert "AKID1" in shown
    assert "secret-1" not in shown
    assert "token-1" not in shown


async def test_renewed_in_the_background(kit: Any) -> None:
    """New credentials are taken over without anyone asking."""
    chain, clock = Chain((_FIRST, 2000.0)), Clock()
    source = _source(chain, clock)
    await source.start()
    assert source.current() is _FIRST
    chain.answers.put_nowait((_SECOND, 3000.0))
    await kit.until(lambda: source.current() is _SECOND, "renewed")
    await source.aclose()


async def test_unchanged_credentials_stay_the_same_object(kit: Any) -> None:
    """Fetching the same credentials again keeps the signer's cache."""
    chain = Chain((_FIRST, 2000.0), (Credentials("AKID1", "secret-1", "token-1"), 2000.0))
    source = _source(chain, Clock())
    await source.start()
    await kit.until(lambda: source.refreshes == 2, "fetched twice")
    assert source.current() is _FIRST
    await source.aclose()


async def test_stalled_refresh_keeps_what_is_there(kit: Any) -> None:
    """While a refresh stalls, calls are signed with what we hold; past its expiry nothing is, and we are not ready."""
    chain, clock = Chain((_FIRST, 2000.0)), Clock()
    source = _source(chain, clock)
    await source.start()
    clock.now_s = 1999.0
    assert source.ready
    assert source.current() is _FIRST
    clock.now_s = 2000.0
    assert not source.ready
    with pytest.raises(CredentialsUnavailable, match="expired and not renewed"):
        source.current()
    chain.answers.put_nowait((_SECOND, 9000.0))
    await kit.until(lambda: source.ready, "back")
    await source.aclose()


async def test_failed_refresh_is_retried(kit: Any) -> None:
    """A failing chain is asked again, what we hold stays, and the reason is kept."""
    chain, clock = Chain((_FIRST, 2000.0), OSError("metadata service down")), Clock()
    source = _source(chain, clock)
    await source.start()
    await kit.until(lambda: source.failures == 1, "failed")
    assert source.current() is _FIRST
    assert source.last_error == "OSError: metadata service down"
    chain.answers.put_nowait((_SECOND, 3000.0))
    await kit.until(lambda: source.current() is _SECOND, "renewed")
    await source.aclose()


async def test_start_does_not_wait_for_ever() -> None:
    """A chain that hangs from the beginning does not hold up the start."""
    source = _source(Chain(), Clock())
    await source.start()
    assert not source.ready
    with pytest.raises(CredentialsUnavailable, match="not found"):
        source.current()
    await source.aclose()


async def test_usual_chain_reads_the_shared_file(kit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chain finds a profile's static keys, which do not expire."""
    file = tmp_path / "credentials"
    file.write_text("[bidder]\naws_access_key_id = AKIDFILE\naws_secret_access_key = filed\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    source = chain_credentials(profile_name="bidder")
    await source.start()
    assert source.current() == Credentials("AKIDFILE", "filed")
    await source.aclose()


async def test_usual_chain_asks_the_container(kit: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A task role's credentials come over HTTP from the container's agent, with token and expiry."""

    async def agent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        expires = (datetime.now(UTC) + timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ")
        keys = {"AccessKeyId": "AKIDTASK", "SecretAccessKey": "tasked", "Token": "tok", "Expiration": expires}
        body = json.dumps(keys).encode()
        writer.write(kit.reply(body, content_type="application/json", Connection="close"))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(agent, "127.0.0.1", 0)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{port}/role")
    source = chain_credentials()
    await source.start()
    await kit.until(lambda: source.ready, "fetched")
    assert source.current() == Credentials("AKIDTASK", "tasked", "tok")
    await source.aclose()
    server.close()
    await server.wait_closed()
