"""A campaign of the document → a campaign of the domain.

The rule kept here: nothing is checked any more, and nothing is made up: defaults are the domain's.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from bidder.catalog import document as doc
from bidder.catalog import names
from bidder.domain import (
    NO_CODES,
    NOTHING,
    Campaign,
    Circle,
    Companion,
    Creative,
    CreativeSpec,
    Format,
    Goal,
    GoalKind,
    MediaFile,
    NativeImage,
    NativeText,
    Targeting,
)

_GOALS = {"cpm": GoalKind.CPM, "cpc": GoalKind.CPC, "cpa": GoalKind.CPA}


def converted(source: doc.Campaign) -> Campaign:
    return Campaign(
        id=source.id,
        advertiser_id=source.advertiser.id,
        seat=source.seat,
        domains=tuple(source.advertiser.domains),
        goal=Goal(_GOALS[source.goal.kind], source.goal.amount),
        max_cpm_micros=source.max_cpm,
        currency=source.currency,
        prior=source.prior,
        targeting=_targeting(source.targeting),
        creatives=tuple(map(_creative, source.creatives)),
        categories=tuple(source.categories),
        category_taxonomy=source.category_taxonomy,
        more_categories=tuple((more.taxonomy, tuple(more.ids)) for more in source.more_categories),
        suitable_for_children=source.suitable_for_children,
        bundle=source.bundle,
        roadblock=source.roadblock,
        start_s=_unix(source.flight.start),
        end_s=_unix(source.flight.end),
        daily_frequency_cap=source.daily_frequency_cap,
        feature_hash=feature_hash(source.id),
    )


def _texts(values: Sequence[str]) -> frozenset[str]:
    return frozenset(values) if values else NOTHING


def _codes(values: Iterable[int]) -> frozenset[int]:
    return frozenset(values) or NO_CODES


def _targeting(source: doc.Targeting) -> Targeting:
    geo, device, inventory = source.geo, source.device, source.inventory
    segments = source.audience.segments
    return Targeting(
        exchanges=_texts(inventory.exchanges),
        channels=_texts(inventory.channels),
        countries=_texts(geo.countries.include),
        excluded_countries=_texts(geo.countries.exclude),
        regions=_texts(geo.regions),
        metros=_texts(geo.metros),
        cities=_texts(geo.cities),
        zips=_texts(geo.zips),
        circles=tuple(Circle(circle.lat, circle.lon, circle.km) for circle in geo.circles),
        device_types=_codes(device.types),
        operating_systems=_texts(device.os),
        os_min_versions=tuple(sorted((device.os_min_versions or {}).items())),
        connection_types=_codes(device.connections),
        carriers=_texts(device.carriers),
        languages=_texts(device.languages),
        positions=_codes(inventory.positions),
        venue_types=_texts(inventory.venues),
        sites=_texts(inventory.sites.include),
        excluded_sites=_texts(inventory.sites.exclude),
        apps=_texts(inventory.apps.include),
        excluded_apps=_texts(inventory.apps.exclude),
        bundles=_texts(inventory.bundles.include),
        excluded_bundles=_texts(inventory.bundles.exclude),
        publishers=_texts(inventory.publishers.include),
        excluded_publishers=_texts(inventory.publishers.exclude),
        categories=_texts(inventory.categories.include),
        excluded_categories=_texts(inventory.categories.exclude),
        segments=_texts(segments.include),
        excluded_segments=_texts(segments.exclude),
        hours=_codes(_hours(source.dayparts)),
        deals=_texts(source.deals),
        required_attributes=_texts(source.attributes.required),
        blocked_attributes=_texts(source.attributes.blocked),
    )


def _creative(source: doc.Creative) -> Creative:
    common: dict[str, Any] = {
        "id": source.id,
        "landing_url": source.landing_url,
        "impression_trackers": tuple(source.impression_trackers),
        "preview_url": source.preview_url or "",
        "feature_hash": feature_hash(source.id),
    }
    shared: dict[str, Any] = {
        "apis": _codes(source.apis),
        "attributes": _codes(source.attributes),
        "secure": source.is_secure,
        "language": source.language,
    }
    match source:
        case doc.Banner():
            return _banner(source, common, shared)
        case doc.Video():
            return _video(source, common, shared)
        case doc.Audio():
            return _audio(source, common, shared)
        case doc.Native():
            return _native(source, common, shared)


def _banner(source: doc.Banner, common: dict[str, Any], shared: dict[str, Any]) -> Creative:
    mimes = _texts((source.mime,))
    spec = CreativeSpec(Format.BANNER, source.w, source.h, mimes=mimes, banner_type=source.type, **shared)
    return Creative(spec=spec, html=source.html, **common)


def _audio(source: doc.Audio, common: dict[str, Any], shared: dict[str, Any]) -> Creative:
    files = tuple(MediaFile(m.url, m.mime, 0, 0, m.bitrate_kbps, m.delivery) for m in source.media)
    spec = CreativeSpec(Format.AUDIO, **_played(source, files), **shared)
    return _player(source, spec, files, common)


def _video(source: doc.Video, common: dict[str, Any], shared: dict[str, Any]) -> Creative:
    files = tuple(MediaFile(m.url, m.mime, m.w, m.h, m.bitrate_kbps, m.delivery) for m in source.media)
    spec = CreativeSpec(
        Format.VIDEO,
        source.w or files[0].width,
        source.h or files[0].height,
        linearity=source.linearity,
        **_played(source, files),
        **shared,
    )
    return _player(source, spec, files, common)


def _player(
    source: doc.Video | doc.Audio, spec: CreativeSpec, files: tuple[MediaFile, ...], common: dict[str, Any]
) -> Creative:
    companions = tuple(
        Companion(c.url, c.mime, c.w, c.h, c.landing_url or source.landing_url, c.shown) for c in source.companions
    )
    return Creative(spec=spec, media=files, skip_after_s=source.skip_after_s, companions=companions, **common)


def _played(source: doc.Video | doc.Audio, files: tuple[MediaFile, ...]) -> dict[str, Any]:
    return {
        "protocols": _codes(source.protocols),
        "duration_s": source.duration_s,
        "skippable": source.skippable,
        "files": tuple(sorted({(file.mime, file.delivery, file.bitrate_kbps) for file in files})),
    }


def _native(source: doc.Native, common: dict[str, Any], shared: dict[str, Any]) -> Creative:
    texts = dict(source.texts)
    if source.cta:
        texts[names.CALL_TO_ACTION] = source.cta
    ordered = sorted(texts.items())
    spec = CreativeSpec(
        Format.NATIVE,
        title_length=len(source.title),
        texts=tuple((kind, len(text)) for kind, text in ordered),
        images=tuple((image.type, image.w, image.h, image.mime) for image in source.images),
        **shared,
    )
    return Creative(
        spec=spec,
        title=source.title,
        texts=tuple(NativeText(kind, text) for kind, text in ordered),
        images=tuple(NativeImage(i.type, i.url, i.w, i.h, i.mime) for i in source.images),
        privacy_url=source.privacy_url or "",
        call_to_action=texts.get(names.CALL_TO_ACTION, ""),
        **common,
    )


def feature_hash(text: str) -> int:
    """The model's stable number for an id: 24 bits, exact as a float32."""
    return zlib.crc32(text.encode()) & 0xFFFFFF


def _hours(dayparts: Iterable[doc.Daypart]) -> Iterable[int]:
    return (day * 24 + hour for part in dayparts for day in part.days for hour in range(part.start, part.to))


def _unix(moment: datetime | None) -> int:
    return int(moment.timestamp()) if moment else 0
