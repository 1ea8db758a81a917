"""uvicorn, made to stop the way a load balancer wants it.

The rule kept here: on SIGTERM or SIGINT the process first says "not ready" while it goes on answering, then takes no
new connections, lets requests under way end, and leaves. A second signal leaves at once.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from bidder.server.protocol import BidProtocol
from bidder.server.route import App

BACKLOG = 2048
LISTENING = "bidder listening on"
"""What is printed, before the address, when connections are taken."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A bound socket; port 0 takes a free one. `shared`: with others of the same user, among whom the system deals out
    connections. OSError names the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise OSError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    return bound


def address_of(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """`on_stop` is called at the first signal; the listeners close `drain_s` seconds later. `protocol` takes the
    connections; None: uvicorn's own does."""

    def __init__(
        self,
        app: App,
        protocol: type[BidProtocol] | None,
        *,
        keep_alive_s: int,
        drain_s: float,
        stop_s: float,
        on_stop: Callable[[], None],
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol or "httptools",
                ws="none",
                lifespan="off",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                log_config=None,
                backlog=BACKLOG,
                timeout_keep_alive=keep_alive_s,
                timeout_graceful_shutdown=max(1, round(stop_s)),
            )
        )
        self._drain_s = drain_s
        self._on_stop = on_stop
        self._stopping = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for bound in sockets or ():
            print(f"{LISTENING} {address_of(bound)}", flush=True)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """In place of uvicorn's handlers, which end the process by the signal before anything else is closed."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def stop(self) -> None:
        if self._stopping:
            self.should_exit = self.force_exit = True
            return
        self._stopping = True
        self._on_stop()
        asyncio.get_running_loop().call_later(self._drain_s, self._close)

    def _close(self) -> None:
        self.should_exit = True
