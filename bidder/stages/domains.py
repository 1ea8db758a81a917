"""Advertisers by domain: how a domain is compared, and which advertisers a request's `badv` blocks.

The rule kept here: a domain is the same in every spelling (capitals, "www.", a scheme, a path, a port, a trailing dot,
letters beyond ASCII), and blocking it blocks all that is below it. Source: OpenRTB 2.6 §3.2.1 (badv).
"""

from __future__ import annotations

import re
from functools import lru_cache

from bidder.domain import NOTHING, Campaign
from bidder.stages.tables import Table

MAX_KEPT = 1 << 15
"""Domains that are remembered to be nobody's."""

LONGEST = 255
"""Characters of a domain that is remembered; DNS has none of more."""


_is_bare = re.compile(r"(?!www\.)[a-z0-9_-]+(?:\.[a-z0-9_-]+)*").fullmatch


def bare_domain(text: str) -> str:
    """ "https://WWW.Brand.example:443/shop." → "brand.example"; beyond ASCII as its "xn--" form. "": there is none."""
    if not text or _is_bare(text):
        return text
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
    """The advertisers of a catalog by domain, as values of a table."""

    __slots__ = ("_nobody", "_table")

    def __init__(self, table: Table) -> None:
        self._table = table
        # Publishers block the same domains again and again, and hardly one is an advertiser's here.
        self._nobody: set[str] = set()

    def blocked(self, domains: frozenset[str]) -> frozenset[str]:
        """The names of those that `domains` block, each for all at or below it. `domains`: as the request spells them,
        but in lower case."""
        asked = domains.difference(self._nobody)
        if not asked:
            return NOTHING
        bare = dict.fromkeys(asked, "") if _plain(asked) else {domain: bare_domain(domain) for domain in asked}
        named = self._table.those_named([*bare, *bare.values()])
        self._keep([domain for domain, name in bare.items() if domain not in named and name not in named])
        return named

    def _keep(self, nobody: list[str]) -> None:
        """Remembers domains that block nobody."""
        if len(self._nobody) + len(nobody) > MAX_KEPT:
            self._nobody.clear()
        self._nobody.update([domain for domain in nobody[:MAX_KEPT] if len(domain) <= LONGEST])


def _plain(domains: frozenset[str]) -> bool:
    """Whether all are spelt as `_names` has them. One look at the whole list costs a tenth of cleaning each entry."""
    joined = f",{','.join(domains)},"
    usual = joined.isascii() and not joined.encode().translate(None, _USUAL)
    return usual and ",." not in joined and ".," not in joined


_USUAL = b"abcdefghijklmnopqrstuvwxyz0123456789-_.,"
