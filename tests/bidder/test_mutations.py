"""Requests damaged at random, thousands of them: whatever arrives, the answer is valid and keeps to the restrictions.

The rule: everything follows from MUTATION_SEED and MUTATIONS, so that what is found once is found again. 2,000 by
default; a long run is `MUTATIONS=100000 python -m pytest tests/bidder/test_mutations.py`.
"""

from __future__ import annotations

import copy
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from bidder.domain import Exchange
from loadtest.traffic import requests
from openrtb_schemas import BidRequest, restriction_paths

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT.parent / "shared" / "openrtb"
MUTATIONS = int(os.environ.get("MUTATIONS", "2000"))
SEED = int(os.environ.get("MUTATION_SEED", "1"))
SHOWN = 5

HOSTILE_TEXTS = (
    "",
    " ",
    "0",
    "-1",
    "null",
    '"><script>alert(1)</script>',
    "' onload='x",
    "]]><Error>x</Error>",
    "a\r\nb\tc",
    "\x00\x01\x02",
    "${AUCTION_PRICE}",
    "${AUCTION_ID:B64}",
    "%00%0d%0a",
    "&price=99",
    "../../etc",
    "‮ right to left",
    "\U0001d54a\U0001f0a1",
    "\ud800",
    "x" * 10_240,
    "1e5",
    "NaN",
)
EXTREMES = (0, -1, 1, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**40, 1e308, -1e308, 5e-324, 1e-7, 0.1 + 0.2, 1e16)
OTHERS: tuple[Any, ...] = (None, True, False, 0, 1.5, "", "x", [], {}, [[]], [None], {"id": None})


def test_a_mutation_is_the_same_each_time(bench: Any) -> None:
    """The same number gives the same bytes."""
    first, second = Mutator(bench), Mutator(bench)
    assert [first.body(number) for number in range(200)] == [second.body(number) for number in range(200)]


async def test_no_mutation_gets_a_bid_it_forbids(bench: Any) -> None:
    """200, 204 or 400; a valid body; and no bid that breaks a restriction, by judges that know the request alone."""
    mutator = Mutator(bench)
    bidder = bench.Bench(mutator.campaigns, Exchange("generic"))
    outcomes: Counter[str] = Counter()
    wrong: list[str] = []
    for number in range(MUTATIONS):
        body = mutator.body(number)
        outcome = await bidder.bid(body)
        outcomes[f"{outcome.status} {outcome.reason}".strip()] += 1
        found = bidder.violations(body, outcome)
        if outcome.status == 200:
            found += lost_restrictions(json.loads(body), bench.meant(body))
        wrong += [f"mutation {number}: {each}\n{body[:2000]!r}" for each in found]
    print(f"{MUTATIONS} mutations: {dict(outcomes.most_common())}")
    assert not wrong, f"{len(wrong)} violations:\n" + "\n".join(wrong[:SHOWN])
    assert outcomes["200"] > 0.1 * MUTATIONS, "hardly any bid: what was to be shown was not"
    assert outcomes["400"] > 0.05 * MUTATIONS


class Mutator:
    """Valid requests, and what may happen to them."""

    def __init__(self, bench: Any) -> None:
        demo = json.loads((ROOT / "bidder" / "data" / "demo_catalog.json").read_bytes())
        self.campaigns: list[Json] = [bench.campaign(name) for name in bench.BASES["campaigns"]]
        self.campaigns += [bench.campaign(each) for each in EASILY_FORBIDDEN]
        self.campaigns += demo["campaigns"]
        self._seeds = list(_seeds(bench))
        self._restrictions = _restrictions(self.campaigns)

    def body(self, number: int) -> bytes:
        rng = Random(SEED * 1_000_003 + number)
        request = copy.deepcopy(rng.choice(self._seeds))
        for _ in range(rng.choice((0, 1, 1, 2, 3))):
            self._restrict(rng, request)
        for _ in range(rng.choice((0, 1, 1, 2, 4))):
            rng.choice(TREE)(rng, request)
        body = json.dumps(request).encode()
        if rng.random() < 0.15:
            body = rng.choice(BYTES)(rng, body)
        return body

    def _restrict(self, rng: Random, request: Json) -> None:
        """A restriction that some campaign of the catalog would break."""
        place, values = rng.choice(self._restrictions)
        value = copy.deepcopy(rng.choice(values))
        imps = [imp for imp in request.get("imp", ()) if isinstance(imp, dict)]
        *parents, name = place.split(".")
        holder: Any = request
        if parents[:1] == ["imp"]:
            holder = rng.choice(imps) if imps else None
            parents = parents[1:]
        for parent in parents:
            holder = _opened(holder, parent) if isinstance(holder, dict) else None
        if isinstance(holder, dict):
            holder[name] = value


