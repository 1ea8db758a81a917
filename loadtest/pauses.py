"""How long a bidder makes a client wait: `python -m loadtest.pauses http://127.0.0.1:8080 60`.

Asks for `/healthz` every half a millisecond and does nothing else; a second process only sleeps as often. What the
first waited for and the second did not is the bidder's. Replace the catalog meanwhile to see what a reload costs.
"""

from __future__ import annotations

import gc
import socket
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from urllib.parse import urlsplit

EVERY_S = 0.0005
SHOWN = 5
PATIENCE_S = 30.0
_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: bidder\r\n\r\n"


def longest_ms(step: Callable[[], object], seconds: float) -> list[float]:
    """How long the longest steps took, the longest first. Between two steps it sleeps."""
    took_s = []
    gc.disable()
    try:
        end_s = time.perf_counter() + seconds
        while (start_s := time.perf_counter()) < end_s:
            step()
            took_s.append(time.perf_counter() - start_s)
            time.sleep(EVERY_S)
    finally:
        gc.enable()
    return [round(each * 1000, 2) for each in sorted(took_s, reverse=True)[:SHOWN]]


def asking(url: str, seconds: float) -> list[float]:
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=PATIENCE_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def ask() -> None:
            connection.sendall(_REQUEST)
            if not connection.recv(65_536).startswith(b"HTTP/1.1 200"):
                raise ConnectionError(f"{url}/healthz was not answered with 200")

        return longest_ms(ask, seconds)


def sleeping(seconds: float, told: SimpleQueue[list[float]]) -> None:
    told.put(longest_ms(lambda: time.sleep(EVERY_S), seconds))


def main(arguments: Sequence[str]) -> int:
    url, seconds = arguments[0], float(arguments[1])
    processes = get_context("spawn")
    told: SimpleQueue[list[float]] = processes.SimpleQueue()
    sleeper = processes.Process(target=sleeping, args=(seconds, told))
    sleeper.start()
    print(f"longest answers of {url}/healthz, in ms: {asking(url, seconds)}")
    print(f"longest sleeps of {EVERY_S * 1000:g} ms beside it: {told.get()}")
    sleeper.join()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
