"""Requests as bytes, built before the clock runs, and the check that an answer is theirs.

The rule: every request sent has a tag of its own, in its id and in the ids of its impressions, so that an answer that
belongs to another request is told from the bytes alone, whichever part of it was mixed up. All answers are checked for
that. An answer without content (204, 400) names no request, and cannot be told from another one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import orjson

from loadtest.sending.tally import Outcome
from loadtest.traffic import BidRequestCase

DEFAULT_TMAX_MS = 100  # where neither the plan nor the request says
TAG_BYTES = 12
_TAG = "~~the~~tag~~"  # stands where a tag goes
_IMPID = b'"impid":"'


@dataclass(frozen=True, slots=True)
class Message:
    """One bid request. `parts` are what stands between the tags: head, body, all."""

    parts: tuple[bytes, ...]
    id_start: bytes | None  # what the tag follows in the id; None: the request has no readable id
    tags_imps: bool  # whether the impressions' ids are "tag-…" too
    may_be_refused: bool
    tmax_s: float

    def wire(self, tag: bytes) -> bytes:
        return tag.join(self.parts)

    def outcome(self, tag: bytes, status: int, body: bytes) -> Outcome:
        """Of an answer that came in time. Two searches in C for an answer as our bidder writes it."""
        if status == 204:
            return Outcome.NO_BID
        if status == 400 and self.may_be_refused:
            return Outcome.REFUSED
        if status != 200:
            return Outcome.BAD_STATUS
        if self.id_start is not None and b'"id":"%b%b"' % (self.id_start, tag) in body:
            imps = body.count(_IMPID)
            if imps and (not self.tags_imps or imps == body.count(b"%b%b-" % (_IMPID, tag))):
                return Outcome.BID
        return self._outcome_by_reading(tag, body)

    def _outcome_by_reading(self, tag: bytes, body: bytes) -> Outcome:
        """Whatever its spacing and order; a 200 without a bid is a no-bid."""
        try:
            response = orjson.loads(body)
            bids = [bid["impid"] for seat in response.get("seatbid") or () for bid in seat["bid"]]
        except (ValueError, TypeError, KeyError, AttributeError):
            return Outcome.UNREADABLE
        ours = self._id(tag)
        if response.get("id", None if bids else ours) != ours or (bids and ours is None):
            return Outcome.WRONG_ID
        if self.tags_imps and not all(str(impid).startswith(f"{tag.decode()}-") for impid in bids):
            return Outcome.WRONG_ID
        return Outcome.BID if bids else Outcome.NO_BID

    def as_sent(self, case: BidRequestCase, tag: bytes) -> BidRequestCase:
        """The case with the ids that it was sent with, to be judged."""
        name = self._id(tag)
        if name is None or case.request is None:
            return case
        return replace(case, id=name, request=_named(case.request, name, tag.decode() if self.tags_imps else None))

    def _id(self, tag: bytes) -> str | None:
        return None if self.id_start is None else (self.id_start + tag).decode()


def messages(cases: Iterable[BidRequestCase], url: str, tmax_ms: int | None = None) -> list[Message]:
    """What is sent for `cases`. `tmax_ms` takes the place of the requests' own; `url` is http://HOST:PORT/PATH."""
    parts = urlsplit(url)
    head = (
        f"POST {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        "x-openrtb-version: 2.6\r\nContent-Length: "
    ).encode()
    return [_message(case, head, tmax_ms) for case in cases]


def _message(case: BidRequestCase, head: bytes, tmax_ms: int | None) -> Message:
    start = case.id[:-TAG_BYTES]  # so that ids keep their length, if they are long enough
    name, request = start + _TAG, case.request
    whole = request is not None and _is_plain(request) and orjson.dumps(request) == case.body
    if whole:
        assert request is not None
        body = orjson.dumps(_named(request, name, _TAG) | ({} if tmax_ms is None else {"tmax": tmax_ms}))
    else:  # spelled in a way that must be kept to the byte
        body = case.body.replace(case.id.encode(), name.encode())
        if tmax_ms is not None:
            body = re.sub(rb'"tmax":\d+(?=[,}])', b'"tmax":%d' % tmax_ms, body, count=1)
    content = body.split(_TAG.encode())
    length = len(body) + (TAG_BYTES - len(_TAG)) * (len(content) - 1)
    return Message(
        (head + b"%d\r\n\r\n" % length + content[0], *content[1:]),
        start.encode() if len(content) > 1 else None,
        whole,
        "refused" in case.expected,
        (tmax_ms or _own_tmax_ms(case)) / 1000,
    )


def _named(request: dict[str, Any], name: str, tag: str | None) -> dict[str, Any]:
    """The request with another id and, given a tag, with impressions that carry it."""
    named = {**request, "id": name}
    if tag is not None:
        named["imp"] = [{**imp, "id": f"{tag}-{imp['id']}"} for imp in request["imp"]]
    return named


def _is_plain(request: dict[str, Any]) -> bool:
    imps = request.get("imp")
    return (
        isinstance(request.get("id"), str)
        and isinstance(imps, list)
        and all(isinstance(imp, dict) and isinstance(imp.get("id"), str) for imp in imps)
    )


def _own_tmax_ms(case: BidRequestCase) -> int:
    tmax_ms = case.request.get("tmax") if case.request else None
    return tmax_ms if isinstance(tmax_ms, int) and tmax_ms > 0 else DEFAULT_TMAX_MS
