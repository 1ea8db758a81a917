"""Profiles in a real Redis server: batches, deadlines, and what happens when the server does not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from bidder.domain import Profile
from bidder.state.profiles import MAX_VALUE_BYTES, ProfileStore
from bidder.state.valkey import ValkeyProfiles

Connect = Callable[..., Awaitable[ValkeyProfiles]]
PATIENCE_S = 20.0
SPORTS = Profile(segments=frozenset({"sports"}))


def soon() -> float:
    """A deadline that no machine is too slow for."""
    return asyncio.get_running_loop().time() + PATIENCE_S


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - the store gives no event for it
            await asyncio.sleep(0.005)


async def ask(store: ProfileStore, *keys: str) -> Profile | None:
    answer = store.lookup(keys, soon())
    return await answer if isinstance(answer, asyncio.Future) else answer


# -- batches


async def test_a_profile_is_found_under_its_key(server: Any, connect: Connect) -> None:
    """A look-up reads the value at `profile:{key}`."""
    server.admin.set("profile:b:1", b'{"s": ["sports"], "n": 3, "t": 7, "c": {"spring": 2}}')
    store = await connect(server.url)
    assert store.ready
    assert await ask(store, "b:1") == Profile(frozenset({"sports"}), 3, 7, {"spring": 2})
    assert (store.counts.lookups, store.counts.hits, store.counts.keys) == (1, 1, 1)


async def test_all_lookups_of_one_turn_are_one_mget(server: Any, connect: Connect) -> None:
    """Fifty look-ups made together cost the server one command, and each gets its own answer."""
    server.admin.mset({f"profile:b:{number}": b'{"n": %d}' % number for number in range(0, 50, 2)})
    store = await connect(server.url)
    before = server.calls("mget")
    found = await asyncio.gather(*(ask(store, f"b:{number}") for number in range(50)))
    assert server.calls("mget") == before + 1
    expected = [None if number % 2 else Profile(impressions_today=number) for number in range(50)]
    assert found == expected
    assert (store.counts.batches, store.counts.hits, store.counts.misses) == (1, 25, 25)


async def test_a_batch_has_a_bounded_number_of_keys(server: Any, connect: Connect) -> None:
    """Look-ups beyond the bound go out as a further command of the same turn."""
    server.admin.mset({f"profile:b:{number}": b'{"n": %d}' % number for number in range(20)})
    store = await connect(server.url, max_keys_per_batch=8)
    before = server.calls("mget")
    found = await asyncio.gather(*(ask(store, f"b:{number}") for number in range(20)))
    assert server.calls("mget") == before + 3
    assert found == [Profile(impressions_today=number) for number in range(20)]


async def test_the_first_key_that_has_a_profile_wins(server: Any, connect: Connect) -> None:
    """Keys are given best first, and the best that is known answers."""
    server.admin.mset({"profile:b:1": b'{"n": 1}', "profile:c:2": b'{"n": 2}'})
    store = await connect(server.url)
    assert await ask(store, "x:9", "c:2", "b:1") == Profile(impressions_today=2)
    assert (store.counts.hits, store.counts.misses) == (1, 0)


async def test_no_keys_ask_nothing(server: Any, connect: Connect) -> None:
    """A request without identifiers costs the store nothing."""
    store = await connect(server.url)
    assert store.lookup((), soon()) is None
    assert store.counts.lookups == 0


@pytest.mark.parametrize("value", [b"{", b'{"n": -1}', b'{"s": ["' + b"x" * MAX_VALUE_BYTES + b'"]}'])
async def test_a_malformed_value_is_passed_over(server: Any, connect: Connect, value: bytes) -> None:
    """A value that is no profile, or too long, is counted; the next key answers, or it is a miss."""
    server.admin.mset({"profile:b:1": value, "profile:c:2": b'{"n": 2}'})
    store = await connect(server.url)
    assert await ask(store, "b:1", "c:2") == Profile(impressions_today=2)
    assert await ask(store, "b:1") is None
    assert (store.counts.malformed, store.counts.hits, store.counts.misses) == (2, 1, 1)


async def test_a_value_of_another_type_is_a_miss(server: Any, connect: Connect) -> None:
    """A hash where a string is meant does not fail the batch."""
    server.admin.hset("profile:b:1", "s", "sports")
    assert await ask(await connect(server.url), "b:1") is None


# -- deadlines


async def test_no_answer_in_time_is_no_profile(server: Any, connect: Connect) -> None:
    """When the server stalls, the budget ends the look-up with None."""
    store = await connect(server.url, budget_s=0.005)
    server.freeze()
    assert await ask(store, "b:1") is None
    assert (store.counts.timeouts, store.counts.errors) == (1, 0)


async def test_a_late_answer_is_drained_and_its_connection_stays(server: Any, connect: Connect) -> None:
    """A time-out opens no new connection, and its late answer reaches nobody else."""
    server.admin.mset({"profile:b:1": b'{"n": 1}', "profile:c:2": b'{"n": 2}'})
    store = await connect(server.url)
    before = server.connections()
    server.freeze()
    late = store.lookup(("b:1",), asyncio.get_running_loop().time() + 0.005)
    assert late is not None
    assert await late is None
    server.thaw()
    await until(lambda: "0 batches out" in repr(store))
    assert await ask(store, "c:2") == Profile(impressions_today=2)
    assert server.connections() == before


async def test_a_neighbour_with_less_time_does_not_take_others_time(server: Any, connect: Connect) -> None:
    """In one batch each look-up has its own deadline, capped by its request's."""
    server.admin.set("profile:b:1", b'{"s": ["sports"]}')
    store = await connect(server.url)
    server.freeze()
    now = asyncio.get_running_loop().time()
    patient = store.lookup(("b:1",), now + PATIENCE_S)
    hurried = store.lookup(("b:1",), now + 0.005)
    assert patient is not None
    assert hurried is not None
    assert await hurried is None
    assert not patient.done()
    server.thaw()
    assert await patient == SPORTS
    assert (store.counts.batches, store.counts.timeouts, store.counts.hits) == (1, 1, 1)


