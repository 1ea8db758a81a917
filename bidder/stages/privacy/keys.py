"""Identifiers of a user → the keys under which their profile is kept.

The rule kept here: a key is a digest. Whoever reads a log, a store or a model's input finds no identifier.
"""

from __future__ import annotations

from hashlib import blake2b

from bidder.stages.request import EID, Device, User
from bidder.stages.tables import KeptOfTexts

MAX_KEYS = 6
"""Identifiers of one user that are looked up."""

ZERO_ID = "00000000-0000-0000-0000-000000000000"
"""Of a device whose owner lets nobody know it."""


def profile_key(kind: str, identifier: str) -> str:
    """The key of a profile: `kind` ("buyeruid", "ifa" or an eid's source) and a digest of the identifier."""
    return _finish(_begin(kind), identifier)


def _begin(kind: str) -> blake2b:
    return blake2b(f"{kind}\0".encode("utf-8", "surrogatepass"), digest_size=15)


_BEGUN: KeptOfTexts[str, blake2b] = KeptOfTexts(_begin, 256)
"""Going on from a copy costs half of beginning anew: 0.6 µs less an identifier, of which a request has two or three."""

_BUYER_ID, _DEVICE_ID = _begin("buyeruid"), _begin("ifa")


def _finish(begun: blake2b, identifier: str) -> str:
    digest = begun.copy()
    try:
        digest.update(identifier.encode())
    except UnicodeEncodeError:
        digest.update(identifier.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def profile_keys(user: User | None, device: Device | None) -> tuple[str, ...]:
    """Keys for the user's profile, best first: our own id, the device's, then ids of third parties."""
    keys: list[str] = []
    if user is not None and (buyer_id := user.buyeruid):
        keys.append(_finish(_BUYER_ID, buyer_id))
    if device is not None and (device_id := device.ifa) and device_id != ZERO_ID:
        keys.append(_finish(_DEVICE_ID, device_id.lower()))
    if user is not None and (eids := user.eids or (user.ext.eids if user.ext is not None else None)):
        _add_third_parties(keys, eids)
    return tuple(keys)


def _add_third_parties(keys: list[str], eids: list[EID]) -> None:
    """As many as there is room for."""
    for eid in eids:
        if (source := eid.source) is None or not (uids := eid.uids):
            continue
        begun = _BEGUN[source]
        for uid in uids if len(uids) <= MAX_KEYS else uids[:MAX_KEYS]:
            if identifier := uid.id:
                if len(keys) == MAX_KEYS:
                    return
                keys.append(_finish(begun, identifier))
