"""The baseline over a real socket, against a real SageMaker Runtime: its bids are valid, and it is no strawman."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import pytest

from loadtest.baseline.campaigns import Catalog
from loadtest.connection import Connection
from loadtest.demo import RATES
from loadtest.exchange import BID_PATH
from loadtest.program import Program
from loadtest.stack import ENDPOINT_NAME, bidder_settings
from loadtest.traffic import BidRequestCase, Kind, requests
from loadtest.verify import Judge, Rates, Verdict

ROOT = Path(__file__).resolve().parents[2]
READY_S = 60.0
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("features") / "features.json"
    command = [sys.executable, "-m", "bidder", "features"]
    path.write_bytes(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    return path


@dataclass
class Running:
    url: str

    def verdicts(self, cases: list[BidRequestCase]) -> list[Verdict]:
        return asyncio.run(self._verdicts(cases))

    async def _verdicts(self, cases: list[BidRequestCase]) -> list[Verdict]:
        judge, connection = Judge(Rates.load(RATES)), Connection(self.url + BID_PATH)
        found = []
        try:
            for case in cases:
                answer = await connection.post(case.body, PATIENCE_S)
                found.append(judge.verdict(case, answer.status, answer.headers, answer.body))
        finally:
            connection.close()
        return found


@contextmanager
def running(features: Path, canned: str, **variables: str) -> Iterator[Running]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BIDDER_"))}
    with ExitStack() as stack:
        local = [sys.executable, "-m", "sagemaker_local", "serve", "--port", "0"]
        local += ["--endpoint", f"{ENDPOINT_NAME}={canned}"]
        deadline_s = monotonic() + READY_S
        sagemaker = Program("sagemaker_local", local, inherited)
        stack.callback(sagemaker.stop, 10.0)
        url = sagemaker.wait_until_ready("/_local/ready", deadline_s)
        settings = bidder_settings(url, 0) | {"BASELINE_FEATURES": str(features), **variables}
        baseline = Program("baseline", [sys.executable, "-m", "loadtest.baseline"], {**inherited, **settings})
        stack.callback(baseline.stop, 10.0)
        yield Running(baseline.wait_until_ready("/readyz", deadline_s))


@pytest.fixture(scope="module")
def canned(features: Path) -> str:
    return f"canned:0,features={json.loads(features.read_bytes())['features_version']}"


@pytest.fixture(scope="module")
def baseline(features: Path, canned: str) -> Iterator[Running]:
    with running(features, canned) as served:
        yield served


def patient(cases: Iterator[BidRequestCase]) -> list[BidRequestCase]:
    """With a tmax of a minute, so that no answer is a no-bid because the machine is slow."""
    made = []
    for case in cases:
        if case.kind is Kind.VALID and case.request is not None:
            request = {**case.request, "tmax": 60_000}
            made.append(BidRequestCase(case.id, json.dumps(request).encode(), case.kind, request, case.expected))
    return made


def test_its_bids_are_valid(baseline: Running):
    """Hundreds of requests of all kinds: most get a bid, of all formats, and the judge finds no fault."""
    verdicts = baseline.verdicts(patient(requests(21, 450)))
    violations = Counter((v.rule, v.detail) for verdict in verdicts for v in verdict.violations)
    assert not violations
    outcomes = Counter(verdict.outcome for verdict in verdicts)
    assert outcomes["bid"] > len(verdicts) / 2
    assert {bid.format for verdict in verdicts for bid in verdict.bids} == {"banner", "video", "audio", "native"}
    assert any(bid.deal for verdict in verdicts for bid in verdict.bids)


def test_requests_of_eight_impressions_get_several_bids(baseline: Running):
    """One an impression, at most."""
    verdicts = baseline.verdicts(patient(requests(22, 40, imps=8)))
    assert not [violation for verdict in verdicts for violation in verdict.violations]
    assert max(len(verdict.bids) for verdict in verdicts) > 1


def test_what_cannot_be_read_is_refused(baseline: Running):
    """400, as an exchange expects, not FastAPI's 422."""
    broken = [case for case in requests(23, 900) if case.defect == "truncated JSON"]
    assert broken
    assert {verdict.outcome for verdict in baseline.verdicts(broken)} == {"refused"}


def test_a_model_of_other_features_is_not_believed(features: Path):
    """Every answer is a no-bid."""
    with running(features, "canned:0,features=others") as served:
        verdicts = served.verdicts(patient(requests(21, 30)))
    assert {verdict.outcome for verdict in verdicts} == {"no-bid"}


def test_what_is_missing_is_said():
    """Exit 2, with the names of the variables."""
    command = [sys.executable, "-m", "loadtest.baseline"]
    done = subprocess.run(command, cwd=ROOT, env={}, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "BASELINE_FEATURES, BIDDER_ENDPOINT_NAME must be set" in done.stderr


def test_the_index_has_the_most_valuable_first():
    """For one country and size, in the order of what the campaigns pay at their priors."""
    document = (ROOT / "bidder" / "data" / "demo_catalog.json").read_bytes()
    dollars = Rates.load(RATES).dollars
    ads = list(Catalog(document, dollars).open("USA", ("banner", 300, 250)))
    values = [campaign.value(campaign.prior) * dollars[campaign.currency] for campaign, _ in ads]
    assert len(ads) > 5
    assert values == sorted(values, reverse=True)
