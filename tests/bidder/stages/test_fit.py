"""Whether a creative fits a slot: sizes, expanding, letter-boxing, pods; and all terms together, read plainly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from bidder.domain import (
    NOTHING,
    BannerOffer,
    CreativeSpec,
    Format,
    MediaOffer,
    NativeAsset,
    NativeOffer,
    Pod,
    Slot,
)
from bidder.stages.fit import flexible
from bidder.stages.languages import ranges_over
from bidder.stages.specs import Specs

from ..conftest import BANNER, VIDEO  # isort: skip
from .plain_fit import fits as fits_plainly  # isort: skip

EVERYWHERE = frozenset({1, 2, 3, 4})


def taken(
    specs: list[CreativeSpec], slot: Slot, languages: frozenset[str] = NOTHING, strict: bool = False
) -> list[int]:
    """Their places."""
    known = Specs(specs)
    return sorted(known.numbers[known.taken(slot, NOTHING, strict)])


def banner_fits(spec: CreativeSpec, offer: BannerOffer) -> bool:
    return taken([spec], Slot("1", banner=offer)) == [0]


def media_fits(spec: CreativeSpec, offer: MediaOffer) -> bool:
    return taken([spec], Slot("1", video=offer)) == [0]


@pytest.mark.parametrize(
    ("ratio", "fits"),
    [
        ((6, 5, 0), True),
        ((12, 10, 300), True),
        ((6, 5, 301), False),
        ((4, 3, 0), False),
    ],
)
def test_a_flexible_size_takes_exactly_its_ratio(ratio: tuple[int, int, int], fits: bool) -> None:
    """§3.2.10: a 300 x 250 ad is 6:5, and may not be narrower than `wmin`."""
    offer = BannerOffer(ratios=((1, 1, 0), ratio))
    assert banner_fits(BANNER, offer) is fits
    assert flexible((300, 250), offer) == (ratio[:2] if fits else None)


def test_an_ad_without_a_size_has_no_ratio() -> None:
    """0:0 would fit any."""
    assert flexible((0, 0), BannerOffer(ratios=((6, 5, 0),))) is None


@pytest.mark.parametrize(
    ("offer", "fits"),
    [
        ({}, False),
        ({"expand_directions": EVERYWHERE}, True),
        ({"expand_directions": EVERYWHERE | {5}, "top_frame": True}, True),
        ({"expand_directions": EVERYWHERE, "top_frame": False}, False),
        ({"expand_directions": frozenset({2, 4})}, False),
        ({"expand_directions": EVERYWHERE, "blocked_attributes": frozenset({3})}, False),
    ],
)
@pytest.mark.parametrize("attribute", [3, 4, 5])
def test_an_expandable_ad_needs_every_direction(offer: dict[str, Any], fits: bool, attribute: int) -> None:
    """`expdir`: nobody knows in which it expands; `topframe` 0: out of an iframe in none."""
    if 3 in offer.get("blocked_attributes", ()):
        offer = offer | {"blocked_attributes": frozenset({attribute})}
    spec = replace(BANNER, attributes=frozenset({attribute}))
    assert banner_fits(spec, BannerOffer(sizes=((300, 250),), **offer)) is fits


def test_an_ad_that_does_not_expand_needs_no_direction() -> None:
    """`expdir` and `topframe` say nothing about it."""
    offer = BannerOffer(sizes=((300, 250),), expand_directions=frozenset({1}), top_frame=False)
    assert banner_fits(BANNER, offer)


def test_a_banner_without_sizes_takes_nothing() -> None:
    """Nothing says what would fit."""
    assert not banner_fits(BANNER, BannerOffer())
    assert not banner_fits(BANNER, BannerOffer(width_range=(1, 10_000)))


@pytest.mark.parametrize(
    ("aspect", "fits"),
    [(None, True), ((16, 9), True), ((1920, 1080), True), ((640, 364), False), ((640, 363), True), ((4, 3), False)],
)
def test_without_letter_boxing_the_video_has_the_players_shape(aspect: tuple[int, int] | None, fits: bool) -> None:
    """`boxingallowed` 0: a 640 x 360 video, to 1 %."""
    assert media_fits(VIDEO, MediaOffer(mimes=frozenset({"video/mp4"}), aspect=aspect)) is fits


@pytest.mark.parametrize(("seconds", "fits"), [(0, True), (14, False), (15, True)])
def test_an_ad_longer_than_its_pod_does_not_fit(seconds: int, fits: bool) -> None:
    """`poddur`; 0 = not said."""
    assert media_fits(VIDEO, MediaOffer(mimes=frozenset({"video/mp4"}), pod=Pod(seconds=seconds))) is fits


def test_a_native_asset_of_another_kind_is_filled_by_nobody() -> None:
    """A video, or what is not known: only where it is not required."""
    spec = CreativeSpec(Format.NATIVE, title_length=12)
    for required, expected in ((True, []), (False, [0])):
        assert taken([spec], Slot("1", native=NativeOffer((NativeAsset(1, required, "video"),)))) == expected


def test_of_an_image_with_very_many_types_nothing_is_kept() -> None:
    """A hostile request asks for a thousand; it is answered all the same."""
    known = Specs([CreativeSpec(Format.NATIVE, images=((3, 600, 300, "image/png"),))])
    mimes = frozenset({"image/png", *map(str, range(1000))})
    slot = Slot("1", native=NativeOffer((NativeAsset(1, True, "image", mimes=mimes),)))
    assert known.taken(slot, NOTHING, False) == 1
    assert not known._filling


def sets(*values: Any) -> st.SearchStrategy[frozenset[Any]]:
    return st.frozensets(st.sampled_from(values), max_size=3)


KBPS = st.sampled_from([128, 800, 1200, 5000])
LENGTHS, SIDES = st.sampled_from([0, 6, 15, 30]), st.sampled_from([0, 50, 300, 320, 600])
IMAGES = st.tuples(st.sampled_from([1, 3]), SIDES, SIDES, st.sampled_from(["image/png", "image/gif"]))
ANY_SPEC = st.builds(
    CreativeSpec,
    format=st.sampled_from(Format),
    width=SIDES,
    height=SIDES,
    mimes=sets("a", "b", "c"),
    protocols=sets(2, 3),
    apis=sets(5, 6),
    attributes=sets(3, 13, 16),
    banner_type=st.sampled_from([0, 1, 4]),
    duration_s=LENGTHS,
    linearity=st.sampled_from([1, 2]),
    files=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([1, 2]), KBPS), max_size=3).map(tuple),
    skippable=st.booleans(),
    secure=st.booleans(),
    language=st.sampled_from(["", "en", "en-GB", "de"]),
    title_length=st.sampled_from([0, 12, 40]),
    texts=st.lists(st.tuples(st.sampled_from([1, 2]), st.sampled_from([5, 90])), max_size=2).map(tuple),
    images=st.lists(IMAGES, max_size=2).map(tuple),
)
SIZES = st.lists(st.tuples(SIDES, SIDES), max_size=3).map(tuple)
RANGES = st.sampled_from([None, None, (1, 300), (300, 1 << 30)])
ANY_BANNER = st.builds(
    BannerOffer,
    sizes=SIZES,
    width_range=RANGES,
    height_range=RANGES,
    ratios=st.sampled_from([(), (), ((1, 1, 0),), ((6, 1, 400), (1, 2, 300))]),
    mimes=sets("a", "b"),
    apis=sets(5, 6, 7),
    blocked_attributes=sets(3, 13, 16, 1),
    blocked_types=sets(1, 4),
    expand_directions=st.sampled_from([frozenset(), frozenset({1, 2}), EVERYWHERE]),
    top_frame=st.sampled_from([None, True, False]),
)
ANY_MEDIA = st.builds(
    MediaOffer,
    mimes=sets("a", "b"),
    protocols=sets(2, 3, 7),
    apis=sets(5, 6, 7),
    blocked_attributes=sets(3, 13, 16, 1),
    min_duration_s=LENGTHS,
    max_duration_s=st.one_of(st.none(), LENGTHS),
    required_durations_s=sets(15, 20, 30),
    linearity=st.sampled_from([None, 1, 2, 3]),
    skippable=st.sampled_from([None, True, False]),
    delivery=sets(1, 2),
    min_bitrate_kbps=st.one_of(st.none(), st.just(0), KBPS),
    max_bitrate_kbps=st.one_of(st.none(), st.just(0), KBPS),
    aspect=st.sampled_from([None, None, (1, 1), (16, 9)]),
    pod=st.sampled_from([None, None, Pod(), Pod(seconds=15)]),
)
ANY_ASSET = st.builds(
    NativeAsset,
    id=st.just(1),
    required=st.booleans(),
    kind=st.sampled_from(["title", "image", "data", "video", "unknown"]),
    type=st.sampled_from([0, 1, 2, 3]),
    max_length=st.sampled_from([0, 5, 25, 90]),
    width=SIDES,
    min_width=SIDES,
    min_height=SIDES,
    mimes=sets("image/png", "image/jpeg"),
)
ANY_NATIVE = st.builds(
    NativeOffer, assets=st.lists(ANY_ASSET, max_size=3).map(tuple), apis=sets(5, 6), blocked_attributes=sets(3, 16)
)
ANY_SLOT = st.builds(
    Slot,
    id=st.just("1"),
    banner=st.one_of(st.none(), ANY_BANNER),
    video=st.one_of(st.none(), ANY_MEDIA),
    audio=st.one_of(st.none(), ANY_MEDIA),
    native=st.one_of(st.none(), ANY_NATIVE),
    secure=st.booleans(),
)


@given(st.lists(ANY_SPEC, max_size=8), st.lists(ANY_SLOT, min_size=1, max_size=4), sets("en", "en-gb", "de", "*"))
def test_terms_told_apart_say_what_each_spec_says(
    specs: list[CreativeSpec], slots: list[Slot], languages: frozenset[str]
) -> None:
    """Of any specs, any slot takes those that fit it one by one, also when it comes again."""
    known = Specs(specs)
    for slot in [*slots, *slots]:
        expected = [
            number
            for number, spec in enumerate(specs)
            if fits_plainly(spec, slot) and (not languages or languages & ranges_over(spec.language))
        ]
        assert sorted(known.numbers[known.taken(slot, languages, False)]) == expected


@given(st.lists(ANY_SPEC, max_size=8), ANY_BANNER)
def test_a_strict_exchange_knows_no_ranges_of_sizes(specs: list[CreativeSpec], offer: BannerOffer) -> None:
    """Only sizes that the slot names."""
    listed = changed(offer, width_range=None, height_range=None, ratios=())
    assert taken(specs, Slot("1", banner=offer), strict=True) == taken(specs, Slot("1", banner=listed))
