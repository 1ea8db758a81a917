"""Encoders of consent strings, written from the specifications and apart from what is tested."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

BEFORE_TCF_23_DS = 17_000_000_000
AFTER_TCF_23_DS = 17_800_000_000

VENDOR = 42
"""The vendor id that the tests configure."""

Ranges = Sequence[tuple[int, int]]


def characters(bits: str) -> str:
    """Bits as base64url, filled up with zeros to whole characters."""
    bits += "0" * (-len(bits) % 6)
    return "".join(ALPHABET[int(bits[start : start + 6], 2)] for start in range(0, len(bits), 6))


def flags(chosen: Iterable[int], length: int) -> str:
    chosen = set(chosen)
    return "".join("01"[number in chosen] for number in range(1, length + 1))


def ranges(entries: Ranges) -> str:
    text = f"{len(entries):012b}"
    for first, last in entries:
        text += f"0{first:016b}" if first == last else f"1{first:016b}{last:016b}"
    return text


def vendors(chosen: Sequence[int], as_ranges: Ranges | None = None) -> str:
    """A vendor section: bits for `chosen`, or the ranges given."""
    if as_ranges is not None:
        return f"{max((last for _, last in as_ranges), default=0):016b}1" + ranges(as_ranges)
    highest = max(chosen, default=0)
    return f"{highest:016b}0" + flags(chosen, highest)


def tc_string(
    *,
    version: int = 2,
    updated_ds: int = BEFORE_TCF_23_DS,
    service_specific: bool = True,
    special_features: Iterable[int] = (1,),
    purposes: Iterable[int] = range(1, 12),
    interests: Iterable[int] = (),
    vendor_consents: Sequence[int] = (VENDOR,),
    vendor_interests: Sequence[int] = (),
    consent_ranges: Ranges | None = None,
    interest_ranges: Ranges | None = None,
    restrictions: Sequence[tuple[int, int, Ranges]] = (),
    disclosed: Sequence[int] | None = None,
) -> str:
    """A TC string. By default it allows all to `VENDOR`. `restrictions`: (purpose, type, ranges of vendors)."""
    core = f"{version:06b}" + f"{updated_ds:036b}" * 2 + f"{10:012b}{1:012b}{1:06b}{0:012b}{100:012b}{4:06b}"
    core += "01"[service_specific] + "0" + flags(special_features, 12) + flags(purposes, 24) + flags(interests, 24)
    core += "0" + "0" * 12 + vendors(vendor_consents, consent_ranges) + vendors(vendor_interests, interest_ranges)
    core += f"{len(restrictions):012b}"
    core += "".join(f"{purpose:06b}{kind:02b}" + ranges(entries) for purpose, kind, entries in restrictions)
    text = characters(core)
    return text if disclosed is None else f"{text}.{characters('001' + vendors(disclosed))}"


def fibonacci(number: int) -> str:
    terms = [1, 2]
    while terms[-1] <= number:
        terms.append(terms[-1] + terms[-2])
    digits, started = "", False
    for term in reversed(terms):
        if term <= number:
            number -= term
            started = True
            digits = "1" + digits
        elif started:
            digits = "0" + digits
    return digits + "1"


def gpp_string(sections: Mapping[int, str]) -> str:
    """A GPP string of the sections given, by id."""
    header, last = f"{3:06b}{1:06b}{len(sections):012b}", 0
    for section_id in sorted(sections):
        header += "0" + fibonacci(section_id - last)
        last = section_id
    return "~".join([characters(header), *(sections[section_id] for section_id in sorted(sections))])


def us_section(values: Iterable[int], *, version: int = 1, gpc: bool | None = None) -> str:
    """A section of the United States: a version, then two bits a value; a sub-section for GPC unless None."""
    core = characters(f"{version:06b}" + "".join(f"{value:02b}" for value in values))
    return core if gpc is None else f"{core}.{characters('01' + '01'[gpc])}"


@pytest.fixture
def make_tc_string() -> Callable[..., str]:
    return tc_string


@pytest.fixture
def make_gpp_string() -> Callable[..., str]:
    return gpp_string


@pytest.fixture
def make_us_section() -> Callable[..., str]:
    return us_section


@pytest.fixture
def everything_known() -> dict[str, Any]:
    """Parts of a request in which every identifier says "raw-", every trait "trait-"; and an exact place."""
    geo = {"lat": 52.520008, "lon": 13.404954, "zip": "10115", "accuracy": 5, "country": "DEU", "city": "Berlin"}
    eids = [{"source": "id.example", "uids": [{"id": "raw-eid"}]}]
    return {
        "user": {
            "id": "raw-id",
            "buyeruid": "raw-buyeruid",
            "customdata": "raw-cookie trait-cookie",
            "eids": eids,
            "yob": 1987,
            "gender": "trait-gender",
            "keywords": "trait-keywords",
            "kwarray": ["trait-kwarray"],
            "data": [{"segment": [{"id": "trait-segment", "name": "trait-name"}]}],
            "geo": dict(geo),
            "ext": {"eids": eids, "data": "trait-ext"},
        },
        "device": {
            "ifa": "raw-ifa",
            **{key: f"raw-{key}" for key in ("didsha1", "didmd5", "dpidsha1", "dpidmd5", "macsha1", "macmd5")},
            "ext": {"idfv": "raw-idfv"},
            "ip": "203.0.113.77",
            "ipv6": "2001:db8:1234:5678:9abc:def0:1234:5678",
            "geo": geo,
            "os": "Android",
        },
        "site": {"id": "s-1", "page": "https://news.example/a?email=raw-query", "ref": "https://s.example/#raw-ref"},
    }
