"""Is an ad's markup what the slot can show? Checked for each format: HTML, VAST or DAAST, native JSON.

The rule: independent of the bidder's encoders on purpose; everything comes from the request and the specifications. A
check yields violations and never raises, whatever the markup.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from xml.etree import ElementTree

Json = dict[str, Any]

MAX_MARKUP_CHARS = 1_000_000
_MACRO = re.compile(r"\$\{([^}]*)\}")
_MACROS = re.compile(
    r"AUCTION_(ID|BID_ID|IMP_ID|SEAT_ID|AD_ID|PRICE|CURRENCY|MBR|LOSS|MIN_TO_WIN|MULTIPLIER|IMP_TS|DISCOUNT_PCT|DISCOUNT_CPM)(:.+)?"
)
_INSECURE = re.compile(r"http://", re.IGNORECASE)
_NAMESPACE = re.compile(r"""\sxmlns(?::\w+)?\s*=\s*("[^"]*"|'[^']*')""")  # a name, not an address that is loaded
_TIME = re.compile(r"(\d\d):(\d\d):(\d\d)(?:\.\d{1,3})?")
_ASSETS = ("title", "img", "data", "video")


class Violation(NamedTuple):
    """What an exchange would reject an answer for: a short name of the rule, and what was found."""

    rule: str
    detail: str


class Media(NamedTuple):
    """What VAST or DAAST says of its ad. `duration_s` is None where there is none, as in a wrapper; `skip_after_s` is
    None where it cannot be skipped. Companions: width, height, and when they are shown ("" = not said)."""

    duration_s: int | None
    mimes: tuple[str, ...]
    skip_after_s: int | None = None
    companions: tuple[tuple[int, int, str], ...] = ()


def check_text(markup: str, secure: bool) -> Iterator[Violation]:
    """For every format: no address without TLS in a secure slot, no macro that nobody will fill in (§4.4)."""
    loaded = _NAMESPACE.sub("", markup)
    if secure and (found := _INSECURE.search(loaded)):
        yield Violation("secure", f"adm loads {loaded[found.start() : found.start() + 60]!r} though imp.secure is 1")
    for name in _MACRO.findall(markup):
        if not _MACROS.fullmatch(name):
            yield Violation("macro", f"adm holds ${{{name}}}, which is no OpenRTB macro")


def check_html(markup: str) -> Iterator[Violation]:
    if not re.search(r"<[a-zA-Z]", markup):
        yield Violation("adm", f"banner markup without an element: {markup[:60]!r}")


def read_media(markup: str, root_names: tuple[str, ...]) -> Media | Violation:
    """The ad in a VAST (or DAAST) document: InLine with media files, or Wrapper."""
    if len(markup) > MAX_MARKUP_CHARS or "<!" in markup.replace("<![CDATA[", "").replace("<!--", ""):
        return Violation("adm", "an XML document of over a million characters or with declarations of its own")
    try:
        root = ElementTree.fromstring(markup)  # noqa: S314 - without declarations there are no entities to expand
    except ElementTree.ParseError as error:
        return Violation("adm", f"XML does not parse: {error}")
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]  # VAST 4 stands in a namespace, VAST 3 does not
    if root.tag not in root_names or not root.get("version"):
        return Violation("adm", f"expected <{root_names[0]} version=…>, got <{root.tag}>")
    if root.find("Ad/Wrapper/VASTAdTagURI") is not None:
        return Media(None, ())
    inline = root.find("Ad/InLine")
    if inline is None:
        return Violation("adm", "no Ad with InLine or Wrapper")
    missing = [name for name in ("AdSystem", "AdTitle", "Impression", "Creatives") if inline.find(name) is None]
    if missing:
        return Violation("adm", f"InLine lacks {', '.join(missing)}")
    files = inline.findall(".//MediaFile")
    if not files or not all((file.text or "").strip() for file in files):
        return Violation("adm", "InLine needs MediaFiles, each with an address")
    spelled = (inline.findtext(".//Duration") or "").strip()
    if (duration_s := _seconds(spelled)) is None:
        return Violation("adm", f"Duration is {spelled!r}, expected HH:MM:SS")
    linear = inline.find(".//Linear")
    skip = None if linear is None else linear.get("skipoffset")
    if skip is not None and (skip_after_s := _seconds(skip)) is None:
        return Violation("adm", f"skipoffset is {skip!r}, expected HH:MM:SS")
    companions = [
        (_pixels(each.get("width", "")), _pixels(each.get("height", "")), each.get("renderingMode", ""))
        for each in inline.findall(".//Companion")
    ]
    types = tuple(file.get("type", "") for file in files)
    return Media(duration_s, types, None if skip is None else skip_after_s, tuple(companions))


def _pixels(spelled: str) -> int:
    return int(spelled) if spelled.isascii() and spelled.isdecimal() and len(spelled) < 9 else 0


def _seconds(spelled: str) -> int | None:
    if not (match := _TIME.fullmatch(spelled)):
        return None
    hours, minutes, seconds = (int(part) for part in match.groups()[:3])
    return hours * 3600 + minutes * 60 + seconds


