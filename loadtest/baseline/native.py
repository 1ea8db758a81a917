"""Native 1.2: what an impression asks for, filled from a creative."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from loadtest.baseline.campaigns import Creative

Json = dict[str, Any]


class Asked(NamedTuple):
    assets: list[Json]
    wrapped: bool  # in the envelope of Native 1.0, in which the answer goes as well
    version: str


def assets_of(text: str) -> Asked | None:
    """None: it cannot be read."""
    try:
        document = json.loads(text)
        markup = document.get("native", document)
        return Asked(markup["assets"], "native" in document, markup.get("ver", "1.1"))
    except (ValueError, KeyError, AttributeError):
        return None


def fill(asked: Asked, creative: Creative) -> list[Json] | None:
    """The assets of the answer; None where a required one cannot be had."""
    given: list[Json] = []
    for asset in asked.assets:
        if (part := _asset(asset, creative)) is not None:
            given.append({"id": asset["id"], **part})
        elif asset.get("required"):
            return None
    return given


def _asset(asset: Json, creative: Creative) -> Json | None:
    if title := asset.get("title"):
        return {"title": {"text": creative.title}} if len(creative.title) <= title["len"] else None
    if data := asset.get("data"):
        text = creative.texts.get(data["type"])
        return {"data": {"value": text}} if text and len(text) <= data.get("len", len(text)) else None
    if wanted := asset.get("img"):
        for image in creative.images:
            right = image.type == wanted.get("type", image.type)
            big = image.w >= wanted.get("wmin", 0) and image.h >= wanted.get("hmin", 0)
            exact = image.w == wanted.get("w", image.w) and image.h == wanted.get("h", image.h)
            if right and big and exact and image.mime in (wanted.get("mimes") or [image.mime]):
                return {"img": {"url": image.url, "w": image.w, "h": image.h}}
    return None
