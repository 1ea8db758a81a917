"""Which privacy signals a request carries, and the one table of what each forbids.

The rule kept here: `FORBIDS` is the whole policy. A signal is found here by name, in 2.6's place or 2.5's; what follows
from it stands in the table and nowhere else.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from bidder.stages.privacy.bits import MAX_CHARACTERS, UnreadableError
from bidder.stages.privacy.gpp import (
    LAYOUTS,
    MAX_SECTIONS,
    TCF_EU,
    US_NATIONAL,
    US_PRIVACY,
    allows_sale,
    opts_out,
    read_sections,
)
from bidder.stages.privacy.tcf import Policy, bit_of, read_consent
from bidder.stages.request import BidRequest, Regs


class Forbidden:
    """What a signal can forbid, as bits. Plain integers: an IntFlag costs half a microsecond an operation."""

    IDENTIFIERS = 1  # ids of user and device, addresses in full: no profile, no frequency
    TRAITS = 2  # segments, interests, age, gender; and the profile
    POSITION = 4  # a place more exact than two decimals of a degree
    MEASUREMENT = 8  # counting what this user saw and did
    LEARNING = 16  # the request as a training example
    EVERYTHING = 31


FORBIDS: dict[str, int] = {
    "coppa": Forbidden.EVERYTHING,  # regs.coppa
    "lmt": Forbidden.EVERYTHING,  # device.lmt
    "dnt": Forbidden.EVERYTHING,  # device.dnt
    "atts": Forbidden.EVERYTHING,  # device.ext.atts: App Tracking Transparency, anything but 3, authorised
    "gpc": Forbidden.EVERYTHING,  # regs.ext.gpc: Global Privacy Control
    "us_privacy_opt_out": Forbidden.EVERYTHING,  # regs.us_privacy opts out of sale, or cannot be read
    "gpp_unreadable": Forbidden.EVERYTHING,  # regs.gpp or regs.gpp_sid cannot be read
    "gpp_section_unknown": Forbidden.EVERYTHING,  # an applicable section that is not read here
    "gpp_us_opt_out": Forbidden.EVERYTHING,  # an applicable section of the United States opts out, or is missing
    "gpp_us": Forbidden.POSITION,  # an applicable section of the United States, without opt-out
    "gdpr_no_consent": Forbidden.EVERYTHING,  # GDPR applies; no TC string, one that cannot be read, or no vendor
    "tcf_purpose_1": Forbidden.IDENTIFIERS,  # no basis to store and access information on a device
    "tcf_purpose_2": Forbidden.EVERYTHING,  # … to select advertising with limited data
    "tcf_purpose_3": Forbidden.TRAITS,  # … to create profiles for personalised advertising
    "tcf_purpose_4": Forbidden.TRAITS,  # … to use profiles to select personalised advertising
    "tcf_purpose_7": Forbidden.MEASUREMENT,  # … to measure advertising performance
    "tcf_purpose_9": Forbidden.LEARNING,  # … to understand audiences through statistics
    "tcf_purpose_10": Forbidden.LEARNING,  # … to develop and improve services
    "tcf_special_feature_1": Forbidden.POSITION,  # no opt-in to precise geolocation
}
"""Signal → what it forbids. Several signals forbid together what each forbids alone."""

_PURPOSES = tuple((bit_of(purpose), f"tcf_purpose_{purpose}") for purpose in (1, 2, 3, 4, 7, 9, 10))
_TRACKING_AUTHORISED = (None, 3, "3")
_NO_CONTROL = (None, 0, "0", "")
_NO_SECTION_APPLIES = -1


def find_signals(request: BidRequest, policy: Policy) -> list[str]:
    """The names of all signals in `request` that forbid something: keys of `FORBIDS`."""
    found: list[str] = []
    if (device := request.device) is not None:
        if device.lmt:
            found.append("lmt")
        if device.dnt:
            found.append("dnt")
        if (device_ext := device.ext) is not None and device_ext.atts not in _TRACKING_AUTHORISED:
            found.append("atts")
    consent: Any = None
    if (user := request.user) is not None and not (consent := user.consent) and (user_ext := user.ext) is not None:
        consent = user_ext.consent
    if (regs := request.regs) is not None:
        _read_regs(found, regs, consent, policy)
    elif consent:
        _read_consents(found, policy, consent, None)
    return found


def _read_regs(found: list[str], regs: Regs, consent: Any, policy: Policy) -> None:
    """What 2.6 has in `regs` or 2.5 in its `ext`. `consent` is the user's, who has one or has not."""
    us_privacy: Any = regs.us_privacy
    gpp: Any = regs.gpp
    applicable: Any = regs.gpp_sid or None
    gdpr: Any = regs.gdpr
    if regs.coppa:
        found.append("coppa")
    if (ext := regs.ext) is not None:
        if ext.gpc not in _NO_CONTROL:
            found.append("gpc")
        us_privacy, gpp, applicable = us_privacy or ext.us_privacy, gpp or ext.gpp, applicable or ext.gpp_sid
        if gdpr is None:
            gdpr = ext.gdpr
    if us_privacy and not allows_sale(us_privacy):
        found.append("us_privacy_opt_out")
    in_gpp = None
    if gpp or applicable is not None:
        in_gpp = _read_gpp(found, gpp, applicable, us_privacy)
    applies = bool(consent) if gdpr is None else gdpr not in (0, "0")  # not said: a TC string says that it does
    if applies or in_gpp is not None:
        _read_consents(found, policy, consent, in_gpp)


