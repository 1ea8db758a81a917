"""Native markup: the assets that the slot asks for, as the JSON text of Native 1.2 (section 5).

The rule kept here: an asset is answered only where the creative has one that fits it by kind, type, size and length;
text is never cut. Required assets have been held against the creative before, so what is left out is optional.
"""

from __future__ import annotations

from typing import Any

import orjson

from bidder.domain import Creative, NativeAsset, NativeImage, NativeOffer
from bidder.stages.fit import image_fits
from bidder.stages.markup.escaping import attribute, is_script, url
from bidder.stages.markup.notices import TRAIL, Notices

IMPRESSION, IMAGE, SCRIPT = 1, 1, 2  # event type; event tracking methods (sections 7.6, 7.7)
_VERSIONS = frozenset({"1.0", "1.1", "1.2"})
_TITLE, _CALL_TO_ACTION = 0, 12  # keys of `_texts`: the title, and a data asset type (section 7.4)


class Native:
    """One native creative, ready but for the choice of assets and the bid's ids."""

    __slots__ = ("_click", "_images", "_landing_url", "_privacy_url", "_texts", "_trackers", "_wrapped")

    def __init__(self, creative: Creative, notices: Notices | None, *, wrapped: bool = False) -> None:
        """`wrapped`: the exchange takes native in {"native": …} only, whatever the request looks like."""
        self._texts = _texts(creative)
        self._images = tuple(((i.type, i.width, i.height, i.mime), _image(i)) for i in creative.images)
        self._landing_url = url(creative.landing_url)
        self._privacy_url = url(creative.privacy_url) if creative.privacy_url else ""
        self._click = notices.click() if notices else ""
        self._wrapped = wrapped
        trackers = [url(tracker) for tracker in creative.impression_trackers]
        if notices:
            trackers.append(notices.impression())
        self._trackers = tuple((tracker, SCRIPT if is_script(tracker) else IMAGE) for tracker in trackers)

    def render(self, offer: NativeOffer, trail: str) -> str:
        """The markup for one bid. `trail`: see `notices.trail`."""
        link: dict[str, Any] = {"url": self._landing_url}
        if self._click:
            link["clicktrackers"] = [self._click.replace(TRAIL, trail)]
        assets = [answer for asset in offer.assets if (answer := self._answer(asset)) is not None]
        version = offer.version if offer.version in _VERSIONS else "1.2"
        native: dict[str, Any] = {"ver": version, "assets": assets, "link": link}
        if self._privacy_url and offer.privacy_link:
            native["privacy"] = self._privacy_url
        self._track(native, offer, trail)
        return orjson.dumps({"native": native} if offer.wrapped or self._wrapped else native).decode()

    def _answer(self, asset: NativeAsset) -> dict[str, Any] | None:
        content = self._content(asset)
        if content is None:
            return None
        return {"id": asset.id, "required": 1, **content} if asset.required else {"id": asset.id, **content}

    def _content(self, asset: NativeAsset) -> dict[str, Any] | None:
        if asset.kind == "title":
            text = self._text(_TITLE, asset.max_length)
            return {"title": {"text": text}} if text else None
        if asset.kind == "data":
            text = self._text(asset.type, asset.max_length) if asset.type else ""
            return {"data": {"type": asset.type, "value": text}} if text else None
        if asset.kind == "image":
            return next((ready for image, ready in self._images if image_fits(image, asset)), None)
        return None  # a video asset: the catalog holds none for native

    def _text(self, type: int, max_length: int) -> str:
        return next((text for text in self._texts.get(type, ()) if not max_length or len(text) <= max_length), "")

    def _track(self, native: dict[str, Any], offer: NativeOffer, trail: str) -> None:
        """Impression trackers as eventtrackers where the slot supports the method, else in the older fields."""
        methods = {method for event, offered in offer.event_trackers if event == IMPRESSION for method in offered}
        for template, method in self._trackers:
            tracker = template.replace(TRAIL, trail)
            if method in methods:
                event = {"event": IMPRESSION, "method": method, "url": tracker}
                native.setdefault("eventtrackers", []).append(event)
            elif method == IMAGE:
                native.setdefault("imptrackers", []).append(tracker)
            else:
                tag = f'<script src="{attribute(tracker)}"></script>'
                native["jstracker"] = native.get("jstracker", "") + tag


def _texts(creative: Creative) -> dict[int, list[str]]:
    """Texts by data asset type, in the catalog's order; the title is type 0."""
    texts: dict[int, list[str]] = {}
    if creative.title:
        texts[_TITLE] = [creative.title]
    for each in creative.texts:
        texts.setdefault(each.type, []).append(each.text)
    if creative.call_to_action:
        texts.setdefault(_CALL_TO_ACTION, []).append(creative.call_to_action)
    return texts


def _image(image: NativeImage) -> dict[str, Any]:
    content: dict[str, Any] = {"url": url(image.url)}
    if image.type:
        content["type"] = image.type
    if image.width and image.height:
        content |= {"w": image.width, "h": image.height}
    return {"img": content}
