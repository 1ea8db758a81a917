"""What is measured: each stage over the same requests, with what the stage before it made of them.

The rule: the requests are `loadtest.traffic`'s from a seed, the clock stands still, and nothing is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import orjson

from bidder.catalog.generate import generate
from bidder.catalog.reader import read_catalog
from bidder.domain import Auction, Candidate, Exchange, Rates
from bidder.inference import payload
from bidder.inference.credentials import Credentials
from bidder.inference.signature import Signer
from bidder.stages.decode import begin, decode
from bidder.stages.encode import Encoder
from bidder.stages.features import features
from bidder.stages.index import HEAD_CAMPAIGNS, CampaignIndex, compile_index
from bidder.stages.price import price
from bidder.stages.privacy import Policy
from bidder.stages.target import target
from bidder.stages.wire import read, read_tolerantly
from loadtest.traffic import requests

REQUESTS = 400
SEED = 1
NOW_S = 1_767_614_400.0
PER_SLOT = 8
TIMES = 10  # of what is too short to be measured by itself

DEMO = Path(__file__).parents[2] / "bidder" / "data" / "demo_catalog.json"
EXCHANGE = Exchange("generic")
RATES = Rates("2026-01-02", "USD", {"EUR": 0.8, "GBP": 0.75, "JPY": 150.0})
POLICY = Policy(755)
HEAD = 512  # of an index most of whose requests go on to further shards, as with 100,000 campaigns
WIDE = 8  # impressions
BODIES = [case.body for case in requests(SEED, REQUESTS, valid_only=True)]


def loads() -> None:
    """What reading the requests' JSON costs without checking it."""
    for body in BODIES:
        orjson.loads(body)


def yardstick() -> None:
    """Reading the JSON and walking over it in Python: a mixture of C and Python, as a bid is, so that a machine or a
    moment that favours one of them moves both alike."""
    for body in BODIES:
        _count(orjson.loads(body))


def _count(tree: Any) -> int:
    if isinstance(tree, dict):
        return sum([_count(each) for each in tree.values()])
    if isinstance(tree, list):
        return sum([_count(each) for each in tree])
    return 1


def subjects() -> dict[str, Callable[[], None]]:
    """Name → the work for all requests, once."""
    _, campaigns = read_catalog(DEMO.read_bytes())
    auctions = _read(BODIES)
    index, encoder = compile_index(campaigns), Encoder("https://notices.example")
    found = [
        (auction, candidates)
        for auction in auctions
        if (candidates := target(auction, EXCHANGE, None, index, RATES, NOW_S, PER_SLOT))
    ]
    rows = [features(candidates, auction, EXCHANGE, None, RATES, NOW_S) for auction, candidates in found]
    scored = [(auction, candidates, scores(candidates)) for auction, candidates in found]
    priced = [(auction, price(each, values, auction, EXCHANGE, RATES).bids) for auction, each, values in scored]
    sold = [(auction, bids) for auction, bids in priced if bids]
    signer = Signer(region="us-east-1", path="/endpoints/bids/invocations", headers=[("Host", "runtime.example")])
    credentials = Credentials("AKIDEXAMPLE", "secret")
    answers = [(orjson.dumps([0.01] * each.count), each.count) for each in rows]

    def reading() -> None:
        for body in BODIES:
            read(body, begin)

    def reading_tolerantly() -> None:
        for body in BODIES:
            read_tolerantly(body)

    def decoding() -> None:
        for body in BODIES:
            decode(body, POLICY)

    def targeting(
        index: Callable[[], CampaignIndex], auctions: Callable[[], Sequence[Auction]] = lambda: auctions
    ) -> Callable[[], None]:
        def run() -> None:
            compiled = index()
            for auction in auctions():
                target(auction, EXCHANGE, None, compiled, RATES, NOW_S, PER_SLOT)

        return run

    def rowing() -> None:
        for auction, candidates in found:
            features(candidates, auction, EXCHANGE, None, RATES, NOW_S)

    def pricing(scored: Callable[[], Sequence[Scored]]) -> Callable[[], None]:
        def run() -> None:
            for auction, candidates, values in scored():
                price(candidates, values, auction, EXCHANGE, RATES)

        return run

    def encoding() -> None:
        for auction, bids in sold:
            encoder.answer(auction, bids, EXCHANGE)

    def whole() -> None:
        for body in BODIES:
            auction = decode(body, POLICY)
            if not isinstance(auction, Auction):
                continue
            candidates = target(auction, EXCHANGE, None, index, RATES, NOW_S, PER_SLOT)
            if candidates:
                features(candidates, auction, EXCHANGE, None, RATES, NOW_S)
                if bids := price(candidates, scores(candidates), auction, EXCHANGE, RATES).bids:
                    encoder.answer(auction, bids, EXCHANGE)

    def signing() -> None:
        for each in rows * TIMES:
            signer.sign(payload.encode(payload.NPY, [each.body], each.count), credentials, NOW_S)

    def reading_scores() -> None:
        for body, count in answers * TIMES:
            payload.decode(b"application/json", body, count)

    return {
        "read": reading,
        "read tolerantly": reading_tolerantly,
        "decode": decoding,
        "target, demo": targeting(lambda: index),
        "target, 100": targeting(partial(generated, 100)),
        "target, 10,000": targeting(partial(generated, 10_000)),
        "target, 10,000, tail": targeting(partial(generated, 10_000, HEAD)),
        f"target, {WIDE} imps": targeting(partial(generated, 10_000), wide_auctions),
        "features": rowing,
        "price": pricing(lambda: scored),
        f"price, {WIDE} imps": pricing(wide_scored),
        "encode": encoding,
        "all stages, demo": whole,
        f"payload and signature, {TIMES} times": signing,
        f"scores, {TIMES} times": reading_scores,
    }


Scored = tuple[Auction, list[Candidate], list[float]]


def scores(candidates: list[Candidate]) -> list[float]:
    return [candidate.campaign.prior for candidate in candidates]


def _read(bodies: Iterable[bytes]) -> list[Auction]:
    return [auction for body in bodies if isinstance(auction := decode(body, POLICY), Auction)]


@cache
def generated(count: int, head: int = HEAD_CAMPAIGNS) -> CampaignIndex:
    return compile_index(read_catalog(b"".join(generate(count, SEED)))[1], head)


@cache
def wide_auctions() -> Sequence[Auction]:
    """Of requests of several impressions."""
    return _read(case.body for case in requests(SEED, REQUESTS, valid_only=True, imps=WIDE))


@cache
def wide_scored() -> Sequence[Scored]:
    index = generated(10_000)
    found = [(auction, target(auction, EXCHANGE, None, index, RATES, NOW_S, PER_SLOT)) for auction in wide_auctions()]
    return [(auction, candidates, scores(candidates)) for auction, candidates in found if candidates]
