"""`Candidate`s → the rows that the model scores, and that are logged and trained on.

The rule kept here: a row is numbers and stable hashes of text, without learned state, in one fixed order; whoever
changes the list changes `FEATURES_VERSION`. A row is context, then slot, then candidate, so that what candidates share
is computed and packed once. Hashes are 24 bits wide: exact as float32. 0 means unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from math import cos, pi, sin
from struct import Struct
from sys import byteorder
from zlib import crc32

from bidder.domain import MICROS, Auction, Campaign, Candidate, Creative, Exchange, Profile, Rates, Rows, Slot
from bidder.stages.facts import hour_of_week

CONTEXT = (
    "hour_sin",
    "hour_cos",
    "weekday",
    "exchange",
    "channel",
    "publisher",
    "inventory",
    "content_category",
    "content_categories",
    "content_language",
    "content_genre",
    "country",
    "region",
    "metro",
    "city",
    "device_type",
    "os",
    "os_major",
    "make",
    "model",
    "browser",
    "connection_type",
    "carrier",
    "language",
    "screen_ratio",
    "auction_type",
    "slots",
    "children",
    "user_known",
    "segments",
    "impressions_today",
    "hours_since_impression",
)
SLOT = (
    "position",
    "placement",
    "floor_usd",
    "interstitial",
    "rewarded",
    "viewability",
    "deals",
    "slot_tag",
)
CANDIDATE = (
    "campaign",
    "advertiser",
    "creative",
    "format",
    "width",
    "height",
    "duration_s",
    "skippable",
    "goal",
    "ad_category",
    "has_deal",
    "campaign_impressions",
)
FEATURES = CONTEXT + SLOT + CANDIDATE
CATEGORICAL = (
    "exchange",
    "channel",
    "publisher",
    "inventory",
    "content_category",
    "content_language",
    "content_genre",
    "country",
    "region",
    "metro",
    "city",
    "os",
    "make",
    "model",
    "browser",
    "carrier",
    "language",
    "slot_tag",
    "campaign",
    "advertiser",
    "creative",
    "ad_category",
)
"""Those features that are hashes of text."""

FEATURES_VERSION = sha256("\n".join(FEATURES).encode()).hexdigest()[:12]

NEVER_SEEN_H = 24.0 * 30
"""`hours_since_impression` of a user never seen, and its upper bound."""

_NEVER_SEEN = (0.0, NEVER_SEEN_H)

MOST_FLOOR_MICROS = 1_000_000 * MICROS
"""The upper bound of `floor_usd`."""

# Little-endian; said only where it is not the processor's own order, which takes a quarter less.
_ORDER = "" if byteorder == "little" else "<"
_CONTEXT = Struct(f"{_ORDER}{len(CONTEXT)}f")
_SLOT = Struct(f"{_ORDER}{len(SLOT)}f")
_CANDIDATE = Struct(f"{_ORDER}{len(CANDIDATE)}f")
_ROW_BYTES = 4 * len(FEATURES)
_OF_THE_BID = Struct(f"{_ORDER}2f")  # the last two of them, which differ from bid to bid


class _Remembered:
    """Text → what is made of it, worked out once. Floats, as an integer takes twice the time to pack. Bounded by number
    and, since texts come from requests, by length.

    `known`: what is remembered, a plain dict, as looking something up in a subclass takes twice the instructions."""

    __slots__ = ("_make", "known")

    MOST, LONGEST = 1 << 16, 64

    def __init__(self, make: Callable[[str], int]) -> None:
        self._make = make
        self.known: dict[str, float] = {}

    def __getitem__(self, text: str) -> float:
        value = self.known.get(text)
        if value is None:
            value = float(self._make(text))
            if len(text) <= self.LONGEST:
                if len(self.known) >= self.MOST:
                    self.known.clear()
                self.known[text] = value
        return value


def hashed(text: str) -> int:
    """A stable 24-bit hash of a text; 0 for the empty one (which is its CRC)."""
    return crc32(text.encode("utf-8", "surrogatepass")) & 0xFFFFFF


def _major(version: str) -> int:
    """The first number of `version_of`, without the others."""
    first = version.replace("_", ".").partition(".")[0]
    return int(first) if first.isascii() and first.isdigit() and len(first) <= 9 else 0


_HASHES, _MAJORS = _Remembered(hashed), _Remembered(_major)


_CODES = {code: float(code) for code in range(-1023, 1024)}
_FAR = 1024.0
"""All other codes of a list, so that float32 is exact."""

_CLOCK = tuple((sin(hour * pi / 12), cos(hour * pi / 12), float(weekday)) for weekday in range(7) for hour in range(24))


def features(
    candidates: Sequence[Candidate],
    auction: Auction,
    exchange: Exchange,
    profile: Profile | None,
    rates: Rates,
    now_s: float,
    *,
    as_csv: bool = False,
) -> Rows:
    """One row a candidate, in their order: float32 little-endian, or CSV. `now_s`: Unix seconds at arrival."""
    context = context_values(auction, exchange, profile, now_s)
    if as_csv:
        return _lines(candidates, context, profile, rates)
    shared = _CONTEXT.pack(*context)
    seen = profile.campaign_impressions if profile else ()
    parts: list[bytes] = []
    slot = candidates[0].slot if candidates else None
    if slot is not None and not slot.deals and not seen and candidates[-1].slot is slot:  # as in most auctions
        prefix = shared + _SLOT.pack(*slot_values(slot, rates))
        rows = prefix + prefix.join([candidate.row for candidate in candidates])
        if len(rows) == len(candidates) * _ROW_BYTES:  # none is without its row
            return Rows(len(candidates), rows)
    slot = None
    for candidate in candidates:
        if candidate.slot is not slot:
            slot = candidate.slot
            prefix = shared + _SLOT.pack(*slot_values(slot, rates))
        row = candidate.row
        if not row or candidate.deal is not None or (seen and candidate.campaign.id in seen):
            row = _row(candidate, profile)
        parts.append(prefix)
        parts.append(row)
    return Rows(len(candidates), b"".join(parts))


def _lines(candidates: Sequence[Candidate], context: tuple[float, ...], profile: Profile | None, rates: Rates) -> Rows:
    lines = [
        ",".join(as_text((*context, *slot_values(c.slot, rates), *candidate_values(c, profile)))) for c in candidates
    ]
    return Rows(len(lines), "\n".join([*lines, ""]).encode())


def packed(campaign: Campaign, creative: Creative) -> bytes:
    """The values of `CANDIDATE` where there is no deal and no profile: what can be kept of a creative."""
    return _CANDIDATE.pack(*_constant_values(campaign, creative), 0, 0)


def _row(candidate: Candidate, profile: Profile | None) -> bytes:
    """The values of `CANDIDATE`."""
    row = candidate.row or packed(candidate.campaign, candidate.creative)
    return row[: -_OF_THE_BID.size] + _OF_THE_BID.pack(*_bid_values(candidate, profile))


def as_text(values: Iterable[float]) -> list[str]:
    """Values as a CSV row or the event log spells them: nine digits bring a float32 back exactly."""
    return [f"{float(value):.9g}" for value in values]


def context_values(auction: Auction, exchange: Exchange, profile: Profile | None, now_s: float) -> tuple[float, ...]:
    """The values of `CONTEXT`. Where the user's time is not known, UTC counts."""
    try:
        return _context(auction, exchange, profile, now_s, _HASHES.known, _MAJORS.known)
    except KeyError:  # one is new: after 2,000 auctions one in a hundred has such a one, its inventory apart
        return _context(auction, exchange, profile, now_s, _HASHES, _MAJORS)


