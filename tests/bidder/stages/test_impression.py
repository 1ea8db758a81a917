"""Reading impressions: money to the micro-unit, sizes, pods, deals."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidder.domain import Auction, Slot
from bidder.stages.decode import decode
from bidder.stages.impression import exact_micros, micros

Make = Callable[..., Any]


@pytest.fixture
def slots(make_body: Make) -> Make:
    """The slots of a request with these impressions."""

    def read(*impressions: dict[str, Any]) -> list[Slot]:
        found = decode(make_body(imp=[{"id": str(number), **imp} for number, imp in enumerate(impressions)]))
        assert isinstance(found, Auction)
        return found.slots

    return read


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (None, 0),
        (0.0, 0),
        (2.5, 2_500_000),
        (0.000001, 1),
        (0.29, 290_000),
        (1.1, 1_100_000),
        (4.000001, 4_000_001),
        (123456.789012, 123_456_789_012),
        (1.0000000005, 1_000_001),
        (0.0000001, 1),
        (7, 7_000_000),
    ],
)
def test_an_amount_is_read_exactly_and_rounded_up(amount: float | None, expected: int) -> None:
    """A floor is never read lower than it stands, nor higher than the next micro-unit."""
    assert micros(amount) == expected


@given(st.integers(0, 10**12))
def test_whole_micro_units_are_read_as_they_are_written(amount: int) -> None:
    """Six decimals, up to a million a thousand."""
    assert micros(float(f"{amount // 10**6}.{amount % 10**6:06d}")) == amount


@given(st.floats(0, 1e6) | st.floats(0, 2e9))
def test_no_amount_is_read_lower_than_its_decimals(amount: float) -> None:
    """Held against exact arithmetic."""
    exact = Fraction(str(amount)) * 10**6
    assert exact_micros(amount) == exact
    assert micros(amount) == ceil(exact)


def test_flexible_sizes_are_read_beside_absolute_ones(slots: Make) -> None:
    """§3.2.10; an entry without either is nothing."""
    formats = [{"w": 300, "h": 250}, {"wratio": 6, "hratio": 5, "wmin": 200}, {"wratio": 0, "hratio": 5}, {}]
    (slot,) = slots({"banner": {"format": formats, "expdir": [2, 4], "topframe": 0}})
    assert slot.banner.sizes == ((300, 250),)
    assert slot.banner.ratios == ((6, 5, 200),)
    assert (slot.banner.expand_directions, slot.banner.top_frame) == ({2, 4}, False)


def test_width_and_height_count_without_a_format_list_only(slots: Make) -> None:
    """§3.2.6."""
    one, two = slots(
        {"banner": {"w": 300, "h": 250}}, {"banner": {"w": 300, "h": 250, "format": [{"w": 320, "h": 50}]}}
    )
    assert (one.banner.sizes, two.banner.sizes) == (((300, 250),), ((320, 50),))


def test_a_deals_money_terms_are_read(slots: Make) -> None:
    """Each in the deal's own currency; not said is not 0."""
    deal = {"id": "a", "mincpmpersec": 0.3333333, "durfloors": [{"maxdur": 15, "bidfloor": 2}], "guar": 1}
    (slot,) = slots({"banner": {"w": 1, "h": 1}, "pmp": {"deals": [deal, {"id": "b", "bidfloor": 0}]}})
    first, second = slot.deals
    assert (first.floor_micros, second.floor_micros) == (None, 0)
    assert first.floor_per_second_micros == Fraction("333333.3")
    assert first.duration_floors == ((0, 15, 2_000_000),)
    assert (first.guaranteed, second.guaranteed, first.floor_currency) == (True, False, "USD")


def test_deals_that_share_an_id_are_left_out(slots: Make) -> None:
    """A bid could mean either."""
    deals = [{"id": "a", "bidfloor": 1}, {"id": "b"}, {"id": "a", "bidfloor": 2}]
    (slot,) = slots({"banner": {"w": 1, "h": 1}, "pmp": {"deals": deals}})
    assert [deal.id for deal in slot.deals] == ["b"]


@pytest.mark.parametrize(("secure", "is_secure"), [(0, False), (1, True), (2, True), (None, False)])
def test_what_is_not_0_must_be_secure(slots: Make, secure: int | None, is_secure: bool) -> None:
    """§3.2.4 knows 0 and 1."""
    (slot,) = slots({"banner": {"w": 1, "h": 1}, "secure": secure})
    assert slot.secure is is_secure


@pytest.mark.parametrize(
    "terms", [{"bidfloor": -0.01}, {"mincpmpersec": -1}, {"durfloors": [{"mindur": 5, "bidfloor": -1}]}]
)
def test_a_deal_below_nothing_is_left_out(slots: Make, terms: dict[str, Any]) -> None:
    """Its floor cannot be meant; the slot's other deals stand."""
    (slot,) = slots({"banner": {"w": 1, "h": 1}, "pmp": {"deals": [{"id": "a", **terms}, {"id": "b"}]}})
    assert [deal.id for deal in slot.deals] == ["b"]


@pytest.mark.parametrize(
    "terms",
    [{"mincpmpersec": -1}, {"durfloors": [{"bidfloor": -1}]}, {"poddur": -1}, {"maxseq": -1}],
    ids=str,
)
@pytest.mark.parametrize("kind", ["video", "audio"])
def test_media_terms_that_cannot_be_meant_offer_nothing(slots: Make, kind: str, terms: dict[str, Any]) -> None:
    """The slot's other formats stand."""
    (slot,) = slots({"banner": {"w": 1, "h": 1}, kind: {"mimes": ["x/y"], **terms}})
    assert (slot.video, slot.audio) == (None, None)
    assert slot.banner is not None


@pytest.mark.parametrize(
    ("terms", "is_pod"),
    [({}, False), ({"poddur": 60}, True), ({"maxseq": 4}, True), ({"maxseq": 1}, False), ({"podid": "p"}, False)],
    ids=str,
)
@pytest.mark.parametrize("kind", ["video", "audio"])
def test_what_takes_several_ads_is_a_pod(slots: Make, kind: str, terms: dict[str, Any], is_pod: bool) -> None:
    """§7.6: the dynamic kind; a structured pod's places are impressions of their own."""
    (slot,) = slots({kind: {"mimes": ["x/y"], **terms}})
    assert slot.is_pod is is_pod


def test_letter_boxing_is_allowed_unless_it_is_not(slots: Make) -> None:
    """`boxingallowed` 0: the player's shape counts; one that does not say its size is taken as 16:9."""
    allowed, sized, bare = slots(
        {"video": {"mimes": ["x/y"], "w": 640, "h": 480}},
        {"video": {"mimes": ["x/y"], "w": 640, "h": 480, "boxingallowed": 0}},
        {"video": {"mimes": ["x/y"], "boxingallowed": 0}},
    )
    assert [slot.video.aspect for slot in (allowed, sized, bare)] == [None, (640, 480), (16, 9)]


def test_a_slot_that_sells_no_impressions_is_left_out(slots: Make) -> None:
    """`qty.multiplier` of 0 or less; a part of an impression is one still."""
    found = slots(*({"banner": {"w": 1, "h": 1}, "qty": {"multiplier": number}} for number in (0, -1, 0.2, 12.5)))
    assert [(slot.id, slot.multiplier) for slot in found] == [("2", 0.2), ("3", 12.5)]
