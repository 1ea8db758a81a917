"""Substitution macros (section 4.4): what an exchange puts in their place, and what came back on a notice.

The rule kept here: substitution is plain text replacement, done once, so that a macro inside a value stays text; what
is not known reads as None and never as a number. "AUDIT" marks a rendering for tests or ad quality: a notice with it
does not count.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from decimal import Decimal

MACROS = (
    "AUCTION_ID",
    "AUCTION_BID_ID",
    "AUCTION_IMP_ID",
    "AUCTION_SEAT_ID",
    "AUCTION_AD_ID",
    "AUCTION_PRICE",
    "AUCTION_CURRENCY",
    "AUCTION_MBR",
    "AUCTION_LOSS",
    "AUCTION_MIN_TO_WIN",
    "AUCTION_MULTIPLIER",
    "AUCTION_IMP_TS",
    "AUCTION_DISCOUNT_PCT",
    "AUCTION_DISCOUNT_CPM",
)
"""All that OpenRTB 2.6-202606 knows. Names are case-sensitive."""

AUDIT = "AUDIT"

_KNOWN = frozenset(MACROS)
_MACRO = re.compile(r"\$\{(AUCTION_[A-Z_]+)(?::([^}]+))?\}")
# A macro that an exchange or player left as it was: ${…}, %%…%% or […], also percent-encoded.
_LEFT = re.compile(r"(\$|%24)(\{|%7B).*|%%.*%%|(\[|%5B)[A-Z_]+(\]|%5D)", re.IGNORECASE | re.DOTALL)
_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")
_AUDITED = frozenset({AUDIT, b64encode(AUDIT.encode()).decode()})


def substitute(text: str, values: Mapping[str, str]) -> str:
    """`text` with the macros replaced by `values`, by macro name. A macro without a value is removed; `${NAME:B64}` is
    replaced by the value in Base64. What is no macro of OpenRTB, or asks for another encoding, stays as it is."""

    def replacement(match: re.Match[str]) -> str:
        name, encoding = match.groups()
        if name not in _KNOWN or encoding not in (None, "B64"):
            return match.group()
        value = values.get(name, "")
        return b64encode(value.encode()).decode() if encoding else value

    return _MACRO.sub(replacement, text)


def given(text: str) -> str | None:
    """What an exchange put in a macro's place; None where it gave nothing: empty, AUDIT, or the macro itself."""
    return None if not text or is_audit(text) or _LEFT.fullmatch(text) else text


def is_audit(text: str) -> bool:
    """Whether a value says that this was a rendering for tests or ad quality, plain or in Base64."""
    return text in _AUDITED


def counts(values: Iterable[str]) -> bool:
    """Whether a notice with these query values may count: one AUDIT among them, and it may not."""
    return not any(map(is_audit, values))


def price_micros(text: str) -> int | None:
    """A price in a macro's place, in micro-units of its currency, rounded to nearest; None: none was given, or what is
    no plain number from 0 up."""
    if not _NUMBER.fullmatch(text):
        return None
    return int((Decimal(text) * 1_000_000).to_integral_value())
