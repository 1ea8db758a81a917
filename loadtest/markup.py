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
    """What VAST or DAAST says of its ad. `duration_s` is None where there is none, as in a wrapper."""

    duration_s: int | None
    mimes: tuple[str, ...]


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
    if not (match := _TIME.fullmatch(spelled)):
        return Violation("adm", f"Duration is {spelled!r}, expected HH:MM:SS")
    hours, minutes, seconds = (int(part) for part in match.groups()[:3])
    return Media(hours * 3600 + minutes * 60 + seconds, tuple(file.get("type", "") for file in files))


def check_media(offer: Json, media: Media, duration_s: int | None) -> Iterator[Violation]:
    """Against Video or Audio (§3.2.7, §3.2.8): the types that play, the durations that fit."""
    if media.mimes and not set(media.mimes) & set(offer["mimes"]):
        yield Violation("mime", f"media files are {', '.join(media.mimes)}, the slot plays {', '.join(offer['mimes'])}")
    if duration_s is None:
        return
    if exact := offer.get("rqddurs"):
        if duration_s not in exact:
            yield Violation("duration", f"{duration_s} s, the slot takes {exact} only")
    elif duration_s < offer.get("minduration", 0) or duration_s > offer.get("maxduration", duration_s):
        yield Violation(
            "duration", f"{duration_s} s, the slot takes {offer.get('minduration')} to {offer.get('maxduration')}"
        )


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
