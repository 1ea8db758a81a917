"""Advertisers by domain: how a domain is compared, and which campaigns a request's `badv` blocks.

The rule kept here: a domain is the same in every spelling (capitals, "www.", a scheme, a path, a port, a trailing dot,
letters beyond ASCII), and blocking it blocks all that is below it. Source: OpenRTB 2.6 §3.2.1 (badv).
"""

from __future__ import annotations

from functools import lru_cache

from bidder.domain import Campaign
from bidder.stages.tables import KeptOfSets, Masks

MAX_KEPT = 512
"""Domains of a list that is remembered between requests."""

KEPT_LISTS = 128


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


def app_id(text: str) -> str:
    """An app's id as it is compared: in lower case, Apple's without the "id" of its store's URLs."""
    name = text.strip().lower()
    return name[2:] if name[:2] == "id" and name[2:].isdigit() else name


def names_of(campaign: Campaign) -> frozenset[str]:
    """What a block list may call the campaign's domains, as values of a table."""
    return _names(campaign.domains)


@lru_cache(maxsize=1024)
def _names(domains: tuple[str, ...]) -> frozenset[str]:
    """In lower case; with "www." too, so that the usual spellings need no cleaning."""
    above = {name for domain in domains for name in and_above(bare_domain(domain)) if name}
    return frozenset(above | {f"www.{name}" for name in above})


class Advertisers:
    """The campaigns by advertiser domain."""

    __slots__ = ("_kept",)

    def __init__(self, by_name: Masks) -> None:
        def blocked(domains: frozenset[str]) -> int:
            mask = by_name.any_of_many(domains)
            return mask if _plain(domains) else mask | by_name.any_of_many(map(bare_domain, domains))

        self._kept: KeptOfSets[int] = KeptOfSets(blocked, KEPT_LISTS, MAX_KEPT)

    def blocked(self, domains: frozenset[str]) -> int:
        """The campaigns that advertise for one of `domains`, or for one below it. `domains`: as the request spells
        them, but in lower case."""
        # A publisher's list is the same in all its requests, and may be long.
        return self._kept[domains]


def _plain(domains: frozenset[str]) -> bool:
    """Whether all are spelt as `_names` has them. One look at the whole list costs a tenth of cleaning each entry."""
    joined = f",{','.join(domains)},"
    usual = joined.isascii() and not joined.encode().translate(None, _USUAL)
    return usual and ",." not in joined and ".," not in joined


_USUAL = b"abcdefghijklmnopqrstuvwxyz0123456789-_.,"
