"""The generated requests: what they are like, and that a seed means the same bytes."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import ValidationError

from loadtest.traffic import BidRequestCase, Kind, requests
from openrtb_schemas import REQUEST

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "openrtb"
ALLOWED_BY_2_5 = {"unknown_legacy", "deprecated_used"}


@pytest.fixture(scope="module")
def cases() -> list[BidRequestCase]:
    return list(requests(1, 4_000))


@pytest.fixture(scope="module")
def valid(cases: list[BidRequestCase]) -> list[dict[str, Any]]:
    return [case.request for case in cases if case.kind is Kind.VALID and case.request is not None]


@pytest.fixture(scope="module")
def checker() -> ModuleType:
    path = REFERENCE / "check.py"
    if not path.exists():
        pytest.skip("the reference data is not there: no second opinion on what conforms")
    spec = importlib.util.spec_from_file_location("openrtb_check", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_seed_means_the_same_bytes_for_good():
    """The digest is that of the first machine that ran this; another platform or Python must give the same."""
    digest = hashlib.sha256(b"\n".join(case.body for case in requests(42, 300)))
    assert digest.hexdigest() == "38f46a31585a56f4334a82f9cfede2cca00f6cc1d8a250f41dfb94ec09aafa7a"


def test_a_longer_run_begins_with_the_shorter():
    """Asking for more requests does not change the first ones."""
    assert [case.body for case in requests(3, 50)] == [case.body for case in requests(3, 80)][:50]


def test_seeds_differ():
    """Another seed gives other requests."""
    assert {case.id for case in requests(1, 50)}.isdisjoint(case.id for case in requests(2, 50))


def test_the_people_are_the_same_for_every_seed(valid: list[dict[str, Any]]):
    """A buyeruid stands for one device model and country whatever the seed, as people meet every exchange."""
    other = [case.request for case in requests(2, 1_000) if case.kind is Kind.VALID and case.request is not None]
    traits: dict[str, set[tuple[str, str]]] = {}
    for request in valid + other:
        if user := request.get("user", {}).get("buyeruid"):
            device = request["device"]
            traits.setdefault(user, set()).add((device["model"], device["geo"]["country"]))
    assert len(traits) > 500
    assert all(len(found) == 1 for found in traits.values())


def test_placements_offer_the_same_whatever_the_seed():
    """On one kind of device a placement has one offer in each of the two versions of OpenRTB, and many come again."""
    offers: dict[tuple[str, int | None], list[str]] = {}
    for case in (case for seed in (1, 2) for case in requests(seed, 4_000, valid_only=True)):
        if case.kind is Kind.VALID and case.request is not None and not case.obstacle:
            device = case.request.get("device", {}).get("devicetype")
            for imp in case.request["imp"]:
                offer = json.dumps([imp.get(kind) for kind in ("banner", "video", "audio", "native", "instl")])
                offers.setdefault((imp["tagid"], device), []).append(offer)
    assert max(len(set(each)) for each in offers.values()) == 2
    assert sum(len(each) >= 10 for each in offers.values()) > 50


def test_valid_requests_conform_to_the_reference_tables(cases: list[BidRequestCase], checker: ModuleType):
    """An independent checker finds nothing but fields that 2.5 had."""
    found = Counter(
        (kind, place, detail)
        for case in cases
        if case.kind is Kind.VALID
        for kind, place, detail in checker.violations(checker.loads(case.body.decode()), "BidRequest")
        if kind not in ALLOWED_BY_2_5
    )
    assert not found


def test_the_schemas_read_every_request_that_is_not_malformed(cases: list[BidRequestCase]):
    """Deviations included: they are spelling, and a bidder reads them."""
    for case in cases:
        if case.kind is not Kind.MALFORMED:
            assert REQUEST.validate_json(case.body)["id"] == case.id, case.defect


def test_deviations_do_not_change_what_is_meant(cases: list[BidRequestCase]):
    """Read by the schemas, a deviating body and the request that was meant agree on every term that limits a bid."""
    for case in cases:
        if case.kind is Kind.DEVIATING:
            read, meant = REQUEST.validate_json(case.body), REQUEST.validate_python(case.request)
            terms = ("id", "tmax", "at", "cur", "bcat", "wseat", "bseat", "test")
            assert [read.get(term) for term in terms] == [meant.get(term) for term in terms], case.defect
            for mine, theirs in zip(read["imp"], meant["imp"], strict=True):
                limits = ("id", "bidfloor", "bidfloorcur", "secure", "instl")
                assert [mine.get(term) for term in limits] == [theirs.get(term) for term in limits], case.defect


def test_every_deviation_occurs(cases: list[BidRequestCase]):
    """All kinds of deviation are in a few thousand requests."""
    found = {name for case in cases if case.kind is Kind.DEVIATING for name in case.defect.split(", ")}
    assert len(found) == 9


def test_the_schemas_refuse_every_malformed_request():
    """What must not be bid on is refused by the schemas, apart from a negative floor, which is readable."""
    malformed = [case for case in requests(5, 6_000) if case.kind is Kind.MALFORMED]
    assert len({case.defect for case in malformed}) > 15
    for case in malformed:
        if case.defect != "bidfloor is negative":
            with pytest.raises(ValidationError):
                REQUEST.validate_json(case.body)


def test_no_malformed_request_expects_a_bid(cases: list[BidRequestCase]):
    """Malformed ones say what must become of them, and it is never a bid."""
    malformed = [case for case in cases if case.kind is Kind.MALFORMED]
    assert 0.01 < len(malformed) / len(cases) < 0.03
    assert all(case.expected and "bid" not in case.expected for case in malformed)


def test_valid_only_leaves_the_malformed_out():
    """With valid_only there are as many requests as asked for and none is malformed."""
    made = list(requests(1, 1_000, valid_only=True))
    assert len(made) == 1_000
    assert {case.kind for case in made} == {Kind.VALID, Kind.DEVIATING}


def test_bodies_stand_on_one_line(cases: list[BidRequestCase]):
    """No body holds a line feed, so that a file of them has one a line."""
    assert not any(b"\n" in case.body for case in cases)


def test_all_formats_channels_and_countries_occur(valid: list[dict[str, Any]]):
    """Banner, video, audio and native; site, app and DOOH; ten countries."""
    formats = Counter(
        kind for r in valid for imp in r["imp"] for kind in ("banner", "video", "audio", "native") if kind in imp
    )
    assert formats["banner"] > formats["video"] > formats["native"] > formats["audio"] > 20
    channels = Counter(channel for request in valid for channel in ("site", "app", "dooh") if channel in request)
    assert channels["site"] > 1_000
    assert channels["app"] > 1_000
    assert channels["dooh"] > 50
    assert len({request["device"]["geo"]["country"] for request in valid if "device" in request}) == 10


def test_banners_state_their_sizes_in_three_ways(valid: list[dict[str, Any]]):
    """As a list of formats, as w and h alone, and as 2.5's range."""
    banners = [imp["banner"] for request in valid for imp in request["imp"] if "banner" in imp]
    assert any("format" in banner for banner in banners)
    assert any("format" not in banner and "w" in banner for banner in banners)
    assert any("wmin" in banner and "w" not in banner for banner in banners)