def _context(
    auction: Auction,
    exchange: Exchange,
    profile: Profile | None,
    now_s: float,
    hashes: dict[str, float] | _Remembered,
    majors: dict[str, float] | _Remembered,
) -> tuple[float, ...]:
    """KeyError: a text, its inventory apart, is not among them."""
    hour = hour_of_week(now_s, auction.utc_offset_min)
    if hour < 0:
        hour = hour_of_week(now_s, 0)
    hour_sin, hour_cos, weekday = _CLOCK[hour]
    impressions, since_h = _history(profile, now_s) if profile else _NEVER_SEEN
    category = None
    for each in auction.categories:  # of two or three, as usual, `min` finds the first in three times the time
        if category is None or each < category:
            category = each
    inventory = auction.bundle or auction.domain or auction.inventory_id
    return (
        hour_sin,
        hour_cos,
        weekday,
        hashes[exchange.name],
        hashes[auction.channel],
        hashes[auction.publisher_id],
        _HASHES.known.get(inventory) or _HASHES[inventory],
        0.0 if category is None else hashes[category],
        len(auction.categories),
        hashes[auction.content_language],
        hashes[auction.content_genre],
        hashes[auction.country],
        hashes[auction.region],
        hashes[auction.metro],
        hashes[auction.city],
        _CODES.get(auction.device_type, _FAR),
        hashes[auction.os],
        majors[auction.os_version],
        hashes[auction.make],
        hashes[auction.model],
        hashes[auction.browser],
        _CODES.get(auction.connection_type, _FAR),
        hashes[auction.carrier],
        hashes[auction.language],
        auction.screen_width / auction.screen_height if auction.screen_height > 0 else 0.0,
        _CODES.get(auction.auction_type or exchange.auction_type, _FAR),
        len(auction.slots),
        auction.coppa,
        bool(auction.profile_keys),
        len(auction.segments | profile.segments) if profile else len(auction.segments),
        impressions,
        since_h,
    )