async def test_a_deadline_that_has_passed_asks_nothing(server: Any, connect: Connect) -> None:
    """A bid without time left gets None at once."""
    store = await connect(server.url)
    assert store.lookup(("b:1",), asyncio.get_running_loop().time()) is None
    await asyncio.sleep(0)
    assert (store.counts.timeouts, store.counts.batches) == (1, 0)


async def test_beyond_the_bound_of_batches_the_answer_is_none_at_once(server: Any, connect: Connect) -> None:
    """While as many batches as allowed are out, further look-ups are refused and not queued."""
    store = await connect(server.url, max_batches=2)
    server.freeze()
    for _ in range(2):
        assert store.lookup(("b:1",), soon()) is not None
        await asyncio.sleep(0)
    assert store.lookup(("b:1",), soon()) is None
    assert (store.counts.batches, store.counts.refused) == (2, 1)
    server.thaw()
    await until(lambda: store.lookup(("b:1",), soon()) is not None)


async def test_a_caller_that_left_does_not_harm_its_neighbours(server: Any, connect: Connect) -> None:
    """A cancelled look-up is passed over when its batch is answered."""
    server.admin.set("profile:b:1", b'{"s": ["sports"]}')
    store = await connect(server.url)
    left, stays = store.lookup(("b:1",), soon()), store.lookup(("b:1",), soon())
    assert left is not None
    assert stays is not None
    left.cancel()
    assert await stays == SPORTS
    assert store.counts.hits == 1


async def test_closing_answers_all_that_wait(server: Any, connect: Connect) -> None:
    """No look-up is left without an answer, sent or not yet sent."""
    store = await connect(server.url)
    server.freeze()
    sent = store.lookup(("b:1",), soon())
    await asyncio.sleep(0)
    unsent = store.lookup(("b:2",), soon())
    await store.aclose()
    assert sent is not None
    assert unsent is not None
    assert (await sent, await unsent) == (None, None)
    assert store.lookup(("b:1",), soon()) is None


def test_it_serves_under_uvloop(server: Any) -> None:
    """The loop used in production batches, answers and times out alike."""
    server.admin.set("profile:b:1", b'{"s": ["sports"]}')

    async def scenario() -> None:
        store = ValkeyProfiles(server.url, budget_s=PATIENCE_S)
        await store.start()
        assert await asyncio.gather(ask(store, "b:1"), ask(store, "b:2")) == [SPORTS, None]
        server.freeze()
        late = store.lookup(("b:1",), asyncio.get_running_loop().time() + 0.0054)
        assert late is not None
        assert await late is None
        await store.aclose()
        assert (store.counts.batches, store.counts.timeouts) == (2, 1)

    uvloop.run(scenario())


# -- the connection


