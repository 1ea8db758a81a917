"""Requests that others wrote, held against the reference tables: what conforms is never refused as malformed."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from bidder.domain import Auction
from bidder.stages.decode import decode

REFERENCE = Path(__file__).parents[3] / "shared" / "openrtb"
TOLERATED = {"deprecated_used", "unknown_field", "unknown_legacy", "enum_unknown"}
"""What conforms to an earlier or a later version, or to an exchange's own additions (§2.6)."""

pytestmark = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason=f"the OpenRTB reference data is not at {REFERENCE}: nothing to hold against"
)


@pytest.fixture(scope="module")
def checker() -> ModuleType:
    spec = spec_from_file_location("openrtb_tables_check", REFERENCE / "check.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def bodies() -> Iterator[tuple[str, str]]:
    """Name and text of every complete request: the corpus, the specification's own and the synthetic ones."""
    with gzip.open(REFERENCE / "requests.jsonl.gz", "rt") as lines:
        for line in lines:
            entry = json.loads(line)
            yield entry["file"], json.dumps(entry["body"])
    kinds = {entry["file"]: entry["kind"] for entry in json.loads((REFERENCE / "iab" / "index.json").read_text())}
    for path in sorted([*REFERENCE.glob("iab/complete/*.json"), *REFERENCE.glob("iab/repaired/*.json")]):
        if kinds[f"{path.parent.name}/{path.name}"] == "request":
            yield path.name, path.read_text()
    for path in sorted(REFERENCE.glob("synthetic/*request*.json")):
        yield path.name, path.read_text()


def test_a_conforming_request_is_never_malformed(checker: ModuleType) -> None:
    """Nor does one of its restrictions end in a no-bid for being unreadable."""
    conforming = 0
    wrong: list[str] = []
    for name, text in bodies():
        kinds = {kind for kind, _, _ in checker.violations(checker.loads(text), "BidRequest")}
        if kinds - TOLERATED:
            continue
        conforming += 1
        try:
            decoded = decode(text.encode())
        except Exception as error:
            wrong.append(f"{name}: {type(error).__name__}: {error}")
            continue
        if not isinstance(decoded, Auction) and decoded.detail.startswith("unreadable"):
            wrong.append(f"{name}: {decoded.detail}")
    assert wrong == []
    assert conforming > 1000


def test_every_reference_message_is_read(checker: ModuleType) -> None:
    """The specification's examples and the synthetic requests, all fields of which are there, make auctions; but for
    one that requires to be told who is behind the ad, which no bid here says."""
    for name, text in bodies():
        if name.endswith(".json") and "/" not in name:
            decoded = decode(text.encode())
            transparent = not isinstance(decoded, Auction) and decoded.detail.startswith("regs.ext.dsa")
            assert isinstance(decoded, Auction) or transparent, name
