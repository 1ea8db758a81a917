"""What differs between exchanges, as data: one profile an exchange, by name.

The rule kept here: a difference is a field of a profile, documented by the exchange; nothing in the code asks for an
exchange's name. The profiles that ship are in data/exchanges.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from bidder.domain import Exchange
from bidder.report import A_CURRENCY, CURRENCY, Problems, matching
from bidder.source import SourceError, read_document

MAX_BYTES = 1024 * 1024
_BUILT_IN = files("bidder").joinpath("data", "exchanges.json")

# The name stands in the path of the bid URL.
_Name = Annotated[
    str,
    matching(r"[a-z0-9][a-z0-9-]{0,31}", "an exchange's name; lower-case letters, digits and hyphens, at most 32, are"),
]
_Seat = Annotated[str, Field(min_length=1, max_length=64)]


class ExchangesError(Exception):
    """The exchange profiles cannot be used. The message is the report: one line a problem."""


class _Profile(BaseModel):
    """One exchange. `about` says where the facts come from; it is for people."""

    model_config = ConfigDict(extra="forbid", strict=True)

    about: str = ""
    default_tmax_ms: int | None = Field(None, gt=0, le=10_000)
    network_margin_ms: int | None = Field(None, ge=0, le=10_000)
    no_bid_body: bool = False
    currency: Annotated[str, matching(CURRENCY, A_CURRENCY)] = "USD"
    price_macro: str = Field("${AUCTION_PRICE}", min_length=1, max_length=100)
    version: Literal["2.5", "2.6"] = "2.6"
    seats: dict[_Seat, _Seat] = Field({}, max_length=10_000)


_PROFILES = TypeAdapter(Annotated[dict[_Name, _Profile], Field(max_length=1_000)])


class Usual(NamedTuple):
    """What counts where a profile does not say."""

    default_tmax_ms: int = 100
    network_margin_ms: int = 10


USUAL = Usual()


async def load_exchanges(
    uri: str | Path | None,
    usual: Usual = USUAL,
    *,
    endpoint_url: str | None = None,
    region: str | None = None,
) -> Mapping[str, Exchange]:
    """The profiles at a path or `s3://bucket/key`; None: those that ship. ExchangesError: they cannot be used."""
    if uri is None:
        return built_in_exchanges(usual)
    try:
        data = await read_document(uri, endpoint_url=endpoint_url, region=region, max_bytes=MAX_BYTES)
    except SourceError as error:
        raise ExchangesError(str(error)) from error
    return read_exchanges(data, str(uri), usual)


def built_in_exchanges(usual: Usual = USUAL) -> Mapping[str, Exchange]:
    """The profiles that ship with the bidder."""
    return read_exchanges(_BUILT_IN.read_bytes(), "the built-in exchanges.json", usual)


def read_exchanges(data: bytes, source: str, usual: Usual = USUAL) -> Mapping[str, Exchange]:
    """The profiles in `data`, a JSON object of name → profile. `source` names it in messages."""
    problems = Problems()
    profiles: dict[str, _Profile] = {}
    try:
        profiles = _PROFILES.validate_json(data)
    except ValidationError as error:
        problems.add_all("", error, known=_Profile.model_fields)
    if not problems and not profiles:
        problems.add("", "there is no exchange in it; at least one is needed")
    exchanges = {name: _exchange(name, profile, usual) for name, profile in profiles.items()}
    for name, exchange in exchanges.items():
        margin, tmax = exchange.network_margin_ms, exchange.default_tmax_ms
        if margin >= tmax:
            problems.add(f"{name}.network_margin_ms", f"{margin} leaves nothing of default_tmax_ms {tmax}; lower it")
    if problems:
        raise ExchangesError(f"{source}: the exchange profiles are not usable:\n{problems}")
    return MappingProxyType(exchanges)


def _exchange(name: str, profile: _Profile, usual: Usual) -> Exchange:
    tmax_ms, margin_ms = profile.default_tmax_ms, profile.network_margin_ms
    return Exchange(
        name=name,
        default_tmax_ms=usual.default_tmax_ms if tmax_ms is None else tmax_ms,
        network_margin_ms=usual.network_margin_ms if margin_ms is None else margin_ms,
        no_bid_body=profile.no_bid_body,
        currency=profile.currency,
        price_macro=profile.price_macro,
        version=profile.version,
        seats=MappingProxyType(profile.seats),
    )
