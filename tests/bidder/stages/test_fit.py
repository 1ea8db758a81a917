"""Whether a creative fits a slot: sizes, expanding, letter-boxing, pods."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bidder.domain import BannerOffer, MediaOffer, Pod
from bidder.stages.fit import banner_fits, flexible, media_fits

from ..conftest import BANNER, VIDEO  # isort: skip

EVERYWHERE = frozenset({1, 2, 3, 4})


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
    assert flexible(BANNER, offer) == (ratio[:2] if fits else None)


def test_an_ad_without_a_size_has_no_ratio() -> None:
    """0:0 would fit any."""
    assert flexible(replace(BANNER, width=0, height=0), BannerOffer(ratios=((6, 5, 0),))) is None


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
    assert media_fits(VIDEO, MediaOffer(mimes=VIDEO.mimes, aspect=aspect)) is fits


@pytest.mark.parametrize(("seconds", "fits"), [(0, True), (14, False), (15, True)])
def test_an_ad_longer_than_its_pod_does_not_fit(seconds: int, fits: bool) -> None:
    """`poddur`; 0 = not said."""
    assert media_fits(VIDEO, MediaOffer(mimes=VIDEO.mimes, pod=Pod(seconds=seconds))) is fits
