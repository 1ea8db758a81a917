"""The impressions of a bid request → `Slot`s, each with the formats it would take.

The rule kept here: what a slot will not take is never lost. What a native slot asks for is read in `native`.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import Any

from msgspec.structs import replace

from bidder.domain import (
    MICROS,
    NO_CODES,
    NOTHING,
    BannerOffer,
    Deal,
    DurationFloors,
    MediaOffer,
    Pod,
    Slot,
)
from bidder.stages.native import NATIVES
from bidder.stages.parts import Parts
from bidder.stages.request import ABSENT, Audio, Banner, DurFloors, Imp, Media, Metric, Video
from bidder.stages.request import Deal as DealObject

USUAL_ASPECT = (16, 9)
"""Of a player that does not say its size: the window that `boxingallowed` speaks of (§3.2.7)."""


NO_VIDEO = Video(NOTHING)
"""Of audio: what only video has."""

MAX_COMPANIONS = 16
"""Places for companions that are read of one video or audio slot."""

PLACES = {0: frozenset({1, -1}), 1: frozenset({1}), -1: frozenset({-1}), 2: frozenset({1, -1})}
"""By `slotinpod`: the first and last places of a pod that it may mean (AdCOM, slot position in pod)."""

MOST_MONEY = 1e15
"""Currency units; a floor above it is as good as any."""

USUAL_MONEY = 1e9
"""Currency units, below which floats tell all whole micro-units apart."""


def micros(amount: float | None) -> int:
    """An amount of money in micro-units, rounded up: a floor is never read lower than it stands."""
    if not amount:
        return 0
    if 0.0 < amount < USUAL_MONEY:
        nearest = floor(amount * 1e6 + 0.5)
        if nearest / 1e6 == amount:  # as in `exact_micros`, and here since nearly all floors are such
            return nearest
    return ceil(exact_micros(amount))


def exact_micros(amount: float) -> int | Fraction:
    """The amount, as the decimal that stands in the request, in micro-units. Beyond all money there is, one bound
    stands for all: what follows need not bear hundreds of digits."""
    if not -MOST_MONEY < amount < MOST_MONEY:
        return int(MOST_MONEY) * MICROS if amount > 0 else -int(MOST_MONEY) * MICROS
    nearest = round(amount * MICROS)
    # Dividing rounds as reading the request did, so whole micro-units are recognised: 2 µs less than by way of text.
    if nearest / MICROS == amount:
        return nearest
    exact = Fraction(str(amount)) * MICROS
    return exact.numerator if exact.denominator == 1 else exact


def read_slots(impressions: list[Imp], most: int) -> list[Slot]:
    """The first `most` slots in the request's order, without those that sell nothing. Impressions that share an id, the
    rest included, are left out: an answer could mean either."""
    slots = []
    for imp in impressions[:most]:
        if (slot := _slot(imp)).multiplier > 0.0:
            slots.append(slot)  # noqa: PERF401 - a comprehension is a call: 1 % of decoding
    if len(impressions) == 1:
        return slots
    for imp in impressions[most:]:
        _slot(imp)  # whether it is typed to the letter
    if len(frozenset(ids := [imp.id for imp in impressions])) < len(ids):
        slots = _named_once(slots, ids)
    _close_places(slots)
    return slots


def _named_once(slots: list[Slot], ids: list[str]) -> list[Slot]:
    return [slot for slot in slots if ids.count(slot.id) == 1]


def _close_places(slots: list[Slot]) -> None:
    """A place that one impression of a pod stands for is open in no other."""
    places = []
    for slot in slots:
        if (video := slot.video) is not None and (part := video.pod) is not None:
            places.append((part.id, part.place))
        if (audio := slot.audio) is not None and (part := audio.pod) is not None:
            places.append((part.id, part.place))
    if len(places) > 1:
        for slot in slots:
            slot.video, slot.audio = _beside(places, slot.video), _beside(places, slot.audio)


def _beside(places: list[tuple[str, int]], offer: MediaOffer | None) -> MediaOffer | None:
    """What is offered beside other impressions: a place that one of a pod stands for is open in no other. `places`: by
    `podid`, of all of them. The offer itself may be another request's too, and stays as it is."""
    if offer is None or (part := offer.pod) is None or not part.id or not part.open_places:
        return offer
    others = places.copy()
    others.remove((part.id, part.place))
    taken = [PLACES.get(place, NO_CODES) for pod, place in others if pod == part.id and place]
    return replace(offer, pod=replace(part, open_places=part.open_places.difference(*taken)))


