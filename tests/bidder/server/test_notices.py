"""Notices over HTTP: taken whatever they hold, and counted only if they can be meant."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from bidder.domain import Exchange
from bidder.metrics import NOTICES
from bidder.server.notices import Notice, read_notice

PARAMETERS = ("auction", "bid", "imp", "price", "cur", "seat", "mbr", "min", "loss", "multiplier")
ODD = ("", "AUDIT", "${AUCTION_PRICE}", quote("${AUCTION_PRICE:B64}"), "%%WINNING_PRICE%%", "%ff", "NaN", "-1")


@pytest.fixture
def connection(bidder: Any) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(bidder.host, bidder.port, timeout=30)
    yield connection
    connection.close()


def ask(connection: http.client.HTTPConnection, path: str, method: str = "GET", body: bytes | None = None) -> int:
    connection.request(method, path, body)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def counts(connection: http.client.HTTPConnection) -> dict[str, float]:
    """All notice series with their labels."""
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    return {name: float(value) for name, value in re.findall(r"^(bidder_notices\S+) (\S+)$", text, re.MULTILINE)}


@pytest.mark.parametrize("kind", NOTICES)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_every_kind_is_taken_by_every_method(connection: http.client.HTTPConnection, kind: str, method: str) -> None:
    """And counted once."""
    series = f'bidder_notices_total{{kind="{kind}"}}'
    before = counts(connection)[series]
    assert ask(connection, f"/notice/{kind}?auction=a&bid=b&imp=1&price=1.5", method) in (200, 204)
    assert counts(connection)[series] == before + 1


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_odd_values_are_taken_in_each_parameter(connection: http.client.HTTPConnection, parameter: str) -> None:
    """Empty, AUDIT, macros that nobody filled in, bad escapes: 204, and the connection lives on."""
    for value in ODD:
        assert ask(connection, f"/notice/win?auction=a&{parameter}={value}") == 204


def test_a_body_is_of_no_interest(connection: http.client.HTTPConnection) -> None:
    """Some send a POST with one; the next notice follows on the same connection."""
    assert ask(connection, "/notice/billing?auction=a&price=1", "POST", b"x" * 100_000) == 204
    assert ask(connection, "/notice/billing?auction=a&price=1") == 204


@pytest.mark.parametrize(
    ("kind", "query", "why"),
    [
        ("win", "price=1.5&test=1", "test"),
        ("impression", "auction=a&test=1", "test"),
        ("billing", "price=AUDIT", "audit"),
        ("win", "auction=AUDIT&price=1.5", "audit"),
        ("win", "price=%24%7BAUCTION_PRICE%7D", "macro"),
        ("billing", "price=${AUCTION_PRICE:B64}", "macro"),
        ("billing", "price=%25%25WINNING_PRICE%25%25", "macro"),
        ("win", "price=NaN&exchange=generic", "price"),
        ("billing", "price=-1&exchange=generic", "price"),
        ("impression", "price=1e9&exchange=generic", "price"),
        ("win", "price=1.5&exchange=google", "price"),
        ("impression", "m=0", "unmeasured"),
        ("click", "m=0", "unmeasured"),
        ("event", "event=start&m=0", "unmeasured"),
        ("error", "code=400&m=0", "unmeasured"),
    ],
)
def test_what_cannot_be_meant_is_counted_apart(
    connection: http.client.HTTPConnection, kind: str, query: str, why: str
) -> None:
    """And not among the others."""
    series = f'bidder_notices_apart_total{{kind="{kind}",why="{why}"}}'
    before = counts(connection)
    ask(connection, f"/notice/{kind}?{query}")
    after = counts(connection)
    assert after[series] == before.get(series, 0) + 1
    assert after[f'bidder_notices_total{{kind="{kind}"}}'] == before[f'bidder_notices_total{{kind="{kind}"}}']


def test_macros_that_an_exchange_does_not_know_do_no_harm() -> None:
    """Many fill in the price alone; a loss need not tell one."""
    exchange = Exchange("generic")
    filled = {"price": "1.5", "mbr": "${AUCTION_MBR}", "seat": "${AUCTION_SEAT_ID}"}
    assert read_notice("win", filled, exchange) == Notice("", 1_500_000)
    for kind, price in (("loss", "${AUCTION_PRICE}"), ("loss", "NaN"), ("impression", "${AUCTION_PRICE}"), ("win", "")):
        assert read_notice(kind, {"price": price}, exchange) == Notice("", 0)


def test_what_was_bought_counts_where_nothing_may_be_measured() -> None:
    """Wins, bills and losses are between exchange and buyer; what an impression cost is told although it is apart."""
    exchange = Exchange("generic")
    for kind in ("win", "billing"):
        assert read_notice(kind, {"price": "1.5", "m": "0"}, exchange) == Notice("", 1_500_000)
    assert read_notice("loss", {"loss": "102", "m": "0"}, exchange) == Notice("", 0)
    assert read_notice("impression", {"price": "1.5", "m": "0"}, exchange) == Notice("unmeasured", 1_500_000)


def test_a_price_is_read_as_its_exchange_writes_it() -> None:
    """And not at all where the notice names none that is known."""
    assert read_notice("win", {"price": "15"}, Exchange("e", notice_price="micros")) == Notice("", 15)
    assert read_notice("win", {"price": "15"}) == Notice("", 0)
    assert read_notice("win", {"price": "15"}, Exchange("e", notice_price="google")) == Notice("price", 0)
