"""Whether a creative fits a slot, spec by spec and slot by slot: the terms, read aloud."""

from __future__ import annotations

from bidder.domain import AUDIO, BANNER, VIDEO, BannerOffer, CreativeSpec, MediaOffer, NativeAsset, NativeOffer, Slot

EXPANDABLE, EVERY_DIRECTION, SKIPPABLE = frozenset({3, 4, 5}), frozenset({1, 2, 3, 4}), 16


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
    if (spec.width, spec.height) not in offer.sizes and not _in_ranges(spec, offer) and not _flexible(spec, offer):
        return False
    if spec.banner_type in offer.blocked_types:
        return False
    if offer.mimes and not spec.mimes & offer.mimes:
        return False
    if spec.attributes & EXPANDABLE and (offer.top_frame is False or not offer.expand_directions >= EVERY_DIRECTION):
        return False
    return spec.apis <= offer.apis and not spec.attributes & offer.blocked_attributes


def _in_ranges(spec: CreativeSpec, offer: BannerOffer) -> bool:
    """2.5's wmin to wmax and hmin to hmax, both given, in place of a list of sizes."""
    width, height = offer.width_range, offer.height_range
    if width is None or height is None:
        return False
    return width[0] <= spec.width <= width[1] and height[0] <= spec.height <= height[1]


def _flexible(spec: CreativeSpec, offer: BannerOffer) -> bool:
    return any(
        spec.width * height == spec.height * width and spec.width >= max(least, 1)
        for width, height, least in offer.ratios
    )


def media_fits(spec: CreativeSpec, offer: MediaOffer) -> bool:
    """Source: §3.2.7, §3.2.8, §7.4 (skippability)."""
    if not any(_plays(*file, offer) for file in spec.files):
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
    if spec.skippable and (offer.skippable is False or SKIPPABLE in offer.blocked_attributes):
        return False
    return spec.apis <= offer.apis and not spec.attributes & offer.blocked_attributes


def _plays(mime: str, delivery: int, kbps: int, offer: MediaOffer) -> bool:
    """`mimes` is required: an empty list is a player that plays nothing. Bitrates of 0 are not said."""
    if mime not in offer.mimes or (offer.delivery and delivery not in offer.delivery):
        return False
    if offer.min_bitrate_kbps and kbps < offer.min_bitrate_kbps:
        return False
    return not offer.max_bitrate_kbps or kbps <= offer.max_bitrate_kbps


def _fills_player(spec: CreativeSpec, aspect: tuple[int, int]) -> bool:
    """Whether the video has the player's shape, to 1 %, so that nothing is letter-boxed."""
    ours, theirs = spec.width * aspect[1], spec.height * aspect[0]
    return abs(ours - theirs) * 100 <= max(ours, theirs) and ours > 0


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
        return any(_image_fits(image, asset) for image in spec.images)
    return False


def _image_fits(image: tuple[int, int, int, str], asset: NativeAsset) -> bool:
    """`image`: type, width, height, MIME type. A width alone is exact, a least width is not (Native 1.2 §4.4)."""
    kind, width, height, mime = image
    return (
        (not asset.type or kind == asset.type)
        and (not asset.mimes or mime in asset.mimes)
        and (width == asset.width if asset.width else width >= asset.min_width)
        and (height == asset.height if asset.height else height >= asset.min_height)
    )
