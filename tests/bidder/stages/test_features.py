"""Features: one fixed list, stable numbers, two encodings of the same row."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any
from zlib import crc32

import pytest
from msgspec.structs import replace as changed

from bidder.domain import Auction, BannerOffer, Candidate, Deal, Exchange, Profile, Rates, Slot
from bidder.stages.features import (
    CATEGORICAL,
    FEATURES,
    FEATURES_VERSION,
    NEVER_SEEN_H,
    candidate_values,
    features,
    hashed,
    packed,
)

Make = Callable[..., Any]
MONDAY_NOON_S = 1_767_614_400.0


@pytest.fixture
def rows_of(exchange: Exchange, rates: Rates, make_campaign: Make) -> Make:
    """The rows of an auction with one candidate a slot, as dictionaries by feature name."""

    def make(auction: Auction, profile: Profile | None = None, deal: Deal | None = None) -> list[dict[str, float]]:
        campaign = make_campaign()
        candidates = [Candidate(slot, campaign, campaign.creatives[0], deal) for slot in auction.slots]
        rows = features(candidates, auction, exchange, profile, rates, MONDAY_NOON_S)
        width = len(FEATURES)
        assert len(rows.body) == rows.count * width * 4
        values = struct.unpack(f"<{rows.count * width}f", rows.body)
        return [dict(zip(FEATURES, values[n * width :], strict=False)) for n in range(rows.count)]

    return make


def test_there_are_at_least_thirty_and_none_twice() -> None:
    """Names are unique, and what is categorical is among them."""
    assert len(FEATURES) >= 30
    assert len(set(FEATURES)) == len(FEATURES)
    assert set(CATEGORICAL) <= set(FEATURES)


def test_the_version_is_of_the_names() -> None:
    """Known answer: whoever changes the list sees it here, and trains anew."""
    assert (len(FEATURES), FEATURES_VERSION) == (52, "80e4b9bec7ad")


def test_hashes_are_stable_and_exact_as_float32() -> None:
    """The same in every process and on every machine."""
    assert hashed("USA") == crc32(b"USA") & 0xFFFFFF
    assert hashed("") == 0
    assert struct.unpack("<f", struct.pack("<f", 0xFFFFFF))[0] == 0xFFFFFF


@pytest.mark.parametrize(("said", "usual", "counts"), [(1, 2, 1), (2, 1, 2), (0, 1, 1), (0, 2, 2), (3, 1, 3)])
def test_the_auction_type_that_counts(rates: Rates, make_campaign: Make, said: int, usual: int, counts: int) -> None:
    """The request's; where it says none, the exchange's."""
    campaign, slot = make_campaign(), Slot("1")
    auction, exchange = Auction("a", [slot], auction_type=said), Exchange("e", auction_type=usual)
    candidate = Candidate(slot, campaign, campaign.creatives[0], None)
    row = features([candidate], auction, exchange, None, rates, MONDAY_NOON_S).body
    assert struct.unpack(f"<{len(FEATURES)}f", row)[FEATURES.index("auction_type")] == counts


def test_a_row_says_what_the_auction_says(rows_of: Make) -> None:
    """A few of each part: context, slot, candidate."""
    slot = Slot("1", banner=BannerOffer(position=3), floor_micros=1_600_000, floor_currency="EUR", viewability=0.5)
    auction = Auction("a", [slot], country="USA", utc_offset_min=-480, os_version="16.2", device_type=4)
    (row,) = rows_of(auction, deal=Deal("d"))
    assert row["hour_sin"] == pytest.approx(0.8660254)  # 04:00 in the user's time
    assert (row["weekday"], row["country"], row["os_major"], row["device_type"]) == (0, hashed("USA"), 16, 4)
    assert (row["position"], row["viewability"], row["has_deal"]) == (3, 0.5, 1)
    assert row["floor_usd"] == pytest.approx(2.0)
    assert (row["campaign"], row["width"], row["goal"]) == (hashed("c-1"), 300, 1)
    assert row["hours_since_impression"] == NEVER_SEEN_H


def test_a_profile_adds_frequency_and_recency(rows_of: Make) -> None:
    """And its segments, beside the request's."""
    profile = Profile(frozenset({"a", "b"}), 7, int(MONDAY_NOON_S) - 7200, {"c-1": 3})
    auction = Auction("a", [Slot("1")], segments=frozenset({"b", "c"}), profile_keys=("k",))
    (row,) = rows_of(auction, profile)
    assert (row["segments"], row["impressions_today"], row["hours_since_impression"]) == (3, 7, 2)
    assert (row["campaign_impressions"], row["user_known"]) == (3, 1)


def test_slots_of_one_request_share_the_context(rows_of: Make) -> None:
    """They differ in their own part only."""
    auction = Auction("a", [Slot("1", interstitial=True), Slot("2", tag_id="top")], country="DEU")
    one, two = rows_of(auction)
    assert {name for name in FEATURES if one[name] != two[name]} == {"interstitial", "slot_tag"}


def test_csv_and_binary_rows_hold_the_same_numbers(exchange: Exchange, rates: Rates, make_campaign: Make) -> None:
    """To the precision of float32."""
    campaign = make_campaign()
    auction = Auction("a", [Slot("1", floor_micros=123_457), Slot("2")], country="USA", screen_width=9, screen_height=7)
    candidates = [Candidate(slot, campaign, campaign.creatives[0], None) for slot in auction.slots]
    binary = features(candidates, auction, exchange, None, rates, MONDAY_NOON_S)
    text = features(candidates, auction, exchange, None, rates, MONDAY_NOON_S, as_csv=True)
    lines = text.body.decode().splitlines()
    assert text.count == len(lines) == 2
    numbers = [float(number) for line in lines for number in line.split(",")]
    assert struct.pack(f"<{len(numbers)}f", *numbers) == binary.body


@pytest.mark.parametrize("deal", [None, Deal("d")])
@pytest.mark.parametrize(
    "profile", [None, Profile(), *(Profile(campaign_impressions={f"c-{n}": n + 1}) for n in (1, 2))]
)
def test_what_is_kept_of_a_row_changes_nothing(
    exchange: Exchange, rates: Rates, make_campaign: Make, deal: Deal | None, profile: Profile | None
) -> None:
    """With the part that the index keeps, rows are those that all values are packed into."""
    campaign, slot = make_campaign(), Slot("1", deals=(deal,) if deal else ())
    auction, creative = Auction("a", [slot]), campaign.creatives[0]
    candidates = [Candidate(slot, campaign, creative, deal, row) for row in (b"", packed(campaign, creative))]
    made, kept = (features([each], auction, exchange, profile, rates, MONDAY_NOON_S).body for each in candidates)
    values = candidate_values(candidates[0], profile)
    assert kept == made
    assert made.endswith(struct.pack(f"<{len(values)}f", *values))


def test_absurd_numbers_stay_finite_and_small(rows_of: Make) -> None:
    """Codes and floors that no table knows are bounded, so that float32 holds them."""
    slot = Slot("1", banner=BannerOffer(position=10**12), floor_micros=10**18, floor_currency="XXX")
    auction = Auction("a", [slot, changed(slot, id="2", floor_currency="USD")], device_type=-(10**15))
    for row in rows_of(auction):
        assert all(abs(value) <= 0xFFFFFF for value in row.values())
