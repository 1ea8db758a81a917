"""The smoke test of a deployment, against a real bidder across real sockets, and against wrong answers."""

from __future__ import annotations

import io
import json
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from infra.smoke import main
from loadtest.scrape import scrape
from loadtest.stack import Stack

ROOT = Path(__file__).resolve().parents[2]


def smoke(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as an operator runs it."""
    command = [sys.executable, "-m", "infra.smoke", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def judged(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The same in this process: what is judged here starts no interpreter of its own."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(list(arguments))
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def test_a_bidder_that_bids_is_well(stack: Stack) -> None:
    """Bids to test requests, a 400 to a broken one, ready, and with metrics; exit code 0."""
    before = scrape(stack.bidder_url)
    done = smoke(stack.bidder_url, "--inside", stack.bidder_url, "--want-bid", "--requests", "5", "--timeout", "60")
    assert (done.returncode, done.stderr) == (0, "")
    assert "5 requests: 5 bids; median" in done.stdout
    assert re.search(r"this task's requests so far: .*\btest \d", done.stdout)
    counted = scrape(stack.bidder_url).since(before).by("bidder_requests_total", "outcome")
    assert counted == {"test": 5, "malformed": 1}, "bids are counted as tests, and as nothing else"
    assert done.stdout.endswith("well\n")


@pytest.mark.parametrize("exchange", ["google", "index", "unity"])
def test_every_exchange_can_be_asked_as(stack: Stack, exchange: str) -> None:
    """The path of an exchange's profile is what an exchange is given."""
    assert smoke(stack.bidder_url, "--exchange", exchange, "--requests", "1", "--timeout", "60").returncode == 0


def test_an_unknown_exchange_is_wrong(stack: Stack) -> None:
    """404 is shown with what the bidder said; exit code 1."""
    done = smoke(stack.bidder_url, "--exchange", "nobody")
    assert done.returncode == 1
    assert "wrong: status 404" in done.stderr
    assert done.stdout.endswith("not well\n")


def test_a_request_of_ones_own(stack: Stack, tmp_path: Path) -> None:
    """What nobody bids on is a no-bid, which is well, unless a bid is wanted."""
    unsellable = {"imp": [{"id": "1", "banner": {"w": 1, "h": 1}, "bidfloor": 9_999}], "site": {"id": "s"}}
    path = tmp_path / "request.json"
    path.write_text(json.dumps(unsellable))
    assert smoke(stack.bidder_url, "--request", str(path), "--timeout", "60").returncode == 0
    done = smoke(stack.bidder_url, "--request", str(path), "--want-bid", "--timeout", "60")
    assert done.returncode == 1
    assert "wrong: no bid at all" in done.stderr


def test_it_runs_as_a_file_of_plain_python() -> None:
    """Copied to a machine in the VPC that has nothing but Python."""
    command = [sys.executable, "-S", "-E", str(ROOT / "infra/smoke.py"), "--help"]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_cannot_be_reached_is_told_apart() -> None:
    """Exit code 3, with the address and the reason."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done = smoke(f"http://127.0.0.1:{port}")
    assert done.returncode == 3
    assert f"http://127.0.0.1:{port}: ConnectionRefusedError" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [[], ["ftp://host"], ["bid.example"], ["http://h", "--requests", "0"], ["http://h", "--request", "/no"]],
)
def test_options_that_are_not_understood(arguments: list[str]) -> None:
    """Exit code 2, before anything is sent."""
    done = smoke(*arguments)
    assert done.returncode == 2
    assert done.stderr


@contextmanager
def answering(answer: Any, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server whose `answer(method, path, body)` gives status, Content-Type and body; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, content_type, data = answer(self.command, self.path, body)
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _answer  # noqa: N815 - the standard library's names

        def log_message(self, *_: Any) -> None:
            """Nothing: the test reads answers, not logs."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def bidding(change: Any = None) -> Any:
    """An answer with a right bid, after `change(response, bid)` made it wrong."""

    def answer(method: str, path: str, body: bytes) -> tuple[int, str, bytes]:
        if body == b"{":
            return 400, "text/plain", b""
        bid: dict[str, Any] = {"id": "b", "impid": "1", "price": 1.0, "crid": "c", "adm": "<a>"}
        response: dict[str, Any] = {"id": json.loads(body)["id"], "cur": "USD", "seatbid": [{"bid": [bid]}]}
        if change:
            change(response, bid)
        return 200, "application/json", json.dumps(response).encode()

    return answer


def test_right_answers_are_well() -> None:
    """The other side of the wrong ones below."""
    with answering(bidding()) as url:
        assert judged(url, "--requests", "2").returncode == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda response, bid: response.update(id="another"), "id 'another', expected the request's"),
        (lambda response, bid: response.update(cur="EUR"), "cur 'EUR', expected one of ['USD']"),
        (lambda response, bid: response.update(seatbid={}), "seatbid is no list"),
        (lambda response, bid: bid.update(impid="9"), "impid '9', expected one of ['1']"),
        (lambda response, bid: bid.update(price=0.001), "price 0.001, expected a number from the floor"),
        (lambda response, bid: bid.pop("crid"), "a bid without crid"),
        (lambda response, bid: bid.pop("adm"), "neither adm nor nurl"),
    ],
)
def test_a_wrong_answer_is_named(change: Any, message: str) -> None:
    """Exit code 1, with what was found and what was expected."""
    with answering(bidding(change)) as url:
        done = judged(url, "--requests", "1")
    assert done.returncode == 1
    assert message in done.stderr


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((500, "text/plain", b"oops"), "status 500 ('oops'), expected 200 or 204"),
        ((200, "text/html", b"{}"), "Content-Type 'text/html'"),
        ((200, "application/json", b"<html>"), "200 with what is no JSON"),
        ((200, "application/json", b"[]"), "200 with a list, expected an object"),
        ((204, "application/json", b""), "a broken request got 204, expected 400"),
    ],
)
def test_a_server_that_is_no_bidder_is_named(answer: tuple[int, str, bytes], message: str) -> None:
    """Whatever answers at the address."""
    with answering(lambda *_: answer) as url:
        done = judged(url, "--requests", "1")
    assert done.returncode == 1
    assert message in done.stderr


