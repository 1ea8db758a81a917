"""How long a bidder makes a client wait."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from time import sleep

import pytest

from loadtest.__main__ import main
from loadtest.pauses import SHOWN

PAUSE_S = 0.1


class Bidder(BaseHTTPRequestHandler):
    """Pauses once."""

    protocol_version = "HTTP/1.1"
    served = count()

    def do_GET(self) -> None:
        if next(self.served) == SHOWN:
            sleep(PAUSE_S)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()  # which sends them: head and body come one by one, as the bidder's do
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_a_pause_is_seen_and_what_the_machine_did_is_shown_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    """The longest answers first; a process beside says how long sleeps took."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Bidder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert main(["pauses", f"http://127.0.0.1:{server.server_port}", "--seconds", "1"]) == 0
        server.shutdown()
    answers, sleeps = capsys.readouterr().out.splitlines()
    assert float(answers.partition("[")[2].partition(",")[0]) >= 1000 * PAUSE_S
    assert "longest sleeps of 0.5 ms" in sleeps


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://127.0.0.1:x", "nowhere"])
def test_a_bidder_that_cannot_be_asked_is_said(capsys: pytest.CaptureFixture[str], url: str) -> None:
    assert main(["pauses", url, "--seconds", "1"]) == 1
    assert f"{url} cannot be asked" in capsys.readouterr().out
