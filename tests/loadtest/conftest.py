"""Stand-ins for the bidder and the other programs: real sockets and real processes, answering from a script."""

from __future__ import annotations

import asyncio
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

Script = Callable[[bytes], bytes | Awaitable[bytes | None] | None]


class ScriptedBidder:
    """An HTTP server on a socket of its own. Its /metrics count what it answered, as a bidder's do.

    `answer` gets the body of each bid request and returns raw bytes, or an awaitable of them; None closes the
    connection.
    """

    def __init__(self, answer: Script) -> None:
        self.answer = answer
        self.connections = 0
        self.bodies: list[bytes] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if head.startswith(b"GET /metrics"):
                    page = f'bidder_no_bids_total{{reason="scripted"}} {len(self.bodies)}\n'.encode()
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(page) + page)
                    continue
                length = next(
                    int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
                )
                body = await reader.readexactly(length)
                self.bodies.append(body)
                answer = self.answer(body)
                if isinstance(answer, Awaitable):
                    answer = await answer
                if answer is None:
                    break
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def scripted() -> AsyncIterator[Callable[[Script], object]]:
    """Starts a ScriptedBidder with the given script."""
    servers: list[asyncio.Server] = []

    async def start(answer: Script) -> ScriptedBidder:
        bidder = ScriptedBidder(answer)
        server = await asyncio.start_server(bidder.serve, "127.0.0.1", 0)
        servers.append(server)
        bidder.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return bidder

    yield start
    for server in servers:
        server.close()


SERVER = """
import http.server, json, os, pathlib, signal, sys

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = json.dumps({"arguments": sys.argv[1:], "environment": dict(os.environ)}).encode()
        self.send_response(READY)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass

def leave(number, frame):
    sys.exit(0)

signal.signal(signal.SIGTERM, signal.SIG_IGN if STUBBORN else leave)
with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
    pathlib.Path(PIDS).open("a").write(f"{os.getpid()}\\n")
    print("some news first")
    print(f"stand-in listening on http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()
"""


class StandIns:
    """Programs to start in place of the real ones, and the process ids of those that ran."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pids_file = folder / "pids"

    def script(self, source: str) -> list[str]:
        """A program of the given source."""
        path = self.folder / f"program{len(list(self.folder.glob('*.py')))}.py"
        path.write_text(textwrap.dedent(source))
        return [sys.executable, str(path)]

    def server(self, *, ready: int = 200, stubborn: bool = False) -> list[str]:
        """A server that says where it listens, answers every GET with `ready`, and, if `stubborn`, ignores SIGTERM."""
        return self.script(f"READY, STUBBORN, PIDS = {ready}, {stubborn}, {str(self.pids_file)!r}\n{SERVER}")

    @property
    def pids(self) -> list[int]:
        return [int(line) for line in self.pids_file.read_text().split()] if self.pids_file.exists() else []


@pytest.fixture
def stand_ins(tmp_path: Path) -> StandIns:
    return StandIns(tmp_path)
