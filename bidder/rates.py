"""Currency rates from a dated file.

The rule kept here: rates are what the file says on the day it says, complete and positive. A price is never converted
at a rate that somebody guessed; a currency without a rate is not bid in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from bidder.domain import Rates
from bidder.report import A_CURRENCY, CURRENCY, Problems, matching, shown
from bidder.source import SourceError, read_document

MAX_BYTES = 1024 * 1024
_BUILT_IN = files("bidder").joinpath("data", "rates.json")


class RatesError(Exception):
    """The rates cannot be used. The message is the report: one line a problem."""


def _day(value: str) -> str:
    try:
        read = date.fromisoformat(value)
    except ValueError:
        read = None
    if read is None or read.isoformat() != value:
        raise ValueError(f"{shown(value)} is not a date such as '2026-01-31'")
    return value


_Currency = Annotated[str, matching(CURRENCY, A_CURRENCY)]
_Rate = Annotated[float, Field(gt=0)]


class _Document(BaseModel):
    """`rates`: units of each currency for one unit of `base`."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    date: Annotated[str, AfterValidator(_day)]
    source: str = Field(min_length=1, max_length=500)
    base: _Currency
    rates: dict[_Currency, _Rate] = Field(max_length=1_000)


async def load_rates(
    uri: str | Path | None,
    *,
    endpoint_url: str | None = None,
    region: str | None = None,
    max_age_days: float | None = None,
) -> Rates:
    """The rates at a path or `s3://bucket/key`; None: the illustrative ones that ship. RatesError: not usable.

    `max_age_days`: when they are older, nothing is converted (see `Rates.at`); None = however old they are."""
    if uri is None:
        return replace(built_in_rates(), max_age_days=max_age_days)
    try:
        data = await read_document(uri, endpoint_url=endpoint_url, region=region, max_bytes=MAX_BYTES)
    except SourceError as error:
        raise RatesError(str(error)) from error
    return replace(read_rates(data, str(uri)), max_age_days=max_age_days)


def built_in_rates() -> Rates:
    """The rates that ship: illustrative, for demonstrations and tests, not for money."""
    return read_rates(_BUILT_IN.read_bytes(), "the built-in rates.json")


def read_rates(data: bytes, source: str) -> Rates:
    """The rates in `data`: {"date", "source", "base", "rates"}. `source` names the document in messages."""
    problems = Problems()
    try:
        document = _Document.model_validate_json(data)
    except ValidationError as error:
        problems.add_all("", error, known=_Document.model_fields)
        raise RatesError(f"{source}: the rates are not usable:\n{problems}") from error
    if (own := document.rates.get(document.base, 1.0)) != 1.0:
        problems.add(f"rates.{document.base}", f"{own:g} is the base's own rate; it is 1, or left out")
        raise RatesError(f"{source}: the rates are not usable:\n{problems}")
    per_base: Mapping[str, float] = MappingProxyType({document.base: 1.0} | document.rates)
    return Rates(document.date, document.base, per_base)
