"""Exchange profiles: those that ship, those of an operator, and what is wrong with the others."""

from __future__ import annotations

import json
from dataclasses import fields
from importlib.resources import files
from pathlib import Path

import pytest

from bidder.domain import Exchange
from bidder.exchange_table import tables
from bidder.exchanges import ExchangesError, built_in_exchanges, load_exchanges, read_exchanges


def test_the_generic_profiles_are_the_defaults() -> None:
    """`generic` is OpenRTB 2.6 as the specification has it, `generic25` differs in the version alone."""
    profiles = built_in_exchanges()
    assert profiles["generic"] == Exchange("generic", seats={})
    assert profiles["generic25"] == Exchange("generic25", version="2.5", seats={})


SHIPPED = (
    "generic",
    "generic25",
    "google",
    "index",
    "xandr",
    "magnite",
    "pubmatic",
    "unity",
    "applovin",
    "prebid-server",
)


def test_the_profiles_that_ship() -> None:
    """Each names its sources; all but those of the specification say what they could not verify."""
    assert set(built_in_exchanges()) == set(SHIPPED)
    notes = json.loads(files("bidder").joinpath("data", "exchanges.json").read_bytes())
    assert all(note["about"] and note["sources"] for note in notes.values())
    assert {name for name, note in notes.items() if not note.get("unverified")} == {"generic", "generic25"}


def test_the_document_says_what_the_data_says() -> None:
    """docs/exchanges.md ends with the tables made from the profiles."""
    document = (Path(__file__).parents[2] / "docs" / "exchanges.md").read_text()
    assert document.endswith(tables()), "write `python -m bidder.exchange_table` to the end of docs/exchanges.md"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "google",
            {"max_bytes": {"crid": 64}, "content_type": "application/json; charset=utf-8", "notice_price": "google"},
        ),
        ("index", {"price_macro_required": True, "native_wrapped": True, "max_bytes": {"adomain": 128}}),
        ("xandr", {"markup": "registered", "no_bid_body": False}),
        ("pubmatic", {"numeric_seats": True, "bids_per_imp": 5, "notices": frozenset()}),
        ("unity", {"default_tmax_ms": 200, "max_seatbids": 1, "auction_type": 1}),
        ("applovin", {"max_answer_bytes": 4096, "compression": "required"}),
    ],
)
def test_what_exchanges_document(name: str, expected: dict[str, object]) -> None:
    """The facts by which each exchange differs most."""
    profile = built_in_exchanges()[name]
    assert {field: getattr(profile, field) for field in expected} == expected


def test_every_profile_that_ships_answers_no_bid_by_204() -> None:
    """None of the exchanges that ship wants a body for a no-bid."""
    assert {name for name, profile in built_in_exchanges().items() if profile.no_bid_body} == set()
    assert all(profile.name == name for name, profile in built_in_exchanges().items())


async def test_no_uri_means_those_that_ship() -> None:
    """Without a file, the built-in profiles are used."""
    assert await load_exchanges(None) == built_in_exchanges()


async def test_profiles_are_read_from_a_file(tmp_path: Path) -> None:
    """An operator's file replaces the built-in profiles, and what it leaves out has the defaults."""
    path = tmp_path / "exchanges.json"
    path.write_text(
        '{"acme": {"default_tmax_ms": 120, "no_bid_body": true, "currency": "EUR", "seats": {"s-1": "77"}}}'
    )
    assert await load_exchanges(path) == {
        "acme": Exchange("acme", default_tmax_ms=120, no_bid_body=True, currency="EUR", seats={"s-1": "77"})
    }


def test_every_field_of_an_exchange_can_be_set() -> None:
    """A profile has the fields of `Exchange`, and three more for people."""
    known = {field.name for field in fields(Exchange)} - {"name"}
    with pytest.raises(ExchangesError) as caught:
        read_exchanges(json.dumps({"a": dict.fromkeys([*known, "about", "sources", "unverified"])}).encode(), "x")
    assert "no such field" not in str(caught.value)


