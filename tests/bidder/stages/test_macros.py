"""Substitution macros: what stands in their place, and what a notice gives back."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidder.stages.macros import MACROS, counts, is_audit, price_micros, substitute
from bidder.stages.macros import given as given_value
from bidder.stages.markup.escaping import url

EVERY = "&".join(f"{name}=${{{name}}}" for name in MACROS)


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    path = Path(__file__).parents[4] / "shared" / "openrtb" / "openrtb26_macros.json"
    if not path.exists():
        pytest.skip("the OpenRTB reference data is not beside the repository")
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def test_all_macros_of_the_reference(reference: dict[str, Any]) -> None:
    """All that OpenRTB knows, and no other."""
    assert tuple(each["name"] for each in reference["macros"]) == MACROS
    assert len(MACROS) == reference["meta"]["count"]


@pytest.mark.parametrize("name", MACROS)
def test_each_is_replaced_plain_and_in_base64(name: str) -> None:
    """`${NAME}` by the value, `${NAME:B64}` by the value in Base64, encoded first."""
    text = substitute(f"<${{{name}}}|${{{name}:B64}}>", {name: "ü & 1.00"})
    plain, encoded = text[1:-1].split("|")
    assert plain == "ü & 1.00"
    assert b64decode(encoded).decode() == "ü & 1.00"


def test_without_a_value_a_macro_is_removed() -> None:
    """Plain and encoded alike."""
    assert substitute("a=${AUCTION_LOSS}&b=${AUCTION_PRICE:B64}&c", {}) == "a=&b=&c"


@pytest.mark.parametrize(
    "text",
    ["${AUCTION_FOO}", "${AUCTION_PRICE:ROT13}", "${auction_price}", "${CLICK_URL}", "$AUCTION_PRICE", "[ERRORCODE]"],
)
def test_what_is_no_macro_stays(text: str) -> None:
    """Another name, another case, an encoding that nobody agreed on."""
    assert substitute(text, {"AUCTION_PRICE": "1"}) == text


def test_a_macro_in_a_value_is_not_replaced() -> None:
    """Replacement is done once: an id that looks like a macro learns no price."""
    values = {"AUCTION_ID": "${AUCTION_PRICE}", "AUCTION_PRICE": "9.99"}
    assert substitute("${AUCTION_ID}", values) == "${AUCTION_PRICE}"


@given(st.dictionaries(st.sampled_from(MACROS), st.text()))
def test_any_values(values: dict[str, str]) -> None:
    """Every macro gets its own value and no other, whatever the values hold."""
    expected = "&".join(f"{name}={values.get(name, '')}" for name in MACROS)
    assert substitute(EVERY, values) == expected


@pytest.mark.parametrize("form", ["${%s}", "${%s:B64}"])
@pytest.mark.parametrize("name", MACROS)
def test_macros_of_the_catalog_reach_the_exchange(name: str, form: str) -> None:
    """A URL from the catalog keeps its macros verbatim."""
    macro = form % name
    assert macro in url(f"https://t.example/?x={macro}&y=ü")


def test_worked_examples_of_winning(reference: dict[str, Any]) -> None:
    """The examples of section 4.4.1 come back from a notice as the numbers that went in."""
    names = ("AUCTION_PRICE", "AUCTION_MIN_TO_WIN")
    rows = [row for example in reference["min_to_win_examples"] for row in example["rows"]]
    assert len(rows) == 8
    for row in rows:
        values = {name: row[name] for name in names if row[name] is not None}
        filled = substitute("${AUCTION_PRICE}|${AUCTION_MIN_TO_WIN}", values).split("|")
        expected = [round(float(row[name]) * 1_000_000) if row[name] else None for name in names]
        assert [price_micros(text) for text in filled] == expected


def test_worked_example_of_a_discount(reference: dict[str, Any]) -> None:
    """The price after a discount and the discount are the bid."""
    example = reference["discount_example"]
    text = substitute("${AUCTION_PRICE}|${AUCTION_DISCOUNT_CPM}|${AUCTION_DISCOUNT_PCT}", example)
    price, off, percent = (price_micros(part) for part in text.split("|"))
    assert price is not None
    assert off is not None
    assert price + off == example["bid"] * 1_000_000
    assert percent == example["discount_pct"] * 1_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.00", "1.00"),
        ("0", "0"),
        ("", None),
        ("AUDIT", None),
        ("QVVESVQ=", None),
        ("${AUCTION_PRICE}", None),
        ("${AUCTION_PRICE:B64}", None),
        ("%24%7BAUCTION_PRICE%7D", None),
        ("$%7bAUCTION_PRICE%7d", None),
        ("%%WINNING_PRICE%%", None),
        ("[ERRORCODE]", None),
        ("%5BERRORCODE%5D", None),
        ("audit", "audit"),
        ("AUDITED", "AUDITED"),
    ],
)
def test_what_was_given(text: str, expected: str | None) -> None:
    """Nothing is given by an empty text, AUDIT, or a macro that was left as it was."""
    assert given_value(text) == expected


def test_audit_never_counts() -> None:
    """One AUDIT in any parameter, plain or in Base64, and the notice does not count."""
    assert counts(["1.00", "USD", ""])
    assert not counts(["1.00", "AUDIT"])
    assert not counts(["QVVESVQ=", "USD"])
    assert is_audit("AUDIT")
    assert substitute("${AUCTION_PRICE:B64}", {"AUCTION_PRICE": "AUDIT"}) == "QVVESVQ="


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("1.00", 1_000_000),
        ("0.000001", 1),
        ("8.0", 8_000_000),
        ("0", 0),
        ("1.0000004", 1_000_000),
        ("-1", None),
        ("1e3", None),
        ("NaN", None),
        ("Infinity", None),
        ("1,5", None),
        ("1.", None),
        (" 1", None),
        ("1\n", None),
        ("٣", None),
        ("9" * 5000, None),
        ("AUDIT", None),
    ],
)
def test_prices_of_notices(text: str, micros: int | None) -> None:
    """Plain numbers, exact to the micro-unit; anything else is no price."""
    assert price_micros(text) == micros
