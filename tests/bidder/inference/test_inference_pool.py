"""Connections: reuse, recycling, resending, caps, lateness. Real sockets, a clock that the test moves."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import shutil
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bidder.inference.connection import Connection
from bidder.inference.errors import BadResponse, ConnectFailed, ConnectionLost, Timeout
from bidder.inference.pool import tls_context
from bidder.inference.resolver import Resolver, SocketAddress


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


async def test_connection_is_reused(kit: Any) -> None:
    """Calls one after the other share one connection."""
    endpoint = await kit.endpoint()
    lane = await kit.lane(endpoint.url)
    for tag in range(1, 6):
        assert await kit.score(lane, tag) == [tag / 1e6]
    assert endpoint.connections == 1
    assert lane.stats.reused == 4
    assert repr(lane.pool).endswith("open=1 idle=1 in_flight=0 draining=0 connecting=0>")


async def test_last_used_connection_is_used_next(kit: Any) -> None:
    """With several idle connections, one caller always gets the same one."""
    endpoint = await kit.endpoint()
    lane = await kit.lane(endpoint.url, warm=4)
    for tag in range(5):
        await kit.score(lane, tag)
    assert len({request.connection for request in endpoint.requests}) == 1


async def test_long_idle_connection_is_not_used(kit: Any) -> None:
    """After 50 s of idleness a connection is closed and a fresh one used."""
    endpoint, clock = await kit.endpoint(), Clock()
    lane = await kit.lane(endpoint.url, pool={"clock": clock})
    await kit.score(lane, 1)
    clock.now_s += 49.9
    await kit.score(lane, 2)
    clock.now_s += 50.1
    await kit.score(lane, 3)
    assert [request.connection for request in endpoint.requests] == [1, 1, 2]
    assert lane.stats.resends == 0


async def test_upkeep_replaces_idle_connections(kit: Any) -> None:
    """Warm connections that idled too long are closed and opened anew, without a call."""
    endpoint, clock = await kit.endpoint(), Clock()
    lane = await kit.lane(endpoint.url, warm=3, pool={"clock": clock, "upkeep_s": 0.01})
    clock.now_s += 51.0
    await kit.until(lambda: endpoint.connections == 6 and endpoint.closed_by_client == 3, "three replaced")
    await kit.until(lambda: lane.pool.idle == 3)
    assert lane.pool.open == 3


async def test_old_connection_is_not_used(kit: Any) -> None:
    """A connection past its age is closed even when it was busy all the time."""
    endpoint, clock = await kit.endpoint(), Clock()
    lane = await kit.lane(endpoint.url, pool={"clock": clock, "max_age_s": 100.0})
    for _ in range(4):
        await kit.score(lane, 1)
        clock.now_s += 40.0
    assert [request.connection for request in endpoint.requests] == [1, 1, 1, 2]


async def test_socket_closed_while_idle_shows_no_error(kit: Any) -> None:
    """The endpoint drops its idle connections between two calls: the second call does not notice."""
    endpoint = await kit.endpoint()
    lane = await kit.lane(endpoint.url, warm=3)
    await kit.score(lane, 1)
    endpoint.drop_connections()
    assert await kit.score(lane, 2) == [2 / 1e6]
    assert not lane.stats.errors


async def test_stale_socket_is_resent_once(kit: Any) -> None:
    """A reused socket that closes without a byte of answer: the call goes out again on a fresh one."""

    async def script(request: Any, writer: asyncio.StreamWriter) -> None:
        if request.connection == 1 and request.serial == 2:
            writer.close()
        else:
            writer.write(kit.echo(request))

    endpoint = await kit.endpoint(script)
    lane = await kit.lane(endpoint.url)
    await kit.score(lane, 1)
    assert await kit.score(lane, 2) == [2 / 1e6]
    assert lane.stats.resends == 1
    assert [(request.connection, request.serial) for request in endpoint.requests] == [(1, 1), (1, 2), (2, 1)]


async def test_no_second_resend(kit: Any) -> None:
    """When the fresh socket closes too, the call fails."""

    async def script(request: Any, writer: asyncio.StreamWriter) -> None:
        if len(endpoint.requests) == 1:
            writer.write(kit.echo(request))
        else:
            writer.close()

    endpoint = await kit.endpoint(script)
    lane = await kit.lane(endpoint.url)
    await kit.score(lane, 1)
    with pytest.raises(ConnectionLost, match="before the answer"):
        await kit.score(lane, 2)
    assert len(endpoint.requests) == 3
    assert lane.stats.resends == 1


async def test_no_resend_on_a_fresh_socket(kit: Any) -> None:
    """A first call on a connection that closes fails at once: that is no stale socket."""

    async def script(request: Any, writer: asyncio.StreamWriter) -> None:
        writer.close()

    endpoint = await kit.endpoint(script)
    lane = await kit.lane(endpoint.url)
    with pytest.raises(ConnectionLost):
        await kit.score(lane, 1)
    assert lane.stats.resends == 0


async def test_no_resend_after_part_of_an_answer(kit: Any) -> None:
    """Once bytes of the answer have come, the endpoint has worked on the call; it is not repeated."""

    async def script(request: Any, writer: asyncio.StreamWriter) -> None:
        if request.serial == 1:
            writer.write(kit.echo(request))
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-")
            await writer.drain()
            writer.close()

    endpoint = await kit.endpoint(script)
    lane = await kit.lane(endpoint.url)
    await kit.score(lane, 1)
    with pytest.raises(ConnectionLost, match="in the middle of"):
        await kit.score(lane, 2)
    assert lane.stats.resends == 0


async def test_connection_close_is_honoured(kit: Any) -> None:
    """An answer with Connection: close counts, and its connection is not used again."""

    async def script(request: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(kit.reply(b"0.5\n", Connection="close"))

    endpoint = await kit.endpoint(script)
    lane = await kit.lane(endpoint.url)
    assert [await kit.score(lane, 1), await kit.score(lane, 2)] == [[0.5], [0.5]]
    assert endpoint.connections == 2
    assert lane.stats.resends == 0


@pytest.mark.parametrize(
    "garbage",
    [
        b"no HTTP at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n0.5\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Length: x\r\n\r\n0.5\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n0.5\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ],
)
async def test_garbage_ends_the_connection(kit: Any, garbage: bytes) -> None:
    """What is no HTTP answer fails the call, and the connection is not used again."""

    async def script(request: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(garbage if request.connection == 1 else kit.echo(request))

    endpoint = await kit.endpoint(script)
    lane = await kit.lane(endpoint.url)
    with pytest.raises((BadResponse, ConnectionLost)):
        await kit.score(lane, 1)
    assert await kit.score(lane, 2) == [2 / 1e6]
    assert endpoint.connections == 2


async def test_second_answer_is_given_to_nobody(kit: Any) -> None:
    """An endpoint that answers twice in one segment is cut off before the next call could take the surplus."""

    async def script(request: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(kit.echo(request) + (kit.reply(b"0.9\n") if request.connection == 1 else b""))

    endpoint = await kit.endpoint(script)
    lane = await kit.lane(endpoint.url, pool={"max_connections": 1}, max_rows=1)
    first, second = kit.submit(lane, 1), kit.submit(lane, 2)
    with pytest.raises(BadResponse, match="more than one answer"):
        await first
    assert list((await second).values) == [2 / 1e6]


async def test_bytes_on_an_idle_connection_end_it(kit: Any) -> None:
    """An idle connection that the endpoint writes to is closed."""
    endpoint = await kit.endpoint()
    lane = await kit.lane(endpoint.url)
    await kit.score(lane, 1)
    for writer in endpoint.writers:
        writer.write(kit.reply(b"0.9\n"))
    await kit.until(lambda: lane.pool.open == 0, "closed")
    assert await kit.score(lane, 2) == [2 / 1e6]


async def test_large_answer_is_cut(kit: Any) -> None:
    """An answer larger than allowed is not collected."""

    async def script(request: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(kit.reply(b"0.5\n" * 100_000))

    endpoint = await kit.endpoint(script)
    lane = await kit.lane(endpoint.url, pool={"max_response_bytes": 10_000})
    with pytest.raises(BadResponse, match="larger than 10000 bytes"):
        await kit.score(lane, 1)


async def test_late_answer_drains(kit: Any) -> None:
    """A timed-out call does not cost its connection when the answer still comes within the drain bound."""
    late = asyncio.Event()

    async def script(request: Any, writer: asyncio.StreamWriter) -> None:
        if request.serial == 1:
            await late.wait()
        writer.write(kit.echo(request))

    endpoint = await kit.endpoint(script)
    lane = await kit.lane(endpoint.url, warm=1, pool={"drain_s": kit.patience_s})
    with pytest.raises(Timeout, match="waiting for the answer"):
        await kit.score(lane, 1, within_s=0.03)
    assert "in_flight=0 draining=1" in repr(lane.pool)
    late.set()
    await kit.until(lambda: lane.pool.idle == 1, "drained")
    assert await kit.score(lane, 2) == [2 / 1e6]
    assert endpoint.connections == 1
    assert lane.stats.late_drained == 1


async def test_drain_is_bounded(kit: Any) -> None:
    """A connection whose late answer does not come within the bound is closed."""

    async def script(request: Any, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    endpoint = await kit.endpoint(script)
    lane = await kit.lane(endpoint.url, warm=1, pool={"drain_s": 0.02})
    with pytest.raises(Timeout):
        await kit.score(lane, 1, within_s=0.03)
    await kit.until(lambda: lane.stats.closed == 1, "closed")
    assert lane.stats.late_drained == 0


async def test_connects_per_second_are_capped(kit: Any) -> None:
    """However many calls time out, new connections come out of the token bucket only."""

    async def script(request: Any, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    endpoint, clock = await kit.endpoint(script), Clock()
    lane = await kit.lane(
        endpoint.url,
        pool={"clock": clock, "drain_s": 0.001, "connect_burst": 5, "connects_per_s": 10.0},
        patience_s=kit.patience_s,  # the breaker shall not step in
    )
    futures = []
    for tag in range(200):
        futures += await kit.submit_all(lane, (tag,), within_s=0.005 * (tag % 40 + 1))
    results = await asyncio.gather(*futures, return_exceptions=True)
    assert all(isinstance(result, Timeout) for result in results)
    assert lane.stats.opened <= 5
    assert lane.stats.connects_deferred >= 1
    clock.now_s += 0.2  # two tokens more
    futures = await kit.submit_all(lane, *[(tag,) for tag in range(20)], within_s=0.2)
    await asyncio.gather(*futures, return_exceptions=True)
    assert 5 < lane.stats.opened <= 7


async def test_connections_are_bounded(kit: Any) -> None:
    """No more connections than allowed, whatever waits."""
    endpoint = await kit.endpoint()
    lane = await kit.lane(endpoint.url, pool={"max_connections": 3}, max_rows=1)
    results = await asyncio.gather(*[kit.submit(lane, tag) for tag in range(100)])
    assert [list(result.values) for result in results] == [[tag / 1e6] for tag in range(100)]
    assert endpoint.connections <= 3


async def test_refused_connect_fails_waiting_calls_at_once(kit: Any) -> None:
    """Nobody listens: the call fails with the reason, long before its deadline."""
    endpoint = await kit.endpoint()
    await endpoint.stop()
    lane = await kit.lane(endpoint.url)
    with pytest.raises(ConnectFailed, match=f"127.0.0.1:{endpoint.port}"):
        await kit.score(lane, 1)


async def test_unknown_host_fails_waiting_calls_at_once(kit: Any) -> None:
    """A name that does not resolve is said, and the pool starts all the same."""

    async def resolve(host: str, port: int) -> list[SocketAddress]:
        raise OSError("no such host")

    resolver = Resolver("endpoint.invalid", 80, resolve=resolve)
    lane = await kit.lane("http://endpoint.invalid", resolver=resolver)
    with pytest.raises(ConnectFailed, match="no such host"):
        await kit.score(lane, 1)


async def test_new_address_is_used(kit: Any) -> None:
    """When the host's address changes, connections made after the next look-up go to the new one."""
    old, new = await kit.endpoint(), await kit.endpoint()
    found = [old.port]

    async def resolve(host: str, port: int) -> list[SocketAddress]:
        return [(socket.AF_INET, ("127.0.0.1", port)) for port in found]

    resolver = Resolver("endpoint.test", 80, ttl_s=0.01, resolve=resolve)
    lane = await kit.lane("http://endpoint.test", resolver=resolver)
    await kit.score(lane, 1)
    found[:] = [new.port]
    await old.stop()
    await kit.until(lambda: resolver.addresses[0].sockaddr[1] == new.port, "looked up")
    assert await kit.score(lane, 2) == [2 / 1e6]
    assert len(new.requests) == 1


