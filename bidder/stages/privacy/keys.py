"""Identifiers of a user → the keys under which their profile is kept.

The rule kept here: a key is a digest. Whoever reads a log, a store or a model's input finds no identifier.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Any

from bidder.stages.request import Device, User

MAX_KEYS = 6
"""Identifiers of one user that are looked up."""

MAX_KIND_CHARACTERS = 64
"""Of a kind whose digest, as far as it goes, is remembered."""

ZERO_ID = "00000000-0000-0000-0000-000000000000"
"""Of a device whose owner lets nobody know it."""


def profile_key(kind: str, identifier: str) -> str:
    """The key of a profile: `kind` ("buyeruid", "ifa" or an eid's source) and a digest of the identifier."""
    begun = _remembered_begin(kind) if len(kind) <= MAX_KIND_CHARACTERS else _begin(kind)
    digest = begun.copy()
    digest.update(identifier.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _begin(kind: str) -> blake2b:
    return blake2b(f"{kind}\0".encode("utf-8", "surrogatepass"), digest_size=15)


_remembered_begin = lru_cache(maxsize=256)(_begin)
"""Going on from a copy costs half of beginning anew: 0.6 µs less an identifier, of which a request has two or three."""


def profile_keys(user: User | None, device: Device | None) -> tuple[str, ...]:
    """Keys for the user's profile, best first: our own id, the device's, then ids of third parties."""
    keys: list[str] = []
    if user is not None and (buyer_id := user.buyeruid):
        keys.append(profile_key("buyeruid", buyer_id))
    if device is not None and (device_id := device.ifa) and device_id != ZERO_ID:
        keys.append(profile_key("ifa", device_id.lower()))
    if user is not None and (user.eids or user.ext is not None):
        keys += [profile_key(source, identifier) for source, identifier in _third_party_ids(user, MAX_KEYS - len(keys))]
    return tuple(keys)


def _third_party_ids(user: User, most: int) -> list[tuple[str, str]]:
    """(source, id) of the first `most`; 2.5's place counts where 2.6's has none."""
    if not user.eids:
        return _loosely_read(user.ext.eids)[:most] if user.ext is not None else []
    found: list[tuple[str, str]] = []
    for eid in user.eids:
        if (source := eid.source) is not None and (uids := eid.uids):
            found += [(source, uid.id) for uid in uids[:MAX_KEYS] if uid.id]
            if len(found) >= most:
                break
    return found[:most]


def _loosely_read(eids: Any) -> list[tuple[str, str]]:
    """The same of what stands in 2.5's place, unchecked until here."""
    found: list[tuple[str, str]] = []
    for eid in eids if isinstance(eids, list) else ():
        if len(found) >= MAX_KEYS:
            break
        if not isinstance(eid, dict):
            continue
        source, uids = eid.get("source"), eid.get("uids")
        if not isinstance(source, str) or not isinstance(uids, list):
            continue
        ids = [uid.get("id") for uid in uids[:MAX_KEYS] if isinstance(uid, dict)]
        found += [(source, identifier) for identifier in ids if isinstance(identifier, str) and identifier]
    return found
