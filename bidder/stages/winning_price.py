"""The price in a notice, as exchanges write it → micro-units of a CPM.

The rule kept here: what cannot be read, or was not written by the exchange, is None and never a number. Keys stand in
no error and no representation.

Google encrypts: 28 bytes in web-safe Base64 without padding are an initialisation vector (16), the price XORed with
the first 8 bytes of HMAC-SHA1(encryption key, vector), and the first 4 of HMAC-SHA1(integrity key, price, vector). The
price is a 64-bit number, big-endian: micro-units of the account's currency for one impression; a CPM of 5 reads 5,000.
Sources: developers.google.com/authorized-buyers/rtb/response-guide/decrypt-price; for the unit
support.google.com/authorizedbuyers/answer/3187591.
"""

from __future__ import annotations

import binascii
import hmac
import re
from base64 import b64decode
from dataclasses import dataclass, field

from bidder.domain import Exchange
from bidder.stages.macros import price_micros

KEY_BYTES = 32

_MICROS = re.compile(r"[0-9]{1,18}")
_ENCRYPTED = re.compile(r"[A-Za-z0-9_-]{38}={0,2}")
_WEB_SAFE = str.maketrans("-_", "+/")


@dataclass(slots=True, frozen=True)
class PriceKeys:
    """An exchange's two keys, `KEY_BYTES` long each."""

    encryption: bytes = field(repr=False)
    integrity: bytes = field(repr=False)


def read_price(text: str, exchange: Exchange, keys: PriceKeys | None) -> int | None:
    """Micro-units of a CPM; None: no price, a forged one, or one that needs keys that are not there. Where the macro
    asks for Base64 (`${AUCTION_PRICE:B64}`, section 4.4), so does this."""
    if exchange.price_macro.endswith(":B64}"):
        text = (_decoded(text) or b"").decode("ascii", "replace")
    if exchange.notice_price == "google":
        return None if keys is None else decrypt(text, keys)
    if exchange.notice_price == "micros":
        return int(text) if _MICROS.fullmatch(text) else None
    return price_micros(text)


def decrypt(text: str, keys: PriceKeys) -> int | None:
    """A price that Google encrypted, in micro-units of a CPM; None: it was not made with these keys."""
    if not _ENCRYPTED.fullmatch(text):
        return None
    message = b64decode(text[:38].translate(_WEB_SAFE) + "==")
    vector, cipher, signature = message[:16], message[16:24], message[24:]
    pad = hmac.digest(keys.encryption, vector, "sha1")
    price = bytes(one ^ other for one, other in zip(cipher, pad, strict=False))
    if not hmac.compare_digest(hmac.digest(keys.integrity, price + vector, "sha1")[:4], signature):
        return None
    micros = int.from_bytes(price, "big", signed=True)
    return micros * 1000 if micros >= 0 else None


def read_keys(text: str) -> dict[str, PriceKeys]:
    """ "google=ENCRYPTION:INTEGRITY,other=…", keys in Base64, web-safe or not, by exchange. ValueError: what is wrong,
    without what was given."""
    found = {}
    for number, entry in enumerate(filter(None, text.split(",")), 1):
        name, _, both = entry.strip().partition("=")
        keys = [_key(key) for key in both.split(":")]
        if len(keys) != 2 or None in keys or name in found:
            raise ValueError(
                f"entry {number} is not usable: EXCHANGE=ENCRYPTION:INTEGRITY, each exchange once, "
                f"both keys {KEY_BYTES} bytes in Base64, is"
            )
        found[name] = PriceKeys(*filter(None, keys))
    return found


def _key(text: str) -> bytes | None:
    key = _decoded(text)
    return key if key is not None and len(key) == KEY_BYTES else None


def _decoded(text: str) -> bytes | None:
    """What stands in Base64, web-safe or not; None: nothing does."""
    try:
        return b64decode(text.translate(_WEB_SAFE), validate=True)
    except (binascii.Error, ValueError):
        return None