def _seeds(bench: Any) -> Iterator[Json]:
    """Requests of a simulated exchange, of the exemplars and, where they exist, of the reference data."""
    yield from (case.request for case in requests(SEED, 300, valid_only=True) if case.request)
    yield from bench.BASES["requests"].values()
    for path in sorted([*REFERENCE.glob("synthetic/*request*.json"), *REFERENCE.glob("iab/complete/*request*.json")]):
        yield json.loads(path.read_bytes())


def _restrictions(campaigns: list[Json]) -> list[tuple[str, list[Any]]]:
    categories = [[category] for campaign in campaigns for category in campaign.get("categories", ())]
    parents = [[category[0].split("-")[0]] for category in categories]
    domains = [[domain] for campaign in campaigns for domain in campaign["advertiser"]["domains"]]
    seats = [[campaign["seat"]] for campaign in campaigns]
    bundles = [[campaign["bundle"]] for campaign in campaigns if campaign.get("bundle")]
    deals = [deal for campaign in campaigns for deal in campaign.get("targeting", {}).get("deals", ())]
    creatives = [creative for campaign in campaigns for creative in campaign["creatives"]]
    attributes = [[number] for creative in creatives for number in creative.get("attributes", ())]
    offers = [f"imp.{kind}" for kind in ("banner", "video", "audio", "native")]
    restrictions: list[tuple[str, list[Any]]] = [
        ("bcat", categories + parents),
        ("acat", categories + parents),
        ("cattax", [1, 2, 7]),
        ("badv", domains + [[f"EU.{domain[0]}"] for domain in domains]),
        ("badv", [f"other.example, {domain[0]}" for domain in domains]),
        ("badv", [[f"https://WWW.{domain[0]}./\n"] for domain in domains]),
        ("bcat", [f"IAB99,{category[0]}" for category in categories]),
        ("bapp", bundles or [["com.example"]]),
        ("wseat", seats),
        ("bseat", seats),
        ("cur", [["EUR"], ["JPY", "EUR"], ["XTS"], ["USD"]]),
        ("wlang", [["en"], ["de"], ["xx"]]),
        ("wlangb", [["en-GB"], ["de"], ["*"]]),
        ("source", [{"schain": {"ver": "1.0", "complete": 0, "nodes": NODES}}]),
        ("regs", [{"coppa": 1}, {"gdpr": 1}, {"us_privacy": "1YYN"}, {"gpp_sid": [7]}]),
        ("regs", [{"ext": each} for each in ({"gdpr": 1}, {"us_privacy": "1YYN"}, {"dsa": {"dsarequired": 3}})]),
        ("device.lmt", [1, "1", True]),
        ("device.dnt", [1, "1", True]),
        ("imp.id", ["1"]),
        ("imp.pmp", [{"deals": [{"id": deal, "bidfloor": 1}, {"id": deal}]} for deal in deals]),
        ("imp.qty", [{"multiplier": 0}, {"multiplier": -1.5}, {"multiplier": 14.2}]),
        ("imp.pmp", [{"private_auction": 1, "deals": [{"id": deal, **terms}]} for deal in deals for terms in TERMS]),
        ("imp.bidfloor", [0.5, 2.5, 2.500001, 12, 60, 1e308]),
        ("imp.bidfloorcur", ["EUR", "JPY", "XTS"]),
        ("imp.secure", [1]),
        ("imp.pmp", [{"private_auction": 1}, {"private_auction": 1, "deals": [{"id": "d", "bidfloor": 1}]}]),
        ("imp.banner.btype", [[1, 2], [2], [3, 4]]),
        ("imp.banner.mimes", [["image/png"], ["text/html"]]),
    ]
    restrictions += [(f"{offer}.battr", attributes) for offer in offers]
    restrictions += [(f"{offer}.api", [[], [5], [7], [3, 5, 6, 7]]) for offer in offers]
    for offer in ("imp.video", "imp.audio"):
        restrictions += [
            (f"{offer}.minduration", [0, 15, 16, 31]),
            (f"{offer}.maxduration", [5, 14, 15, 30]),
            (f"{offer}.rqddurs", [[15], [30], [7]]),
            (f"{offer}.mincpmpersec", [0.01, 0.8, 5]),
            (f"{offer}.durfloors", [[{"mindur": 1, "maxdur": 20, "bidfloor": 3}, {"mindur": 21, "bidfloor": 9}]]),
            (f"{offer}.protocols", [[1], [2], [3, 7], [9]]),
            (f"{offer}.mimes", [["video/webm"], ["video/mp4"], ["audio/mpeg"]]),
            (f"{offer}.minbitrate", [1000, 2500, 100_000]),
            (f"{offer}.maxbitrate", [100, 1000, 2500]),
            (f"{offer}.poddur", [10, 30, 60]),
            (f"{offer}.maxseq", [1, 2, 4]),
            (f"{offer}.delivery", [[1], [2], [3]]),
        ]
    restrictions += [("imp.video.linearity", [1, 2]), ("imp.video.skip", [0, 1])]
    restrictions.append(("imp.native.request.assets", [[{"id": 1, "required": 1, **asset}] for asset in ASSETS]))
    return restrictions