def check_media(offer: Json, media: Media, duration_s: int | None) -> Iterator[Violation]:
    """Against Video or Audio (§3.2.7, §3.2.8): the types that play, the durations that fit, when the ad may be skipped,
    and what stands beside it."""
    yield from _check_skip(offer, media)
    yield from _check_companions(offer, media)
    if media.mimes and not set(media.mimes) & set(offer["mimes"]):
        yield Violation("mime", f"media files are {', '.join(media.mimes)}, the slot plays {', '.join(offer['mimes'])}")
    if duration_s is None:
        return
    if exact := offer.get("rqddurs"):
        if duration_s not in exact:
            yield Violation("duration", f"{duration_s} s, the slot takes {exact} only")
    elif duration_s < offer.get("minduration", 0) or duration_s > _longest(offer, duration_s):
        yield Violation(
            "duration", f"{duration_s} s, the slot takes {offer.get('minduration')} to {offer.get('maxduration')}"
        )


def _longest(offer: Json, unlimited: int) -> int:
    """`maxextended`: so many seconds more than `maxduration`, -1 without limit. A `maxduration` of 0 is not said."""
    extended: int = offer.get("maxextended", 0)
    longest: int = offer.get("maxduration") or unlimited
    return unlimited if extended == -1 else longest + max(0, extended)


def _check_skip(offer: Json, media: Media) -> Iterator[Violation]:
    if media.skip_after_s is None:
        return
    if offer.get("skip") == 0:
        yield Violation("skip", "skippable where the player has no skip control")
    if media.duration_s is not None and media.duration_s <= offer.get("skipmin", 0):
        yield Violation("skip", f"{media.duration_s} s and skippable, the player skips above {offer.get('skipmin')} s")
    if media.skip_after_s < offer.get("skipafter", 0):
        yield Violation("skip", f"skippable after {media.skip_after_s} s, the player after {offer['skipafter']} s")


def _check_companions(offer: Json, media: Media) -> Iterator[Violation]:
    """Each has a place of its size; an end-card, one after the ad (`vcm`)."""
    for width, height, shown in media.companions:
        places = [
            place
            for place in offer.get("companionad", ())
            if (shown == "") or (place.get("vcm") == 1) == (shown == "end-card")
        ]
        if not any(_is_sized(place, width, height) for place in places):
            yield Violation("companion", f"no place for a companion of {width}x{height} ({shown or 'at any time'})")


def _is_sized(place: Json, width: int, height: int) -> bool:
    sizes = [(size["w"], size["h"]) for size in (*place.get("format", ()), place) if "w" in size and "h" in size]
    return not sizes or (width, height) in sizes


def check_native(offer: Json, markup: str) -> Iterator[Violation]:
    """Native 1.2, section 5, against the request of section 4 that stands in `offer`."""
    try:
        asked = json.loads(offer["request"]) if isinstance(offer["request"], str) else offer["request"]
        answer = json.loads(markup)
    except ValueError as error:
        yield Violation("adm", f"native markup is no JSON: {error}")
        return
    if "native" in asked:
        asked = asked["native"]
        if not isinstance(answer, dict) or "native" not in answer:
            yield Violation("adm", "asked for in the envelope of Native 1.0, answered without it")
    answer = answer.get("native", answer) if isinstance(answer, dict) else None
    if not isinstance(answer, dict) or not isinstance(answer.get("link"), dict) or not answer["link"].get("url"):
        yield Violation("adm", "native markup needs an object with link.url")
        return
    if "privacy" in answer and asked.get("privacy") != 1:
        yield Violation("privacy", "a privacy notice, which the slot does not show")
    given = {asset.get("id"): asset for asset in answer.get("assets", ()) if isinstance(asset, dict)}
    wanted = {asset["id"]: asset for asset in asked["assets"]}
    for asset_id in given.keys() - wanted.keys():
        yield Violation("asset", f"asset {asset_id} was not asked for")
    for asset_id, asset in wanted.items():
        kind = next((name for name in _ASSETS if name in asset), None)
        if kind is None:  # nobody knows what was asked for
            continue
        if asset_id in given:
            yield from _check_asset(asset_id, kind, asset[kind], given[asset_id].get(kind))
        elif asset.get("required") == 1:
            yield Violation("asset", f"required asset {asset_id} ({kind}) is missing")


def _check_asset(asset_id: int, kind: str, wanted: Json, given: Any) -> Iterator[Violation]:
    if not isinstance(given, dict):
        yield Violation("asset", f"asset {asset_id} must be a {kind}")
        return
    text = {"title": "text", "img": "url", "data": "value", "video": "vasttag"}[kind]
    if not isinstance(given.get(text), str) or not given[text]:
        yield Violation("asset", f"asset {asset_id}: {kind}.{text} is empty")
    elif kind in ("title", "data") and len(given[text]) > wanted.get("len", len(given[text])):
        yield Violation("asset", f"asset {asset_id}: {len(given[text])} characters, {wanted['len']} are allowed")
    if kind == "img":
        for side in ("w", "h"):
            size = given.get(side, 0)
            if side in wanted and size != wanted[side]:
                yield Violation("asset", f"asset {asset_id}: img.{side} is {size}, asked for {wanted[side]}")
            elif side not in wanted and size < wanted.get(f"{side}min", 0):
                yield Violation("asset", f"asset {asset_id}: img.{side} is {size}, the least is {wanted[f'{side}min']}")
