"""`python -m loadtest pauses`: how long a bidder makes a client wait.

Asks for `/healthz` every half a millisecond and does nothing else; a second process only sleeps as often. What the
first waited for and the second did not is the bidder's. Replace the catalog meanwhile to see what a reload costs.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from urllib.parse import urlsplit

from rich.console import Console

from loadtest.load.command import positive

EVERY_S = 0.0005
SHOWN = 5
PATIENCE_S = 30.0


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
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("this is no such address")
    connection = HTTPConnection(parts.hostname, parts.port or 80, timeout=PATIENCE_S)

    def ask() -> None:
        connection.request("GET", "/healthz")
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            raise ConnectionError(f"GET /healthz was answered with {response.status}")

    try:
        return longest_ms(ask, seconds)
    finally:
        connection.close()


def sleeping(seconds: float, told: SimpleQueue[list[float]]) -> None:
    told.put(longest_ms(lambda: time.sleep(EVERY_S), seconds))


def add_pauses(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("pauses", help="how long a bidder that runs makes a client wait, as in a reload")
    parser.add_argument("url", metavar="URL", help="such as http://127.0.0.1:8080")
    parser.add_argument("--seconds", type=positive, default=60.0, metavar="S", help="how long to ask (default 60)")
    parser.set_defaults(play=play)


def play(console: Console, options: argparse.Namespace) -> int:
    processes = get_context("spawn")
    told: SimpleQueue[list[float]] = processes.SimpleQueue()
    sleeper = processes.Process(target=sleeping, args=(options.seconds, told), daemon=True)
    sleeper.start()
    try:
        answers_ms = asking(options.url, options.seconds)
    except (OSError, ValueError, HTTPException) as error:  # a port that is no number is a ValueError
        said = f"{options.url} cannot be asked, expected http://HOST:PORT of a bidder: {error}"
        console.print(said, style="bold red", markup=False, soft_wrap=True)
        sleeper.terminate()
        return 1
    console.print(f"longest answers of {options.url}/healthz, in ms: {answers_ms}", markup=False, soft_wrap=True)
    console.print(f"longest sleeps of {EVERY_S * 1000:g} ms beside it: {told.get()}", markup=False, soft_wrap=True)
    sleeper.join()
    return 0
