"""Exemplars: a request, a catalog, and the answer that must come back. They are data, in tests/exemplars.

The rule: every exemplar, whatever it is about, is also held against what holds of any answer (invariants.py there).
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from typing import Any

import pytest

from bidder.domain import Exchange
from bidder.stages.features import FEATURES
from tests.exemplars.bench import Bench
from tests.exemplars.cases import BASES, campaign, exemplars, put

Json = dict[str, Any]

WANTED = 150
EXPECTATIONS = {
    "bid",
    "bids",
    "no_bid",
    "refused",
    "response",
    "looked_up",
    "unseen",
    "adm_contains",
    "adm_lacks",
    "features",
}


def test_there_are_exemplars_enough() -> None:
    """At least 150, no two of one name, each saying what it expects in known words."""
    found = list(exemplars())
    assert len(found) >= WANTED
    assert [name for name, uses in Counter(each.name for each in found).items() if uses > 1] == []
    for each in found:
        assert len(each.expect.keys() & {"bid", "bids", "no_bid", "refused"}) == 1, each.name
        assert each.expect.keys() <= EXPECTATIONS, each.name


async def test_an_exemplar_gets_its_answer(exemplar: Any) -> None:
    """The one expected, and one that breaks no invariant."""
    bidder = exemplar.bench()
    outcome = await bidder.bid(exemplar.body)
    assert bidder.violations(exemplar.body, outcome) == []
    expect = exemplar.expect
    if "refused" in expect:
        assert (outcome.status, outcome.reason) == (400, "")
        assert expect["refused"] in outcome.body.decode()
    elif "no_bid" in expect:
        assert (outcome.reason, outcome.bids) == (expect["no_bid"], [])
        assert outcome.status == (200 if exemplar.exchange.no_bid_body else 204)
    else:
        expected = expect["bids"] if "bids" in expect else [expect["bid"]]
        assert [_projected(bid, wanted) for bid, wanted in zip(outcome.bids, expected, strict=False)] == expected
        assert len(outcome.bids) == len(expected), outcome.reason or [bid["cid"] for bid in outcome.bids]
    _check_details(outcome, expect)


def _check_details(outcome: Any, expect: Json) -> None:
    response = expect.get("response", {})
    assert _projected(outcome.response, response) == response
    if "looked_up" in expect:
        assert len(outcome.keys) == expect["looked_up"]
    if "features" in expect:
        row = dict(zip(FEATURES, map(float, outcome.rows.splitlines()[0].split(b",")), strict=True))
        assert _projected(row, expect["features"]) == expect["features"]
    seen = b"\n".join([outcome.body, outcome.rows, *(key.encode() for key in outcome.keys)])
    assert [secret for secret in expect.get("unseen", ()) if secret.encode() in seen] == []
    markup = "\n".join(bid.get("adm", "") for bid in outcome.bids)
    assert [part for part in expect.get("adm_contains", ()) if part not in markup] == []
    assert [part for part in expect.get("adm_lacks", ()) if part in markup] == []


def _projected(found: Json, wanted: Json) -> Json:
    """The fields of `found` that are asked about; null stands for an absent one."""
    return {name: found.get(name) for name in wanted}


@pytest.mark.parametrize(
    ("request_name", "place", "value"),
    [
        ("banner", "bcat", ["IAB22"]),
        ("banner", "acat", ["IAB1"]),
        ("banner", "cattax", 2),
        ("banner", "badv", ["brand.example"]),
        ("banner", "bapp", ["com.brand.app"]),
        ("banner", "wseat", ["seat-9"]),
        ("banner", "bseat", ["seat-1"]),
        ("banner", "cur", ["EUR"]),
        ("banner", "wlang", ["de"]),
        ("banner", "wlangb", ["en-GB"]),
        ("banner", "regs", {"coppa": 1}),
        ("banner", "regs", {"ext": {"dsa": {"dsarequired": 2}}}),
        ("banner", "source", {"schain": {"ver": "1.0", "complete": 0, "nodes": [{"asi": "ssp.example", "sid": "1"}]}}),
        ("banner", "imp.0.id", "2"),
        ("banner", "imp.0.qty", {"multiplier": 0}),
        ("banner", "imp.1", {"id": "1", "video": {"mimes": ["video/mp4"]}}),
        ("banner", "imp.0.bidfloor", 2.51),
        ("banner", "imp.0.secure", 1),
        ("banner", "imp.0.pmp", {"private_auction": 1}),
        ("banner", "imp.0.banner.format", [{"w": 320, "h": 50}]),
        ("banner", "imp.0.banner.battr", [10]),
        ("banner", "imp.0.banner.btype", [2]),
        ("banner", "imp.0.banner.mimes", ["image/png"]),
        ("banner", "imp.0.banner.api", []),
        ("video", "imp.0.video.mimes", ["video/webm"]),
        ("video", "imp.0.video.protocols", [1]),
        ("video", "imp.0.video.maxduration", 14),
        ("video", "imp.0.video.minduration", 16),
        ("video", "imp.0.video.rqddurs", [30]),
        ("video", "imp.0.video.maxbitrate", 100),
        ("video", "imp.0.video.delivery", [1]),
        ("video", "imp.0.video.linearity", 2),
        ("video", "imp.0.video.skip", 0),
        ("video", "imp.0.video.mincpmpersec", 1.0),
        ("native", "imp.0.native.request.assets.0.title.len", 3),
        ("native", "imp.0.native.request.assets.1.img.wmin", 2000),
    ],
)
async def test_the_invariants_know_a_broken_restriction(request_name: str, place: str, value: Any) -> None:
    """A right answer to one request, held against another that forbids it: the judges object."""
    request = copy.deepcopy(BASES["requests"][request_name])
    banner = {"like": "banner", "bundle": "com.brand.app", "creative": dict(INSECURE)}
    video = {"like": "video", "creative": {"skippable": True, "skip_after_s": 5}}
    bought = campaign({"banner": banner, "video": video}.get(request_name, request_name))
    if request_name == "banner":
        request |= {"cattax": 1, "bcat": ["IAB9"]}
        request["imp"][0]["banner"]["api"] = [5]
    bidder = Bench([bought], Exchange("generic"))
    body = json.dumps(request).encode()
    outcome = await bidder.bid(body)
    assert len(outcome.bids) == 1
    assert bidder.violations(body, outcome) == []
    put(request, place, value)
    assert bidder.violations(json.dumps(request).encode(), outcome) != []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("device.lmt", 1),
        ("device.dnt", 1),
        ("regs", {"coppa": 1}),
        ("regs", {"gdpr": 1}),
        ("regs", {"ext": {"gdpr": 1}}),
        ("regs", {"us_privacy": "1YYN"}),
        ("regs", {"us_privacy": "", "ext": {"us_privacy": "1YYN"}}),
    ],
)
async def test_the_invariants_know_a_profile_looked_up_against_the_users_will(place: str, value: Any) -> None:
    """Whether there is a bid or not."""
    request = copy.deepcopy(BASES["requests"]["user"])
    bidder = Bench([campaign({"like": "banner", "suitable_for_children": True})], Exchange("generic"))
    body = json.dumps(request).encode()
    outcome = await bidder.bid(body)
    assert bidder.violations(body, outcome) == []
    put(request, place, value)
    assert bidder.violations(json.dumps(request).encode(), outcome) != []


INSECURE = {
    "html": '<img src="http://cdn.example/a.png">',
    "attributes": [10],
    "apis": ["mraid2"],
    "language": "en",
}
