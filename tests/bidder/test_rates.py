"""Currency rates: dated, positive, complete, or refused."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidder.domain import Rates
from bidder.domain.rates import NO_RATE
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


def test_conversion_is_exact_and_rounds_where_it_is_told() -> None:
    """A third of a micro-unit goes up, down or to the nearest; nothing is lost where nothing is to be rounded."""
    rates = Rates("2026-01-02", "USD", {"XTS": 3, "EUR": 0.1})
    assert (rates.convert_down(4, "XTS", "USD"), rates.convert_up(4, "XTS", "USD")) == (1, 2)
    assert (rates.convert(4, "XTS", "USD"), rates.convert(5, "XTS", "USD")) == (1, 2)
    assert rates.convert_up(3 * 10**17, "EUR", "USD") == rates.convert_down(3 * 10**17, "EUR", "USD") == 3 * 10**18
    assert rates.convert_up(7, "XXX", "XXX") == 7
    with pytest.raises(KeyError):
        rates.convert_up(1, "USD", "XXX")


@given(st.integers(0, 10**12), st.floats(0.001, 20_000), st.floats(0.001, 20_000))
def test_rounding_up_and_down_enclose_the_exact_amount(micros: int, one: float, two: float) -> None:
    """By less than a micro-unit, held against exact arithmetic on the decimals as they are written."""
    rates = Rates("2026-01-02", "USD", {"AAA": one, "BBB": two})
    exact = micros * Fraction(str(two)) / Fraction(str(one))
    assert rates.convert_down(micros, "AAA", "BBB") <= exact <= rates.convert_up(micros, "AAA", "BBB")
    assert rates.convert_up(micros, "AAA", "BBB") - rates.convert_down(micros, "AAA", "BBB") <= 1


def test_a_ratio_is_there_where_both_currencies_have_a_rate() -> None:
    """Asked for once or again. Of what has none nothing is kept, however many currencies are asked for."""
    rates = Rates("2026-01-02", "USD", {"EUR": 0.8})
    for _ in range(2):
        assert rates.ratio_if_any("EUR", "USD")[:2] == (5, 4)
        assert rates.ratio_if_any("EUR", "CAD") is NO_RATE
        assert rates.ratio_if_any("CAD", "CAD") is NO_RATE
    assert list(rates.ratios("USD")) == ["EUR"]
    assert not rates.ratios("CAD")


@given(st.integers(min_value=0, max_value=10**15), st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_no_amount_comes_to_more_than_its_ratio_says(micros: int, one: float, two: float) -> None:
    """The third of its numbers: what cannot be the highest price need not be converted."""
    rates = Rates("2026-01-02", "USD", {"AAA": one, "BBB": two})
    assert rates.convert_down(micros, "AAA", "BBB") <= micros * rates.ratio("AAA", "BBB")[2]


def test_stale_rates_convert_nothing() -> None:
    """Two days old is not older than two days; a second more is. Amounts keep their currency still."""
    rates = Rates("2026-01-02", "USD", {"EUR": 0.8}, max_age_days=2)
    limit_s = datetime(2026, 1, 4, tzinfo=UTC).timestamp()
    assert rates.age_days(limit_s) == 2
    assert rates.at(limit_s) is rates
    stale = rates.at(limit_s + 1)
    assert not stale.knows("USD")
    assert not stale.converts("USD", "EUR")
    assert stale.converts("EUR", "EUR")
    assert stale.convert_up(5, "EUR", "EUR") == 5


def test_rates_without_an_age_limit_never_grow_stale() -> None:
    """Whoever sets none is taken at their word."""
    rates = Rates("2026-01-02", "USD", {"EUR": 0.8})
    assert rates.at(1e12) is rates


async def test_the_age_limit_is_given_when_rates_are_loaded(tmp_path: Path) -> None:
    """For those of a file as for those that ship."""
    path = tmp_path / "rates.json"
    path.write_text(json.dumps(GOOD))
    assert (await load_rates(path, max_age_days=3)).max_age_days == 3
    assert (await load_rates(None, max_age_days=3)).max_age_days == 3
