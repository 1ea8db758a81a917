"""A campaign of the document → a campaign of the domain.

The rule kept here: what is equal is one object. Thousands of campaigns name the same countries, hours and ad sizes;
sharing them keeps 100,000 campaigns small, and lets a slot be held against each distinct `CreativeSpec` once.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

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

_K = TypeVar("_K")
_GOALS = {"cpm": GoalKind.CPM, "cpc": GoalKind.CPC, "cpa": GoalKind.CPA}


class Converter:
    """Converts the campaigns of one catalog; holds what they share."""

    __slots__ = ("_shared",)

    def __init__(self) -> None:
        self._shared: dict[tuple[type, Any], Any] = {}

    def campaign(self, source: doc.Campaign) -> Campaign:
        return Campaign(
            id=source.id,
            advertiser_id=self._one(source.advertiser.id),
            seat=self._one(source.seat),
            domains=self._one(tuple(source.advertiser.domains)),
            goal=self._one(Goal(_GOALS[source.goal.kind], source.goal.amount)),
            max_cpm_micros=source.max_cpm,
            currency=self._one(source.currency),
            prior=source.prior,
            targeting=self._targeting(source.targeting),
            creatives=tuple(map(self._creative, source.creatives)),
            categories=self._one(tuple(source.categories)),
            category_taxonomy=source.category_taxonomy,
            more_categories=self._one(tuple((more.taxonomy, tuple(more.ids)) for more in source.more_categories)),
            suitable_for_children=source.suitable_for_children,
            bundle=source.bundle,
            roadblock=source.roadblock,
            start_s=_unix(source.flight.start),
            end_s=_unix(source.flight.end),
            daily_frequency_cap=source.daily_frequency_cap,
            feature_hash=feature_hash(source.id),
        )

    def _one(self, value: _K) -> _K:
        shared: _K = self._shared.setdefault((type(value), value), value)
        return shared

    def _texts(self, values: Sequence[str]) -> frozenset[str]:
        return self._one(frozenset(values)) if values else NOTHING

    def _codes(self, values: Iterable[int]) -> frozenset[int]:
        return self._one(frozenset(values)) or NO_CODES

    def _targeting(self, source: doc.Targeting) -> Targeting:
        geo, device, inventory = source.geo, source.device, source.inventory
        segments = source.audience.segments
        return Targeting(
            exchanges=self._texts(inventory.exchanges),
            channels=self._texts(inventory.channels),
            countries=self._texts(geo.countries.include),
            excluded_countries=self._texts(geo.countries.exclude),
            regions=self._texts(geo.regions),
            metros=self._texts(geo.metros),
            cities=self._texts(geo.cities),
            zips=self._texts(geo.zips),
            circles=tuple(Circle(circle.lat, circle.lon, circle.km) for circle in geo.circles),
            device_types=self._codes(device.types),
            operating_systems=self._texts(device.os),
            os_min_versions=tuple(sorted((device.os_min_versions or {}).items())),
            connection_types=self._codes(device.connections),
            carriers=self._texts(device.carriers),
            languages=self._texts(device.languages),
            positions=self._codes(inventory.positions),
            venue_types=self._texts(inventory.venues),
            sites=self._texts(inventory.sites.include),
            excluded_sites=self._texts(inventory.sites.exclude),
            apps=self._texts(inventory.apps.include),
            excluded_apps=self._texts(inventory.apps.exclude),
            bundles=self._texts(inventory.bundles.include),
            excluded_bundles=self._texts(inventory.bundles.exclude),
            publishers=self._texts(inventory.publishers.include),
            excluded_publishers=self._texts(inventory.publishers.exclude),
            categories=self._texts(inventory.categories.include),
            excluded_categories=self._texts(inventory.categories.exclude),
            segments=self._texts(segments.include),
            excluded_segments=self._texts(segments.exclude),
            hours=self._codes(_hours(source.dayparts)),
            deals=self._texts(source.deals),
            required_attributes=self._texts(source.attributes.required),
            blocked_attributes=self._texts(source.attributes.blocked),
        )

    def _creative(self, source: doc.Creative) -> Creative:
        common: dict[str, Any] = {
            "id": source.id,
            "landing_url": source.landing_url,
            "impression_trackers": tuple(source.impression_trackers),
            "preview_url": source.preview_url or "",
            "feature_hash": feature_hash(source.id),
        }
        shared: dict[str, Any] = {
            "apis": self._codes(source.apis),
            "attributes": self._codes(source.attributes),
            "secure": source.is_secure,
            "language": source.language,
        }
        match source:
            case doc.Banner():
                return self._banner(source, common, shared)
            case doc.Video():
                return self._video(source, common, shared)
            case doc.Audio():
                return self._audio(source, common, shared)
            case doc.Native():
                return self._native(source, common, shared)

    def _banner(self, source: doc.Banner, common: dict[str, Any], shared: dict[str, Any]) -> Creative:
        mimes = self._texts((source.mime,))
        spec = CreativeSpec(Format.BANNER, source.w, source.h, mimes=mimes, banner_type=source.type, **shared)
        return Creative(spec=self._one(spec), html=source.html, **common)

    def _audio(self, source: doc.Audio, common: dict[str, Any], shared: dict[str, Any]) -> Creative:
        files = tuple(MediaFile(m.url, self._one(m.mime), 0, 0, m.bitrate_kbps, m.delivery) for m in source.media)
        spec = CreativeSpec(Format.AUDIO, **self._played(source, files), **shared)
        return self._player(source, spec, files, common)

    def _video(self, source: doc.Video, common: dict[str, Any], shared: dict[str, Any]) -> Creative:
        files = tuple(MediaFile(m.url, self._one(m.mime), m.w, m.h, m.bitrate_kbps, m.delivery) for m in source.media)
        spec = CreativeSpec(
            Format.VIDEO,
            source.w or files[0].width,
            source.h or files[0].height,
            linearity=source.linearity,
            **self._played(source, files),
            **shared,
        )
        return self._player(source, spec, files, common)

    def _player(
        self, source: doc.Video | doc.Audio, spec: CreativeSpec, files: tuple[MediaFile, ...], common: dict[str, Any]
    ) -> Creative:
        companions = tuple(
            Companion(c.url, self._one(c.mime), c.w, c.h, c.landing_url or source.landing_url, c.shown)
            for c in source.companions
        )
        return Creative(
            spec=self._one(spec), media=files, skip_after_s=source.skip_after_s, companions=companions, **common
        )

    def _played(self, source: doc.Video | doc.Audio, files: tuple[MediaFile, ...]) -> dict[str, Any]:
        return {
            "mimes": self._texts([file.mime for file in files]),
            "protocols": self._codes(source.protocols),
            "duration_s": source.duration_s,
            "skippable": source.skippable,
            "bitrates_kbps": tuple(sorted({file.bitrate_kbps for file in files})),
            "deliveries": self._codes(file.delivery for file in files),
        }

    def _native(self, source: doc.Native, common: dict[str, Any], shared: dict[str, Any]) -> Creative:
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
            spec=self._one(spec),
            title=source.title,
            texts=tuple(NativeText(kind, text) for kind, text in ordered),
            images=tuple(NativeImage(i.type, i.url, i.w, i.h, self._one(i.mime)) for i in source.images),
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
