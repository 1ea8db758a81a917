"""Whether a deployed bidder bids: `python -m infra.smoke https://bid.example [--inside http://10.40.3.7:8080]`.

It goes the way that an exchange goes: through the balancer, on one kept connection, with a bid request that is marked
as a test, so that it is in no count of bids and moves no money; then it sends what no bidder can read, and looks for
the 400. With `--inside`, the address of a task as only the VPC reaches it, it reads `/readyz` and `/metrics` too.

The rule kept here: every answer is held against OpenRTB 2.6 (an answer is a 204 without a body or a 200 with a bid
response), and whatever is wrong is printed with what was expected. Exit 0: all well. 1: it answered, but not as it
should. 2: the options were not understood. 3: it could not be reached. Plain Python, so that it runs anywhere.
"""

from __future__ import annotations

import argparse
import json
import re
import ssl
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

WELL, WRONG, MISUNDERSTOOD, UNREACHABLE = 0, 1, 2, 3
NEEDED_SERIES = ("bidder_requests_total", "bidder_stage_latency_seconds_count", "process_cpu_seconds_total")
REQUEST: dict[str, Any] = {
    "imp": [{"id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": 0.01, "secure": 1}],
    "site": {"id": "smoke", "domain": "smoke.example", "page": "https://smoke.example/", "publisher": {"id": "smoke"}},
    "device": {"ua": "Mozilla/5.0 (X11; Linux x86_64) Smoke/1.0", "geo": {"country": "USA"}, "devicetype": 2},
    "tmax": 500,
    "cur": ["USD"],
    "test": 1,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer and the ms from the request's first byte to the answer's last."""

    status: int
    content_type: str
    body: bytes
    ms: float


class Line:
    """One kept connection to the bidder or to what stands before it."""

    def __init__(self, url: str, ca: Path | None, timeout_s: float) -> None:
        parts = _address(url)
        self._base = parts.path.rstrip("/")
        host = parts.hostname or ""
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=ca)
            self._http: HTTPConnection = HTTPSConnection(host, parts.port, timeout=timeout_s, context=context)
        else:
            self._http = HTTPConnection(host, parts.port, timeout=timeout_s)

    def ask(self, method: str, path: str, body: bytes | None = None) -> Answer:
        """Raises OSError or HTTPException."""
        start_s = time.perf_counter()
        headers = {"Content-Type": "application/json", "x-openrtb-version": "2.6"} if body is not None else {}
        self._http.request(method, self._base + path, body, headers)
        answer = self._http.getresponse()
        data = answer.read()
        return Answer(
            answer.status, answer.headers.get("Content-Type", ""), data, (time.perf_counter() - start_s) * 1e3
        )

    def close(self) -> None:
        self._http.close()


def _address(url: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r}: expected http://HOST[:PORT] or https://HOST[:PORT]")
    return parts


def problems(request: dict[str, Any], answer: Answer) -> list[str]:
    """What is wrong with the answer to a bid request; empty if nothing is. A no-bid is as good as a bid."""
    if answer.status == 204:
        return [f"204 with a body of {len(answer.body)} bytes, expected none"] if answer.body else []
    if answer.status != 200:
        text = answer.body[:200].decode("utf-8", "replace")
        return [f"status {answer.status} ({text!r}), expected 200 or 204"]
    if not answer.content_type.startswith("application/json"):
        return [f"Content-Type {answer.content_type!r}, expected application/json"]
    try:
        response = json.loads(answer.body)
    except ValueError as error:
        return [f"200 with what is no JSON: {error}"]
    if not isinstance(response, dict):
        return [f"200 with a {type(response).__name__}, expected an object"]
    return list(_response_problems(request, response))


def bids(answer: Answer) -> list[dict[str, Any]]:
    """The bids of an answer in which `problems` found none."""
    if answer.status != 200:
        return []
    return [bid for seat in json.loads(answer.body).get("seatbid", []) for bid in seat["bid"]]


def _response_problems(request: dict[str, Any], response: dict[str, Any]) -> Iterator[str]:
    if response and response.get("id") != request["id"]:
        yield f"id {response.get('id')!r}, expected the request's {request['id']!r}"
    seats = response.get("seatbid", [])
    if not isinstance(seats, list) or not all(isinstance(it, dict) and isinstance(it.get("bid"), list) for it in seats):
        yield "seatbid is no list of seats with bids"
        return
    if seats and response.get("cur", "USD") not in request.get("cur", ["USD"]):
        yield f"cur {response.get('cur')!r}, expected one of {request['cur']}"
    floors = {imp["id"]: imp.get("bidfloor", 0.0) for imp in request["imp"]}
    for bid in (bid for seat in seats for bid in seat["bid"]):
        yield from _bid_problems(bid, floors)


def _bid_problems(bid: Any, floors: dict[str, float]) -> Iterator[str]:
    if not isinstance(bid, dict):
        yield f"a bid is a {type(bid).__name__}, expected an object"
        return
    missing = [name for name in ("id", "impid", "price", "crid") if not bid.get(name)]
    if missing:
        yield f"a bid without {', '.join(missing)}"
        return
    if bid["impid"] not in floors:
        yield f"impid {bid['impid']!r}, expected one of {sorted(floors)}"
    elif not isinstance(bid["price"], int | float) or bid["price"] < floors[bid["impid"]]:
        yield f"price {bid['price']!r}, expected a number from the floor of {floors[bid['impid']]}"
    if not bid.get("adm") and not bid.get("nurl"):
        yield "a bid with neither adm nor nurl: nothing can be shown"


def through_the_balancer(line: Line, request: dict[str, Any], path: str, count: int, want_bid: bool) -> Iterator[str]:
    """What is wrong with `count` answers and with the one to a broken request. Prints what came back."""
    times_ms, bid_count = [], 0
    for number in range(count):
        asked = {**request, "id": f"smoke-{time.time_ns()}-{number}"}
        answer = line.ask("POST", path, json.dumps(asked).encode())
        found = problems(asked, answer)
        yield from found
        if found:
            return
        bid_count += bool(bids(answer))
        times_ms.append(answer.ms)
    times_ms.sort()
    print(f"{count} requests: {bid_count} bids; median {times_ms[count // 2]:.1f} ms, slowest {times_ms[-1]:.1f} ms")
    if want_bid and not bid_count:
        yield "no bid at all, and --want-bid was given"
    broken = line.ask("POST", path, b"{")
    if broken.status != 400:
        yield f"a broken request got {broken.status}, expected 400"


def inside(line: Line) -> Iterator[str]:
    """What is wrong with a task, seen from within the VPC. Prints its counts."""
    ready = line.ask("GET", "/readyz")
    if ready.status != 200:
        yield f"/readyz answered {ready.status}: {ready.body[:500].decode('utf-8', 'replace')}"
    metrics = line.ask("GET", "/metrics")
    text = metrics.body.decode("utf-8", "replace")
    names = set(re.findall(r"^([a-zA-Z_:]\w*)(?:\{| )", text, re.MULTILINE))
    missing = [name for name in NEEDED_SERIES if name not in names]
    if metrics.status != 200 or missing:
        yield f"/metrics answered {metrics.status}, without {', '.join(missing) or 'nothing missing'}"
    outcomes = re.findall(r'^bidder_requests_total\{.*?outcome="(\w+)".*?\} ([\d.e+]+)$', text, re.MULTILINE)
    sums: dict[str, float] = {}
    for outcome, value in outcomes:
        sums[outcome] = sums.get(outcome, 0.0) + float(value)
    counts = ", ".join(f"{outcome} {total:,.0f}" for outcome, total in sorted(sums.items()))
    print(f"this task's requests so far: {counts or 'none'}")


def main(arguments: list[str] | None = None) -> int:
    """Asks, prints what is wrong, and returns the exit code."""
    options = _parser().parse_args(arguments)
    path = f"/openrtb2/bid/{options.exchange}" if options.exchange else "/openrtb2/bid"
    try:
        request = _request(options.request, live=options.live)
        outside = Line(options.url, options.ca, options.timeout)
        within = Line(options.inside, options.ca, options.timeout) if options.inside else None
    except (ValueError, OSError) as error:
        print(f"python -m infra.smoke: {error}", file=sys.stderr)
        return MISUNDERSTOOD
    asked = options.url
    try:
        wrong = list(through_the_balancer(outside, request, path, options.requests, options.want_bid))
        if within:
            asked = options.inside
            wrong += inside(within)
    except (OSError, HTTPException) as error:
        print(f"{asked}: {type(error).__name__}: {error}", file=sys.stderr)
        return UNREACHABLE
    finally:
        outside.close()
        if within:
            within.close()
    for text in wrong:
        print(f"wrong: {text}", file=sys.stderr)
    print("not well" if wrong else "well")
    return WRONG if wrong else WELL


def _request(path: Path | None, *, live: bool) -> dict[str, Any]:
    """The request to send; its id is set for each. Raises ValueError, OSError."""
    request = json.loads(path.read_text()) if path else dict(REQUEST)
    if not isinstance(request, dict) or not request.get("imp"):
        raise ValueError(f"{path}: expected a bid request with at least one impression")
    return {**request, "test": 0} if live else {**request, "test": 1}


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.smoke", description=__doc__.partition("\n")[0])
    parser.add_argument("url", help="the balancer: http://HOST[:PORT] or https://HOST[:PORT]")
    parser.add_argument("--exchange", help="the exchange profile to ask as (default: generic)")
    parser.add_argument("--inside", metavar="URL", help="a task, as the VPC reaches it: reads /readyz and /metrics too")
    parser.add_argument("--ca", type=Path, help="certificates to trust (PEM); default: the system's")
    parser.add_argument("--request", type=Path, help="a bid request of your own (JSON) in place of a 300x250 banner")
    parser.add_argument("--requests", type=_count, default=10, help="how many, on one connection (10)")
    parser.add_argument("--want-bid", action="store_true", help="no bid at all is wrong too")
    parser.add_argument(
        "--live", action="store_true", help="not marked as a test: counts as traffic, and could be billed"
    )
    parser.add_argument("--timeout", type=float, default=5.0, help="seconds for each answer (5)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
