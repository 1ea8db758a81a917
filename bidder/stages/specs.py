"""The specs of a catalog's creatives as bitmaps: which of them a slot takes.

The rule kept here: a slot's terms are told apart, and each lets some specs through by a table of what specs have of it.
So slots that come for the first time cost what others cost: their terms are known, only not together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from bidder.domain import (
    AUDIO,
    BANNER,
    NATIVE,
    VIDEO,
    BannerOffer,
    CreativeSpec,
    MediaOffer,
    NativeAsset,
    NativeOffer,
    Slot,
)
from bidder.stages.bitmaps import bits_of, mask_of, without
from bidder.stages.fit import (
    EXPANDABLE_ATTRIBUTES,
    Player,
    attributes_of,
    fills_player,
    image_fits,
    in_range,
    lasts,
    may_expand,
    plays,
    text_fits,
    title_fits,
)
from bidder.stages.languages import ranges_over
from bidder.stages.tables import Kept, KeptOfSets, KeptOfTexts

KEPT = 512
MAX_MIMES = 16
"""Of an image whose mask is kept."""

Lengths = tuple[int, int | None, int]

Asked = tuple[str, int, int, int, int, int, int, frozenset[str]]
"""A native asset's kind, type, max_length, width, height, min_width, min_height and mimes."""


class Specs:
    """Bit n stands for `all[n]`."""

    def __init__(self, specs: Sequence[CreativeSpec]) -> None:
        def by(values_of: Callable[[CreativeSpec], Iterable[Any]]) -> dict[Any, int]:
            return _by(specs, values_of)

        self.all = specs
        self.numbers: Kept[int, frozenset[int]] = Kept(_numbers, KEPT)
        """The numbers of a bitmap's specs."""
        self.of_format = {kind: by(lambda spec: [spec.format]).get(kind, 0) for kind in (BANNER, VIDEO, AUDIO, NATIVE)}
        self.of_size = by(lambda spec: [(spec.width, spec.height)] if spec.format is BANNER else [])
        self._secure = by(lambda spec: [spec.secure]).get(True, 0)
        self._skippable = by(lambda spec: [spec.skippable]).get(True, 0)
        self._expandable = _any_of(by(lambda spec: spec.attributes), EXPANDABLE_ATTRIBUTES)
        self._by_language = by(lambda spec: ranges_over(spec.language))
        mimes, protocols = by(lambda spec: spec.mimes), by(lambda spec: spec.protocols)
        files, apis = by(lambda spec: spec.files), by(lambda spec: spec.apis)
        # Of lists that slots send in few forms, what they let through is kept.
        self._with_mimes: KeptOfSets[int] = KeptOfSets(lambda offered: _any_of(mimes, offered), KEPT)
        self._with_protocols: KeptOfSets[int] = KeptOfSets(lambda offered: _any_of(protocols, offered), KEPT)
        self._playing: KeptOfTexts[Player, int] = KeptOfTexts(lambda player: _passing(files, plays, player), KEPT)
        every = (1 << len(specs)) - 1
        self._content_with: KeptOfSets[int] = KeptOfSets(
            lambda offered: without(every, _any_of(apis, apis.keys() - offered)), KEPT
        )
        self._by_attribute = by(attributes_of)
        self._by_banner_type = by(lambda spec: [spec.banner_type])
        self._by_linearity = by(lambda spec: [spec.linearity])
        self._by_duration = durations = by(lambda spec: [spec.duration_s])
        self._by_shape = by(lambda spec: [(spec.width, spec.height)])
        self._lasting: Kept[Lengths, int] = Kept(lambda asked: _passing(durations, lasts, asked), KEPT)
        self._filling: Kept[Asked, int] = Kept(_filling(by), KEPT)

    def taken(self, slot: Slot, languages: frozenset[str], strict_sizes: bool) -> int:
        """The specs that the slot takes. `languages`: ranges allowed for creatives, empty = any; `strict_sizes`:
        banners in a size that the slot names only, no range or ratio of sizes."""
        mask = 0
        if (banner := slot.banner) is not None:
            mask = self._banners(banner, strict_sizes)
        if (video := slot.video) is not None:
            mask |= self._media(video, self.of_format[VIDEO])
        if (audio := slot.audio) is not None:
            mask |= self._media(audio, self.of_format[AUDIO])
        if (native := slot.native) is not None:
            mask |= self._natives(native)
        if slot.secure:
            mask &= self._secure
        if languages:
            mask &= _any_of(self._by_language, languages)
        return mask

    def _banners(self, offer: BannerOffer, strict_sizes: bool) -> int:
        """Source: §3.2.6. Sizes are taken strictly, in interstitials too; a banner that states none takes nothing."""
        mask, of_size = 0, self.of_size
        for size in offer.sizes:
            if size in of_size:
                mask |= of_size[size]
        if (offer.width_range is not None or offer.ratios) and not strict_sizes:
            mask |= _passing(of_size, in_range, offer)
        if not mask:
            return 0
        if offer.mimes:
            mask &= self._with_mimes[offer.mimes]
        if offer.blocked_types:
            mask = without(mask, _any_of(self._by_banner_type, offer.blocked_types))
        if self._expandable and not may_expand(offer):
            mask = without(mask, self._expandable)
        return self._allowed(mask, offer)

    def _media(self, offer: MediaOffer, mask: int) -> int:
        """Source: §3.2.7, §3.2.8, §7.4 (skippability)."""
        mask &= self._playing[offer.mimes, offer.delivery, offer.min_bitrate_kbps, offer.max_bitrate_kbps]
        if offer.protocols:
            mask &= self._with_protocols[offer.protocols]
        if offer.linearity is not None:
            mask &= self._by_linearity.get(offer.linearity, 0)
        if offer.required_durations_s:
            mask &= _any_of(self._by_duration, offer.required_durations_s)
        pod = offer.pod
        mask &= self._lasting[offer.min_duration_s, offer.max_duration_s, 0 if pod is None else pod.seconds]
        if offer.aspect is not None:
            mask &= _passing(self._by_shape, fills_player, offer.aspect)
        if offer.skippable is False:
            mask = without(mask, self._skippable)
        return self._allowed(mask, offer)

    def _natives(self, offer: NativeOffer) -> int:
        """Source: Native 1.2 §4.2: every required asset can be filled."""
        mask = self.of_format[NATIVE]
        for asset in offer.assets:
            if asset.required:
                mimes = asset.mimes
                length, width, height = asset.max_length, asset.width, asset.height
                asked = asset.kind, asset.type, length, width, height, asset.min_width, asset.min_height, mimes
                mask &= self._filling[asked] if len(mimes) <= MAX_MIMES else self._filling.make(asked)
        return self._allowed(mask, offer)

    def _allowed(self, mask: int, offer: BannerOffer | MediaOffer | NativeOffer) -> int:
        """Without those that need an API that is not there, or have a blocked attribute."""
        mask &= self._content_with[offer.apis]
        if offer.blocked_attributes:
            mask = without(mask, _any_of(self._by_attribute, offer.blocked_attributes))
        return mask


