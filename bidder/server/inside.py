"""Who may see what is not for exchanges: metrics, documentation, explanations.

The rule kept here: outside the networks named, these paths do not exist; health, readiness and notices do. The address
is that of the connection: no header can claim another. Where none can be told, it is outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from bidder.server.body import Receive
from bidder.server.route import Scope, Send

Network = IPv4Network | IPv6Network

OPEN = ("/healthz", "/readyz")
NOTICES = "/notice/"


class Inside:
    """`app`, of which callers from outside `networks` see the open paths alone."""

    def __init__(self, app: FastAPI, networks: Sequence[Network]) -> None:
        self._app = app
        self._networks = networks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not (_is_open(scope["path"]) or self._holds(scope.get("client"))):
            # As FastAPI says it of a path that there is not.
            await JSONResponse({"detail": "Not Found"}, status_code=404)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _holds(self, client: tuple[str, int] | None) -> bool:
        if client is None:
            return False
        try:
            address = ip_address(client[0])
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)


def _is_open(path: str) -> bool:
    return path in OPEN or path.startswith(NOTICES)
