"""A server that costs next to nothing, to find out what the generator costs: it answers every POST without a bid.

The rule: HTTP only as far as the generator speaks it. Run as `python -m loadtest.trivial`.
"""

from __future__ import annotations

import asyncio
import re
import sys
from typing import cast

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: (\d+)")
_ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"
_READY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class _Trivial(asyncio.Protocol):
    def __init__(self) -> None:
        self._left = 0  # bytes of the body that are yet to come
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none of its subclasses

    def data_received(self, data: bytes) -> None:
        while data:
            if self._left > len(data):
                self._left -= len(data)
                return
            if self._left:
                data, self._left = data[self._left :], 0
                self._transport.write(_ANSWER)
                continue
            data, self._head = self._head + data, b""
            end = data.find(b"\r\n\r\n")
            if data.startswith(b"GET ") and end >= 0:
                self._transport.write(_READY)
                return
            found = _LENGTH.search(data, 0, end + 2) if end >= 0 else None
            if found is None:
                self._head = data
                return
            self._left, data = int(found[1]), data[end + 4 :]
            if not self._left:
                self._transport.write(_ANSWER)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Trivial, "127.0.0.1", 0)
    print(f"trivial server listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    """Serves until it is ended."""
    if sys.platform == "win32":
        asyncio.run(_serve())
    else:
        import uvloop

        uvloop.run(_serve())


if __name__ == "__main__":
    main()
