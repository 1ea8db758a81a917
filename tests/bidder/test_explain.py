"""The funnel of a request: what it says is what the bid path did."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from bidder.catalog import load
from bidder.domain import CreativeSpec, Exchange, Format, Goal, GoalKind, Profile, Rates, Rows, Scores
from bidder.explain import Explainer, as_text
from bidder.explain.funnel import MAX_IDS
from bidder.metrics import Metrics
from bidder.pipeline import Compiled, Open, Pipeline
from bidder.stages.encode import Encoder
from bidder.stages.features import FEATURES
from bidder.stages.index import CampaignIndex, compile_index
from bidder.state.profiles import LookupCounts

Make = Callable[..., Any]
ROOT = Path(__file__).parents[2]
PERSON = {"buyeruid": "raw-buyer-id", "id": "raw-user-id", "data": [{"segment": [{"id": "travel"}]}]}


class Catalog:
    def __init__(self, campaigns: Sequence[Any]) -> None:
        self.current = self
        self.index = Compiled(compile_index(campaigns), Encoder("https://notice.example"))


class Profiles:
    """Knows everyone by one profile, or no one."""

    ready = True

    def __init__(self, profile: Profile | None = None) -> None:
        self.counts = LookupCounts()
        self.profile = profile

    def lookup(self, keys: Iterable[str], deadline_s: float) -> Profile | None:
        return self.profile

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...


class Priors:
    """Answers with the priors, and remembers the rows."""

    def __init__(self) -> None:
        self.rows: list[Rows] = []

    def ask(self, questions: Sequence[Open]) -> None:
        for question in questions:
            self.rows.append(question.rows)
            question.scored(Scores(question.priors(), "prior"))

    def send(self) -> None: ...


@pytest.fixture
def make_explainer(rates: Rates) -> Make:
    def make(*campaigns: Any, profile: Profile | None = None, scorer: Any = None, **more: Any) -> Explainer:
        parts = {"catalog": Catalog(campaigns), "profiles": Profiles(profile), "scorer": scorer or Priors()}
        return Explainer(**(parts | {"rates": rates} | more))

    return make


def dropped(report: Any, slot: int = 0) -> dict[tuple[str, str], list[str]]:
    return {(row["group"], row["rule"]): row["ids"] for row in report["slots"][slot]["eliminated"]}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"test": 1},
        {"imp": [{"id": str(n), "banner": {"w": 300, "h": 250}} for n in range(5)]},
        {"imp": [{"id": "1", "banner": {"w": 1, "h": 1}}]},
        {"imp": [{"id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": 4.999}]},
        {"bcat": {}},
        {"tmax": 1},
        {"cur": ["XXX"]},
        {"imp": {}},
        {"user": PERSON},
    ],
)
@pytest.mark.parametrize("no_bid_body", [False, True])
async def test_the_answer_is_the_bid_paths_own_byte_for_byte(
    make_campaign: Make, make_body: Make, rates: Rates, changes: dict[str, Any], no_bid_body: bool
) -> None:
    """Bids, no-bids in either form, refusals, malformed requests."""
    exchange = Exchange("generic", no_bid_body=no_bid_body)
    parts: dict[str, Any] = {
        "catalog": Catalog([make_campaign(f"c-{n}", prior=0.001 * n) for n in range(1, 6)]),
        "profiles": Profiles(),
        "scorer": Priors(),
        "rates": rates,
    }
    body = make_body(**changes)
    explained = (await Explainer(**parts).explain(body, exchange))["answer"]
    answer = await Pipeline(**parts, metrics=Metrics(), clock=lambda: 1000.0).bid(body, exchange, 1000.0)
    assert (explained["status"], explained["outcome"]) == (answer.status, answer.outcome)
    assert explained["body"].encode() == answer.body


@pytest.mark.parametrize(
    ("campaign", "request_", "group", "rule"),
    [
        ({"countries": frozenset({"DEU"})}, {}, "request", "country"),
        ({"channels": frozenset({"app"})}, {}, "request", "channel"),
        ({"sites": frozenset({"other.example"})}, {}, "request", "sites"),
        ({"excluded_sites": frozenset({"news.example"})}, {}, "request", "excluded sites"),
        ({"os_min_versions": (("android", "15"),)}, {}, "request", "os version"),
        ({"ad_categories": ("IAB7",)}, {"bcat": ["IAB7"]}, "request", "bcat"),
        ({"domains": ("bad.example",)}, {"badv": ["bad.example"]}, "request", "badv"),
        ({"seat": "seat-9"}, {"wseat": ["seat-1"]}, "request", "wseat"),
        ({"seat": "seat-9"}, {"bseat": ["seat-9"]}, "request", "bseat"),
        ({"deals": frozenset({"d-1"})}, {}, "slot", "deals"),
        ({"required_attributes": frozenset({"rewarded"})}, {}, "slot", "slot attributes"),
        ({"end_s": 1}, {}, "campaign", "flight"),
        ({"daily_frequency_cap": 1}, {}, "request", "frequency cap, and the user is not known"),
        ({"max_cpm_micros": 400_000}, {}, "campaign", "floor above the campaign's maximum"),
    ],
)
async def test_a_campaign_is_dropped_by_the_rule_that_it_breaks(
    make_explainer: Make,
    make_campaign: Make,
    make_body: Make,
    exchange: Exchange,
    campaign: dict[str, Any],
    request_: dict[str, Any],
    group: str,
    rule: str,
) -> None:
    """And by no other; the one beside it stays."""
    explainer = make_explainer(make_campaign("good"), make_campaign("bad", **campaign))
    report = await explainer.explain(make_body(**request_), exchange)
    assert dropped(report) == {(group, rule): ["bad"]}
    assert report["slots"][0]["candidates"] == ["good"]


async def test_creatives_that_do_not_fit_are_told_apart(
    make_explainer: Make, make_campaign: Make, make_creative: Make, make_body: Make, exchange: Exchange
) -> None:
    """By format, by size, by what else the slot refuses."""

    audio = CreativeSpec(Format.AUDIO, duration_s=15, files=(("audio/mp4", 2, 128),))
    explainer = make_explainer(
        make_campaign("audio", creatives=(make_creative("a", audio),)),
        make_campaign("wide", creatives=(make_creative("w", width=728, height=90),)),
        make_campaign("loud", creatives=(make_creative("l", attributes=frozenset({1})),)),
    )
    body = make_body(imp=[{"id": "1", "banner": {"w": 300, "h": 250, "battr": [1]}}])
    report = await explainer.explain(body, exchange)
    assert dropped(report) == {
        ("creative", "format"): ["audio"],
        ("creative", "size"): ["wide"],
        ("creative", "what the slot takes"): ["loud"],
    }
    assert report["request"]["no_bid"] == "no_campaign"


async def test_sizes_are_as_strict_as_the_exchange(
    make_explainer: Make, make_campaign: Make, make_creative: Make, make_body: Make, exchange: Exchange
) -> None:
    """A range of sizes is no size that was asked for, where only those are taken."""
    explainer = make_explainer(make_campaign("wide", creatives=(make_creative("w", width=728, height=90),)))
    ranges = {"wmin": 1, "wmax": 800, "hmin": 1, "hmax": 800}
    body = make_body(imp=[{"id": "1", "banner": {"w": 300, "h": 250, **ranges}}])
    strict = replace(exchange, strict_banner_size=True)
    assert (await explainer.explain(body, exchange))["slots"][0]["candidates"] == ["wide"]
    assert dropped(await explainer.explain(body, strict)) == {("creative", "what the slot takes"): ["wide"]}


async def test_all_are_counted_and_twenty_are_named(
    make_explainer: Make, make_campaign: Make, make_body: Make, exchange: Exchange
) -> None:
    """Those who were not needed, too."""
    campaigns = [make_campaign(f"f-{n}", countries=frozenset({"FRA"})) for n in range(50)]
    campaigns += [make_campaign(f"c-{n}") for n in range(12)]
    report = await make_explainer(*campaigns).explain(make_body(), exchange)
    rows = {row["rule"]: row for row in report["slots"][0]["eliminated"]}
    assert (rows["country"]["campaigns"], len(rows["country"]["ids"])) == (50, MAX_IDS)
    assert rows["enough better ones"]["campaigns"] == 4
    assert report["slots"][0]["campaigns"] == 62


BANNER = {"format": [{"w": 300, "h": 250}, {"w": 320, "h": 50}], "api": [3, 5]}
VIDEO = {"mimes": ["video/mp4"], "protocols": [2, 3, 5, 6, 7, 8], "w": 640, "h": 360, "maxduration": 30}
POD = VIDEO | {"poddur": 60, "maxseq": 4, "podid": "p", "mincpmpersec": 0.001}
AUDIO = {"mimes": ["audio/mp4", "audio/mpeg"], "protocols": [9, 10], "maxduration": 30}
NATIVE = {"request": '{"ver":"1.2","assets":[{"id":1,"required":1,"title":{"len":90}}]}'}
DEALS = {"deals": [{"id": f"deal-{n}", "bidfloor": 0.1} for n in range(3)] + [{"id": "premium", "guar": 1}]}
DEVICES = [
    {"devicetype": 2, "geo": {"country": "USA", "utcoffset": -300}},
    {
        "devicetype": 4,
        "os": "iOS",
        "osv": "17.1",
        "geo": {"country": "DEU", "lat": 52.5, "lon": 13.4},
        "language": "de",
    },
    {"devicetype": 3, "geo": {"country": "GBR"}},
]
IMPS = [
    {"banner": BANNER},
    {"banner": BANNER, "video": VIDEO, "bidfloor": 2.5},
    {"video": POD},
    {"audio": AUDIO},
    {"native": NATIVE},
    {"banner": BANNER, "pmp": DEALS},
    {"video": VIDEO, "pmp": DEALS | {"private_auction": 1}},
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("user", [None, {"buyeruid": "u-1"}])
async def test_no_campaign_is_lost_on_the_way(
    make_explainer: Make, make_body: Make, device: dict[str, Any], user: dict[str, Any] | None
) -> None:
    """For every slot of varied requests on the demo catalog: dropped and left add up to all, and those left are those
    that were scored."""
    catalog = await load(ROOT / "bidder/data/demo_catalog.json", CampaignIndex, rates=None)
    explainer = make_explainer(*catalog.campaigns, profile=Profile(frozenset({"travel"})))
    imps = [{"id": str(number), "secure": number % 2, **imp} for number, imp in enumerate(IMPS)]
    for restricted in ({}, {"bcat": ["IAB25"], "badv": ["example.com"], "wlang": ["en"], "regs": {"coppa": 1}}):
        body = make_body(imp=imps, device=device, user=user, **restricted)
        report = await explainer.explain(body, Exchange("generic"))
        orjson.dumps(report)
        scored = [(entry["slot"], entry["campaign"]) for entry in report["candidates"]]
        assert [(slot["slot"], name) for slot in report["slots"] for name in slot["candidates"]] == scored
        assert len(report["slots"]) == len(IMPS)
        for slot in report["slots"]:
            gone = sum(row["campaigns"] for row in slot["eliminated"])
            assert gone + len(set(slot["candidates"])) == slot["campaigns"] == len(catalog.campaigns), slot


async def test_features_are_named_and_are_the_models(
    make_explainer: Make, make_campaign: Make, make_body: Make, exchange: Exchange
) -> None:
    """One row a candidate, the numbers that were asked about."""
    scorer = Priors()
    report = await make_explainer(make_campaign(), scorer=scorer, as_csv=True).explain(make_body(), exchange)
    (entry,) = report["candidates"]
    assert list(entry["features"]) == list(FEATURES)
    sent = [float(value) for value in scorer.rows[0].body.split(b",")]
    assert list(entry["features"].values()) == pytest.approx(sent, rel=1e-6)
    assert report["scores"] == {"source": "prior", "variant": ""}


async def test_each_candidate_has_its_money_and_its_fate(
    make_explainer: Make, make_campaign: Make, make_body: Make, exchange: Exchange
) -> None:
    """The best bids; one at the floor loses to it; one below the floor is told so."""
    goal = Goal(GoalKind.CPM, 1_000_000)
    campaigns = [
        make_campaign("best", goal=goal, prior=0.9),
        make_campaign("floor", goal=goal, prior=0.5),
        make_campaign("low", goal=goal, prior=0.499999),
    ]
    report = await make_explainer(*campaigns).explain(make_body(), exchange)
    entries = {entry["campaign"]: entry for entry in report["candidates"]}
    assert {name: (entry["bid"], entry["why"]) for name, entry in entries.items()} == {
        "best": (True, "bids"),
        "floor": (False, "another bid was preferred"),
        "low": (False, "below the floor"),
    }
    assert [entries["floor"][name] for name in ("score", "value_cpm", "floor_cpm", "price_cpm")] == [0.5] * 4
    assert "price_cpm" not in entries["low"]


async def test_a_bid_that_the_exchange_would_refuse_is_told_so(
    make_explainer: Make, make_campaign: Make, make_body: Make
) -> None:
    """By the profile's rule."""
    exchange = Exchange("strict", max_bytes={"crid": 2})
    report = await make_explainer(make_campaign()).explain(make_body(), exchange)
    (entry,) = report["candidates"]
    assert entry["why"].startswith("not for this exchange: ")
    assert report["answer"]["status"] == 204


