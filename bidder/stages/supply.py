"""The supply chain: who sold the impression on, and whether the bidder buys through them.

The rule kept here: fail closed. A chain that cannot be read counts as incomplete. Nothing is looked up on the bid path:
which sellers are known is data, loaded beforehand.
Source: OpenRTB 2.6 §3.2.25 and §3.2.26; 2.5's places source.ext.schain and ext.schain; ads.txt 1.1, sellers.json 1.0;
no-bid reason codes 11, 12, 16 and 17.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from bidder.domain import NoBidReason
from bidder.stages.domains import and_above, bare_domain

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


DEFAULT_POLICY = SupplyPolicy()


def refuses(request: Mapping[str, Any], policy: SupplyPolicy = DEFAULT_POLICY) -> NoBidReason | None:
    """Why `request` (the dict of a bid request) is not bought, by its supply chain; None: it may be."""
    chain = _chain_of(request)
    if chain is None and policy.chain_required:
        return NoBidReason.INCOMPLETE_SUPPLY_CHAIN
    nodes = [] if chain is None else _nodes_of(chain)
    if nodes is None or (chain is not None and not policy.incomplete_allowed and not _is_complete(chain)):
        return NoBidReason.INCOMPLETE_SUPPLY_CHAIN
    if policy.blocked_systems or policy.blocked_sellers or policy.sellers:
        for node in nodes:
            if _is_blocked(node, policy):
                return NoBidReason.BLOCKED_SUPPLY_CHAIN_NODE
    if policy.authorised or policy.authorisation_required:
        return _unauthorised(request, nodes, policy)
    return None


def _chain_of(request: Mapping[str, Any]) -> Any:
    """The chain, whatever it is, from the first place that has one; None: there is none."""
    source = request.get("source")
    if source:
        if (chain := source.get("schain")) is not None:
            return chain
        if (ext := source.get("ext")) and (chain := ext.get("schain")) is not None:
            return chain
    ext = request.get("ext")
    return ext.get("schain") if ext else None


def _is_complete(chain: Mapping[str, Any]) -> bool:
    complete = chain.get("complete")
    return complete == 1 or complete == "1"


def _nodes_of(chain: Any) -> list[Node] | None:
    """The sellers, the publisher's own first; None: the chain cannot be read."""
    if not isinstance(chain, dict):
        return None
    nodes = chain.get("nodes")
    if not isinstance(nodes, list) or not 0 < len(nodes) <= MAX_NODES:
        return None
    version = chain.get("ver")
    if version is not None and str(version).partition(".")[0] != "1":
        return None
    found: list[Node] = []
    for node in nodes:
        if not isinstance(node, dict):
            return None
        system, seller = node.get("asi"), node.get("sid")
        if isinstance(seller, int):
            seller = str(seller)
        if not isinstance(system, str) or not isinstance(seller, str) or not system or not seller:
            return None
        found.append((system.strip().lower().rstrip(".").removeprefix("www."), seller.strip()))
    return found


def _is_blocked(node: Node, policy: SupplyPolicy) -> bool:
    """On the block lists, or not among the accounts that its system lists."""
    system, seller = node
    if system in policy.blocked_systems or node in policy.blocked_sellers:
        return True
    known = policy.sellers.get(system)
    return known is not None and seller not in known


def _unauthorised(request: Mapping[str, Any], nodes: list[Node], policy: SupplyPolicy) -> NoBidReason | None:
    """Every seller of the chain must be one that the publisher authorises. Without a chain nobody is known to be."""
    authorised = next((policy.authorised[name] for name in _publisher(request) if name in policy.authorised), None)
    if authorised is None:
        return NoBidReason.ADS_TXT_UNAVAILABLE if policy.authorisation_required else None
    if not nodes:
        return NoBidReason.ADS_TXT_UNAVAILABLE
    if all(node in authorised for node in nodes):
        return None
    return NoBidReason.ADS_TXT_VIOLATION


def _publisher(request: Mapping[str, Any]) -> list[str]:
    """The names under which the inventory's authorised sellers may stand: bundle, own domain and those above it, the
    publisher's domain and those above it."""
    names: list[str] = []
    for kind in ("app", "site", "dooh"):
        place = request.get(kind)
        if not place:
            continue
        if bundle := place.get("bundle"):
            names.append(bundle.lower())
        for domain in (place.get("domain"), (place.get("publisher") or {}).get("domain")):
            if domain:
                names += and_above(bare_domain(domain))
        break
    return names
