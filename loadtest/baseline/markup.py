"""What is shown: HTML, VAST, native JSON, with the addresses that report back."""

from __future__ import annotations

import json
from html import escape
from urllib.parse import urlencode

from loadtest.baseline.eligibility import Candidate, playable, protocol_of
from loadtest.baseline.native import assets_of, fill
from loadtest.baseline.request import BidRequest

VAST_VERSIONS = {2: "2.0", 3: "3.0", 7: "4.0", 11: "4.1", 13: "4.2"}
_PRICE = "&price=${AUCTION_PRICE}&cur=${AUCTION_CURRENCY}"


class Notices:
    """The addresses of one bid. Empty without a base URL."""

    def __init__(self, base: str, request: BidRequest, bid_id: str, candidate: Candidate) -> None:
        about = {
            "auction": request.id,
            "bid": bid_id,
            "imp": candidate.imp.id,
            "campaign": candidate.campaign.id,
            "creative": candidate.creative.id,
        }
        self._base, self._query = base, urlencode(about)

    def url(self, event: str, *, priced: bool = False) -> str:
        return f"{self._base}/notice/{event}?{self._query}{_PRICE if priced else ''}" if self._base else ""


def markup(candidate: Candidate, notices: Notices) -> str:
    """`bid.adm`."""
    kind = candidate.creative.format
    return _html(candidate, notices) if kind == "banner" else (
        _native(candidate, notices) if kind == "native" else _vast(candidate, notices)
    )  # fmt: skip


def _impressions(candidate: Candidate, notices: Notices) -> list[str]:
    own = notices.url("impression")
    return [*([own] if own else []), *candidate.creative.trackers]


def _click(candidate: Candidate, notices: Notices) -> str:
    return (notices.url("click") and notices.url("click") + "&go=1") or candidate.creative.landing_url


def _html(candidate: Candidate, notices: Notices) -> str:
    pixels = "".join(
        f'<img src="{escape(url)}" width="1" height="1" style="display:none" alt="">'
        for url in _impressions(candidate, notices)
    )
    return candidate.creative.html.replace("${CLICK_URL}", escape(_click(candidate, notices))) + pixels


def _vast(candidate: Candidate, notices: Notices) -> str:
    creative = candidate.creative
    offer = candidate.imp.video if creative.format == "video" else candidate.imp.audio
    assert offer is not None
    protocol = protocol_of(creative, offer)
    seconds = f"{creative.duration_s // 3600:02d}:{creative.duration_s // 60 % 60:02d}:{creative.duration_s % 60:02d}"
    impressions = "".join(f"<Impression><![CDATA[{url}]]></Impression>" for url in _impressions(candidate, notices))
    files = "".join(
        f'<MediaFile delivery="progressive" type="{file.mime}" bitrate="{file.kbps}" width="{file.w}" '
        f'height="{file.h}"><![CDATA[{file.url}]]></MediaFile>'
        for file in playable(creative, offer)
    )
    skip = f' skipoffset="00:00:{creative.skip_after_s:02d}"' if creative.skippable else ""
    return (
        f'<VAST version="{VAST_VERSIONS.get(protocol or 0, "3.0")}"><Ad id="{creative.id}"><InLine>'
        f"<AdSystem>baseline</AdSystem><AdTitle>{escape(creative.id)}</AdTitle>"
        f"{impressions or '<Impression/>'}<Creatives><Creative><Linear{skip}><Duration>{seconds}</Duration>"
        f"<MediaFiles>{files}</MediaFiles><VideoClicks><ClickThrough><![CDATA[{_click(candidate, notices)}]]>"
        "</ClickThrough></VideoClicks></Linear></Creative></Creatives></InLine></Ad></VAST>"
    )


def _native(candidate: Candidate, notices: Notices) -> str:
    assert candidate.imp.native is not None
    asked = assets_of(candidate.imp.native.request)
    assert asked is not None
    answer = {
        "ver": asked.version,
        "link": {"url": _click(candidate, notices)},
        "assets": fill(asked, candidate.creative) or [],
        "imptrackers": _impressions(candidate, notices),
    }
    return json.dumps({"native": answer} if asked.wrapped else answer)
