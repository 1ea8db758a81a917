"""The addresses of the endpoint's host, kept fresh in the background; connects are spread over them.

The rule kept here: a call never waits for DNS. The last good answer stays until there is a new one. An address that
just failed is avoided for a while, not forgotten: if all fail, all are tried.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

logger = logging.getLogger(__name__)

SocketAddress = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]
Resolve = Callable[[str, int], Awaitable[Sequence[SocketAddress]]]


@dataclass(slots=True, eq=False)
class Address:
    """One address of the host, and how we stand with it."""

    family: socket.AddressFamily
    sockaddr: tuple[str, int] | tuple[str, int, int, int]
    connecting: int = 0
    open: int = 0
    avoid_until: float = 0.0

    @property
    def text(self) -> str:
        return f"{self.sockaddr[0]}:{self.sockaddr[1]}"


async def system_resolve(host: str, port: int) -> Sequence[SocketAddress]:
    """The system's resolver, in a thread. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [(family, (str(address[0]), int(address[1]), *address[2:])) for family, _, _, _, address in found]


class Resolver:
    """Keeps `addresses` fresh: asks every `ttl_s` seconds, one question at a time."""

    def __init__(self, host: str, port: int, *, ttl_s: float = 10.0, resolve: Resolve = system_resolve) -> None:
        self.host = host
        self.port = port
        self.addresses: list[Address] = []
        self.failures = 0
        self.last_error = "not resolved yet"
        self._ttl_s = ttl_s
        self._resolve = resolve
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Resolve once, then keep on in the background. A failure is retried there."""
        await self.refresh()
        self._task = asyncio.get_running_loop().create_task(self._keep_fresh(), name=f"resolve-{self.host}")

    async def refresh(self) -> None:
        try:
            found = await self._resolve(self.host, self.port)
        except OSError as error:
            self.failures += 1
            self.last_error = f"{self.host}: {error}"
            if self.failures == 1:
                logger.warning("cannot resolve the endpoint's host %s; %d addresses kept", error, len(self.addresses))
            return
        if found:
            known = {(address.family, address.sockaddr): address for address in self.addresses}
            self.addresses = [known.get(key) or Address(*key) for key in dict.fromkeys(found)]
            self.failures = 0

    def pick(self, now_s: float) -> Address | None:
        """The address for the next connect: no suspect if possible, then the one with the fewest connections."""
        return min(
            self.addresses,
            key=lambda address: (address.avoid_until > now_s, address.connecting, address.open),
            default=None,
        )

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(self._ttl_s)
            await self.refresh()