async def test_a_server_that_is_down_at_the_start_is_found_later(new_server: Any, connect: Connect) -> None:
    """Starting does not fail, look-ups give None at once, and the store is ready once the server is there."""
    server = new_server()
    store = await connect(server.url)
    assert not store.ready
    assert store.lookup(("b:1",), soon()) is None
    assert store.counts.refused == 1
    server.start()
    server.admin.set("profile:b:1", b'{"s": ["sports"]}')
    await until(lambda: store.ready)
    assert await ask(store, "b:1") == SPORTS


async def test_a_server_that_dies_is_missed_once_and_found_again(
    server: Any, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """Its loss costs the batches under way; there is one warning; look-ups go on when it is back."""
    store = await connect(server.url)
    assert await ask(store, "b:1") is None
    with caplog.at_level(logging.INFO, "bidder.state"):
        server.stop()
        assert await ask(store, "b:1") is None
        await until(lambda: not store.ready)
        server.start()
        server.admin.set("profile:b:1", b'{"s": ["sports"]}')
        await until(lambda: store.ready)
    assert await ask(store, "b:1") == SPORTS
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_a_server_that_stays_silent_is_given_up(server: Any, connect: Connect) -> None:
    """After the answer time-out nothing more is asked until a probe is answered."""
    store = await connect(server.url, budget_s=0.005, answer_timeout_s=0.05)
    server.freeze()
    assert await ask(store, "b:1") is None
    await until(lambda: not store.ready)
    assert store.lookup(("b:1",), soon()) is None
    server.thaw()
    await until(lambda: store.ready)


async def test_a_server_that_speaks_something_else_is_away(connect: Connect) -> None:
    """Garbage for an answer is no error of the bidder's."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as other:
        store = await connect(f"redis://127.0.0.1:{other.sockets[0].getsockname()[1]}")
        assert not store.ready
        assert store.lookup(("b:1",), soon()) is None
        await store.aclose()


async def test_the_password_opens_the_store(new_server: Any, connect: Connect) -> None:
    """User and password of the URL are used."""
    server = new_server("--requirepass", "correct horse")
    server.admin.connection_pool.connection_kwargs["password"] = "correct horse"
    server.start()
    server.admin.set("profile:b:1", b'{"s": ["sports"]}')
    store = await connect(f"redis://:correct%20horse@127.0.0.1:{server.port}")
    assert await ask(store, "b:1") == SPORTS


async def test_a_wrong_password_is_said_but_not_shown(
    new_server: Any, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the server and the reason; the password stands nowhere."""
    server = new_server("--requirepass", "correct horse")
    server.admin.connection_pool.connection_kwargs["password"] = "correct horse"
    server.start()
    with caplog.at_level(logging.DEBUG, "bidder.state"):
        store = await connect(f"redis://:battery@127.0.0.1:{server.port}/3")
    assert not store.ready
    assert f"127.0.0.1:{server.port}/3" in caplog.text
    assert "battery" not in caplog.text + repr(store)


async def test_a_user_without_the_right_to_read_is_found_out(server: Any, connect: Connect) -> None:
    """A server that answers but forbids MGET is away, not ready."""
    server.admin.acl_setuser("narrow", enabled=True, passwords=["+pw"], categories=["+@connection"])
    store = await connect(f"redis://narrow:pw@127.0.0.1:{server.port}")
    assert not store.ready


async def test_tls_is_spoken_and_checked(new_server: Any, connect: Connect, certificate: tuple[Path, Path]) -> None:
    """rediss:// reads over TLS where the certificate is trusted, and nothing where it is not."""
    server, tls_port = new_server(), new_server().port
    server.options = ("--tls-port", str(tls_port), "--tls-auth-clients", "no")
    server.options += ("--tls-cert-file", str(certificate[0]), "--tls-key-file", str(certificate[1]))
    server.start()
    server.admin.set("profile:b:1", b'{"s": ["sports"]}')
    trusting = await connect(f"rediss://127.0.0.1:{tls_port}/0?ssl_ca_certs={certificate[0]}")
    assert await ask(trusting, "b:1") == SPORTS
    assert not (await connect(f"rediss://127.0.0.1:{tls_port}/0")).ready


@pytest.mark.parametrize("url", ["http://user:secret@host/0", "redis://:sec/ret@host:1/0", "secret"])
def test_a_url_that_cannot_be_read_is_not_repeated(url: str) -> None:
    """The error says what would be right, without the secret or a piece of it."""
    with pytest.raises(ValueError, match="give redis://") as caught:
        ValkeyProfiles(url)
    assert "sec" not in str(caught.value)
