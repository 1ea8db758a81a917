"""Requests that other people wrote, through the whole system."""

from __future__ import annotations

import gzip
import http.client
import importlib.util
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest

from loadtest.stack import Stack
from loadtest.traffic import BidRequestCase, Kind
from loadtest.verify import Judge, Rates

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT.parent / "shared" / "openrtb"
JUDGE = Judge(Rates.load(ROOT / "bidder" / "data" / "rates.json"))
ANY = frozenset({"bid", "no-bid", "refused"})
WANTED_BIDS = 300

pytestmark = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason=f"the OpenRTB reference data is not at {REFERENCE}: the corpus cannot be read"
)


@pytest.fixture(scope="module")
def checker() -> ModuleType:
    """The reference data's own checker, independent of the project's schemas."""
    spec = importlib.util.spec_from_file_location("openrtb_reference_check", REFERENCE / "check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def corpus() -> Iterator[tuple[str, dict[str, Any]]]:
    with gzip.open(REFERENCE / "requests.jsonl.gz") as lines:
        for line in lines:
            entry = json.loads(line)
            yield entry["file"], entry["body"]


def test_every_request_of_the_corpus_gets_a_valid_answer(stack: Stack, checker: ModuleType) -> None:
    """200, 204 or 400; 400 only where a required field is broken; every bid valid by two independent judges."""
    parts = urlsplit(stack.bidder_url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)
    statuses: Counter[int] = Counter()
    wrong: list[str] = []
    for name, request in corpus():
        body = json.dumps(request).encode()
        connection.request("POST", "/openrtb2/bid", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        statuses[answer.status] += 1
        if answer.status == 400:
            if not _breaks_a_required_field(checker, body):
                wrong.append(f"{name}: 400 ({text.decode()}), but no required field is broken")
            continue
        headers = {key.lower(): value for key, value in answer.getheaders()}
        case = BidRequestCase(str(request.get("id")), body, Kind.VALID, request, ANY)
        verdict = JUDGE.verdict(case, answer.status, headers, text)
        wrong += [f"{name}: {violation}" for violation in verdict.violations]
        if answer.status == 200:
            found = checker.violations(checker.loads(text.decode()), "BidResponse")
            wrong += [f"{name}: {violation}" for violation in found if violation[0] != "deprecated_used"]
    connection.close()
    assert not wrong, "\n".join(wrong[:20])
    assert set(statuses) <= {200, 204, 400}
    assert statuses[200] >= WANTED_BIDS, statuses


def _breaks_a_required_field(checker: ModuleType, body: bytes) -> bool:
    """Whether the reference checker finds a required field missing, or one that is not of its type."""
    for kind, reference, _ in checker.violations(checker.loads(body.decode()), "BidRequest"):
        if kind == "missing_required":
            return True
        name, _, field = reference.partition(".")
        entry = checker.FIELDS.get(name, {}).get(field)
        if entry is not None and entry["required"] and "_for_" in kind:
            return True
    return False