def _by(specs: Sequence[CreativeSpec], values_of: Callable[[CreativeSpec], Iterable[Any]]) -> dict[Any, int]:
    """Who has which value."""
    numbers: dict[Any, list[int]] = {}
    for number, spec in enumerate(specs):
        for value in values_of(spec):
            numbers.setdefault(value, []).append(number)
    return {value: mask_of(each) for value, each in numbers.items()}


def _any_of(by_value: Mapping[Any, int], values: Iterable[Any]) -> int:
    mask = 0
    for value in values:
        if value in by_value:
            mask |= by_value[value]
    return mask


def _passing(by_value: Mapping[Any, int], passes: Callable[[Any, Any], bool], asked: Any) -> int:
    """Those with a value that passes."""
    return _any_of(by_value, [value for value in by_value if passes(value, asked)])


def _filling(by: Callable[[Callable[[CreativeSpec], Iterable[Any]]], dict[Any, int]]) -> Callable[[Asked], int]:
    """Who can fill a native asset. One of another kind nobody fills."""
    kinds: dict[str, tuple[dict[Any, int], Callable[[Any, NativeAsset], bool]]] = {
        "title": (by(lambda spec: [spec.title_length]), title_fits),
        "data": (by(lambda spec: spec.texts), text_fits),
        "image": (by(lambda spec: spec.images), image_fits),
    }

    def filling(asked: Asked) -> int:
        asset = NativeAsset(0, True, *asked)
        return _passing(*kinds[asset.kind], asset) if asset.kind in kinds else 0

    return filling


def _numbers(mask: int) -> frozenset[int]:
    return frozenset(bits_of(mask))