def _history(profile: Profile, now_s: float) -> tuple[float, float]:
    """Impressions today, and hours since the last."""
    if not profile.last_impression_s:
        return _NEVER_SEEN
    since_h = (now_s - profile.last_impression_s) / 3600
    return profile.impressions_today, min(max(since_h, 0.0), NEVER_SEEN_H)


def slot_values(slot: Slot, rates: Rates) -> tuple[float, ...]:
    """The values of `SLOT`."""
    offer = slot.banner or slot.video or slot.audio
    floor = slot.floor_micros
    if floor and slot.floor_currency != "USD":
        known = rates.knows(slot.floor_currency) and rates.knows("USD")
        floor = rates.convert(floor, slot.floor_currency, "USD") if known else 0
    return (
        _CODES.get(offer.position, _FAR) if offer else 0.0,
        _CODES.get(slot.video.placement, _FAR) if slot.video else 0.0,
        floor / MICROS if floor < MOST_FLOOR_MICROS else 1e6,
        slot.interstitial,
        slot.rewarded,
        slot.viewability,
        len(slot.deals),
        _HASHES.known.get(slot.tag_id) or _HASHES[slot.tag_id],
    )


def candidate_values(candidate: Candidate, profile: Profile | None) -> tuple[float, ...]:
    """The values of `CANDIDATE`."""
    return *_constant_values(candidate.campaign, candidate.creative), *_bid_values(candidate, profile)


def _constant_values(campaign: Campaign, creative: Creative) -> tuple[float, ...]:
    """Those that are the same for every bid with the creative."""
    spec = creative.spec
    return (
        campaign.feature_hash,
        _HASHES[campaign.advertiser_id],
        creative.feature_hash,
        spec.format,
        spec.width,
        spec.height,
        spec.duration_s,
        spec.skippable,
        campaign.goal.kind,
        _HASHES[campaign.categories[0]] if campaign.categories else 0,
    )


def _bid_values(candidate: Candidate, profile: Profile | None) -> tuple[float, float]:
    """The other two."""
    seen = profile.campaign_impressions.get(candidate.campaign.id, 0) if profile else 0
    return candidate.deal is not None, seen
