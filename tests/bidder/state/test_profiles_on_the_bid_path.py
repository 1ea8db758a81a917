"""A bidder with its profiles in a real Redis: hashed, loaded and looked up as an operator would."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..server.conftest import ROOT, running_bidder

PATIENCE_S = 30.0
CATALOG = {
    "version": "1",
    "campaigns": [
        {
            "id": "for-gamers",
            "advertiser": {"id": "a", "domains": ["games.example"]},
            "seat": "seat-1",
            "currency": "USD",
            "goal": {"kind": "cpc", "amount": 1},
            "max_cpm": 9,
            "prior": 0.005,
            "targeting": {"audience": {"segments": ["gamers"]}},
            "daily_frequency_cap": 3,
            "creatives": [
                {
                    "format": "banner",
                    "id": "game-300x250",
                    "w": 300,
                    "h": 250,
                    "landing_url": "https://games.example/",
                    "html": "<b>play</b>",
                }
            ],
        }
    ],
}
RAW = (
    {"kind": "buyeruid", "id": "gamer", "s": ["gamers"]},
    {"kind": "buyeruid", "id": "tired-gamer", "s": ["gamers"], "n": 3, "c": {"for-gamers": 3}},
    {"kind": "buyeruid", "id": "traveller", "s": ["travel"]},
)


def test_a_profile_decides_who_may_bid(server: Any, tmp_path: Path, make_body: Callable[..., bytes]) -> None:
    """Segment and cap come from the store; without the store the campaign does not bid, and the bidder goes on."""
    catalog, raw, hashed = tmp_path / "catalog.json", tmp_path / "raw.jsonl", tmp_path / "profiles.jsonl"
    catalog.write_text(json.dumps(CATALOG))
    raw.write_text("".join(json.dumps(profile) + "\n" for profile in RAW))
    tool = [sys.executable, "-m", "bidder"]
    subprocess.run([*tool, "hash-profiles", str(raw), str(hashed)], cwd=ROOT, check=True)
    settings = {"BIDDER_STATE_URL": server.url, "PYTHONPATH": str(ROOT)}
    subprocess.run([*tool, "load-profiles", str(hashed)], cwd=ROOT, env=settings, check=True)

    with running_bidder(
        catalog_uri=str(catalog), state_url=server.url, profile_budget_ms="20000", default_tmax_ms="30000"
    ) as bidder:
        connection = http.client.HTTPConnection(bidder.host, bidder.port, timeout=PATIENCE_S)

        def status_for(user: str) -> int:
            body = make_body(user={"buyeruid": user}, tmax=30_000)
            connection.request("POST", "/openrtb2/bid", body, {"content-type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            return answer.status

        give_up_s = time.monotonic() + PATIENCE_S
        while status_for("gamer") != 200:  # until the store's first connection stands
            assert time.monotonic() < give_up_s
        assert [status_for(user) for user in ("gamer", "tired-gamer", "traveller", "nobody")] == [200, 204, 204, 204]
        server.stop()
        while status_for("gamer") != 204:
            assert time.monotonic() < give_up_s
        assert status_for("traveller") == 204
        connection.close()
