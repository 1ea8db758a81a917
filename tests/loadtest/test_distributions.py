"""The generated traffic as a population: sizes, publishers, people, formats, and what nobody can serve.

Bounds are those of a sample: a share within five standard deviations of what the generator means it to be, so that a
seed is no lucky one; quantiles within a tenth or so of live traffic's.
"""

from __future__ import annotations

from collections import Counter
from math import sqrt
from typing import Any

import pytest

from loadtest.hopeless import OBSTACLES
from loadtest.publishers import APPS, SITES
from loadtest.traffic import HOPELESS_SHARE, BidRequestCase, Kind, requests
from loadtest.world import PEOPLE

COUNT = 12_000


@pytest.fixture(scope="module", params=(1, 2), ids=("seed 1", "seed 2"))
def cases(request: pytest.FixtureRequest) -> list[BidRequestCase]:
    return list(requests(request.param, COUNT // 2))


@pytest.fixture(scope="module")
def valid(cases: list[BidRequestCase]) -> list[dict[str, Any]]:
    return [case.request for case in cases if case.kind is Kind.VALID and case.request is not None]


def is_share(count: int, of: int, share: float) -> bool:
    """Within five standard deviations of a binomial sample."""
    return abs(count / of - share) <= 5 * sqrt(share * (1 - share) / of)


def test_sizes_are_those_of_live_traffic(cases: list[BidRequestCase]):
    """Half are below about 2.3 KB, one in ten above about 4.5 KB, a few in a thousand above 15 KB, none above 64 KB."""
    sizes = sorted(len(case.body) for case in cases if case.kind is Kind.VALID)
    assert 2_100 < sizes[len(sizes) // 2] < 2_500
    assert 4_200 < sizes[len(sizes) * 9 // 10] < 5_000
    assert 0.001 < sum(size > 15_000 for size in sizes) / len(sizes) < 0.01
    assert 18_000 < sizes[-1] < 65_536


def test_sites_and_apps_follow_zipfs_law(valid: list[dict[str, Any]]):
    """The first, the ten and the hundred best ranks take the share that the law gives them, of sites and of apps."""
    sites = Counter(request["site"]["id"] for request in valid if "site" in request)
    phones = [r["app"]["id"] for r in valid if "app" in r and not r["app"]["id"].startswith("ctv")]
    for seen, law in ((sites, SITES), (Counter(phones), APPS)):
        ranked = [where.id for where in law.items]
        for ranks in (1, 10, 100):
            assert is_share(sum(seen[id] for id in ranked[:ranks]), seen.total(), law.share(ranks)), ranks


def test_people_come_back(valid: list[dict[str, Any]]):
    """Known users follow Zipf's law: the hundred best ranks take their share, and most were seen once or twice."""
    seen = Counter(user for request in valid if (user := request.get("user", {}).get("buyeruid")))
    best = sum(count for user, count in seen.items() if int(user.removeprefix("user-")) < 100)
    # Who identifies depends on the person's country and choices, so the best hundred may differ a little from the law.
    assert abs(best / seen.total() - PEOPLE.share(100)) < 0.06
    counts = Counter(seen.values())
    assert counts[1] + counts[2] > len(seen) / 2
    assert seen.most_common(1)[0][1] > 20


def test_one_in_ten_has_no_chance_of_a_bid(cases: list[BidRequestCase]):
    """Of all that can be read; every obstacle takes its fifth, and a bid on one is not expected."""
    readable = [case for case in cases if case.kind is not Kind.MALFORMED]
    hopeless = [case for case in readable if case.obstacle]
    assert is_share(len(hopeless), len(readable), HOPELESS_SHARE)
    assert all(case.expected == {"no-bid"} for case in hopeless)
    assert all("bid" in case.expected for case in readable if not case.obstacle)
    found = Counter(case.obstacle for case in hopeless)
    assert all(is_share(found[name], len(hopeless), 1 / len(OBSTACLES)) for name in OBSTACLES)


def test_most_requests_have_one_impression(valid: list[dict[str, Any]]):
    """One to eight, five in six requests having one, on pages fewer."""
    counts = Counter(len(request["imp"]) for request in valid)
    assert set(counts) == {1, 2, 3, 4, 5, 6, 8}
    assert 0.78 < counts[1] / len(valid) < 0.88
    pages = [len(request["imp"]) for request in valid if "site" in request]
    assert is_share(pages.count(1), len(pages), 0.72)
    assert is_share(pages.count(8), len(pages), 0.01)


def test_formats_and_deals_have_their_shares(valid: list[dict[str, Any]]):
    """Banners on half of the impressions, then video and native, audio on few; deals on one in six or seven."""
    imps = [imp for request in valid for imp in request["imp"]]
    shares = {kind: sum(kind in imp for imp in imps) / len(imps) for kind in ("banner", "video", "native", "audio")}
    assert 0.50 < shares["banner"] < 0.65
    assert 0.22 < shares["video"] < 0.36
    assert 0.10 < shares["native"] < 0.20
    assert 0.005 < shares["audio"] < 0.04
    assert 0.13 < sum("pmp" in imp for imp in imps) / len(imps) < 0.20


def test_consent_strings_come_again(valid: list[dict[str, Any]]):
    """Where the GDPR applies, hundreds of strings are in use and each comes several times, some many times."""
    users = [request.get("user", {}) for request in valid]
    strings = Counter(text for user in users if (text := user.get("consent") or user.get("ext", {}).get("consent")))
    assert 100 < len(strings) < strings.total() / 3
    assert strings.most_common(1)[0][1] > 10


def test_supply_chains_are_of_one_to_three_hops(valid: list[dict[str, Any]]):
    """On four requests in five, each hop with a request id of its own."""
    sources = [request["source"] for request in valid]
    chains = [chain for source in sources if (chain := source.get("schain") or source.get("ext", {}).get("schain"))]
    assert is_share(len(chains), len(sources), 0.8)
    assert {len(chain["nodes"]) for chain in chains} == {1, 2, 3}
    assert all(len({node["rid"] for node in chain["nodes"]}) == len(chain["nodes"]) for chain in chains)
