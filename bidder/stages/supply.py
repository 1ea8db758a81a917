"""The supply chain: who sold the impression on, and whether the bidder buys through them.

The rule kept here: fail closed. A chain that cannot be read counts as incomplete. Nothing is looked up on the bid path:
which sellers are known is data, loaded beforehand.
Source: OpenRTB 2.6 §3.2.25 and §3.2.26; 2.5's places source.ext.schain and ext.schain; ads.txt 1.1, sellers.json 1.0;
no-bid reason codes 11, 12, 16 and 17.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

from bidder.domain import NoBidReason
from bidder.stages.domains import and_above, bare_domain
from bidder.stages.request import DOOH, App, BidRequest, Site, SupplyChain

MAX_NODES = 32
"""Nodes read of one chain; a longer one counts as unreadable."""

Node = tuple[str, str]
"""One seller: the domain of the selling system (asi, lower case), the seller's account there (sid)."""


@dataclass(slots=True, frozen=True)
class SupplyPolicy:
    """Through whom the bidder buys. The default: a chain need not be there, but if it is, it must be complete."""

    chain_required: bool = False
    incomplete_allowed: bool = False
    blocked_systems: frozenset[str] = frozenset()  # by domain (asi)
    blocked_sellers: frozenset[Node] = frozenset()
    # sellers.json: the accounts that a system lists. A system that is not in it is not checked.
    sellers: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))
    # ads.txt and app-ads.txt: who may sell a publisher's inventory, by the publisher's domain or the app's bundle.
    authorised: Mapping[str, frozenset[Node]] = field(default_factory=lambda: MappingProxyType({}))
    authorisation_required: bool = False  # inventory that is not in `authorised` is not bought
    asks_who: bool = field(init=False)  # whether it matters who the sellers are, beside that they are named

    def __post_init__(self) -> None:
        lists = (self.blocked_systems, self.blocked_sellers, self.sellers, self.authorised)
        object.__setattr__(self, "asks_who", any(lists) or self.authorisation_required)


DEFAULT_POLICY = SupplyPolicy()

_EMPTY = (App(), Site(), DOOH())


def refuses(request: BidRequest, policy: SupplyPolicy = DEFAULT_POLICY) -> NoBidReason | None:
    """Why `request` is not bought, by its supply chain, from the first place that has one; None: it may be."""
    chain, source = None, request.source
    if source is not None and (chain := source.schain) is None and source.ext is not None:
        chain = source.ext.schain
    if chain is None and request.ext is not None:
        chain = request.ext.schain
    if chain is None:
        if policy.chain_required:
            return NoBidReason.INCOMPLETE_SUPPLY_CHAIN
    elif not _is_readable(chain) or (chain.complete != 1 and not policy.incomplete_allowed):
        return NoBidReason.INCOMPLETE_SUPPLY_CHAIN
    return _refuses_whom(request, chain, policy) if policy.asks_who else None


def _refuses_whom(request: BidRequest, chain: SupplyChain | None, policy: SupplyPolicy) -> NoBidReason | None:
    """By who the sellers are."""
    nodes = [] if chain is None else [_node(node.asi, node.sid) for node in chain.nodes]
    if any(_is_blocked(node, policy) for node in nodes):
        return NoBidReason.BLOCKED_SUPPLY_CHAIN_NODE
    if policy.authorised or policy.authorisation_required:
        return _unauthorised(request, nodes, policy)
    return None


def _is_readable(chain: SupplyChain) -> bool:
    """Whether there are nodes, not too many, of a version that is known, and each says who it is."""
    if not 0 < len(chain.nodes) <= MAX_NODES or (chain.ver != "1.0" and chain.ver.partition(".")[0] != "1"):
        return False
    for node in chain.nodes:  # noqa: SIM110 - a generator costs as much again as the rest of it
        if not node.asi or not node.sid:
            return False
    return True


@lru_cache(maxsize=4096)
def _node(system: str, seller: str) -> Node:
    """Sellers recur, and are no persons: remembering them saves 0.3 µs a node."""
    return system.strip().lower().rstrip(".").removeprefix("www."), seller.strip()


def _is_blocked(node: Node, policy: SupplyPolicy) -> bool:
    """On the block lists, or not among the accounts that its system lists."""
    system, seller = node
    if system in policy.blocked_systems or node in policy.blocked_sellers:
        return True
    known = policy.sellers.get(system)
    return known is not None and seller not in known


def _unauthorised(request: BidRequest, nodes: list[Node], policy: SupplyPolicy) -> NoBidReason | None:
    """Every seller of the chain must be one that the publisher authorises. Without a chain nobody is known to be."""
    authorised = next((policy.authorised[name] for name in _publisher(request) if name in policy.authorised), None)
    if authorised is None:
        return NoBidReason.ADS_TXT_UNAVAILABLE if policy.authorisation_required else None
    if not nodes:
        return NoBidReason.ADS_TXT_UNAVAILABLE
    if all(node in authorised for node in nodes):
        return None
    return NoBidReason.ADS_TXT_VIOLATION


def _publisher(request: BidRequest) -> list[str]:
    """The names under which the inventory's authorised sellers may stand: bundle, own domain and those above it, the
    publisher's domain and those above it."""
    for place in (request.app, request.site, request.dooh):
        if place is None or place in _EMPTY:
            continue
        names = [place.bundle.lower()] if isinstance(place, App) and place.bundle else []
        for domain in (place.domain, place.publisher.domain if place.publisher is not None else None):
            if domain:
                names += and_above(bare_domain(domain))
        return names
    return []
