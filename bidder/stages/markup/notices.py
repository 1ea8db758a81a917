"""The URLs by which the bidder hears of its bids: win, billing, loss; from the ad impression, click, event, error.

The rule kept here: ids are written as values, percent-encoded, and macros stand only for what the exchange alone knows.
Substitution is plain text replacement (section 4.4), so a macro for an id with an `&` in it would break the URL.
No identifier of a person is ever part of a URL.

Query parameters: auction, bid, imp, campaign, creative, exchange; of a test auction test (1); where privacy forbids to
measure m (0); win: price, cur, seat,
mbr, min; billing: price, cur and for DOOH multiplier; loss: loss, price, cur, min; click: go (1: on to the landing
page); event: event; error: code; impression, where an exchange tells the price by the markup alone: price, cur. A
parameter whose macro an exchange does not know is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bidder.stages.markup.escaping import url, value

TRAIL = "\x01"
"""Stands in a template where `trail()` goes. Catalog text never holds it: see `escaping.clean` and `escaping.url`.
ASCII, so that a template of ASCII stays such: to make one JSON costs half of what it did with a mark beyond."""

RAW_TRAIL = "\x06"
"""The same inside an HTML script element, where `&` is not escaped."""

TEST = "&test=1"
"""Added to the trail of a test auction (`test`, section 3.2.1): what comes back of it never counts."""

UNMEASURED = "&m=0"
"""Added where the user's privacy signals forbid measurement: what they see and do must not be counted for them."""

_AS_SPECIFIED: Mapping[str, str] = MappingProxyType({})
_MACROS = {
    "cur": "AUCTION_CURRENCY",
    "seat": "AUCTION_SEAT_ID",
    "mbr": "AUCTION_MBR",
    "min": "AUCTION_MIN_TO_WIN",
    "loss": "AUCTION_LOSS",
    "multiplier": "AUCTION_MULTIPLIER",
}


def trail(auction: str, bid: str, imp: str) -> str:
    """The part of every query that differs between bids; the arguments are already percent-encoded."""
    return f"auction={auction}&bid={bid}&imp={imp}"


def _parameters(macros: Mapping[str, str]) -> dict[str, str]:
    """What the exchange alone knows, by its name in the query."""
    spelled = {name: macros.get(macro, f"${{{macro}}}") for name, macro in _MACROS.items()}
    return {name: f"&{name}={macro}" if macro else "" for name, macro in spelled.items()}


_USUAL = _parameters(_AS_SPECIFIED)


class Notices:
    """URL templates for one creative of one campaign on one exchange. `base` is the public URL of our server; `macros`
    says how the exchange spells the substitution macros that it spells otherwise, "" = it does not know that one.

    `multiplier` is added to `billing` for DOOH: how many impressions one play counts for (section 7.9.4)."""

    __slots__ = ("_base", "_constant", "_price", "billing", "loss", "multiplier", "win")

    def __init__(
        self,
        base: str,
        campaign_id: str,
        creative_id: str,
        exchange: str,
        price_macro: str,
        macros: Mapping[str, str] = _AS_SPECIFIED,
        *,
        price_in_markup: bool = False,
    ) -> None:
        self._base = url(base).rstrip("/")
        self._constant = f"&campaign={value(campaign_id)}&creative={value(creative_id)}&exchange={value(exchange)}"
        told = _parameters(macros) if macros else _USUAL
        price = f"&price={price_macro}{told['cur']}"
        self._price = price if price_in_markup else ""
        self.win = self._url("win", f"{price}{told['seat']}{told['mbr']}{told['min']}")
        self.billing = self._url("billing", price)
        self.loss = self._url("loss", f"{told['loss']}{price}{told['min']}")
        self.multiplier = told["multiplier"]

    def _url(self, endpoint: str, rest: str = "") -> str:
        return f"{self._base}/notice/{endpoint}?{TRAIL}{self._constant}{rest}"

    def impression(self) -> str:
        return self._url("impression", self._price)

    def click(self, *, redirect: bool = False) -> str:
        """Counts; with `redirect`, also goes on to the landing page, which the server takes from the catalog: a URL in
        the query would make it an open redirect."""
        return self._url("click", "&go=1" if redirect else "")

    def event(self, name: str) -> str:
        """A step of playing: start, firstQuartile, midpoint, thirdQuartile, complete, skip. Its name comes last; after
        that of "" it is left to write."""
        return self._url("event", f"&event={name}")

    def error(self) -> str:
        """[ERRORCODE] is VAST's macro; the player fills it in."""
        return self._url("error", "&code=[ERRORCODE]")
