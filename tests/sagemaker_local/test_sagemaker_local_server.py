"""The process: its command line, its HTTP manners, its end."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from sagemaker_local.admin import Admin
from sagemaker_local.config import ConfigError, parse
from sagemaker_local.server import Request

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sagemaker_local", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)


def test_pipelined_calls_are_answered_in_order(service):
    """Requests sent in one go are answered one after the other."""
    bodies = [b"%d\n" % number for number in range(5)]
    with service.socket() as connection:
        connection.sendall(b"".join(service.wire(service.signed(body)) for body in bodies))
        stream = connection.makefile("rb")
        answers = []
        for _ in bodies:
            assert b" 200 " in stream.readline()
            headers = http.client.parse_headers(stream)
            answers.append(stream.read(int(headers["content-length"])))
        stream.close()
    assert answers == bodies


def test_request_in_single_bytes_is_understood(service):
    """A request may arrive in any pieces."""
    with service.socket() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in service.wire(service.signed()):
            connection.sendall(bytes([byte]))
        assert service.read(connection)[0] == 200


def test_chunked_body_is_understood(service):
    """A body may come in chunks; the signature is of the body, not of the chunks."""
    head, _, body = service.wire(service.signed(b"1,2\n")).partition(b"\r\n\r\n")
    head = head.replace(b"Content-Length: 4", b"Transfer-Encoding: chunked")
    with service.socket() as connection:
        connection.sendall(head + b"\r\n\r\n2\r\n" + body[:2] + b"\r\n2\r\n" + body[2:] + b"\r\n0\r\n\r\n")
        assert service.read(connection)[2] == b"1,2\n"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000, 431),
    ],
)
def test_bad_http_is_refused_and_closed(service, request_bytes, status):
    """What is no HTTP, or too large a head, gets its status and the connection is closed."""
    with service.socket() as connection:
        connection.sendall(request_bytes)
        answer = service.read(connection)
        assert answer[0] == status
        assert answer[1]["connection"] == "close"


def test_connections_above_the_limit_are_closed(start_service, tmp_path):
    """Past max_client_connections a new connection is closed; a place that is freed is given again."""
    config = tmp_path / "config.json"
    config.write_text('{"max_client_connections": 1}')
    with start_service(["--config", str(config)]) as service:
        with service.socket() as first:
            first.sendall(b"GET /_local/endpoints HTTP/1.1\r\nHost: x\r\n\r\n")
            assert service.read(first)[0] == 200
            with service.socket() as second:
                assert second.recv(1) == b""

        def served() -> bool:
            try:
                return bool(service.admin("GET", "endpoints")[0] == 200)
            except (http.client.HTTPException, ConnectionError):
                return False

        service.wait_until(served)


def test_default_idle_timeout_closes_silent_connections(start_service, tmp_path):
    """A connection on which nothing is ever sent is closed after idle_timeout_s."""
    config = tmp_path / "config.json"
    config.write_text('{"idle_timeout_s": 0.1}')
    with start_service(["--config", str(config)]) as service, service.socket() as connection:
        assert connection.recv(1) == b""


def test_admin_is_for_loopback_only():
    """A client from another address gets 403 from /_local."""
    admin = Admin({}, Counter())
    request = Request(b"GET", b"/_local/endpoints", b"", {}, b"", False, True, from_loopback=False)
    reply = admin.answer(request)
    assert reply.status == 403
    assert "on this machine only" in json.loads(reply.body)["message"]


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_signal_lets_the_call_under_way_finish(start_service, start_container, signal_number):
    """After SIGTERM or SIGINT the call under way is answered, and the process ends with 0."""
    container = start_container()
    container.hold = threading.Event()
    try:
        with start_service(["--endpoint", f"ctr={container.url}", "--grace-s", "20"]) as service:
            with service.socket() as connection:
                connection.sendall(service.wire(service.signed()))
                assert container.holding.acquire(timeout=20)
                service.process.send_signal(signal_number)
                service.wait_until(service.refuses_connections)
                container.hold.set()
                status, headers, body = service.read(connection)
            assert (status, body, headers["connection"]) == (200, b"1,2\n", "close")
            assert service.process.wait(20) == 0
    finally:
        container.hold.set()
        container.stop()


def test_hanging_calls_do_not_outlive_the_grace(start_service, start_container):
    """A call that hangs is cut when the grace is over."""
    container = start_container()
    try:
        with start_service(["--endpoint", f"ctr={container.url}", "--grace-s", "0.1"]) as service:
            service.faults(hang_share=1)
            with service.socket() as connection:
                connection.sendall(service.wire(service.signed()))
                service.wait_until(lambda: service.counts()["calls"] == 1)
                service.process.terminate()
                assert service.process.wait(20) == 0
    finally:
        container.stop()


def test_start_says_address_and_credentials(start_service, dead_url):
    """At start it says which credentials it accepts, that they are no secret, what it serves and where."""
    with start_service(["--endpoint", f"ctr={dead_url}", "--latency-ms", "4"]) as service:
        assert service.counts()["faults"]["latency_ms"] == 4
        assert service.lines == [
            "accepts access key AKIDLOCAL with secret access key local, region us-east-1"
            " (no secret: it opens nothing but this local service)",
            f"endpoint ctr, variant AllTraffic, weight 1: {dead_url}",
            f"sagemaker_local listening on http://127.0.0.1:{service.port}",
        ]


def test_credentials_and_region_are_options(start_service, start_container):
    """Keys and region given on the command line are those that are accepted; the secret is not printed."""
    container = start_container()
    options = ["--endpoint", f"ctr={container.url}", "--credentials", "KEY1:s3:cr=t", "--region", "eu-west-1"]
    try:
        with start_service(options) as service:
            signed = service.signed(key="KEY1", secret="s3:cr=t", region="eu-west-1")
            assert service.call(signed)[0] == 200
            assert service.call(service.signed())[0] == 403
            assert "s3:cr=t" not in "".join(service.lines)
    finally:
        container.stop()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--endpoint", "ctr"], "'ctr' is not of the form --endpoint NAME=URL"),
        (["--endpoint", "ctr=https://x"], "endpoints.ctr.variants.0.instances.0: "),
        (["--endpoint", "a_b=http://127.0.0.1:1"], "endpoints.a_b.[key]: "),
        (["--config", "/nonexistent.json"], "/nonexistent.json: No such file"),
        (["--endpoint", "ctr=http://127.0.0.1:70000"], "endpoints.ctr.variants.0.instances.0: "),
        (["--credentials", "KEY"], "not of the form --credentials KEY:SECRET"),
    ],
)
def test_bad_options_say_what_is_wrong(arguments, message):
    """A configuration that cannot be used ends the process with 2 and the path to the fault."""
    result = run("serve", *arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_address_in_use_is_said(service):
    """A port that is taken ends the process with 1 and the address."""
    result = run("serve", "--port", str(service.port))
    assert result.returncode == 1
    assert f"cannot listen on 127.0.0.1:{service.port}" in result.stderr


def test_help_names_the_forms():
    """--help shows the short form, the file and the admin interface."""
    text = run("serve", "--help").stdout
    assert all(part in text for part in ("--endpoint NAME=URL", '"variants"', "/_local/endpoints/ctr/faults"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"endpoints": {"a": {"variants": []}}}, "endpoints.a.variants: List should have at least 1 item"),
        ({"endpoints": {"a": {"variants": [{"instances": []}]}}}, "endpoints.a.variants.0.instances: List should"),
        (
            {"endpoints": {"a": {"variants": [{"instances": ["http://h:1"], "weight": 0}]}}},
            "endpoints.a: Value error, at least one variant must have a weight above 0",
        ),
        (
            {"endpoints": {"a": {"variants": [{"instances": ["http://h:1"]}, {"instances": ["http://h:2"]}]}}},
            "endpoints.a: Value error, variant names must differ",
        ),
        ({"model_timeout_s": 61}, "model_timeout_s: Input should be less than or equal to 60"),
        ({"credentials": []}, "credentials: List should have at least 1 item"),
        ({"regoin": "x"}, "regoin: Extra inputs are not permitted"),
        ([], "(top): Input should be"),
    ],
)
def test_configuration_errors_have_their_path(settings, message):
    """Each mistake is reported with the path to it."""
    with pytest.raises(ConfigError) as raised:
        parse(settings)
    assert message in str(raised.value)
