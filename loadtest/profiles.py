"""What a bidder may know of the people in the traffic: user profiles, with raw ids, for `bidder hash-profiles`.

The rule: of the same people as the traffic, the same for every seed; about a third are unknown. `t` counts back from
`now_s`, so that profiles are fresh whenever they are made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from loadtest.placements import Json
from loadtest.world import USERS, person

KNOWN_SHARE = 0.65
MOST_HOURS = 72


def profiles(now_s: int, capped_campaigns: Sequence[str]) -> Iterator[Json]:
    """One profile a known person: segments, impressions today, the last one, and today's by campaign."""
    for number in range(USERS):
        rng = Random(500_000_000 + number)
        if rng.random() >= KNOWN_SHARE:
            continue
        someone = person(number)
        today = rng.choice((0, 0, 1, 1, 2, 3, 5, 8, 13))
        last_s = now_s - rng.randrange(60, 3600 * (12 if today else MOST_HOURS))
        profile: Json = {
            "kind": "buyeruid",
            "id": someone.buyer_id,
            "s": list(someone.segments),
            "n": today,
            "t": last_s,
        }
        if today and capped_campaigns and rng.random() < 0.5:
            profile["c"] = {rng.choice(capped_campaigns): rng.randrange(1, today + 1)}
        yield profile


def capped_campaigns(catalog: Path) -> list[str]:
    """The ids of the campaigns with a frequency cap in a catalog document."""
    document = json.loads(catalog.read_bytes())
    return [campaign["id"] for campaign in document["campaigns"] if campaign.get("daily_frequency_cap")]