def _opened(holder: Json, name: str) -> Any:
    """The value there; a native request in a text is opened first, if it can be."""
    value = holder.get(name)
    if name == "request" and isinstance(value, str):
        with suppress(ValueError):
            value = holder[name] = json.loads(value)
    return value.get("native", value) if name == "request" and isinstance(value, dict) else value


EASILY_FORBIDDEN: tuple[Json, ...] = (
    {
        "like": "banner",
        "id": "c-shaky",
        "advertiser": {"id": "shaky", "domains": ["shaky.example"]},
        "pays": 2.6,
        "creative": {"html": '<img src="http://cdn.example/a.png">'},
    },
    {
        "like": "banner",
        "id": "c-marked",
        "advertiser": {"id": "marked", "domains": ["marked.example"]},
        "pays": 2.7,
        "creative": {"attributes": [10]},
    },
    {
        "like": "video",
        "id": "c-skippable",
        "advertiser": {"id": "skippable", "domains": ["skippable.example"]},
        "pays": 12.1,
        "creative": {"skippable": True, "attributes": [16]},
    },
)
"""Best payers that break restrictions which the other campaigns keep to."""
NODES = [{"asi": "ssp.example", "sid": "1", "hp": 1}]
ASSETS: tuple[Json, ...] = (
    {"title": {"len": 3}},
    {"img": {"type": 3, "wmin": 5000, "hmin": 1}},
    {"data": {"type": 2, "len": 4}},
    {"video": {"mimes": ["video/mp4"], "minduration": 1, "maxduration": 30, "protocols": [2]}},
)
TERMS: tuple[Json, ...] = (
    {},
    {"wseat": ["another"]},
    {"wadomain": ["another.example"]},
    {"bidfloor": 2, "at": 3},
    {"bidfloor": 1, "bidfloorcur": "EUR", "guar": 1},
    {"bidfloor": 1e6},
    {"mincpmpersec": 0.5},
    {"durfloors": [{"mindur": 20, "bidfloor": 4}]},
)


# -- mutations of the tree: each changes `request` in place ------------------------------------------------------------


def _place(rng: Random, request: Json) -> tuple[Any, Any] | None:
    """A holder and a key or index in it, at any depth with the same probability for each step down."""
    holder: Any = request
    for _ in range(8):
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            return None
        key = rng.choice(keys)
        if isinstance(holder[key], dict | list) and holder[key] and rng.random() < 0.8:
            holder = holder[key]
        else:
            return holder, key
    return None