def test_a_task_that_is_not_ready_is_wrong() -> None:
    """The reasons of /readyz are shown, and the series that /metrics lacks."""

    def answer(method: str, path: str, body: bytes) -> tuple[int, str, bytes]:
        if path == "/readyz":
            return 503, "application/json", b'{"ready": false, "reasons": {"catalog": "stale"}}'
        if path == "/metrics":
            return 200, "text/plain", b'bidder_requests_total{exchange="generic",outcome="bid"} 12.0\n'
        return bidding()(method, path, body)  # type: ignore[no-any-return]

    with answering(answer) as url:
        done = judged(url, "--inside", url, "--requests", "1")
    assert done.returncode == 1
    assert '/readyz answered 503: {"ready": false, "reasons": {"catalog": "stale"}}' in done.stderr
    assert "without bidder_stage_latency_seconds_count, process_cpu_seconds_total" in done.stderr
    assert "this task's requests so far: bid 12" in done.stdout


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost with its key, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificate")
    folder = tmp_path_factory.mktemp("tls")
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(folder / "key"), "-out", str(folder / "crt")]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    both = folder / "both.pem"
    both.write_text((folder / "key").read_text() + (folder / "crt").read_text())
    return both


def test_tls_is_verified(certificate: Path) -> None:
    """A certificate that is trusted is well; one that is not is unreachable, and there is no way around it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with answering(bidding(), context) as url:
        trusted = judged(url, "--ca", str(certificate), "--requests", "1")
        distrusted = judged(url, "--requests", "1")
    assert trusted.returncode == 0, trusted.stderr
    assert distrusted.returncode == 3
    assert "CERTIFICATE_VERIFY_FAILED" in distrusted.stderr
