"""The document of supply lists: read, checked, reported on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from bidder.stages.supply import SupplyPolicy
from bidder.supply_lists import SupplyError, load_supply, read_supply


def policy(**document: Any) -> SupplyPolicy:
    return read_supply(orjson.dumps(document), "supply.json")


async def test_without_a_document_the_usual_policy_counts() -> None:
    """Chains need not be there, and must be complete if they are."""
    assert await load_supply(None) == SupplyPolicy()


async def test_a_document_is_read_from_a_file(tmp_path: Path) -> None:
    """Names are compared in lower case; accounts as they are."""
    path = tmp_path / "supply.json"
    path.write_bytes(
        orjson.dumps(
            {
                "about": "made on 2026-01-02",
                "chain_required": True,
                "blocked": [{"system": "Bad.example"}, {"system": "ssp.example", "sellers": ["X1"]}],
                "sellers": {"ssp.example": ["1", "X1"]},
                "authorised": {"News.example": {"ssp.example": ["1"]}},
            }
        )
    )
    assert await load_supply(path) == SupplyPolicy(
        chain_required=True,
        blocked_systems=frozenset({"bad.example"}),
        blocked_sellers=frozenset({("ssp.example", "X1")}),
        sellers={"ssp.example": frozenset({"1", "X1"})},
        authorised={"news.example": frozenset({("ssp.example", "1")})},
    )


async def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The message says which."""
    with pytest.raises(SupplyError, match=r"none\.json"):
        await load_supply(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"chain_needed": True}, "chain_required"),
        ({"chain_required": "yes"}, "chain_required: 'yes'"),
        ({"blocked": [{"sellers": ["1"]}]}, r"blocked\[0\]\.system: is missing"),
        ({"blocked": [{"system": "https://bad.example"}]}, "is not a domain or bundle such as"),
        ({"sellers": {"": ["1"]}}, "is not a domain or bundle"),
        ({"authorised": {"news.example": ["1"]}}, "is not an object"),
        ({"authorisation_required": True}, "nothing would be bought"),
    ],
)
def test_what_is_wrong_is_said(document: dict[str, Any], message: str) -> None:
    """Where it stands and what would be right."""
    with pytest.raises(SupplyError, match=message):
        policy(**document)


def test_what_is_no_json_is_said() -> None:
    """A truncated document is not half a policy."""
    with pytest.raises(SupplyError, match="no JSON, or cut off"):
        read_supply(b'{"blocked": [', "supply.json")
