"""What stands in an `ext`, where 2.5 has it, → as 2.6 has it in a place of its own.

The rule kept here: only what is not typed to the letter comes by here. A chain that cannot be read becomes one that is
incomplete; of identifiers, which are hints, those are left out that cannot be read. Source: OpenRTB 2.6 Appendix B.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import ValidationError, convert

from bidder.stages.request import EID, SupplyChain

UNREADABLE: dict[str, Any] = {"complete": 0, "nodes": [], "ver": ""}
"""In place of a chain that cannot be read."""


def bring_into_shape(request: Mapping[str, Any]) -> None:
    """Changes the `ext`s of a request that the schema has read, which looks no further than at their being objects."""
    _shape(request.get("ext"), "schain", SupplyChain, read_chain)
    _shape(request.get("source", {}).get("ext"), "schain", SupplyChain, read_chain)
    _shape(request.get("user", {}).get("ext"), "eids", list[EID], read_eids)


def _shape(ext: dict[str, Any] | None, name: str, kind: Any, read: Callable[[Any], Any]) -> None:
    if ext is not None and (found := ext.get(name)) is not None:
        try:
            convert(found, kind)
        except ValidationError:
            ext[name] = read(found)


def read_chain(chain: Any) -> dict[str, Any]:
    """Whatever stands there as a chain: `ver` need not be there, `complete` may be a text, `sid` a number."""
    if not isinstance(chain, dict) or not isinstance(nodes := chain.get("nodes"), list):
        return UNREADABLE
    version = "1.0" if chain.get("ver") is None else chain["ver"]
    if not isinstance(version, str | int | float):
        return UNREADABLE
    read = []
    for node in nodes:
        if not isinstance(node, dict):
            return UNREADABLE
        system, seller = node.get("asi"), node.get("sid")
        if isinstance(seller, int):
            seller = str(seller)
        if not isinstance(system, str) or not isinstance(seller, str):
            return UNREADABLE
        read.append({"asi": system, "sid": seller})
    return {"complete": int(chain.get("complete") in (1, "1")), "nodes": read, "ver": str(version)}


def read_eids(eids: Any) -> list[dict[str, Any]]:
    """The sources that are named. An identifier that is no text is none, and keeps its place: only the first count."""
    if not isinstance(eids, list):
        return []
    named = [eid for eid in eids if isinstance(eid, dict) and isinstance(eid.get("source"), str)]
    return [{"source": eid["source"], "uids": _identifiers(eid.get("uids"))} for eid in named]


def _identifiers(uids: Any) -> list[dict[str, str | None]]:
    if not isinstance(uids, list):
        return []
    ids = [uid.get("id") if isinstance(uid, dict) else None for uid in uids]
    return [{"id": each if isinstance(each, str) else None} for each in ids]