def _at(change: Callable[[Random, Any, Any], None]) -> Callable[[Random, Json], None]:
    def apply(rng: Random, request: Json) -> None:
        if (place := _place(rng, request)) is not None:
            change(rng, *place)

    return apply


def _delete(rng: Random, holder: Any, key: Any) -> None:
    del holder[key]


def _duplicate(rng: Random, holder: Any, key: Any) -> None:
    if isinstance(holder, list):
        holder.extend([copy.deepcopy(holder[key]) for _ in range(rng.choice((1, 2, 100)))])
    else:
        holder[f"{key}2"] = copy.deepcopy(holder[key])


def _retype(rng: Random, holder: Any, key: Any) -> None:
    value = holder[key]
    holder[key] = copy.deepcopy(rng.choice((*OTHERS, str(value), [value], {"value": value})))


def _rename(rng: Random, holder: Any, key: Any) -> None:
    if isinstance(holder, dict):
        holder[rng.choice((key.upper(), key[:-1], f"{key} ", f"x{key}"))] = holder.pop(key)


def _extreme(rng: Random, holder: Any, key: Any) -> None:
    holder[key] = rng.choice(EXTREMES)


def _hostile(rng: Random, holder: Any, key: Any) -> None:
    holder[key] = rng.choice(HOSTILE_TEXTS)


def _nest(rng: Random, holder: Any, key: Any) -> None:
    value = holder[key]
    for _ in range(rng.choice((1, 2, 100))):
        value = rng.choice(([value], {"ext": value}))
    holder[key] = value


def _move(rng: Random, request: Json) -> None:
    """The value of one place also at another."""
    source, target = _place(rng, request), _place(rng, request)
    if source is not None and target is not None:
        target[0][target[1]] = copy.deepcopy(source[0][source[1]])


TREE: tuple[Callable[[Random, Json], None], ...] = (
    *(_at(change) for change in (_delete, _duplicate, _retype, _rename, _extreme, _hostile, _nest)),
    _move,
)


# -- mutations of the bytes --------------------------------------------------------------------------------------------


def _truncate(rng: Random, body: bytes) -> bytes:
    return body[: rng.randrange(len(body))]


def _flip(rng: Random, body: bytes) -> bytes:
    damaged = bytearray(body)
    for _ in range(rng.choice((1, 1, 8))):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def _splice(rng: Random, body: bytes) -> bytes:
    """A piece of it once more, somewhere."""
    start, at = rng.randrange(len(body)), rng.randrange(len(body))
    return body[:at] + body[start : start + rng.randrange(40)] + body[at:]


def _cut(rng: Random, body: bytes) -> bytes:
    start = rng.randrange(len(body))
    return body[:start] + body[start + rng.randrange(1, 20) :]


BYTES: tuple[Callable[[Random, bytes], bytes], ...] = (_truncate, _flip, _splice, _cut)


# -- judging -----------------------------------------------------------------------------------------------------------


def lost_restrictions(raw: Any, read: Any) -> list[str]:
    """The restrictions that stand in the request as sent, and not in the request as read."""
    return [path for path in RESTRICTIONS if _count(raw, path) > _count(read, path)]


RESTRICTIONS = tuple(restriction_paths(BidRequest))


def _count(message: Any, path: str) -> int:
    """How often a path such as `imp[].banner.battr` leads to a value that is not null."""
    found = [message]
    for step in path.split("."):
        name = step.removesuffix("[]")
        found = [item[name] for item in found if isinstance(item, dict) and item.get(name) is not None]
        if name != step:
            found = [item for each in found for item in (each if isinstance(each, list) else [each])]
    return len(found)


@pytest.mark.parametrize(
    ("raw", "read", "lost"),
    [
        ({"bcat": ["IAB1"]}, {}, ["bcat"]),
        ({"bcat": None}, {}, []),
        (
            {"imp": [{"banner": {"battr": [1]}}, {"banner": {"battr": [1]}}]},
            {"imp": [{"banner": {"battr": [1]}}, {"banner": {}}]},
            ["imp[].banner.battr"],
        ),
    ],
)
def test_a_lost_restriction_is_found(raw: Json, read: Json, lost: list[str]) -> None:
    """The judge of the reading would see one."""
    assert lost_restrictions(raw, read) == lost
