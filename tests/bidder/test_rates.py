"""Currency rates: dated, positive, complete, or refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from bidder.rates import RatesError, built_in_rates, load_rates, read_rates

GOOD: dict[str, Any] = {"date": "2025-11-03", "source": "test", "base": "EUR", "rates": {"USD": 1.25, "JPY": 160}}


def test_the_rates_that_ship_cover_the_common_currencies_and_say_what_they_are() -> None:
    """About 25 currencies, named as illustrative in the file."""
    rates = built_in_rates()
    assert len(rates.per_base) >= 25
    assert all(map(rates.knows, ("USD", "EUR", "GBP", "JPY", "BRL", "INR", "CAD", "AUD", "MXN")))


async def test_no_uri_means_the_rates_that_ship() -> None:
    """Without a file, the illustrative rates are used."""
    assert await load_rates(None) == built_in_rates()


async def test_rates_are_read_from_a_file_and_convert(tmp_path: Path) -> None:
    """Rates are units for one unit of the base; a gzipped file is read as well."""
    path = tmp_path / "rates.json.gz"
    path.write_bytes(gzip.compress(json.dumps(GOOD).encode()))
    rates = await load_rates(path)
    assert (rates.date, rates.base) == ("2025-11-03", "EUR")
    assert rates.convert(2_000_000, "EUR", "USD") == 2_500_000
    assert rates.convert(2_500_000, "USD", "EUR") == 2_000_000
    assert rates.convert(1_250_000, "USD", "JPY") == 160_000_000


async def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The error names the path."""
    with pytest.raises(RatesError, match=r"none\.json: No such file"):
        await load_rates(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"date": "2025-13-01"}, "date: '2025-13-01' is not a date such as '2026-01-31'"),
        ({"date": "20251101"}, "date: '20251101' is not a date such as '2026-01-31'"),
        ({"date": 20251101}, "date: 20251101 is not text in quotes"),
        ({"base": "eur"}, "base: 'eur' is not an ISO 4217 currency, three capital letters such as 'USD'"),
        ({"source": ""}, "source: is empty"),
        ({"rates": {"USD": 0}}, "rates.USD: 0 is not positive"),
        ({"rates": {"USD": -1.5}}, "rates.USD: -1.5 is not positive"),
        ({"rates": {"USD": "1.25"}}, "rates.USD: '1.25' is not a number"),
        ({"rates": {"USD": float("nan")}}, "rates.USD: nan is not a finite number"),
        ({"rates": {"USD": float("inf")}}, "rates.USD: inf is not a finite number"),
        ({"rates": {"usd": 1}}, "rates.usd: 'usd' is not an ISO 4217 currency, three capital letters such as 'USD'"),
        ({"rates": {"EUR": 2}}, "rates.EUR: 2 is the base's own rate; it is 1, or left out"),
        ({"rate": {}}, "rate: no such field is known; did you mean 'rates'?"),
    ],
)
def test_a_mistake_is_reported_with_its_place(change: dict[str, Any], line: str) -> None:
    """The report names the document, the field, the value and what would be right."""
    with pytest.raises(RatesError) as caught:
        read_rates(json.dumps(GOOD | change).encode(), "my.json")
    assert str(caught.value) == f"my.json: the rates are not usable:\n{line}"


@pytest.mark.parametrize("field", ["date", "source", "base", "rates"])
def test_every_field_is_needed(field: str) -> None:
    """Rates without a date, a source or a base are not rates."""
    with pytest.raises(RatesError, match=f"{field}: is missing"):
        read_rates(json.dumps({name: value for name, value in GOOD.items() if name != field}).encode(), "my.json")