def _slot(imp: Imp) -> Slot:
    """Source: §3.2.4."""
    currency, pmp, qty, expiry_s = imp.bidfloorcur, imp.pmp, imp.qty, imp.exp
    return Slot(
        imp.id,
        None if (banner := imp.banner) is ABSENT else BANNERS.known.get(key := b"" + banner) or BANNERS.read(key),
        None if (video := imp.video) is ABSENT else VIDEOS.known.get(key := b"" + video) or VIDEOS.read(key),
        None if (audio := imp.audio) is ABSENT else AUDIOS.known.get(key := b"" + audio) or AUDIOS.read(key),
        None if (native := imp.native) is ABSENT else NATIVES.known.get(key := b"" + native) or NATIVES.read(key),
        micros(imp.bidfloor),
        "USD" if currency is None else currency.upper(),
        _deals(pmp.deals) if pmp is not None and pmp.deals else (),
        pmp is not None and bool(pmp.private_auction),
        bool(imp.secure),
        imp.instl == 1,
        imp.rwdd == 1 or ((ext := imp.ext) is not None and ext.prebid is not None and _rewarded_by_prebid(ext.prebid)),
        imp.tagid or "",
        _viewability(metrics) if (metrics := imp.metric) else -1.0,
        expiry_s if expiry_s is not None and expiry_s > 0 else 0,
        1.0 if qty is None else qty.multiplier,
    )


def _viewability(metrics: list[Metric]) -> float:
    """The last one counts; -1: there is none."""
    found = -1.0
    for metric in metrics:
        if metric.type == "viewability":
            found = metric.value
    return found


def _rewarded_by_prebid(prebid: Any) -> bool:
    """Before `rwdd`, Prebid marked rewarded inventory in `imp.ext.prebid`."""
    return isinstance(prebid, dict) and prebid.get("is_rewarded_inventory") == 1


def _deals(listed: list[DealObject]) -> tuple[Deal, ...]:
    """Deals that share an id are left out: a bid could mean either."""
    if len(listed) == 1:
        return () if (deal := _deal(listed[0])) is None else (deal,)
    deals = [deal for each in listed if (deal := _deal(each)) is not None]
    ids = [each.id for each in listed]
    if len(frozenset(ids)) < len(ids):
        deals = [deal for deal in deals if ids.count(deal.id) == 1]
    return tuple(deals)


def _deal(deal: DealObject) -> Deal | None:
    """None: its floors cannot be meant. Source: §3.2.12."""
    amount, per_second, by_duration = deal.bidfloor, deal.mincpmpersec, deal.durfloors
    if (amount or 0) < 0 or ((per_second or by_duration) and _below_zero(per_second, by_duration)):
        return None
    return Deal(
        deal.id,
        None if amount is None else micros(amount),
        "USD" if deal.bidfloorcur is None else deal.bidfloorcur.upper(),
        exact_micros(per_second) if per_second else None,
        _duration_floors(by_duration) if by_duration else (),
        deal.guar == 1,
        deal.at,
        deal.wseat or NOTHING,
        frozenset(map(str.lower, deal.wadomain)) if deal.wadomain else NOTHING,
    )


def _below_zero(per_second: float | None, by_duration: list[DurFloors] | None) -> bool:
    return (per_second or 0) < 0 or any((each.bidfloor or 0) < 0 for each in by_duration or ())


def _duration_floors(floors: list[DurFloors]) -> DurationFloors:
    """Source: §3.2.35. Both ends may be given, as in the specification's own example."""
    return tuple([(max(0, each.mindur or 0), max(0, each.maxdur or 0), micros(each.bidfloor)) for each in floors])


