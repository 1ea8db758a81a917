"""TC strings of the Transparency and Consent Framework (v2.0 to v2.3): what one vendor may rely on.

The rule kept here: any malformation is no consent. Read as in IAB Europe's "Transparency and Consent String with Global
Vendor List Format": the core segment whole, of the other segments only the disclosed vendors. No consent is also

- another version than 2: version 1 is withdrawn;
- a globally scoped string: the shared storage it speaks of is gone;
- a list of disclosed vendors without ours; or no such list in a string of TCF v2.3's time.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import lru_cache

from msgspec import Struct

from bidder.stages.privacy.bits import AHEAD, Bits, UnreadableError

DISCLOSURE_REQUIRED_FROM_DS = 17_723_232_000
"""2026-03-01 in tenths of a second: strings since then must list the vendors disclosed (TCF v2.3)."""

HEAD_BITS = 213
"""Of the core segment, up to the vendors who have consent."""

_HEAD = struct.Struct(">B4xQ4xQ").unpack_from
_12_BITS, _24_BITS, _36_BITS = (1 << 12) - 1, (1 << 24) - 1, (1 << 36) - 1

CONSENT_ONLY = frozenset({1, 3, 4, 5, 6})
"""Purposes for which a legitimate interest is no legal basis (TCF v2.2)."""

_CONSENT, _INTEREST = 1 << 1, 1 << 2  # restriction types as bits: the basis that a publisher demands
_DISCLOSED_VENDORS = 1  # segment type


class Policy(Struct, frozen=True):
    """Who we are to the framework, as registered in the Global Vendor List. Vendor 0: not registered, never consent.

    `legitimate_interest`: purposes registered with that basis; all others with consent. `flexible`: purposes whose
    basis a publisher may change by a restriction."""

    vendor_id: int = 0
    legitimate_interest: frozenset[int] = frozenset()
    flexible: frozenset[int] = frozenset()


NO_VENDOR = Policy()


class Consent(Struct, frozen=True, gc=False):
    """What a TC string says to one vendor."""

    purposes: int  # 24 bits, purpose 1 first
    legitimate_interests: int  # likewise
    special_features: int  # 12 bits, special feature 1 first
    vendor_consent: bool
    vendor_legitimate_interest: bool
    restrictions: Mapping[int, int]  # purpose → restriction types for our vendor, as bits

    def allowed(self, policy: Policy) -> int:
        """The purposes with a legal basis, as bits (`bit_of`), on the basis registered or the one the publisher
        demands."""
        by_consent = self.purposes if self.vendor_consent else 0
        by_interest = self.legitimate_interests if self.vendor_legitimate_interest else 0
        interests = _interests(policy.legitimate_interest)
        allowed = by_consent & ~interests | by_interest & interests
        for purpose, kinds in self.restrictions.items():
            bit = bit_of(purpose)
            allowed &= ~bit
            if _may_demand(kinds, purpose, policy, registered=_INTEREST if interests & bit else _CONSENT):
                allowed |= bit & (by_interest if kinds == _INTEREST else by_consent)
        return allowed

    def opts_in(self, special_feature: int) -> bool:
        return self.vendor_consent and bool(self.special_features & 1 << (12 - special_feature))


def bit_of(purpose: int) -> int:
    """Purpose 1 first, of 24; 0 for what is none."""
    return 1 << 24 >> purpose if purpose else 0


@lru_cache(maxsize=16)
def _interests(registered: frozenset[int]) -> int:
    bits = 0
    for purpose in registered - CONSENT_ONLY:
        bits |= bit_of(purpose)
    return bits


def _may_demand(kinds: int, purpose: int, policy: Policy, registered: int) -> bool:
    """Whether a publisher may restrict a purpose to this basis; not where it is another than the one registered and
    not flexible. No basis: not allowed, unknown, or both at once."""
    if kinds == registered:
        return True
    return kinds in (_CONSENT, _INTEREST) and purpose in policy.flexible and purpose not in CONSENT_ONLY


def read_consent(text: str, vendor_id: int) -> Consent:
    """The consent that `text` gives to vendor `vendor_id`. Raises `UnreadableError`."""
    segments = text.split(".", 4)
    bits = Bits(segments.pop(0))
    bits.skip(HEAD_BITS)
    # The fields of fixed places: version at bit 0, updated 42, then from byte 17 scope 138, special features 140,
    # purposes 152, legitimate interests 176. Not read: created 6, CMP 78 and its version 90, screen 102, language 108,
    # versions of the vendor list 120 and the policy 132, non-standard texts 139, purpose one treatment 200 (no basis by
    # itself), publisher's country 201.
    version, updated, choices = _HEAD(bits.data)
    if version >> 2 != 2:
        raise UnreadableError("a TC string of another version than 2")
    if not choices >> 61 & 1:
        raise UnreadableError("a TC string of global scope")
    vendor_consent = _lists_vendor(bits, vendor_id)
    vendor_interest = _lists_vendor(bits, vendor_id)
    restrictions = _restrictions(bits, vendor_id)
    disclosed = _discloses(segments, vendor_id) if segments else None
    if disclosed is False or (disclosed is None and updated >> 26 & _36_BITS >= DISCLOSURE_REQUIRED_FROM_DS):
        raise UnreadableError("the vendor was not disclosed")
    return Consent(
        choices >> 24 & _24_BITS,
        choices & _24_BITS,
        choices >> 48 & _12_BITS,
        vendor_consent,
        vendor_interest,
        restrictions,
    )


def _lists_vendor(bits: Bits, vendor_id: int) -> bool:
    """Whether a vendor section lists `vendor_id`: a field of bits, or ranges. Reads to the section's end."""
    head = bits.take(17)
    highest = head >> 1
    if head & 1:
        return _in_ranges(bits, vendor_id, highest)
    start = bits.position
    bits.skip(highest)
    return 1 <= vendor_id <= highest and bits.at(start + vendor_id - 1)


def _in_ranges(bits: Bits, vendor_id: int, highest: int) -> bool:
    """Each entry is a bit (1 = a range), a vendor of 16 bits and, in a range, its last vendor of 16 bits."""
    found = False
    data, position = bits.data, bits.position + 12
    for _ in range(bits.take(12)):
        # Both vendors at one look, 33 bits of the next 64: less than half the time of a `take` for each field.
        ahead = AHEAD(data, position >> 3)[0] >> (31 - (position & 7))
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