@pytest.mark.parametrize(
    ("profile", "written"),
    [
        ({}, "plain"),
        ({"price_unit": "micros"}, "micros"),
        ({"price_unit": "micros", "notice_price": "plain"}, "plain"),
        ({"notice_price": "google"}, "google"),
    ],
)
def test_notices_tell_the_price_in_the_units_of_the_bid(profile: dict[str, str], written: str) -> None:
    """As section 4.4 has it, unless the profile says otherwise."""
    assert read_exchanges(json.dumps({"a": profile}).encode(), "x")["a"].notice_price == written


async def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The error names the path."""
    with pytest.raises(ExchangesError, match=r"none\.json: No such file"):
        await load_exchanges(tmp_path / "none.json")


def test_profiles_cannot_be_changed_by_accident() -> None:
    """What is shared by all requests is read-only."""
    with pytest.raises(TypeError):
        built_in_exchanges()["generic"].seats["a"] = "b"  # type: ignore[index]


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"{", "no JSON, or cut off: EOF while parsing an object at line 1 column 1"),
        (b"{}", "there is no exchange in it; at least one is needed"),
        (
            b'{"Acme": {}}',
            "Acme: 'Acme' is not an exchange's name; lower-case letters, digits and hyphens, at most 32, are",
        ),
        (b'{"a": {"default_tmax": 5}}', "a.default_tmax: no such field is known; did you mean 'default_tmax_ms'?"),
        (b'{"a": {"default_tmax_ms": 0}}', "a.default_tmax_ms: 0 is not positive"),
        (b'{"a": {"default_tmax_ms": "9"}}', "a.default_tmax_ms: '9' is not a whole number"),
        (b'{"a": {"network_margin_ms": -1}}', "a.network_margin_ms: -1 is negative"),
        (
            b'{"a": {"network_margin_ms": 100}}',
            "a.network_margin_ms: 100 leaves nothing of default_tmax_ms 100; lower it",
        ),
        (b'{"a": {"no_bid_body": 1}}', "a.no_bid_body: 1 is neither true nor false"),
        (
            b'{"a": {"currency": "eur"}}',
            "a.currency: 'eur' is not an ISO 4217 currency, three capital letters such as 'USD'",
        ),
        (b'{"a": {"version": "3.0"}}', "a.version: '3.0' is not known; one of '2.5' or '2.6' is meant"),
        (b'{"a": {"price_macro": ""}}', "a.price_macro: is empty"),
        (
            b'{"a": {"price_macro": "<x>"}}',
            "a.price_macro: '<x>' is not a macro; "
            "it holds no quotes, spaces, angle brackets, backslashes or ampersands",
        ),
        (b'{"a": {"price_decimals": 7}}', "a.price_decimals: 7 is above 6"),
        (b'{"a": {"max_bytes": {"crid": 0}}}', "a.max_bytes.crid: 0 is not positive"),
        (
            b'{"a": {"required": ["cid"], "omitted": ["cid"]}}',
            "a.omitted: cid is required too; remove it from one of them",
        ),
        (
            b'{"a": {"markup": "registered", "required": ["adm"]}}',
            "a.required: adm is not sent where markup is 'registered'; remove one of them",
        ),
        (
            b'{"a": {"markup": "nurl", "notices": ["burl"]}}',
            "a.notices: nurl, which markup names, is not among them; add it",
        ),
        (b'{"a": {"notices": ["nurl"], "required": ["burl"]}}', "a.required: burl is not among notices; add it there"),
        (
            b'{"a": {"response_headers": {"content-length": "1"}}}',
            "a.response_headers: content-length is written by the server; remove it",
        ),
        (
            b'{"a": {"response_headers": {"x-a": "b\\r\\nc: d"}}}',
            "a.response_headers.x-a: 'b\\r\\nc: d' is not a header's value",
        ),
        (b'{"a": []}', "a: [] is not an object; write { … }"),
    ],
)
def test_a_mistake_is_reported_with_its_place(data: bytes, line: str) -> None:
    """The report names the document, and for each problem the profile, the field and what would be right."""
    with pytest.raises(ExchangesError) as caught:
        read_exchanges(data, "my.json")
    assert str(caught.value) == f"my.json: the exchange profiles are not usable:\n{line}"
