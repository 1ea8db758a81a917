"""Makers of small catalogs and requests that the tests of the bidder share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from zlib import crc32

import orjson
import pytest

from bidder.domain import (
    Campaign,
    Creative,
    CreativeSpec,
    Exchange,
    Format,
    Goal,
    GoalKind,
    MediaFile,
    Rates,
    Targeting,
)
from tests.exemplars.cases import exemplars

Make = Callable[..., Any]

BANNER = CreativeSpec(Format.BANNER, width=300, height=250, mimes=frozenset({"text/html"}), banner_type=4)
VIDEO = CreativeSpec(
    Format.VIDEO,
    width=640,
    height=360,
    protocols=frozenset({2, 3, 7}),
    duration_s=15,
    files=(("video/mp4", 2, 1200),),
)
NATIVE = CreativeSpec(
    Format.NATIVE, title_length=12, texts=((2, 30),), images=((3, 1200, 627, "image/jpeg"), (1, 80, 80, "image/png"))
)


@pytest.fixture
def rates() -> Rates:
    return Rates("2026-01-02", "USD", {"EUR": 0.8, "GBP": 0.75, "JPY": 150.0})


@pytest.fixture
def exchange() -> Exchange:
    return Exchange("generic")


@pytest.fixture
def make_creative() -> Make:
    """A creative: a 300 x 250 banner unless another spec is given; further fields change the spec."""

    def make(creative_id: str = "cr-1", spec: CreativeSpec = BANNER, **changes: Any) -> Creative:
        spec = replace(spec, **changes)
        media = ()
        if spec.format in (Format.VIDEO, Format.AUDIO):
            (mime, delivery, kbps) = spec.files[0]
            media = (MediaFile("https://cdn.example/a", mime, spec.width, spec.height, kbps, delivery),)
        return Creative(
            creative_id,
            spec,
            landing_url="https://brand.example/",
            html="<b>ad</b>",
            media=media,
            feature_hash=crc32(creative_id.encode()) & 0xFFFFFF,
        )

    return make


@pytest.fixture
def make_campaign(make_creative: Make) -> Make:
    """A campaign with one banner; keyword arguments are fields of `Targeting` or of `Campaign`; `ad_categories`
    are the campaign's, as `categories` are those targeted."""

    def make(campaign_id: str = "c-1", **changes: Any) -> Campaign:
        targeting = {name: changes.pop(name) for name in list(changes) if name in Targeting.__dataclass_fields__}
        fields: dict[str, Any] = {
            "id": campaign_id,
            "advertiser_id": "brand",
            "seat": "seat-1",
            "domains": ("brand.example",),
            "goal": Goal(GoalKind.CPC, 1_000_000),
            "max_cpm_micros": 5_000_000,
            "currency": "USD",
            "prior": 0.01,
            "targeting": Targeting(**targeting),
            "creatives": (make_creative(f"{campaign_id}-cr"),),
            "categories": changes.pop("ad_categories", ("IAB1",)),
            "feature_hash": crc32(campaign_id.encode()) & 0xFFFFFF,
        }
        return Campaign(**(fields | changes))

    return make


@pytest.fixture
def make_body() -> Make:
    """The bytes of a request, one banner on a site. Keyword arguments replace fields or, if None, remove them."""

    def make(**changes: Any) -> bytes:
        request: dict[str, Any] = {
            "id": "auction-1",
            "imp": [{"id": "1", "banner": {"format": [{"w": 300, "h": 250}]}, "bidfloor": 0.5}],
            "site": {"id": "s-1", "domain": "news.example", "publisher": {"id": "p-1"}, "cat": ["IAB12"]},
            "device": {"ua": "Mozilla/5.0 Chrome/120", "devicetype": 4, "os": "Android", "osv": "14.1"},
            "tmax": 100,
        }
        request |= changes
        return orjson.dumps({name: value for name, value in request.items() if value is not None})

    return make


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test an exemplar."""
    if "exemplar" in metafunc.fixturenames:
        metafunc.parametrize("exemplar", list(exemplars()), ids=lambda exemplar: exemplar.name)