def test_native_comes_plain_and_in_the_envelope(valid: list[dict[str, Any]]):
    """native.request is JSON in a string, with and without the envelope of Native 1.0."""
    markups = [json.loads(imp["native"]["request"]) for request in valid for imp in request["imp"] if "native" in imp]
    assert any("native" in markup for markup in markups)
    assert any("assets" in markup for markup in markups)


def test_privacy_signals_stand_in_both_places(valid: list[dict[str, Any]]):
    """GDPR and consent where 2.6 has them and where 2.5 had them; COPPA; US Privacy; GPP; with and without consent."""
    regs = [request.get("regs", {}) for request in valid]
    for present in (
        any(r.get("gdpr") == 1 for r in regs),
        any(r.get("ext", {}).get("gdpr") == 1 for r in regs),
        any(r.get("coppa") == 1 for r in regs),
        any("us_privacy" in r for r in regs),
        any("us_privacy" in r.get("ext", {}) for r in regs),
        any("gpp" in r for r in regs),
        any("consent" in request.get("user", {}) for request in valid),
        any("consent" in request.get("user", {}).get("ext", {}) for request in valid),
        any(r.get("gdpr") == 1 and "consent" not in request["user"] for r, request in zip(regs, valid, strict=True)),
    ):
        assert present


def test_deals_known_and_unknown_are_offered(valid: list[dict[str, Any]]):
    """The catalog's deals and others, sometimes in private auctions."""
    markets = [imp["pmp"] for request in valid for imp in request["imp"] if "pmp" in imp]
    ids = {deal["id"] for market in markets for deal in market["deals"]}
    assert {"deal-sports-01", "deal-news-02", "deal-ctv-03"} <= ids
    assert any(name.startswith("deal-other") for name in ids)
    assert {market["private_auction"] for market in markets} == {0, 1}


def test_the_reference_corpus_is_read_as_well(checker: ModuleType):
    """The checker used above is a working one: it finds fault with requests that are meant to be invalid."""
    with gzip.open(REFERENCE / "requests.jsonl.gz", "rt") as lines:
        bodies = [line for line in lines if json.loads(line)["intent"] == "invalid"]
    assert any(checker.violations(checker.loads(line)["body"], "BidRequest") for line in bodies)
