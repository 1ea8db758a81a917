"""Global Privacy Platform strings: which sections there are, and what the sections of the United States forbid.

The rule kept here: a section that is not known to the letter counts as an opt-out. Layouts are those of the section
specifications of IAB Tech Lab's Global-Privacy-Platform: after a version of six bits, fields of two bits each. Precise
geolocation needs no field: where any such section applies it is not used at all.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

from bidder.stages.privacy.bits import MAX_CHARACTERS, Bits, UnreadableError

TCF_EU, US_PRIVACY, US_NATIONAL = 2, 6, 7
MAX_SECTIONS = 64
MAX_HEADER = 64
MAX_US_SECTION = 64
"""Characters; the longest that is read has 16."""

# A letter for each field of two bits, and which of the two must be 0 for the field to grant:
_DENYING = {
    "N": 0b10,  # notice of sharing or of an opt-out: not applicable (0) or given (1)
    "O": 0b01,  # opt-out of sale, sharing, targeted advertising: not applicable (0) or not opted out (2)
    "P": 0b01,  # consent to unrelated uses: not applicable (0) or given (2)
    "C": 0b11,  # the same where specifications disagree on the values, and consents for a known child: only 0
    "M": 0b01,  # service provider mode: not applicable (0) or no (2)
    "-": 0b00,  # sensitive data and agreement terms: used for nothing here
}
_END = "--M"  # covered transaction, opt-out option mode, service provider mode

US_NATIONAL_SHORT = "NNNN--OOO" + "-" * 12 + "CC" + "P" + _END  # version 1 at first
US_NATIONAL_LONG = "NNNN--OOO" + "-" * 16 + "CCC" + "P" + _END  # version 2, and some of version 1

LAYOUTS = {
    8: "NN-OO" + "-" * 9 + "CC" + "P" + _END,  # California
    9: "NNNOO" + "-" * 8 + "C" + _END,  # Virginia
    10: "NNNOO" + "-" * 7 + "C" + _END,  # Colorado
    11: "NNN-OO" + "-" * 8 + "C" + _END,  # Utah
    12: "NNNOO" + "-" * 8 + "CCC" + _END,  # Connecticut
    13: "NNNOO" + "-" * 8 + "CCC" + "C" + _END,  # Florida
    14: "NNNOO" + "-" * 8 + "CCC" + "C" + _END,  # Montana
    15: "NNNOO" + "-" * 11 + "CCC" + "C" + _END,  # Oregon
    16: "NNNOO" + "-" * 8 + "C" + "C" + _END,  # Texas
    17: "NNNOO" + "-" * 9 + "CCCCC" + "C" + _END,  # Delaware
    18: "NNN-OO" + "-" * 8 + "C" + _END,  # Iowa
    19: "NNNOO" + "-" * 8 + "C" + "C" + _END,  # Nebraska
    20: "NNNOO" + "-" * 8 + "CCC" + "C" + _END,  # New Hampshire
    21: "NNNOO" + "-" * 10 + "CCCCC" + "C" + _END,  # New Jersey
    22: "NNNOO" + "-" * 8 + "C" + "C" + _END,  # Tennessee
}
"""Version 1 of each state's section. Those of Minnesota, Maryland, Indiana, Kentucky, Rhode Island are not read."""

SALE_ALLOWED = frozenset(map("".join, product("1", "YyNn-", "Nn-", "YyNn-")))
"""US Privacy strings that do not opt out: version, notice, opt-out, LSPA."""

_GPC = 1  # type of the sub-section with the Global Privacy Control signal


def read_sections(text: str) -> dict[int, str]:
    """Section id → its text, in the order of the string. Raises `UnreadableError`."""
    if len(text) > MAX_CHARACTERS:
        raise UnreadableError("too long")
    header, *sections = text.split("~")
    if len(header) > MAX_HEADER:
        raise UnreadableError("a header too long")
    ids = _section_ids(header)
    if len(ids) != len(sections):
        raise UnreadableError("the header and the sections do not match")
    return dict(zip(ids, sections, strict=True))


@lru_cache(maxsize=1024)  # there are few headers, and none speaks of a person; saves 8 us
def _section_ids(header: str) -> tuple[int, ...]:
    bits = Bits(header)
    if bits.take(6) != 3 or bits.take(6) != 1:
        raise UnreadableError("no GPP header of version 1")
    ids: list[int] = []
    last = 0
    for _ in range(bits.take(12)):
        is_range = bits.take(1)
        first = last + bits.take_fibonacci()
        last = first + bits.take_fibonacci() if is_range else first
        if len(ids) + last - first >= MAX_SECTIONS:
            raise UnreadableError("too many sections")
        ids += range(first, last + 1)
    return tuple(ids)


def allows_sale(us_privacy: object) -> bool:
    """Whether a US Privacy string leaves the sale of personal data allowed."""
    return isinstance(us_privacy, str) and us_privacy in SALE_ALLOWED


def opts_out(section_id: int, text: str) -> bool:
    """Whether a section of the United States opts out of sale, sharing or targeted advertising, or concerns a child,
    or cannot be read."""
    if section_id == US_PRIVACY:
        return not allows_sale(text)
    return len(text) > MAX_US_SECTION or _opts_out(section_id, text)


@lru_cache(maxsize=4096)  # a handful of choices makes a handful of strings; saves 10 us
def _opts_out(section_id: int, text: str) -> bool:
    try:
        core, *others = text.split(".", 4)
        return not _grants(Bits(core), section_id) or any(_signals_gpc(Bits(other)) for other in others)
    except UnreadableError:
        return True


def _grants(bits: Bits, section_id: int) -> bool:
    version = bits.take(6)
    if section_id != US_NATIONAL:
        layout = LAYOUTS.get(section_id)
        return version == 1 and layout is not None and _grants_as(bits, layout)
    if version == 2:
        return _grants_as(bits, US_NATIONAL_LONG)
    if version != 1 or not _grants_as(bits, US_NATIONAL_SHORT):
        return False
    # Version 1 grew without a new number: a string long enough for the longer layout must grant in that one too.
    if bits.length < 6 + 2 * len(US_NATIONAL_LONG):
        return True
    bits.position = 6
    return _grants_as(bits, US_NATIONAL_LONG)


def _grants_as(bits: Bits, layout: str) -> bool:
    denied = 0
    for letter in layout:
        denied |= bits.take(2) & _DENYING[letter]
    return not denied


def _signals_gpc(bits: Bits) -> bool:
    if bits.take(2) != _GPC:
        raise UnreadableError("a sub-section of unknown type")
    return bool(bits.take(1))
