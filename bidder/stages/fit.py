"""Does a creative fit a slot? The terms of it that need arithmetic; `Specs` knows all, and puts them together.

The rule kept here: a creative that the slot refuses, or whose need the slot does not state to meet, does not fit.
"""

from __future__ import annotations

from bidder.domain import BannerOffer, Creative, CreativeSpec, Format, MediaOffer, NativeAsset

Size = tuple[int, int]

Player = tuple[frozenset[str], frozenset[int], int | None, int | None]
"""Of an offer of video or audio: mimes, delivery (empty = any), minbitrate and maxbitrate (None or 0 = not said)."""

SKIPPABLE_ATTRIBUTE = 16
"""Creative attribute "has a skip button" (AdCOM creative attributes)."""


EXPANDABLE_ATTRIBUTES = frozenset({3, 4, 5})
"""Creative attributes "expandable", by itself, by a click, by rolling over it (AdCOM creative attributes)."""

EVERY_DIRECTION = frozenset({1, 2, 3, 4})
"""Left, right, up, down (AdCOM expandable directions). A creative does not say in which of them it expands."""


def attributes_of(spec: CreativeSpec) -> frozenset[int]:
    """The attributes that a slot may block. Of video and audio skipping is one, labelled or not."""
    if spec.skippable and spec.format in (Format.VIDEO, Format.AUDIO):
        return spec.attributes | {SKIPPABLE_ATTRIBUTE}
    return spec.attributes


def in_range(size: Size, offer: BannerOffer) -> bool:
    """Whether a banner's size fits by a range, 2.5's wmin to wmax and hmin to hmax, both given, or by a ratio."""
    width, height = offer.width_range, offer.height_range
    if width is None or height is None:
        return flexible(size, offer) is not None
    inside = width[0] <= size[0] <= width[1] and height[0] <= size[1] <= height[1]
    return inside or flexible(size, offer) is not None


def flexible(size: Size, offer: BannerOffer) -> tuple[int, int] | None:
    """The flexible size (§3.2.10) that this size is: of exactly that ratio, and not narrower than its least width."""
    own_width, own_height = size
    for width, height, least in offer.ratios:
        if own_width * height == own_height * width and own_width >= max(least, 1):
            return width, height
    return None


def may_expand(offer: BannerOffer) -> bool:
    """Out of an iframe (`topframe` 0) nothing expands."""
    return offer.top_frame is not False and offer.expand_directions >= EVERY_DIRECTION


def lasts(duration_s: int, asked: tuple[int, int | None, int]) -> bool:
    """`asked`: minduration, maxduration and poddur (§3.2.7); None or 0 = not said."""
    low, high, pod_s = asked
    return low <= duration_s and (not high or duration_s <= high) and (not pod_s or duration_s <= pod_s)


def skips(creative: Creative, offer: MediaOffer) -> bool:
    """Whether the ad can be skipped in this player: it has a control for it, the ad is longer than what is never
    skipped, and a part of it is left when skipping begins. Source: §3.2.7, skip to skipafter."""
    spec = creative.spec
    if not spec.skippable or offer.skippable is False or spec.duration_s <= offer.skip_min_s:
        return False
    return max(creative.skip_after_s, offer.skip_after_s) < spec.duration_s


def fills_player(size: Size, aspect: Size) -> bool:
    """Whether the video has the player's shape, to 1 %, so that nothing is letter-boxed."""
    ours, theirs = size[0] * aspect[1], size[1] * aspect[0]
    return abs(ours - theirs) * 100 <= max(ours, theirs) and ours > 0


def plays(file: tuple[str, int, int], player: Player) -> bool:
    """Whether the file (MIME type, delivery, Kbps) is one that the player takes: all at once, not each by another file.
    Without any type, a player plays nothing."""
    mime, delivery, kbps = file
    mimes, deliveries, low, high = player
    return mime in mimes and (not deliveries or delivery in deliveries) and (low or 0) <= kbps <= (high or kbps)


def title_fits(length: int, asset: NativeAsset) -> bool:
    return length > 0 and (not asset.max_length or length <= asset.max_length)


def text_fits(text: tuple[int, int], asset: NativeAsset) -> bool:
    """`text`: data type, length."""
    kind, length = text
    return kind == asset.type and (not asset.max_length or length <= asset.max_length)


def image_fits(image: tuple[int, int, int, str], asset: NativeAsset) -> bool:
    """`image`: type, width, height, MIME type. A width alone is exact, a least width is not (Native 1.2 §4.4)."""
    kind, width, height, mime = image
    return (
        (not asset.type or kind == asset.type)
        and (not asset.mimes or mime in asset.mimes)
        and (width == asset.width if asset.width else width >= asset.min_width)
        and (height == asset.height if asset.height else height >= asset.min_height)
    )
