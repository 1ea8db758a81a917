"""The price in a notice: however an exchange writes it, micro-units of a CPM or nothing."""

from __future__ import annotations

import hmac
from base64 import b64encode, urlsafe_b64encode
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidder.domain import Exchange
from bidder.stages.winning_price import PriceKeys, decrypt, read_keys, read_price

# The keys and prices that Google publishes for testing (authorized-buyers/rtb/response-guide/decrypt-price).
SAMPLE = "skU7Ax_NL5pPAFyKdkfZjZz2-VhIN8bjj1rVFOaJ_5o=:arO23ykdNqUQ5LEoQ0FVmPkBd7xB5CO89PDZlSjpFxo="
KEYS = read_keys(f"google={SAMPLE}")["google"]
OTHER = PriceKeys(b"e" * 32, b"i" * 32)


def encrypted(micros: int, keys: PriceKeys = OTHER, vector: bytes = b"0123456789abcdef") -> str:
    """As the exchange does it; `micros` of one impression."""
    price = micros.to_bytes(8, "big", signed=True)
    pad = hmac.digest(keys.encryption, vector, "sha1")
    cipher = bytes(one ^ other for one, other in zip(price, pad, strict=False))
    return urlsafe_b64encode(vector + cipher + hmac.digest(keys.integrity, price + vector, "sha1")[:4]).decode()[:38]


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("YWJjMTIzZGVmNDU2Z2hpN7fhCuPemCce_6msaw", 100),
        ("YWJjMTIzZGVmNDU2Z2hpN7fhCuPemCAWJRxOgA", 1_900),
        ("YWJjMTIzZGVmNDU2Z2hpN7fhCuPemC32prpWWw", 2_700),
    ],
)
def test_the_samples_that_google_publishes(text: str, micros: int) -> None:
    """They are of one impression; a CPM is a thousand. Padding does no harm."""
    assert decrypt(text, KEYS) == micros * 1_000
    assert decrypt(text + "==", KEYS) == micros * 1_000


@given(st.integers(0, 2**50), st.binary(min_size=16, max_size=16))
@settings(max_examples=50)
def test_what_was_encrypted_is_read(micros: int, vector: bytes) -> None:
    """Whatever the price and the vector."""
    assert decrypt(encrypted(micros, vector=vector), OTHER) == micros * 1_000


@given(st.integers(0, 36), st.sampled_from("ABCXYZabcxyz0189-_"))
@settings(max_examples=100)
def test_one_character_changed_and_it_is_no_price(place: int, character: str) -> None:
    """In the vector, the price or the signature. The last character is left out: not all its bits are used."""
    text = encrypted(1_900)
    changed = text[:place] + character + text[place + 1 :]
    assert decrypt(changed, OTHER) == (1_900_000 if changed == text else None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.5",
        "AUDIT",
        encrypted(100, KEYS),
        encrypted(-1),
        encrypted(100)[:-1],
        encrypted(100) + "A",
        "é" * 38,
        "=" * 38,
    ],
)
def test_what_these_keys_did_not_make(text: str) -> None:
    """Plain numbers, other keys, a negative price, other lengths, what is no Base64: nothing."""
    assert decrypt(text, OTHER) is None


@pytest.mark.parametrize(
    ("text", "written", "micros"),
    [
        ("1.5", "plain", 1_500_000),
        ("1500000", "micros", 1_500_000),
        ("1.5", "micros", None),
        ("-1", "micros", None),
        ("٣", "micros", None),
        ("9" * 19, "micros", None),
        (encrypted(1_500), "google", 1_500_000),
        (encrypted(1_500), "plain", None),
        ("1.5", "google", None),
    ],
)
def test_one_unit_however_it_is_written(text: str, written: str, micros: int | None) -> None:
    """The profile says how to read; nothing is guessed."""
    assert read_price(text, Exchange("e", notice_price=written), OTHER) == micros  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "micros"), [("MS41", 1_500_000), ("1.5", None), ("MS4", None), ("4pyT", None), ("", None)]
)
def test_a_price_in_base64(text: str, micros: int | None) -> None:
    """Where the profile's macro asks for it, and there only."""
    asks = Exchange("e", price_macro="${AUCTION_PRICE:B64}")
    assert read_price(text, asks, None) == micros
    assert read_price("MS41", Exchange("e"), None) is None
    assert read_price("MTU=", replace(asks, notice_price="micros"), None) == 15


def test_nothing_without_keys() -> None:
    """An encrypted price cannot be read, nor trusted."""
    assert read_price(encrypted(100), Exchange("e", notice_price="google"), None) is None


def test_keys_of_several_exchanges() -> None:
    """By name; Base64 web-safe or not."""
    plain = f"{b64encode(b'e' * 32).decode()}:{b64encode(b'i' * 32).decode()}"
    assert read_keys(f"google={SAMPLE}, other={plain},") == {"google": KEYS, "other": OTHER}
    assert read_keys("") == {}


@pytest.mark.parametrize(
    "text", ["google", "google=abc", "google=abc:def", f"google={SAMPLE}:x", f"google={SAMPLE},google={SAMPLE}", "=é:é"]
)
def test_keys_that_cannot_be(text: str) -> None:
    """The error says which entry and what would be right, and repeats nothing."""
    with pytest.raises(ValueError, match=r"entry [12] is not usable: EXCHANGE=ENCRYPTION:INTEGRITY") as caught:
        read_keys(text)
    assert not {"abc", "skU7", "arO2", "é"} & set(str(caught.value).replace(":", " ").split())
    assert "skU7" not in str(caught.value)


def test_keys_are_not_shown() -> None:
    """A representation in a log or a traceback holds no secret."""
    assert repr(KEYS) == "PriceKeys()"
