"""Do the bids for a pod go together? Places in it, and what it wants distinct (section 7.6).

The rule: independent of the bidder's code on purpose. A pod is the impressions that share a `podid`, or one dynamic
impression by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from loadtest.markup import Json, Violation

_FIRST, _LAST, _EITHER = 1, -1, 2  # slot position in pod (AdCOM)
_ALLOWED = {0: {_FIRST, _LAST, _EITHER}, _EITHER: {_FIRST, _LAST, _EITHER}, _FIRST: {_FIRST}, _LAST: {_LAST}}
_STANDS_FOR = {_FIRST: {_FIRST}, _LAST: {_LAST}, _EITHER: {_FIRST, _LAST}}
_MEDIA_FILE = re.compile(r"<MediaFile [^>]*><!\[CDATA\[([^]]*)]]>")


def check_pods(imps: Mapping[str, Json], bids: Sequence[Json]) -> Iterator[Violation]:
    """`imps` by id. Bids for impressions that are none are left to others."""
    placed = [(bid, imps[bid["impid"]]) for bid in bids if bid["impid"] in imps]
    for bid, imp in placed:
        yield from _place(bid, imp, imps)
    for (one, one_imp), (other, other_imp) in combinations(placed, 2):
        if _in_one_pod(one_imp, other_imp):
            yield from _together(one, other, _offer(one_imp))


def _offer(imp: Json) -> Json:
    found: Json = imp.get("video") or imp.get("audio") or {}
    return found


def _is_dynamic(offer: Json) -> bool:
    return bool(offer.get("poddur")) or (offer.get("maxseq") or 1) > 1


def _in_one_pod(one: Json, other: Json) -> bool:
    if one is other:  # of a fixed slot, bids are alternatives
        return _is_dynamic(_offer(one))
    pod = _offer(one).get("podid")
    return bool(pod) and pod == _offer(other).get("podid")


def _place(bid: Json, imp: Json, imps: Mapping[str, Json]) -> Iterator[Violation]:
    """A bid names a place only where the pod leaves one open: else `impid` says it."""
    place, offer = bid.get("slotinpod", 0), _offer(imp)
    if not place:
        return
    if not _is_dynamic(offer):
        yield Violation("slotinpod", f"slotinpod {place} on an impression that is no dynamic pod")
        return
    taken: set[Any] = set()
    for other in imps.values():
        if other is not imp and offer.get("podid") and _offer(other).get("podid") == offer["podid"]:
            taken |= _STANDS_FOR.get(_offer(other).get("slotinpod", 0), set())
    if place not in _ALLOWED.get(offer.get("slotinpod", 0), set()) - taken:
        yield Violation("slotinpod", f"slotinpod {place}, which the pod does not leave open")


def _together(one: Json, other: Json, offer: Json) -> Iterator[Violation]:
    """`poddedupe`: 1 advertiser's domain, 2 category, 3 creative, 4 media file; and no place is given twice."""
    if one.get("slotinpod", 0) in (_FIRST, _LAST) and one["slotinpod"] == other.get("slotinpod"):
        yield Violation("slotinpod", f"two bids for place {one['slotinpod']} of one pod")
    for setting, name, of in (
        (1, "advertiser", lambda bid: bid.get("adomain", ())),
        (2, "category", lambda bid: bid.get("cat", ())),
        (3, "creative", lambda bid: [bid.get("crid")]),
        (4, "media file", lambda bid: _MEDIA_FILE.findall(bid.get("adm", ""))),
    ):
        if setting in (offer.get("poddedupe") or ()) and (common := set(of(one)) & set(of(other))):
            yield Violation("poddedupe", f"{name} {sorted(common)[0]!r} twice in one pod")