async def test_connections_are_spread_over_addresses(kit: Any) -> None:
    """Of four connections to two addresses, each gets two; a dead address is left for the other."""
    first, second = await kit.endpoint(), await kit.endpoint()
    dead = await kit.endpoint()
    await dead.stop()

    async def resolve(host: str, port: int) -> list[SocketAddress]:
        family = socket.AF_INET
        return [(family, ("127.0.0.1", endpoint.port)) for endpoint in (dead, first, second)]

    resolver = Resolver("endpoint.test", 80, resolve=resolve)
    lane = await kit.lane("http://endpoint.test", resolver=resolver, warm=4)
    assert lane.pool.open == 4
    assert sorted(address.open for address in resolver.addresses) == [0, 2, 2]


@pytest.mark.skipif(sys.platform != "linux", reason="needs connects that hang at a full queue, as on Linux")
async def test_dark_address_is_left_for_the_other(kit: Any) -> None:
    """Connects to an address that says nothing are given up without being cancelled, and the other address serves."""
    endpoint = await kit.endpoint()
    with contextlib.ExitStack() as stack:
        dark = stack.enter_context(socket.socket())
        dark.bind(("127.0.0.1", 0))
        dark.listen(0)
        for _ in range(4):  # fill the queue of what nobody accepts
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(dark.getsockname())
        ports = [dark.getsockname()[1], endpoint.port]

        async def resolve(host: str, port: int) -> list[SocketAddress]:
            return [(socket.AF_INET, ("127.0.0.1", port)) for port in ports]

        resolver = Resolver("endpoint.test", 80, resolve=resolve)
        lane = await kit.lane("http://endpoint.test", resolver=resolver, pool={"connect_s": 0.1})
        results = await asyncio.gather(*await kit.submit_all(lane, *[(tag,) for tag in range(20)]))
        assert [list(result.values) for result in results] == [[tag / 1e6] for tag in range(20)]
        await kit.until(lambda: lane.pool.connecting == 0, "given up")
        assert lane.batcher.last_error == f"ConnectFailed: 127.0.0.1:{ports[0]}: no connection within 0.1 s"
        assert resolver.pick(asyncio.get_running_loop().time()) is resolver.addresses[1]


