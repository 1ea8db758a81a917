"""The kinds of value a catalog holds: money, names, hosts, URLs, countries; checked, and turned into the bidder's own.

The rule kept here: a message says which value is wrong and what would be right. Where it stands is added by the report.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from bidder.catalog import names
from bidder.domain import MICROS, SLOT_ATTRIBUTES
from bidder.report import A_CURRENCY, CURRENCY, matching, shown

_MAX_AMOUNT = 1_000_000
_ID = r"[\x21-\x7e]{1,64}"
_HOST = re.compile(r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}\Z")
_URL = r"https?://[A-Za-z0-9.-]+(:\d{1,5})?([/?#][^\s\"<>]*)?"
_LANGUAGE = r"[a-z]{2}"
_LANGUAGE_TAG = r"[a-z]{2,3}(-[a-z0-9]{2,8}){0,4}"
_MIME = r"[a-z]+/[a-z0-9][a-z0-9.+-]*"
_VERSION = r"\d+(\.\d+)*"


def _micros(value: Any) -> int:
    """Decimal number or text in currency units → micro-units, exactly; a float is what its shortest spelling says."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{shown(value)} is not an amount of money such as 2.50")
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"{shown(value)} is not an amount of money such as 2.50") from None
    if not amount.is_finite():
        raise ValueError(f"{shown(value)} is not a finite amount")
    if amount <= 0:
        raise ValueError(f"{shown(value)} is not positive")
    if amount > _MAX_AMOUNT:
        raise ValueError(f"{shown(value)} is above {_MAX_AMOUNT}; amounts are in units of the currency")
    micros = amount * MICROS
    if micros != micros.to_integral_value():
        raise ValueError(f"{shown(value)} is finer than a millionth of the currency; write at most 6 decimals")
    return int(micros)


def _country(value: str) -> str:
    if value in names.COUNTRIES:
        return value
    upper = value.upper()
    meant = names.ALPHA3_BY_ALPHA2.get(upper) or (upper if upper in names.COUNTRIES else "")
    right = f"write {meant!r}" if meant else "write three capital letters, as in 'USA'"
    raise ValueError(f"{shown(value)} is not an ISO 3166-1 alpha-3 country; {right}")


def _region(value: str) -> str:
    country, slash, region = value.partition("/")
    if not slash or not region:
        raise ValueError(f"{shown(value)} is not a country and a region such as 'USA/CA'")
    return f"{_country(country)}/{region}"


def _host(value: str) -> str:
    host = value.lower()
    if not _HOST.match(host):
        raise ValueError(f"{shown(value)} is not a host name such as 'shop.example'")
    return host


def _place(value: str) -> str:
    """A site's domain in lower case, or its id as it is."""
    host = value.lower()
    return host if _HOST.match(host) else value


def _slot_attribute(value: str) -> str:
    if value not in SLOT_ATTRIBUTES:
        raise ValueError(f"{shown(value)} is not a slot attribute; one of {', '.join(SLOT_ATTRIBUTES)} is meant")
    return value


def _creative_attribute(value: int) -> int:
    if not (1 <= value <= 23 or value >= 500):
        raise ValueError(f"{value} is not a creative attribute; AdCOM knows 1 to 23, exchanges add 500 and above")
    return value


def _named(table: Mapping[str, int], what: str) -> BeforeValidator:
    """A name of the table, or one of its numbers; the number is what is handed on."""
    codes = frozenset(table.values())
    accepted: dict[str, int] = {**table, **{str(code): code for code in codes}}

    def read(value: Any) -> int:
        if isinstance(value, str) and value in accepted:
            return accepted[value]
        if type(value) is int and value in codes:
            return value
        raise ValueError(f"{shown(value)} is not {what}; one of {', '.join(table)} is meant")

    return BeforeValidator(read)


def _text_keys(value: Any) -> Any:
    """Native texts by data type: {"desc": "…", "1": "…"} → {2: "…", 1: "…"}."""
    if not isinstance(value, dict):
        return value
    accepted = {**names.TEXT_TYPES, **{str(code): code for code in names.TEXT_TYPES.values()}}
    read: dict[int, Any] = {}
    for key, text in value.items():
        if key not in accepted:
            raise ValueError(f"{shown(key)} is not a native data type; one of {', '.join(names.TEXT_TYPES)} is meant")
        if accepted[key] in read:
            raise ValueError(f"{shown(key)} is given twice, by name and by number")
        read[accepted[key]] = text
    return read


Micros = Annotated[int, BeforeValidator(_micros)]
Id = Annotated[str, matching(_ID, "an id; 1 to 64 visible ASCII characters without spaces are")]
Text = Annotated[str, Field(min_length=1, max_length=200)]
LowerText = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(str.lower)]
Host = Annotated[str, AfterValidator(_host)]
Place = Annotated[str, Field(min_length=1, max_length=253), AfterValidator(_place)]
Url = Annotated[
    str, Field(max_length=2000), matching(_URL, "an absolute http or https URL such as 'https://shop.example/'")
]
Country = Annotated[str, AfterValidator(_country)]
Region = Annotated[str, AfterValidator(_region)]
Currency = Annotated[str, matching(CURRENCY, A_CURRENCY)]
Language = Annotated[str, AfterValidator(str.lower), matching(_LANGUAGE, "a language of two letters such as 'en'")]
LanguageTag = Annotated[
    str, AfterValidator(str.lower), matching(_LANGUAGE_TAG, "a language such as 'en' or 'en-GB' (BCP 47)")
]
Mime = Annotated[str, AfterValidator(str.lower), matching(_MIME, "a MIME type such as 'video/mp4'")]
VideoMime = Annotated[Mime, matching("(video|application)/.+", "a video's MIME type such as 'video/mp4'")]
AudioMime = Annotated[Mime, matching("(audio|application)/.+", "an audio's MIME type such as 'audio/mpeg'")]
OsVersion = Annotated[str, matching(_VERSION, "a version such as '14' or '14.2'")]
SlotAttribute = Annotated[str, AfterValidator(_slot_attribute)]
CreativeAttribute = Annotated[int, AfterValidator(_creative_attribute)]

DeviceType = Annotated[int, _named(names.DEVICE_TYPES, "a device type")]
Connection = Annotated[int, _named(names.CONNECTIONS, "a connection type")]
Position = Annotated[int, _named(names.POSITIONS, "an ad position")]
Api = Annotated[int, _named(names.APIS, "an API framework")]
Protocol = Annotated[int, _named(names.PROTOCOLS, "a protocol")]
BannerType = Annotated[int, _named(names.BANNER_TYPES, "a banner type")]
Delivery = Annotated[int, _named(names.DELIVERIES, "a delivery method")]
Linearity = Annotated[int, _named(names.LINEARITIES, "a linearity")]
ImageType = Annotated[int, _named(names.IMAGE_TYPES, "a native image type")]
Day = Annotated[int, _named(names.DAYS, "a day")]
NativeTexts = Annotated[
    dict[int, Annotated[str, Field(min_length=1, max_length=1000)]], BeforeValidator(_text_keys), Field(max_length=20)
]
