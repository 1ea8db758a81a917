"""Does a creative fit a slot? Held against the creative's spec, once a spec and slot.

The rule kept here: a creative that the slot refuses, or whose need the slot does not state to meet, does not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

from bidder.domain import (
    AUDIO,
    BANNER,
    VIDEO,
    BannerOffer,
    Creative,
    CreativeSpec,
    MediaOffer,
    NativeAsset,
    NativeOffer,
    Slot,
)

Size = tuple[int, int]
ANY_SIZE: Size = (0, 0)

SKIPPABLE_ATTRIBUTE = 16
"""Creative attribute "has a skip button" (AdCOM creative attributes)."""


EXPANDABLE_ATTRIBUTES = frozenset({3, 4, 5})
"""Creative attributes "expandable", by itself, by a click, by rolling over it (AdCOM creative attributes)."""

EVERY_DIRECTION = frozenset({1, 2, 3, 4})
"""Left, right, up, down (AdCOM expandable directions). A creative does not say in which of them it expands."""


# What of an offer does not decide whether a spec fits. To name a field here that does would be to answer wrongly.
_NOT_ASKED = frozenset(
    (
        *("position", "placement", "start_delay_s", "companions", "companion_types", "end_card"),
        *("floor_per_second_micros", "duration_floors", "skip_min_s", "skip_after_s"),
        *("delivery", "min_bitrate_kbps", "max_bitrate_kbps"),
        *("id", "version", "wrapped", "event_trackers", "privacy_link"),
        *("sizes", "expand_directions", "top_frame", "pod", "assets"),  # what of them is asked, `Offers` puts in itself
    )
)
# Sets of an offer that are held against the spec's by value: what no spec has decides nothing.
_OF_SPECS = {
    "mimes": lambda spec: spec.mimes,
    "apis": lambda spec: spec.apis,
    "protocols": lambda spec: spec.protocols,
    "blocked_attributes": lambda spec: spec.attributes | {SKIPPABLE_ATTRIBUTE},
    "blocked_types": lambda spec: {spec.banner_type},
}
_Offer = BannerOffer | MediaOffer | NativeAsset | NativeOffer
_A_TUPLE = ("__class__", "__class__")  # of an attrgetter, also where little follows
_NONE_OF_THEM = frozenset({"none of them"})


class Offers:
    """What slots take, told apart as far as the specs of a catalog make a difference: `fits` says the same of slots
    with the same key. Publishers send the same few, and holding the specs against each was half of targeting."""

    __slots__ = ("_asset", "_banner", "_media", "_native", "_sizes")

    @staticmethod
    def as_it_is(slot: Slot) -> Hashable:
        """All that `key` looks at, as the slot has it: more keys, but a fifth of the time."""
        banner, video, audio, native = slot.banner, slot.video, slot.audio, slot.native
        return (
            slot.secure,
            banner and _banner_as_it_is(banner),
            video and (_pod_s(video), _media_as_it_is(video)),
            audio and (_pod_s(audio), _media_as_it_is(audio)),
            native
            and (_native_as_it_is(native), *[_asset_as_it_is(asset) for asset in native.assets if asset.required]),
        )

    def __init__(self, specs: Sequence[CreativeSpec]) -> None:
        had: dict[str, frozenset[Any]] = {
            name: frozenset().union(*map(of_spec, specs)) for name, of_spec in _OF_SPECS.items()
        }
        self._sizes = frozenset((spec.width, spec.height) for spec in specs)
        self._banner, self._media = _asking(BannerOffer, had), _asking(MediaOffer, had)
        self._native, self._asset = _asking(NativeOffer, had), _asking(NativeAsset, {})

    def key(self, slot: Slot) -> Hashable:
        banner, video, audio, native = slot.banner, slot.video, slot.audio, slot.native
        return (
            slot.secure,
            banner and (self._sizes.intersection(banner.sizes), _may_expand(banner), self._banner(banner)),
            video and (_pod_s(video), self._media(video)),
            audio and (_pod_s(audio), self._media(audio)),
            native and (self._native(native), *[self._asset(asset) for asset in native.assets if asset.required]),
        )


def _pod_s(offer: MediaOffer) -> int:
    return 0 if offer.pod is None else offer.pod.seconds


def _asking(kind: type[_Offer], had: Mapping[str, frozenset[Any]]) -> Callable[[_Offer], Hashable]:
    """What is asked of an offer: all its fields but those that decide nothing, and of sets what some spec has."""
    asked = [field.name for field in fields(kind) if field.name not in _NOT_ASKED]
    plain = attrgetter(*_A_TUPLE, *[name for name in asked if name not in had])
    sets = attrgetter(*_A_TUPLE, *(named := [name for name in asked if name in had]))
    of_specs = [had[name] for name in named]

    def ask(offer: _Offer) -> Hashable:
        return plain(offer), *[
            given and (given & known or _NONE_OF_THEM) for given, known in zip(sets(offer)[2:], of_specs, strict=True)
        ]

    return ask


def _all_asked(kind: type[_Offer], *further: str) -> Callable[[_Offer], Hashable]:
    return attrgetter(*_A_TUPLE, *[field.name for field in fields(kind) if field.name not in _NOT_ASKED], *further)


_banner_as_it_is = _all_asked(BannerOffer, "sizes", "expand_directions", "top_frame")
_media_as_it_is, _native_as_it_is, _asset_as_it_is = map(_all_asked, (MediaOffer, NativeOffer, NativeAsset))


def fits(spec: CreativeSpec, slot: Slot) -> bool:
    """Whether a creative of `spec` may be shown in `slot`."""
    if slot.secure and not spec.secure:
        return False
    if spec.format is BANNER:
        return slot.banner is not None and banner_fits(spec, slot.banner)
    if spec.format is VIDEO:
        return slot.video is not None and media_fits(spec, slot.video)
    if spec.format is AUDIO:
        return slot.audio is not None and media_fits(spec, slot.audio)
    return slot.native is not None and native_fits(spec, slot.native)


def banner_fits(spec: CreativeSpec, offer: BannerOffer) -> bool:
    """Source: §3.2.6. Sizes are taken strictly, in interstitials too; a banner that states none takes nothing."""
    if (spec.width, spec.height) not in offer.sizes and not _in_ranges(spec, offer) and not flexible(spec, offer):
        return False
    if spec.banner_type in offer.blocked_types:
        return False
    if offer.mimes and not spec.mimes & offer.mimes:
        return False
    if spec.attributes & EXPANDABLE_ATTRIBUTES and not _may_expand(offer):
        return False
    return spec.apis <= offer.apis and not spec.attributes & offer.blocked_attributes


def _in_ranges(spec: CreativeSpec, offer: BannerOffer) -> bool:
    """2.5's wmin to wmax and hmin to hmax, both given, in place of a list of sizes."""
    width, height = offer.width_range, offer.height_range
    if width is None or height is None:
        return False
    return width[0] <= spec.width <= width[1] and height[0] <= spec.height <= height[1]