async def test_failed_look_up_keeps_the_last_addresses() -> None:
    """DNS that fails changes nothing for connects."""
    answers: list[Any] = [[(2, ("127.0.0.1", 80))], OSError("timeout"), []]

    async def resolve(host: str, port: int) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    resolver = Resolver("endpoint.test", 80, resolve=resolve)
    for _ in range(3):
        await resolver.refresh()
        assert [address.text for address in resolver.addresses] == ["127.0.0.1:80"]


async def test_system_resolver_finds_loopback(kit: Any) -> None:
    """The default resolver works on a real name."""
    endpoint = await kit.endpoint()
    lane = await kit.lane(f"http://localhost:{endpoint.port}")
    assert await kit.score(lane, 7) == [7 / 1e6]


async def test_aclose_closes_every_connection(kit: Any) -> None:
    """After closing, no connection is open and a call in flight has failed."""

    async def script(request: Any, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    endpoint = await kit.endpoint(script)
    lane = await kit.lane(endpoint.url, warm=3)
    future = kit.submit(lane, 1)
    await kit.until(lambda: endpoint.requests, "sent")
    await lane.pool.aclose()
    assert lane.pool.open == 0
    with pytest.raises(ConnectionLost):
        await future
    await kit.until(lambda: endpoint.closed_by_client + len(endpoint.tasks) == 3, "seen by the endpoint")


@pytest.mark.parametrize("turns", range(8))
async def test_aclose_while_connecting(kit: Any, turns: int) -> None:
    """Wherever a connect has got to when the pool closes, no connection stays and closing ends."""
    endpoint = await kit.endpoint()
    lane = await kit.lane(endpoint.url)
    future = kit.submit(lane, 1)
    for _ in range(turns):
        await asyncio.sleep(0)
    lane.batcher.close()
    await lane.pool.aclose()
    assert (lane.pool.open, lane.pool.connecting, lane.stats.opened) == (0, 0, lane.stats.closed)
    assert future.done()
    assert future.exception() is not None or turns > 3


# -- TLS ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh self-signed certificate and key for `localhost`, in one file."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("the openssl program, which makes the test's certificate, is not installed")
    folder = tmp_path_factory.mktemp("tls")
    key, cert, both = folder / "key.pem", folder / "cert.pem", folder / "both.pem"
    command = [program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    both.write_text(key.read_text() + cert.read_text())
    return both


def _server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def test_tls_with_a_trusted_certificate(kit: Any, certificate: Path) -> None:
    """A verified certificate: the call goes through, and the endpoint was told the host's name."""
    names: list[str | None] = []
    server_context = _server_context(certificate)
    server_context.sni_callback = lambda _socket, name, _context: names.append(name)
    endpoint = await kit.endpoint(ssl_context=server_context)
    context = tls_context(str(certificate))
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    lane = await kit.lane(f"https://localhost:{endpoint.port}", pool={"ssl_context": context})
    assert await kit.score(lane, 3) == [3 / 1e6]
    assert set(names) == {"localhost"}


@pytest.mark.parametrize(("host", "trusted"), [("localhost", False), ("127.0.0.1", True)])
async def test_tls_refuses_a_wrong_certificate(kit: Any, certificate: Path, host: str, trusted: bool) -> None:
    """A certificate of an unknown authority, or for another host: no request is sent."""
    endpoint = await kit.endpoint(ssl_context=_server_context(certificate))
    context = tls_context(str(certificate) if trusted else None)
    lane = await kit.lane(f"https://{host}:{endpoint.port}", pool={"ssl_context": context})
    with pytest.raises(ConnectFailed, match=r"(?i)certificate"):
        await kit.score(lane, 1)
    assert not endpoint.requests


async def test_an_ended_connection_goes_by_reference_counts(kit: Any) -> None:
    """The bidder's collector passes by what has lived for long; one that never came about goes likewise."""
    endpoint = await kit.endpoint()
    lane = await kit.lane(endpoint.url)
    gc.disable()
    try:
        await kit.score(lane, 1)
        await endpoint.stop()
        with contextlib.suppress(ConnectFailed, ConnectionLost):
            await kit.score(lane, 2)
        await kit.until(lambda: not lane.pool.open and not lane.pool.connecting)
        assert [each for each in gc.get_objects() if type(each) is Connection and each._pool is lane.pool] == []
    finally:
        gc.enable()
