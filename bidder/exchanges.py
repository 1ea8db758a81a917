"""What differs between exchanges, as data: one profile an exchange, by name.

The rule kept here: a difference is a field of a profile, documented by the exchange; nothing in the code asks for an
exchange's name. The profiles that ship are in data/exchanges.json, each with its sources and with what they leave open.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

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
# A macro stands in URLs, attributes, CDATA and JSON as it is.
_MACRO = matching(
    r"[!#-%(-;=?-\[\]-~]*", "a macro; it holds no quotes, spaces, angle brackets, backslashes or ampersands"
)
_Header = Annotated[str, matching(r"[a-z0-9-]{1,64}", "a header's name in lower case, as in 'x-example'")]
_HeaderValue = Annotated[str, matching(r"[\x21-\x7e]([\x20-\x7e]{0,254}[\x21-\x7e])?", "a header's value")]
_OURS = frozenset({"content-length", "content-type", "content-encoding", "transfer-encoding", "connection", "date"})
# fmt: off
_MacroName = Literal[
    "AUCTION_SEAT_ID", "AUCTION_CURRENCY", "AUCTION_MBR", "AUCTION_LOSS", "AUCTION_MIN_TO_WIN", "AUCTION_MULTIPLIER",
]
_Required = Literal[
    "cur", "bidid", "seat", "adid", "crid", "cid", "adomain", "bundle", "cat", "attr", "iurl", "language", "mtype",
    "adm", "nurl", "burl", "lurl",
]
_Omitted = Literal[
    "adid", "cid", "adomain", "bundle", "cat", "cattax", "attr", "iurl", "language", "dur", "mtype", "w", "h",
    "api", "apis", "exp", "protocol", "slotinpod", "wratio", "hratio",
]
# fmt: on
_Limited = Literal["id", "adid", "crid", "cid", "adomain", "bundle", "iurl", "nurl", "burl", "lurl"]


class ExchangesError(Exception):
    """The exchange profiles cannot be used. The message is the report: one line a problem."""


class _Profile(BaseModel):
    """One exchange: the fields of `bidder.domain.Exchange`; and for people `about`, `sources` (the documents that the
    facts are from) and `unverified` (what the profile assumes and they do not say)."""

    model_config = ConfigDict(extra="forbid", strict=True)

    about: str = ""
    sources: list[str] = Field([], max_length=20)
    unverified: list[str] = Field([], max_length=40)
    default_tmax_ms: int | None = Field(None, gt=0, le=10_000)
    network_margin_ms: int | None = Field(None, ge=0, le=10_000)
    no_bid_body: bool = False
    max_answer_bytes: int = Field(0, ge=0)
    compression: Literal["none", "accepted", "wanted", "required"] = "accepted"
    content_type: _HeaderValue = "application/json"
    response_headers: dict[_Header, _HeaderValue] = Field({}, max_length=20)
    version: Literal["2.5", "2.6"] = "2.6"
    currency: Annotated[str, matching(CURRENCY, A_CURRENCY)] = "USD"
    price_unit: Literal["cpm", "micros"] = "cpm"
    price_decimals: int = Field(6, ge=0, le=6)
    notice_price: Literal["plain", "micros", "google"] | None = None
    auction_type: Literal[1, 2] = 2
    bids_per_imp: int = Field(1, gt=0, le=100)
    deals_beside_open: bool = False
    max_seatbids: int = Field(0, ge=0)
    strict_banner_size: bool = False
    seats: dict[_Seat, _Seat] = Field({}, max_length=10_000)
    numeric_seats: bool = False
    required: list[_Required] = []
    omitted: list[_Omitted] = []
    max_bytes: dict[_Limited, Annotated[int, Field(gt=0)]] = {}
    bid_ext: dict[str, Any] = {}
    response_ext: dict[str, Any] = {}
    markup: Literal["adm", "nurl", "registered"] = "adm"
    native_wrapped: bool = False
    notices: list[Literal["nurl", "burl", "lurl"]] = ["nurl", "burl", "lurl"]
    price_macro: Annotated[str, Field(min_length=1, max_length=100), _MACRO] = "${AUCTION_PRICE}"
    macros: dict[_MacroName, Annotated[str, Field(max_length=100), _MACRO]] = {}
    price_in_adm: bool = False
    price_macro_required: bool = False


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
        for where, what in _contradictions(exchange):
            problems.add(f"{name}.{where}", what)
    if problems:
        raise ExchangesError(f"{source}: the exchange profiles are not usable:\n{problems}")
    return MappingProxyType(exchanges)


def _contradictions(exchange: Exchange) -> Iterator[tuple[str, str]]:
    """(field, what is wrong) where two fields of a profile cannot both be meant."""
    margin, tmax = exchange.network_margin_ms, exchange.default_tmax_ms
    if margin >= tmax:
        yield "network_margin_ms", f"{margin} leaves nothing of default_tmax_ms {tmax}; lower it"
    if both := sorted(exchange.required & exchange.omitted):
        yield "omitted", f"{both[0]} is required too; remove it from one of them"
    if exchange.markup != "adm" and "adm" in exchange.required:
        yield "required", f"adm is not sent where markup is {exchange.markup!r}; remove one of them"
    if exchange.markup == "nurl" and "nurl" not in exchange.notices:
        yield "notices", "nurl, which markup names, is not among them; add it"
    if uncalled := sorted(exchange.required & {"nurl", "burl", "lurl"} - exchange.notices):
        yield "required", f"{uncalled[0]} is not among notices; add it there"
    if ours := sorted(exchange.response_headers.keys() & _OURS):
        yield "response_headers", f"{ours[0]} is written by the server; remove it"


def _exchange(name: str, profile: _Profile, usual: Usual) -> Exchange:
    """The profile as the stages read it: without what is for people, and not to be changed."""
    fields = profile.model_dump(exclude={"about", "sources", "unverified"})
    for field in usual._fields:
        if fields[field] is None:
            fields[field] = getattr(usual, field)
    if profile.notice_price is None:  # "same currency and units as the bid" (section 4.4)
        fields["notice_price"] = "micros" if profile.price_unit == "micros" else "plain"
    for field in ("required", "omitted", "notices"):
        fields[field] = frozenset(fields[field])
    for field in ("seats", "max_bytes", "bid_ext", "response_ext", "response_headers", "macros"):
        fields[field] = MappingProxyType(fields[field])
    return Exchange(name=name, **fields)