def _read_gpp(found: list[str], text: Any, said: Any, us_privacy: Any) -> str | None:
    """Signals of the GPP string's applicable sections. Returns the TCF section's text if that section applies ("" if it
    is missing), None if it does not."""
    try:
        applicable = _applicable(said)
        sections = {} if applicable == [] else _sections(text)
    except UnreadableError:
        found.append("gpp_unreadable")
        return None
    tcf = None
    for section_id in sections if applicable is None else applicable:
        section = sections.get(section_id, "")
        if section_id == TCF_EU:
            tcf = section
        elif section_id == US_PRIVACY:
            if not allows_sale(section or us_privacy):
                found.append("gpp_us_opt_out")
        elif section_id == US_NATIONAL or section_id in LAYOUTS:
            found.append("gpp_us_opt_out" if opts_out(section_id, section) else "gpp_us")
        else:
            found.append("gpp_section_unknown")
    return tcf


def _sections(text: Any) -> dict[int, str]:
    if not text:
        return {}
    if not isinstance(text, str):
        raise UnreadableError("a GPP string that is none")
    return read_sections(text)


def _applicable(said: Any) -> list[int] | None:
    """The ids in `gpp_sid` without repeats; none if it is -1; None (all apply) if it is not said or undecided."""
    if said is None or said == []:
        return None
    items = said if isinstance(said, list) else [said]
    if len(items) > MAX_SECTIONS:
        raise UnreadableError("too many section ids")
    ids = {_section_id(item) for item in items}
    if 0 in ids:
        return None
    return sorted(ids - {_NO_SECTION_APPLIES})


def _section_id(item: Any) -> int:
    """2.5's place is unchecked until here."""
    if isinstance(item, int) and not isinstance(item, bool):
        return item
    if isinstance(item, str) and len(item) <= 4 and item.isascii() and item.removeprefix("-").isdigit():
        return int(item)
    raise UnreadableError("a section id that is no number")


def _read_consents(found: list[str], policy: Policy, consent: Any, in_gpp: str | None) -> None:
    """Where two TC strings stand, both of them must allow a purpose."""
    if not policy.vendor_id or not (consent or in_gpp):
        found.append("gdpr_no_consent")
        return
    for text in (consent, in_gpp):
        if not text:
            continue
        if isinstance(text, str) and len(text) <= MAX_CHARACTERS:
            found += _withheld(text, policy)
        else:
            found.append("gdpr_no_consent")


@lru_cache(maxsize=1024)
def _withheld(text: str, policy: Policy) -> tuple[str, ...]:
    """The signals of one TC string. Remembered: from TCF 2.2 on its dates are whole days, so all who accept everything
    at one CMP on one day have the same one. Saves 10 µs a known one; 1,024 real ones are about 1 MB."""
    try:
        consent = read_consent(text, policy.vendor_id)
    except UnreadableError:
        return ("gdpr_no_consent",)
    allowed = consent.allowed(policy)
    withheld = [name for bit, name in _PURPOSES if not allowed & bit]
    if not consent.opts_in(1):
        withheld.append("tcf_special_feature_1")
    return tuple(withheld)
