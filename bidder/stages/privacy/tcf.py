"""TC strings of the Transparency and Consent Framework (v2.0 to v2.3): what one vendor may rely on.

The rule kept here: any malformation is no consent. Read as in IAB Europe's "Transparency and Consent String with Global
Vendor List Format": the core segment whole, of the other segments only the disclosed vendors. No consent is also

- another version than 2: version 1 is withdrawn;
- a globally scoped string: the shared storage it speaks of is gone;
- a list of disclosed vendors without ours; or no such list in a string of TCF v2.3's time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bidder.stages.privacy.bits import Bits, UnreadableError

DISCLOSURE_REQUIRED_FROM_DS = 17_723_232_000
"""2026-03-01 in tenths of a second: strings since then must list the vendors disclosed (TCF v2.3)."""

HEAD_BITS = 213
"""Of the core segment, up to the vendors who have consent."""

CONSENT_ONLY = frozenset({1, 3, 4, 5, 6})
"""Purposes for which a legitimate interest is no legal basis (TCF v2.2)."""

_NOT_ALLOWED, _REQUIRE_CONSENT, _REQUIRE_LEGITIMATE_INTEREST = 1, 2, 4  # restriction types 0, 1, 2 as bits
_DISCLOSED_VENDORS = 1  # segment type


@dataclass(slots=True, frozen=True)
class Policy:
    """Who we are to the framework, as registered in the Global Vendor List. Vendor 0: not registered, never consent.

    `legitimate_interest`: purposes registered with that basis; all others with consent. `flexible`: purposes whose
    basis a publisher may change by a restriction."""

    vendor_id: int = 0
    legitimate_interest: frozenset[int] = frozenset()
    flexible: frozenset[int] = frozenset()


NO_VENDOR = Policy()


@dataclass(slots=True, frozen=True)
class Consent:
    """What a TC string says to one vendor."""

    purposes: int  # 24 bits, purpose 1 first
    legitimate_interests: int  # likewise
    special_features: int  # 12 bits, special feature 1 first
    vendor_consent: bool
    vendor_legitimate_interest: bool
    restrictions: Mapping[int, int]  # purpose → restriction types for our vendor, as bits

    def allows(self, purpose: int, policy: Policy) -> bool:
        """Whether there is a legal basis for `purpose`, on the basis registered or the one the publisher demands."""
        restrictions = self.restrictions.get(purpose, 0)
        by_interest = purpose in policy.legitimate_interest and purpose not in CONSENT_ONLY
        if restrictions:
            if restrictions not in (_REQUIRE_CONSENT, _REQUIRE_LEGITIMATE_INTEREST):
                return False  # not allowed, unknown, or both at once
            demands_interest = restrictions == _REQUIRE_LEGITIMATE_INTEREST
            if demands_interest != by_interest and (purpose not in policy.flexible or purpose in CONSENT_ONLY):
                return False
            by_interest = demands_interest
        bit = 1 << (24 - purpose)
        if by_interest:
            return self.vendor_legitimate_interest and bool(self.legitimate_interests & bit)
        return self.vendor_consent and bool(self.purposes & bit)

    def opts_in(self, special_feature: int) -> bool:
        return self.vendor_consent and bool(self.special_features & 1 << (12 - special_feature))


def read_consent(text: str, vendor_id: int) -> Consent:
    """The consent that `text` gives to vendor `vendor_id`. Raises `UnreadableError`."""
    core, *segments = text.split(".", 4)
    bits = Bits(core)
    head = bits.take(HEAD_BITS)
    if _field(head, 0, 6) != 2:
        raise UnreadableError("a TC string of another version than 2")
    if not _field(head, 138, 1):
        raise UnreadableError("a TC string of global scope")
    vendor_consent = _lists_vendor(bits, vendor_id)
    vendor_interest = _lists_vendor(bits, vendor_id)
    restrictions = _restrictions(bits, vendor_id)
    disclosed = _discloses(segments, vendor_id)
    updated_ds = _field(head, 42, 36)
    if disclosed is False or (disclosed is None and updated_ds >= DISCLOSURE_REQUIRED_FROM_DS):
        raise UnreadableError("the vendor was not disclosed")
    return Consent(
        purposes=_field(head, 152, 24),
        legitimate_interests=_field(head, 176, 24),
        special_features=_field(head, 140, 12),
        vendor_consent=vendor_consent,
        vendor_legitimate_interest=vendor_interest,
        restrictions=restrictions,
    )


def _field(head: int, start: int, width: int) -> int:
    """The fields of fixed places. Not read: created 6, CMP 78 and its version 90, screen 102, language 108, versions of
    the vendor list 120 and the policy 132, non-standard texts 139, purpose one treatment 200 (no basis by itself),
    publisher's country 201."""
    return head >> (HEAD_BITS - start - width) & ((1 << width) - 1)


def _lists_vendor(bits: Bits, vendor_id: int) -> bool:
    """Whether a vendor section lists `vendor_id`: a field of bits, or ranges. Reads to the section's end."""
    highest = bits.take(16)
    if bits.take(1):
        return _in_ranges(bits, vendor_id, highest)
    start = bits.position
    bits.skip(highest)
    return 1 <= vendor_id <= highest and bits.at(start + vendor_id - 1)


def _in_ranges(bits: Bits, vendor_id: int, highest: int) -> bool:
    """Each entry is a bit (1 = a range), a vendor of 16 bits and, in a range, its last vendor of 16 bits."""
    found = False
    data, position = bits.data, bits.position + 12
    for _ in range(bits.take(12)):
        # Both vendors at one look, 33 bits of the next 48: half the time of a `take` for each field.
        ahead = int.from_bytes(data[position >> 3 : (position >> 3) + 6], "big") >> (15 - (position & 7))
        first = ahead >> 16 & 0xFFFF
        if ahead >> 32 & 1:
            last = ahead & 0xFFFF
            position += 33
        else:
            last = first
            position += 17
        if not 1 <= first <= last <= highest or position > bits.length:
            raise UnreadableError("a range of vendors that cannot be")
        if first <= vendor_id <= last:
            found = True
    bits.position = position
    return found


def _restrictions(bits: Bits, vendor_id: int) -> dict[int, int]:
    found: dict[int, int] = {}
    for _ in range(bits.take(12)):
        purpose, kind = bits.take(6), bits.take(2)
        if _in_ranges(bits, vendor_id, 0xFFFF):
            found[purpose] = found.get(purpose, 0) | 1 << kind
    return found


def _discloses(segments: list[str], vendor_id: int) -> bool | None:
    """Whether the disclosed vendors include ours; None where no segment says."""
    disclosed = None
    for segment in segments:
        bits = Bits(segment)
        if bits.take(3) == _DISCLOSED_VENDORS:
            disclosed = _lists_vendor(bits, vendor_id) and disclosed is not False
    return disclosed
