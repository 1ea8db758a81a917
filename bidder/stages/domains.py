"""Advertisers by domain: how a domain is compared, and which campaigns a request's `badv` blocks.

The rule kept here: a domain is the same in every spelling (capitals, "www.", a scheme, a path, a port, a trailing dot,
letters beyond ASCII), and blocking it blocks all that is below it. Source: OpenRTB 2.6 §3.2.1 (badv).
"""

from __future__ import annotations

from collections.abc import Sequence

from bidder.domain import Campaign
from bidder.stages.bitmaps import Masks


def bare_domain(text: str) -> str:
    """ "https://WWW.Brand.example:443/shop." → "brand.example"; beyond ASCII as its "xn--" form. "": there is none."""
    host = text.strip().lower().split("://", 1)[-1].lstrip("/")
    for end in "/?#":
        host = host.partition(end)[0]
    host = host.rpartition("@")[2].partition(":")[0].strip().lstrip("*.").rstrip(".")
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            return ""
    return host.removeprefix("www.")


def and_above(domain: str) -> list[str]:
    """ "a.b.example" → itself, "b.example", "example"."""
    labels = domain.split(".")
    return [".".join(labels[start:]) for start in range(len(labels))]


class Advertisers:
    """The campaigns by advertiser domain."""

    __slots__ = ("_by_name", "_names")

    def __init__(self, campaigns: Sequence[Campaign]) -> None:
        self._by_name = Masks(campaigns, lambda campaign: _names(campaign.domains)).by_value
        self._names = frozenset(self._by_name)

    def blocked(self, domains: frozenset[str]) -> int:
        """The campaigns that advertise for one of `domains`, or for one below it. `domains`: as the request spells
        them, but in lower case."""
        mask = 0
        for domain in self._names.intersection(domains):
            mask |= self._by_name[domain]
        if not _plain(domains):
            for domain in self._names.intersection(map(bare_domain, domains)):
                mask |= self._by_name[domain]
        return mask


def _names(domains: Sequence[str]) -> set[str]:
    """What a block list may call them, in lower case; with "www." too, so that the usual spellings need no cleaning."""
    above = {name for domain in domains for name in and_above(bare_domain(domain)) if name}
    return above | {f"www.{name}" for name in above}


def _plain(domains: frozenset[str]) -> bool:
    """Whether all are spelt as `_names` has them. One look at the whole list costs a tenth of cleaning each entry."""
    joined = f",{','.join(domains)},"
    without_blanks = joined.isascii() and len(joined.split(None, 1)) == 1
    return without_blanks and not any(odd in joined for odd in _ODD)


_ODD = ("/", ":", "@", "?", "#", "*", ",.", ".,")
