"""Native markup: the assets that the slot asks for, as the JSON text of Native 1.2 (section 5).

The rule kept here: an asset is answered only where the creative has one that fits it by kind, type, size and length;
text is never cut. Required assets have been held against the creative before, so what is left out is optional.
"""

from __future__ import annotations

from typing import Any

import orjson

from bidder.domain import Creative, NativeImage, NativeOffer
from bidder.stages.fit import image_fits
from bidder.stages.markup.escaping import in_json, is_script, json_parts, url, url_attribute
from bidder.stages.markup.notices import TRAIL, Notices

IMPRESSION, IMAGE, SCRIPT = 1, 1, 2  # event type; event tracking methods (sections 7.6, 7.7)
_VERSIONS = frozenset({"1.0", "1.1", "1.2"})
_TITLE, _CALL_TO_ACTION = 0, 12  # keys of `_texts`: the title, and a data asset type (section 7.4)


class Native:
    """One native creative, ready but for the choice of assets and the bid's ids."""

    __slots__ = (
        *("_after", "_before", "_click", "_endings", "_images", "_landing_url", "_privacy_url", "_texts"),
        *("_trackers", "_wrapped"),
    )

    def __init__(
        self,
        creative: Creative,
        notices: Notices | None,
        before: str = "",
        after: str = "",
        *,
        wrapped: bool = False,
    ) -> None:
        """`wrapped`: the exchange takes native in {"native": …} only, whatever the request looks like. `before` and
        `after`: JSON that the markup stands between."""
        self._before, self._after = before, after
        self._texts = _texts(creative)
        self._images = _images(creative)
        self._landing_url = url(creative.landing_url)
        self._privacy_url = url(creative.privacy_url) if creative.privacy_url else ""
        self._click = notices.click() if notices else ""
        self._wrapped = wrapped
        trackers = [url(tracker) for tracker in creative.impression_trackers]
        if notices:
            trackers.append(notices.impression())
        self._trackers = tuple((tracker, SCRIPT if is_script(tracker) else IMAGE) for tracker in trackers)
        self._endings: dict[tuple[bool, bool, bool], tuple[str, ...]] = {}  # what follows the assets: 8 at most

    def render(self, offer: NativeOffer, trail: str) -> str:
        """The markup for one bid, as it stands within a JSON string, `before` and `after` around it. `trail`: see
        `notices.trail`."""
        assets: list[str] = []
        all_images, all_texts = self._images, self._texts
        for asset in offer.assets:
            content, kind, most = "", asset.kind, asset.max_length
            if kind == "image":
                for image, ready in all_images.get(asset.type, ()):
                    if image_fits(image, asset):
                        content = ready
                        break
            elif kind == "title" or (kind == "data" and asset.type):  # the catalog holds no video for native
                for length, ready in all_texts.get(_TITLE if kind == "title" else asset.type, ()):
                    if not most or length <= most:
                        content = ready
                        break
            if content:
                required = r",\"required\":1" if asset.required else ""
                assets.append(rf"{{\"id\":{asset.id}{required},{content}")
        version = offer.version if offer.version in _VERSIONS else "1.2"
        images = scripts = False
        for event, methods in offer.event_trackers:
            if event == IMPRESSION:
                images, scripts = images or IMAGE in methods, scripts or SCRIPT in methods
        key = offer.privacy_link, images, scripts
        ending = trail.join(self._endings.get(key) or self._ending(*key))
        begin, end = (r"{\"native\":", "}") if offer.wrapped or self._wrapped else ("", "")
        return (
            rf"{self._before}{begin}{{\"ver\":\"{version}\",\"assets\":[{','.join(assets)}],{ending}{end}{self._after}"
        )

    def _ending(self, privacy: bool, images: bool, scripts: bool) -> tuple[str, ...]:
        """What follows the assets, where the slot shows the buyer's notice, and supports these methods of tracking.

        Impression trackers are eventtrackers where the slot supports the method, else in the older fields."""
        link: dict[str, Any] = {"url": self._landing_url}
        if self._click:
            link["clicktrackers"] = [self._click]
        ending: dict[str, Any] = {"link": link}
        if self._privacy_url and privacy:
            ending["privacy"] = self._privacy_url
        for tracker, method in self._trackers:
            if images if method == IMAGE else scripts:
                event = {"event": IMPRESSION, "method": method, "url": tracker}
                ending.setdefault("eventtrackers", []).append(event)
            elif method == IMAGE:
                ending.setdefault("imptrackers", []).append(tracker)
            else:
                tag = f'<script src="{url_attribute(tracker)}"></script>'
                ending["jstracker"] = ending.get("jstracker", "") + tag
        # Nothing in it but URLs, and those hold no backslash: what looks like an escaped mark is one.
        parts = self._endings[privacy, images, scripts] = json_parts(_inside(ending), in_json(TRAIL))
        return parts


def _inside(content: dict[str, Any]) -> str:
    """The rest of a JSON object that begins with something else."""
    return orjson.dumps(content).decode()[1:]


def _texts(creative: Creative) -> dict[int, list[tuple[int, str]]]:
    """Texts by data asset type, in the catalog's order: their length, and the content of the asset as it stands within
    a JSON string, "" of an empty one. The title is type 0."""
    texts: dict[int, list[tuple[int, str]]] = {}

    def add(type: int, text: str) -> None:
        content = {"data": {"type": type, "value": text}} if type else {"title": {"text": text}}
        texts.setdefault(type, []).append((len(text), in_json(_inside(content)) if text else ""))

    if creative.title:
        add(_TITLE, creative.title)
    for each in creative.texts:
        add(each.type, each.text)
    if creative.call_to_action:
        add(_CALL_TO_ACTION, creative.call_to_action)
    return texts


def _images(creative: Creative) -> dict[int, list[tuple[tuple[int, int, int, str], str]]]:
    """Images by type, in the catalog's order, and all of them under 0, for slots that ask for any: what decides whether
    one fits (see `image_fits`), and the content of the asset as it stands within a JSON string."""
    images: dict[int, list[tuple[tuple[int, int, int, str], str]]] = {}
    for each in creative.images:
        ready = (each.type, each.width, each.height, each.mime), _image(each)
        for type in {0, each.type}:
            images.setdefault(type, []).append(ready)
    return images


def _image(image: NativeImage) -> str:
    content: dict[str, Any] = {"url": url(image.url)}
    if image.type:
        content["type"] = image.type
    if image.width and image.height:
        content |= {"w": image.width, "h": image.height}
    return in_json(_inside({"img": content}))
