"""SIGTERM under load: not ready first, nothing dropped, a clean exit."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from typing import Any

import orjson

Body = Callable[..., bytes]
CLIENTS = 6
PATIENCE_S = 30.0


def test_no_request_is_dropped_and_readiness_goes_first(start_bidder: Callable[..., Any], make_body: Body) -> None:
    """Every request that was sent is answered; a connection is closed only between two."""
    body = make_body(device={"devicetype": 2, "geo": {"country": "USA"}}, tmax=60_000)
    with start_bidder(drain_s="1.0") as process:
        answered: list[int] = []
        dropped: list[str] = []
        not_ready = threading.Event()

        def bid() -> None:
            connection = http.client.HTTPConnection(process.host, process.port, timeout=PATIENCE_S)
            try:
                connection.connect()
                while True:
                    connection.request("POST", "/openrtb2/bid", body, {"content-type": "application/json"})
                    answer = connection.getresponse()
                    answer.read()
                    answered.append(answer.status)
                    if answer.getheader("connection") == "close" or connection.sock is None:
                        return
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
                # An idle connection may be closed when the server leaves: never before it said "not ready".
                if not not_ready.is_set():
                    dropped.append(repr(error))
            except OSError as error:
                dropped.append(repr(error))
            finally:
                connection.close()

        threads = [threading.Thread(target=bid) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        deadline_s = time.monotonic() + PATIENCE_S
        while len(answered) < 10 * CLIENTS:
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        watching = http.client.HTTPConnection(process.host, process.port, timeout=PATIENCE_S)
        process.process.terminate()
        before = len(answered)
        while True:
            watching.request("GET", "/readyz")
            answer = watching.getresponse()
            reasons = orjson.loads(answer.read())["reasons"]
            if answer.status == 503:
                break
        not_ready.set()
        watching.close()
        assert reasons == {"server": "is stopping"}
        assert process.process.wait(PATIENCE_S) == 0
        for thread in threads:
            thread.join(PATIENCE_S)
    assert dropped == []
    assert len(answered) > before
    assert set(answered) <= {200, 204}
