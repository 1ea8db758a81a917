"""Languages of creatives: which ranges a request allows, and which tags they cover.

The rule kept here: a range covers a tag that equals it or continues it after a hyphen ("en" covers "en-GB", "en-GB"
does not cover "en" or "en-US"); a creative whose language is not known fits no list.
Source: OpenRTB 2.6 §3.2.1 (wlang, wlangb); RFC 4647, basic filtering.
"""

from __future__ import annotations

from collections.abc import Iterable

NO_LANGUAGE = frozenset({"zxx-x-none"})
"""A list that covers no creative: what two lists have in common that contradict each other."""


def language_ranges(wlang: Iterable[str] | None, wlangb: Iterable[str] | None) -> frozenset[str]:
    """The ranges of a request in lower case; empty: every language. Where both lists stand, both must be kept to."""
    one, other = _normal(wlang), _normal(wlangb)
    if not one or not other:
        return one or other
    common = {a for a in one if not ranges_over(a).isdisjoint(other)}
    common |= {b for b in other if not ranges_over(b).isdisjoint(one)}
    return frozenset(common) or NO_LANGUAGE


def _normal(tags: Iterable[str] | None) -> frozenset[str]:
    return frozenset([tag.strip().lower().replace("_", "-") for tag in tags or ()])


def ranges_over(tag: str) -> frozenset[str]:
    """ "en-GB" → {"en-gb", "en", "*"}: the ranges that cover a tag. None cover the unknown."""
    if not tag:
        return frozenset()
    subtags = tag.lower().split("-")
    return frozenset(["*", *("-".join(subtags[:end]) for end in range(1, len(subtags) + 1))])