async def test_no_identifier_of_a_person_is_in_it(
    make_explainer: Make, make_campaign: Make, make_body: Make, exchange: Exchange
) -> None:
    """Keys are counted, coordinates rounded."""
    device = {"ifa": "RAW-IFA", "ip": "203.0.113.77", "didsha1": "raw-did", "geo": {"lat": 52.520008, "lon": 13.404954}}
    user = PERSON | {"eids": [{"source": "id.example", "uids": [{"id": "raw-eid"}]}]}
    explainer = make_explainer(make_campaign(), profile=Profile(frozenset({"sports"}), 3))
    report = await explainer.explain(make_body(device=device, user=user), exchange)
    text = orjson.dumps(report).lower()
    for secret in (b"raw-", b"203.0.113", b"52.520008", b"13.404954"):
        assert secret not in text
    assert report["request"]["auction"]["profile_keys"] > 0
    assert report["request"]["auction"]["latitude"] == 52.52
    assert report["profile"] == {"result": "found", "segments": ["sports"], "impressions_today": 3}


async def test_a_request_that_is_not_read_says_where(
    make_explainer: Make, make_campaign: Make, make_body: Make, exchange: Exchange
) -> None:
    """Malformed, and refused for a restriction that cannot be read."""
    explainer = make_explainer(make_campaign())
    report = await explainer.explain(b'{"id":"1","imp":[{}]}', exchange)
    assert report["request"]["outcome"] == "malformed"
    assert report["request"]["detail"].startswith("imp.0.id: ")
    report = await explainer.explain(make_body(bcat={}), exchange)
    assert (report["request"]["outcome"], report["request"]["nbr"]) == ("refused", 2)
    assert "bcat" in report["request"]["detail"]


async def test_the_text_says_what_decides(
    make_explainer: Make, make_campaign: Make, make_body: Make, exchange: Exchange
) -> None:
    """Rules with their campaigns, money, the answer; no control character of the request's."""
    explainer = make_explainer(make_campaign("good"), replace(make_campaign("bad"), end_s=1))
    report = await explainer.explain(make_body(id="a\x1b[31m\n"), exchange)
    text = as_text(report)
    assert "-1      campaign: flight (bad)" in text
    assert "=1      good" in text
    assert "price 5.000000 USD  bids" in text
    assert report["answer"]["body"] in text
    assert "\x1b" not in text
    assert as_text(await explainer.explain(b"{", exchange)).startswith("exchange  generic\nrequest   malformed: ")
