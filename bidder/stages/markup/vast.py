"""Video and audio markup: an inline VAST document of the version that the player takes, or DAAST where only that is.

The rule kept here: elements stand in the order of that version's XML schema. VAST 2.0 and 3.0, and DAAST after them,
share one order; VAST 4.x has another, and asks for UniversalAdId and, from 4.1, AdServingId.

Protocol codes are those of AdCOM's creative subtypes for audio and video: 2 VAST 2.0, 3 VAST 3.0, 7 VAST 4.0,
9 DAAST 1.0, 11 VAST 4.1, 13 VAST 4.2, 15 VAST 4.3. Wrappers are never sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from bidder.domain import AUDIO, VIDEO, BannerOffer, Companion, Creative, Format, MediaFile, MediaOffer
from bidder.stages.markup.escaping import attribute, cdata, clean, in_json, json_parts, url
from bidder.stages.markup.notices import TRAIL, Notices

AD_SYSTEM = "rtb-bidder"
VAST2, VAST3, VAST40, DAAST, VAST41, VAST42, VAST43 = 2, 3, 7, 9, 11, 13, 15

VERSIONS = {VAST2: "2.0", VAST3: "3.0", VAST40: "4.0", VAST41: "4.1", VAST42: "4.2", VAST43: "4.3", DAAST: "1.0"}
_BEST_FIRST = (VAST43, VAST42, VAST41, VAST40, VAST3, VAST2, DAAST)
_USUAL = {VIDEO: VAST3, AUDIO: VAST41}  # read by most players; the first VAST that knows audio
_FOUR = frozenset({VAST40, VAST41, VAST42, VAST43})
_HAS_SERVING_ID = _FOUR - {VAST40}
_HAS_ID_VALUE = frozenset({VAST40, VAST41})  # UniversalAdId said its id twice
# Stand in the document, in this order, where AdServingId goes, the time from which on the ad can be skipped, the media
# files, and the companions.
_SERVING_ID, _SKIP_OFFSET, _FILES, _COMPANIONS = _PLACES = "\x02\x03\x04\x05"
_RENDERING = {"beside": "concurrent", "end_card": "end-card"}  # of companions, from 4.1 on
_STATIC = 1  # companiontype: an image
_EVENTS = ("start", "firstQuartile", "midpoint", "thirdQuartile", "complete")
MAX_KEPT = 4
"""Choices of media files and times of skipping that a document is kept ready for: some 1.5 KB each."""

_UNCATEGORISED = "IAB24"  # DAAST wants a category even where the campaign has none


@lru_cache(maxsize=256)  # creatives of one catalog are able to do few different things
def versions(format: Format, able: frozenset[int]) -> Versions:
    """Those of all creatives of a format that are able to do the same."""
    return Versions(format, able)


class Versions:
    """The versions that a creative is able to be delivered in (`able`; an empty set is any), best first.

    DAAST is for audio and comes last. Where the player says nothing: VAST 3.0 for video, 4.1 for audio, if able."""

    __slots__ = ("_best_first", "_if_not_said", "_usual")

    def __init__(self, format: Format, able: frozenset[int]) -> None:
        known = [code for code in _BEST_FIRST if code != DAAST or format is AUDIO]
        self._best_first = [code for code in known if not able or code in able]
        self._usual = _USUAL[format]
        either = self._usual in self._best_first or not self._best_first
        self._if_not_said = self._usual if either else self._best_first[0]

    def newest(self, offered: frozenset[int]) -> int:
        """The newest that the player offers; an empty set is any."""
        if not offered:
            return self._if_not_said
        for code in self._best_first:
            if code in offered:
                return code
        return self._usual


class Files:
    """The media files of one creative, as they stand in its document. All versions of VAST have the same. Some of them
    are named by a number that has a bit for each."""

    __slots__ = ("_deliveries", "_each", "_every", "_highest_kbps", "_lowest_kbps", "_mimes")

    def __init__(self, creative: Creative, protocol: int) -> None:
        self._each = [
            (file.mime, file.delivery, file.bitrate_kbps, in_json(_media_file(creative, file, protocol)))
            for file in creative.media
        ]
        self._every = (1 << len(self._each)) - 1
        self._mimes = frozenset([file.mime for file in creative.media])
        self._deliveries = frozenset([file.delivery for file in creative.media])
        bitrates_kbps = [file.bitrate_kbps for file in creative.media] or [0]
        self._lowest_kbps, self._highest_kbps = min(bitrates_kbps), max(bitrates_kbps)

    def of(self, number: int) -> str:
        return "".join([each[3] for place, each in enumerate(self._each) if number >> place & 1])

    def taken(self, offer: MediaOffer) -> int:
        """Those that the player takes: MIME type, delivery and bitrate (sections 3.2.7, 3.2.8). Where no file meets all
        of them, every file is sent: the player chooses."""
        if len(self._each) < 2:
            return self._every
        mimes, delivery = offer.mimes, offer.delivery
        least, most = offer.min_bitrate_kbps, offer.max_bitrate_kbps
        if (
            (not mimes or mimes >= self._mimes)
            and (not delivery or delivery >= self._deliveries)
            and (not least or least <= self._lowest_kbps)
            and (not most or most >= self._highest_kbps)
        ):  # as four times in five: in a third of the time of looking at each
            return self._every
        sent, bit = 0, 1
        for mime, delivered, bitrate_kbps, _ in self._each:
            if (
                (not mimes or mime in mimes)
                and (not delivery or delivered in delivery)
                and (not least or bitrate_kbps >= least)
                and (not most or bitrate_kbps <= most)
            ):
                sent |= bit
            bit += bit
        return sent or self._every


class Vast:
    """The document for one creative in one version, ready but for the files that the player takes, the time of skipping
    (not before the player's `skipafter`) and the bid's ids. `before` and `after`: JSON that it stands between."""

    __slots__ = (
        *("_about", "_after", "_before", "_companions", "_end", "_files", "_has_serving_id", "_identity", "_linear"),
        *("_skip_after_s", "_skips", "_with_files"),
    )

    def __init__(
        self,
        creative: Creative,
        protocol: int,
        skippable: bool,
        notices: Notices | None,
        categories: Sequence[str] = (),
        files: Files | None = None,
        before: str = "",
        after: str = "",
    ) -> None:
        self._files = files or Files(creative, protocol)
        skips = skippable and protocol != VAST2  # 2.0 knows no skipping
        document = _document(creative, protocol, notices, categories, skips=skips)
        start, about, linear, rest, end = _at_places(document)
        self._before, self._linear, self._after = [json_parts(piece, TRAIL) for piece in (start, linear, rest)]
        self._before = before + self._before[0], *self._before[1:]
        self._about, self._end = in_json(about), in_json(end) + after  # no URL of ours
        self._has_serving_id = protocol in _HAS_SERVING_ID
        self._identity = in_json(_universal_ad_id(attribute(creative.id), protocol))
        self._skips, self._skip_after_s = skips, creative.skip_after_s
        self._with_files: dict[tuple[int, int], tuple[str, ...]] = {}
        known = () if protocol == DAAST else creative.companions
        self._companions = tuple((each, json_parts(_companion(each, protocol, notices), TRAIL)) for each in known)

    def render(self, offer: MediaOffer, trail: str, bid_id: str) -> str:
        """The markup for one bid, as it stands within a JSON string, `before` and `after` around it. `trail`: see
        `notices.trail`; `bid_id` is percent-encoded."""
        skip_after_s = self._skip_after_s
        if self._skips and offer.skip_after_s > skip_after_s:
            skip_after_s = offer.skip_after_s
        key = self._files.taken(offer), skip_after_s
        document = trail.join(self._with_files.get(key) or self._pieces(*key))
        if self._has_serving_id:
            document = f"{trail.join(self._before)}<AdServingId>{bid_id}</AdServingId>{document}"
        if self._companions:
            document += self._beside(offer, trail) + self._end if offer.companions else self._end
        return document

    def _pieces(self, files: int, skip_after_s: int) -> tuple[str, ...]:
        """What stands between the ids, of all that follows AdServingId, or of all where there is none; companions and
        what follows them apart, where there are some."""
        before = ("",) if self._has_serving_id else self._before
        after = self._after if self._companions else (*self._after[:-1], self._after[-1] + self._end)
        about = self._about + (_skip_offset(skip_after_s) if self._skips else "")
        pieces = _joined(before, (about,), self._linear, (self._files.of(files),), after)
        if len(self._with_files) >= MAX_KEPT:
            self._with_files.clear()
        self._with_files[files, skip_after_s] = pieces
        return pieces

    def _beside(self, offer: MediaOffer, trail: str) -> str:
        """The companions that the slot has a place for, as a creative of their own; "": none."""
        if offer.companion_types and _STATIC not in offer.companion_types:
            return ""
        taken = [parts for each, parts in self._companions if any(_takes(place, each) for place in offer.companions)]
        if not taken:
            return ""
        images = "".join(map(trail.join, taken))
        return f"<Creative><CompanionAds>{images}</CompanionAds>{self._identity}</Creative>"


def _at_places(document: str) -> list[str]:
    """What stands before, between and after the places."""
    pieces = []
    for place in _PLACES:
        piece, _, document = document.partition(place)
        pieces.append(piece)
    return [*pieces, document]


def _joined(*texts: tuple[str, ...]) -> tuple[str, ...]:
    """Of texts in pieces, the pieces of all of them one after the other."""
    joined = [""]
    for first, *others in texts:
        joined[-1] += first
        joined += others
    return tuple(joined)


def _skip_offset(seconds: int) -> str:
    return rf" skipoffset=\"{_clock(seconds)}\""


def _takes(place: BannerOffer, companion: Companion) -> bool:
    """Whether an image of this size and type may stand there, then (section 3.2.6, as a companion)."""
    if companion.shown != "any" and place.end_card != (companion.shown == "end_card"):
        return False
    sized = not place.sizes or (companion.width, companion.height) in place.sizes
    return sized and (not place.mimes or companion.mime in place.mimes)


def _companion(companion: Companion, protocol: int, notices: Notices | None) -> str:
    """The player opens the landing page itself; from VAST 3.0 on it calls our click tracker besides."""
    tracking = ""
    if notices and protocol != VAST2:
        tracking = f"<CompanionClickTracking>{cdata(notices.click())}</CompanionClickTracking>"
    kind = attribute(companion.mime)
    mode = _RENDERING.get(companion.shown, "") if protocol in _HAS_SERVING_ID else ""
    rendering = f' renderingMode="{mode}"' if mode else ""
    return (
        f'<Companion width="{companion.width}" height="{companion.height}"{rendering}>'
        f'<StaticResource creativeType="{kind}">{cdata(url(companion.url))}</StaticResource>'
        f"<CompanionClickThrough>{cdata(url(companion.landing_url))}</CompanionClickThrough>{tracking}</Companion>"
    )


def _document(
    creative: Creative,
    protocol: int,
    notices: Notices | None,
    categories: Sequence[str],
    *,
    skips: bool,
) -> str:
    ad_id = attribute(creative.id)
    root = "DAAST" if protocol == DAAST else "VAST"
    namespace = ' xmlns="http://www.iab.com/VAST"' if protocol in _FOUR else ""
    audio = creative.spec.format is AUDIO and protocol in _HAS_SERVING_ID
    kind = ' adType="audio"' if audio else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<{root} version="{VERSIONS[protocol]}"{namespace}><Ad id="{ad_id}"{kind}><InLine>'
        f"<AdSystem>{AD_SYSTEM}</AdSystem>"
        + _about(creative, protocol, notices, categories)
        + f'<Creatives><Creative id="{ad_id}">{_linear(creative, protocol, notices, skips=skips)}'
        f"{_universal_ad_id(ad_id, protocol)}</Creative>{_COMPANIONS}</Creatives></InLine></Ad></{root}>"
    )


def _about(creative: Creative, protocol: int, notices: Notices | None, categories: Sequence[str]) -> str:
    """What stands between AdSystem and Creatives."""
    title = f"<AdTitle>{cdata(clean(creative.title or creative.id))}</AdTitle>"
    error = f"<Error>{cdata(notices.error())}</Error>" if notices else ""
    impressions = _impressions(creative, notices)
    if protocol in _FOUR:
        return error + impressions + _SERVING_ID + title
    if protocol == DAAST:
        title += f"<Category>{cdata(clean(categories[0] if categories else _UNCATEGORISED))}</Category>"
    return title + error + impressions + _SERVING_ID


def _impressions(creative: Creative, notices: Notices | None) -> str:
    """At least one is mandatory; about:blank is the placeholder that VAST 4.2 names."""
    urls = [url(tracker) for tracker in creative.impression_trackers]
    if notices:
        urls.append(notices.impression())
    return "".join(f"<Impression>{cdata(each)}</Impression>" for each in urls or ["about:blank"])


def _linear(creative: Creative, protocol: int, notices: Notices | None, *, skips: bool) -> str:
    duration = f"<Duration>{_clock(creative.spec.duration_s)}</Duration>"
    events = _tracking(notices, (*_EVENTS, "skip") if skips else _EVENTS) if notices else ""
    media = f"<MediaFiles>{_FILES}</MediaFiles>"
    clicks = _clicks(creative, protocol, notices)
    if protocol in _FOUR:
        return f"<Linear{_SKIP_OFFSET}>{events}{duration}{media}{clicks}</Linear>"
    return f"<Linear{_SKIP_OFFSET}>{duration}{events}{clicks}{media}</Linear>"


def _tracking(notices: Notices, events: Sequence[str]) -> str:
    url = notices.event("")
    tracked = [f'<Tracking event="{name}"><![CDATA[{url}{name}]]></Tracking>' for name in events]
    return f"<TrackingEvents>{''.join(tracked)}</TrackingEvents>"


def _clicks(creative: Creative, protocol: int, notices: Notices | None) -> str:
    """The player opens the landing page itself and calls our click tracker besides: no redirect."""
    through = f"<ClickThrough>{cdata(url(creative.landing_url))}</ClickThrough>" if creative.landing_url else ""
    tracking = f"<ClickTracking>{cdata(notices.click())}</ClickTracking>" if notices else ""
    if not through and not tracking:
        return ""
    element = "AdInteractions" if protocol == DAAST else "VideoClicks"
    return f"<{element}>{tracking + through if protocol in _FOUR else through + tracking}</{element}>"


def _media_file(creative: Creative, file: MediaFile, protocol: int) -> str:
    delivery = "streaming" if file.delivery == 1 else "progressive"
    # Only what is text in the catalog is escaped. Width and height are 0 for audio.
    if protocol == DAAST:
        shape = f' id="{attribute(creative.id)}-{file.bitrate_kbps}"'
    else:
        shape = f' width="{file.width}" height="{file.height}"'
    bitrate = f' bitrate="{file.bitrate_kbps}"' if file.bitrate_kbps else ""
    scaled = ' scalable="true" maintainAspectRatio="true"' if creative.spec.format is VIDEO else ""
    framework = ' apiFramework="VPAID"' if file.mime == "application/javascript" else ""
    return (
        f'<MediaFile delivery="{delivery}" type="{attribute(file.mime)}"{shape}'
        f"{bitrate}{scaled}{framework}>{cdata(url(file.url))}</MediaFile>"
    )


def _universal_ad_id(ad_id: str, protocol: int) -> str:
    if protocol not in _FOUR:
        return ""
    twice = f' idValue="{ad_id}"' if protocol in _HAS_ID_VALUE else ""
    return f'<UniversalAdId idRegistry="unknown"{twice}>{ad_id}</UniversalAdId>'


def _clock(seconds: int) -> str:
    """HH:MM:SS."""
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