def _banner(banner: Banner) -> BannerOffer:
    """Source: §3.2.6, §3.2.10; wmin to hmax as in 2.5 §3.2.6. Without a format list, w and h count."""
    sizes: list[tuple[int, int]] = []
    ratios: list[tuple[int, int, int]] = []
    for size in banner.format or ():
        if (width := size.w) is not None and (height := size.h) is not None:
            sizes.append((width, height))
        elif (across := size.wratio or 0) > 0 and (down := size.hratio or 0) > 0:
            ratios.append((across, down, size.wmin or 0))
    if not sizes and not ratios and (width := banner.w) is not None and (height := banner.h) is not None:
        sizes.append((width, height))
    return BannerOffer(
        tuple(dict.fromkeys(sizes) if len(sizes) > 1 else sizes),
        _span(banner.wmin, banner.wmax),
        _span(banner.hmin, banner.hmax),
        tuple(ratios),
        banner.pos or 0,
        banner.mimes or NOTHING,
        banner.api or NO_CODES,
        banner.battr or NO_CODES,
        banner.btype or NO_CODES,
        banner.expdir or NO_CODES,
        None if (top := banner.topframe) is None else top == 1,
        banner.vcm == 1,
    )


def _span(low: int | None, high: int | None) -> tuple[int, int] | None:
    """None: neither end is said."""
    return None if low is None and high is None else (low or 1, high or 1 << 30)


def _video(video: Video) -> MediaOffer | None:
    return _media(video, video)


def _media(media: Media, video: Video = NO_VIDEO) -> MediaOffer | None:
    """What video and audio have in common, and the rest of `video`; None: its floors or its pod cannot be meant.
    Source: §3.2.7, §3.2.8; `protocol` and `placement` as in 2.5."""
    per_second, by_duration, pod = media.mincpmpersec, media.durfloors, _pod(media, video)
    if pod is not None and (pod.seconds < 0 or pod.most_ads < 0):
        return None
    if (per_second or by_duration) and _below_zero(per_second, by_duration):
        return None
    protocols, companions = media.protocols, media.companionad
    if not protocols:
        protocols = NO_CODES if video.protocol is None else frozenset((video.protocol,))
    return MediaOffer(
        media.mimes,
        protocols,
        media.api or NO_CODES,
        media.battr or NO_CODES,
        media.minduration or 0,
        _longest_s(media.maxduration, media.maxextended),
        media.rqddurs or NO_CODES,
        video.linearity,
        None if (skip := video.skip) is None else skip == 1,
        video.skipmin or 0,
        video.skipafter or 0,
        media.delivery or NO_CODES,
        media.minbitrate,
        media.maxbitrate,
        video.pos or 0,
        media.startdelay,
        video.plcmt or video.placement or 0,
        tuple([_banner(banner) for banner in companions[:MAX_COMPANIONS]]) if companions else (),
        media.companiontype or NO_CODES,
        exact_micros(per_second) if per_second else None,
        _duration_floors(by_duration) if by_duration else (),
        None if video.boxingallowed != 0 else _aspect(video.w or 0, video.h or 0),
        pod,
    )


def _longest_s(duration_s: int | None, extended_s: int | None) -> int | None:
    """What `maxextended` lets an ad go beyond `maxduration`; -1: without limit."""
    if duration_s is None or extended_s is None:
        return duration_s
    return None if extended_s == -1 else duration_s + max(0, extended_s)


def _aspect(width: int, height: int) -> tuple[int, int]:
    return (width, height) if width > 0 and height > 0 else USUAL_ASPECT


def _pod(media: Media, video: Video) -> Pod | None:
    """None: it is no part of one. Source: §7.6."""
    id_, order, place = media.podid, media.podseq, media.slotinpod
    seconds, most_ads = media.poddur, media.maxseq
    if id_ is None and order is None and place is None and seconds is None and most_ads is None:
        return None
    pod = Pod(id_ or "", order or 0, place or 0, seconds or 0, most_ads or 0, video.poddedupe or NO_CODES)
    if pod.is_dynamic:
        pod.open_places = PLACES.get(pod.place, NO_CODES)
    return pod


BANNERS = Parts(Banner, _banner, 768 << 10)
VIDEOS = Parts(Video, _video, 512 << 10)
AUDIOS = Parts(Audio, _media, 128 << 10)
