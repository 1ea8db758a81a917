"""Requests damaged at random, thousands of them: whatever arrives, the answer is valid and keeps to the restrictions.

The rule: everything follows from MUTATION_SEED and MUTATIONS, so that what is found once is found again. 2,000 by
default; a long run is `MUTATIONS=100000 python -m pytest tests/bidder/test_mutations.py`.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import Any

import pytest

from bidder.domain import Exchange
from openrtb_schemas import BidRequest, restriction_paths
from tests.exemplars.bench import Bench
from tests.exemplars.mutations import Mutator
from tests.exemplars.reading import meant

Json = dict[str, Any]

MUTATIONS = int(os.environ.get("MUTATIONS", "2000"))
SHOWN = 5


def test_a_mutation_is_the_same_each_time() -> None:
    """The same number gives the same bytes."""
    first, second = Mutator(), Mutator()
    assert [first.body(number) for number in range(200)] == [second.body(number) for number in range(200)]


async def test_no_mutation_gets_a_bid_it_forbids() -> None:
    """200, 204 or 400; a valid body; and no bid that breaks a restriction, by judges that know the request alone."""
    mutator = Mutator()
    bidder = Bench(mutator.campaigns, Exchange("generic"))
    outcomes: Counter[str] = Counter()
    wrong: list[str] = []
    for number in range(MUTATIONS):
        body = mutator.body(number)
        outcome = await bidder.bid(body)
        outcomes[f"{outcome.status} {outcome.reason}".strip()] += 1
        found = bidder.violations(body, outcome)
        if outcome.status == 200:
            found += lost_restrictions(json.loads(body), meant(body))
        wrong += [f"mutation {number}: {each}\n{body[:2000]!r}" for each in found]
    print(f"{MUTATIONS} mutations: {dict(outcomes.most_common())}")
    assert not wrong, f"{len(wrong)} violations:\n" + "\n".join(wrong[:SHOWN])
    assert outcomes["200"] > 0.1 * MUTATIONS, "hardly any bid: what was to be shown was not"
    assert outcomes["400"] > 0.05 * MUTATIONS


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
