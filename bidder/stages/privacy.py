"""What privacy signals forbid, and the keys under which a user's profile is kept.

The rule kept here: fail closed. Consent strings are not decoded yet, so a request under GDPR or with a GPP opt-out
section counts as one without consent. A raw identifier never leaves this module: profile keys are digests.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

from bidder.stages.reading import extension
from openrtb_schemas import Device, Regs, User

MAX_KEYS = 6
"""Identifiers of one user that are looked up."""

COORDINATE_DECIMALS = 2
"""About a kilometre: what remains of a position when identifiers are forbidden."""

_ZERO_IDS = frozenset({"", "00000000-0000-0000-0000-000000000000"})


def forbids_identifiers(regs: Regs, device: Device, user: User) -> bool:
    """Whether identifiers of the user, segments and a precise place may not be used.

    Forbidden by: COPPA, limited ad tracking, do not track, GDPR, a US Privacy string that opts out of sale or cannot be
    read, any GPP section (regs §3.2.3, device §3.2.18; the US Privacy string is specification, notice, opt-out, LSPA).
    """
    if regs:
        if regs.get("coppa") == 1 or extension(regs, "gdpr") in (1, "1", True):
            return True
        us_privacy = extension(regs, "us_privacy")
        if us_privacy and not _allows_sale(us_privacy):
            return True
        if extension(regs, "gpp") or extension(regs, "gpp_sid"):
            return True
    return device.get("lmt") == 1 or device.get("dnt") == 1


def _allows_sale(us_privacy: Any) -> bool:
    return isinstance(us_privacy, str) and len(us_privacy) == 4 and us_privacy[0] == "1" and us_privacy[2] in "Nn-"


def coarse(coordinate: float | None) -> float | None:
    return None if coordinate is None else round(coordinate, COORDINATE_DECIMALS)


def profile_key(kind: str, identifier: str) -> str:
    """The key of a profile: `kind` ("buyeruid", "ifa" or an eid's source) and a digest of the identifier."""
    digest = blake2b(f"{kind}\0{identifier}".encode("utf-8", "surrogatepass"), digest_size=15)
    return digest.hexdigest()


def profile_keys(user: User, device: Device, eids: Any) -> tuple[str, ...]:
    """Keys for the user's profile, best first: our own id, the device's, then ids of third parties."""
    keys: list[str] = []
    if buyer_id := user.get("buyeruid"):
        keys.append(profile_key("buyeruid", buyer_id))
    if (device_id := device.get("ifa", "")) not in _ZERO_IDS:
        keys.append(profile_key("ifa", device_id.lower()))
    if isinstance(eids, list):
        keys += (profile_key(source, identifier) for source, identifier in _third_party_ids(eids))
    return tuple(keys[:MAX_KEYS])


def _third_party_ids(eids: Iterable[Any]) -> list[tuple[str, str]]:
    """(source, id) of each eid that can be read; those of 2.5's ext place are unchecked until here."""
    found: list[tuple[str, str]] = []
    for eid in eids:
        if len(found) >= MAX_KEYS:
            break
        source, uids = (eid.get("source"), eid.get("uids")) if isinstance(eid, dict) else (None, None)
        if not isinstance(source, str) or not isinstance(uids, list):
            continue
        ids = (uid.get("id") for uid in uids[:MAX_KEYS] if isinstance(uid, dict))
        found += [(source, identifier) for identifier in ids if isinstance(identifier, str) and identifier]
    return found