def flexible(spec: CreativeSpec, offer: BannerOffer) -> tuple[int, int] | None:
    """The flexible size (§3.2.10) that the creative has: exactly that ratio, and not narrower than its least width."""
    for width, height, least in offer.ratios:
        if spec.width * height == spec.height * width and spec.width >= max(least, 1):
            return width, height
    return None


def _may_expand(offer: BannerOffer) -> bool:
    """Out of an iframe (`topframe` 0) nothing expands."""
    return offer.top_frame is not False and offer.expand_directions >= EVERY_DIRECTION


def media_fits(spec: CreativeSpec, offer: MediaOffer) -> bool:
    """Source: §3.2.7, §3.2.8, §7.4 (skippability)."""
    if not spec.mimes & offer.mimes:  # `mimes` is required: an empty list is a player that plays nothing
        return False
    if offer.protocols and not spec.protocols & offer.protocols:
        return False
    if offer.linearity is not None and spec.linearity != offer.linearity:
        return False
    if offer.required_durations_s and spec.duration_s not in offer.required_durations_s:
        return False
    if spec.duration_s < offer.min_duration_s or (offer.max_duration_s and spec.duration_s > offer.max_duration_s):
        return False
    if (pod := offer.pod) is not None and pod.seconds and spec.duration_s > pod.seconds:
        return False
    if offer.aspect is not None and not _fills_player(spec, offer.aspect):
        return False
    if spec.skippable and (offer.skippable is False or SKIPPABLE_ATTRIBUTE in offer.blocked_attributes):
        return False
    return spec.apis <= offer.apis and not spec.attributes & offer.blocked_attributes


def skips(creative: Creative, offer: MediaOffer) -> bool:
    """Whether the ad can be skipped in this player: it has a control for it, the ad is longer than what is never
    skipped, and a part of it is left when skipping begins. Source: §3.2.7, skip to skipafter."""
    spec = creative.spec
    if not spec.skippable or offer.skippable is False or spec.duration_s <= offer.skip_min_s:
        return False
    return max(creative.skip_after_s, offer.skip_after_s) < spec.duration_s


def _fills_player(spec: CreativeSpec, aspect: tuple[int, int]) -> bool:
    """Whether the video has the player's shape, to 1 %, so that nothing is letter-boxed."""
    ours, theirs = spec.width * aspect[1], spec.height * aspect[0]
    return abs(ours - theirs) * 100 <= max(ours, theirs) and ours > 0


def has_playable_file(creative: Creative, offer: MediaOffer) -> bool:
    """Whether one file of the creative has a type, delivery and bitrate that the player takes, all at once."""
    low, high = offer.min_bitrate_kbps or 0, offer.max_bitrate_kbps or 1 << 30
    for file in creative.media:
        if (
            file.mime in offer.mimes
            and (not offer.delivery or file.delivery in offer.delivery)
            and low <= file.bitrate_kbps <= high
        ):
            return True
    return False


def native_fits(spec: CreativeSpec, offer: NativeOffer) -> bool:
    """Source: Native 1.2 §4.2: every required asset can be filled."""
    if not spec.apis <= offer.apis or spec.attributes & offer.blocked_attributes:
        return False
    return all(_fills(spec, asset) for asset in offer.assets if asset.required)


def _fills(spec: CreativeSpec, asset: NativeAsset) -> bool:
    if asset.kind == "title":
        return spec.title_length > 0 and (not asset.max_length or spec.title_length <= asset.max_length)
    if asset.kind == "data":
        return any(
            kind == asset.type and (not asset.max_length or length <= asset.max_length) for kind, length in spec.texts
        )
    if asset.kind == "image":
        return any(image_fits(image, asset) for image in spec.images)
    return False


def image_fits(image: tuple[int, int, int, str], asset: NativeAsset) -> bool:
    """`image`: type, width, height, MIME type. A width alone is exact, a least width is not (Native 1.2 §4.4)."""
    kind, width, height, mime = image
    return (
        (not asset.type or kind == asset.type)
        and (not asset.mimes or mime in asset.mimes)
        and (width == asset.width if asset.width else width >= asset.min_width)
        and (height == asset.height if asset.height else height >= asset.min_height)
    )
