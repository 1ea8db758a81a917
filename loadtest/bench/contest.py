"""Runs the bidder and the baseline in turns and gathers what each turn came to.

The rule: both are up all the time and one of them is under load; who begins changes from pair to pair, so that a drift
of the machine favours nobody. The time limit of requests is raised, so that a slow system shows in its figures and not
in cheap no-bids.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from statistics import median

import httpx

from loadtest.bench.capture import CaptureError, captured
from loadtest.bench.cores import Cores, cpu_s, on_cores, yardstick_us
from loadtest.bench.figures import SYSTEMS, Contest, Pair, Scenario, Turn
from loadtest.bench.tap import Tapped, tapped
from loadtest.engine import Outcome, Plan, Result, run
from loadtest.exchange import BID_PATH
from loadtest.profiles import capped_campaigns, profiles
from loadtest.program import Program
from loadtest.sending.tally import GOOD, merged
from loadtest.stack import ENDPOINT_NAME, bidder_settings
from loadtest.traffic import BidRequestCase, Kind, requests
from loadtest.training import ROOT

SEED = 5
WARMING_SEED = 6
TMAX_MS = 5_000
READY_S = 180.0  # a large catalog takes its time
GRACE_S = 10.0
VENDOR_ID = "755"
"""One of those that people of the traffic consent to: without one, consent is not looked at any further."""
ASKED_AT_ONCE = 16
BIDS_ONLY = 5_000
"""Distinct requests at most where only those are sent that get a bid: as many for each size of catalog."""
CATALOG_S = 300.0


class BenchError(Exception):
    """A step failed; the text says which."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long and how often."""

    pairs: int
    seconds: float  # of each of the two runs of a turn
    warm_up_s: float
    requests: int  # distinct ones, sent again and again: more than what is remembered of them, or all is remembered
    in_flight: int = 32
    model_ms: float = 3.0
    tap: bool = False  # what passes the system's sockets at half load is captured
    warming_s: float = 0.5  # once a scenario, before the first turn, with other requests than those of the turns


@dataclass(frozen=True, slots=True)
class Rig:
    """The two systems, up and on the same core."""

    cores: Cores
    urls: Mapping[str, str]
    pids: Mapping[str, int]
    endpoint_url: str


Tell = Callable[[str], None]


def contests(
    scenarios: Sequence[Scenario], effort: Effort, cores: Cores, folder: Path, tell: Tell
) -> Iterator[Contest]:
    """One after the other; scenarios of the same catalog share their processes. `folder` takes the catalogs.

    Raises BenchError, ProgramError and the engine's RunError.
    """
    features = folder / "features.json"
    with on_cores(cores.others):
        features.write_bytes(_bidder("features"))
        for campaigns in dict.fromkeys(scenario.campaigns for scenario in scenarios):
            tell(f"starting both with {campaigns:,} campaigns")
            catalog = folder / f"catalog-{campaigns}.json"
            _bidder("generate-catalog", str(catalog), "--campaigns", str(campaigns), "--seed", str(SEED))
            known = _known_people(catalog, folder)
            with _rig(catalog, known, features, effort.model_ms, cores) as rig:
                for scenario in (each for each in scenarios if each.campaigns == campaigns):
                    yield _contest(scenario, effort, rig, tell)
            catalog.unlink()


def _known_people(catalog: Path, folder: Path) -> Path:
    """Profiles of two thirds of the people of the traffic, as the bidder reads them."""
    raw, known = folder / "people.jsonl", folder / "profiles.jsonl"
    with raw.open("w") as file:
        file.writelines(json.dumps(profile) + "\n" for profile in profiles(int(time.time()), capped_campaigns(catalog)))
    _bidder("hash-profiles", str(raw), str(known))
    return known


def cases_of(scenario: Scenario, count: int, seed: int = SEED) -> list[BidRequestCase]:
    """Conforming ones alone, as the baseline reads no others."""
    return _cases(scenario.imps, count, seed)


@lru_cache(maxsize=2)
def _cases(imps: int | None, count: int, seed: int) -> list[BidRequestCase]:
    made = requests(seed, 2 * count, valid_only=True, imps=imps)
    conforming = (case for case in made if case.kind is Kind.VALID)
    return [case for case, _ in zip(conforming, range(count), strict=False)]


def _contest(scenario: Scenario, effort: Effort, rig: Rig, tell: Tell) -> Contest:
    cases = cases_of(scenario, effort.requests)
    others = cases_of(scenario, effort.requests, WARMING_SEED)
    if scenario.bids_only:
        cases, others = (asyncio.run(_bid_on(rig, some)) for some in (cases, others))
    bodies = [case.body for case in cases]
    for system in SYSTEMS:  # caches, pools, and whatever is made when first needed: a bidder runs for days
        run(_plan(rig, system, others, replace(effort, seconds=effort.warming_s), in_flight=effort.in_flight))
    pairs = []
    for number in range(effort.pairs):
        turns = {}
        for system in SYSTEMS if number % 2 == 0 else SYSTEMS[::-1]:
            turns[system] = _turn(rig, system, cases, bodies, effort, tell)
        pairs.append(Pair(**turns))
        tell(f"{scenario.name}, pair {number + 1} of {effort.pairs}: {pairs[-1].ratio:.1f} times")
    return Contest(scenario, median(map(len, bodies)), tuple(pairs))


async def _bid_on(rig: Rig, cases: list[BidRequestCase]) -> list[BidRequestCase]:
    """The first that the bidder bids on. Raises BenchError if there is none."""
    found: list[BidRequestCase] = []
    async with httpx.AsyncClient(base_url=rig.urls["bidder"], timeout=READY_S) as client:
        for first in range(0, len(cases), ASKED_AT_ONCE):
            some = cases[first : first + ASKED_AT_ONCE]
            answers = await asyncio.gather(*(client.post(BID_PATH, content=case.body) for case in some))
            found += [case for case, answer in zip(some, answers, strict=True) if answer.status_code == 200]
            if len(found) >= BIDS_ONLY:
                break
    if not found:
        raise BenchError(f"the bidder bids on none of {len(cases)} requests")
    return found[:BIDS_ONLY]


def _turn(rig: Rig, system: str, cases: list[BidRequestCase], bodies: list[bytes], effort: Effort, tell: Tell) -> Turn:
    yardstick = yardstick_us(bodies, rig.cores)
    before_s = cpu_s(rig.pids[system])
    full = run(_plan(rig, system, cases, effort, in_flight=effort.in_flight))
    spent_s = cpu_s(rig.pids[system]) - before_s
    if not full.tally.good:
        raise BenchError(f"{system} gave no right answer in {effort.seconds:g} s: {dict(full.tally.outcomes)}")
    whole = merged([full.warm_up, full.tally])
    # The last requests were sent when the time was up, and answered within a latency.
    per_s = whole.good / (effort.warm_up_s + effort.seconds + whole.latency_ms(50) / 1000)
    _model_latency(rig.endpoint_url, "DELETE")
    plan = _plan(rig, system, cases, effort, rate=per_s / 2)
    half, tap = _tapped(plan, rig.endpoint_url, tell) if effort.tap else (run(plan), None)
    model = _model_latency(rig.endpoint_url)
    bids_ms = [value / 1000 for value in half.tally.bid_latency_us.percentiles((50, 99))]
    return Turn(
        system=system,
        yardstick_us=yardstick,
        answers=whole.good,
        cpu_s=spent_s,
        bids=whole.outcomes[Outcome.BID],
        per_s=per_s,
        failures=_failures(full, half),
        half_rate=per_s / 2,
        p50_ms=bids_ms[0],
        p99_ms=bids_ms[1],
        model_p50_ms=model["p50_ms"],
        model_p99_ms=model["p99_ms"],
        tap=tap,
    )


def _tapped(plan: Plan, endpoint_url: str, tell: Tell) -> tuple[Result, Tapped | None]:
    """A run, and what passed meanwhile: None where not all of it could be captured."""
    port, endpoint_port = (int(url.rpartition(":")[2].partition("/")[0]) for url in (plan.url, endpoint_url))
    result = None
    try:
        with captured((port, endpoint_port)) as passed:
            result = run(plan)
        return result, tapped(passed, port, endpoint_port, plan.warm_up_s)
    except CaptureError as error:
        tell(f"without a tap this time: {error}")
        return result or run(plan), None


def _model_latency(endpoint_url: str, method: str = "GET") -> dict[str, float]:
    """What the endpoint took for the calls since they were last forgotten, which DELETE does. Raises BenchError."""
    url = f"{endpoint_url}/_local/endpoints/{ENDPOINT_NAME}/latency"
    answer = httpx.request(method, url, timeout=5.0)
    latency: dict[str, float] = answer.json()
    if answer.status_code != 200 or (method == "GET" and not latency["calls"]):
        raise BenchError(f"{url} answered {answer.status_code}: {answer.text}")
    return latency


def _plan(
    rig: Rig, system: str, cases: list[BidRequestCase], effort: Effort, *, in_flight: int = 0, rate: float = 0.0
) -> Plan:
    return Plan(
        url=rig.urls[system] + BID_PATH,
        cases=cases,
        rate=rate,
        in_flight=in_flight,
        duration_s=effort.seconds,
        warm_up_s=effort.warm_up_s,
        tmax_ms=TMAX_MS,
    )


def _failures(*results: Result) -> dict[str, int]:
    found: Counter[str] = Counter()
    for result in results:
        for tally in (result.warm_up, result.tally):
            found.update({kind.value: count for kind, count in tally.outcomes.items() if kind not in GOOD})
        found.update(result.judged.violations)
        found.update({"stray": result.strays})
    return {kind: count for kind, count in found.items() if count}  # a plain dict, as JSON needs


@contextmanager
def _rig(catalog: Path, known: Path, features: Path, model_ms: float, cores: Cores) -> Iterator[Rig]:
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(("AWS_", "BIDDER_"))}
    inherited["PYTHONUNBUFFERED"] = "1"
    version = json.loads(features.read_bytes())["features_version"]
    python = [sys.executable, "-m"]
    deadline_s = time.monotonic() + READY_S
    with ExitStack() as stack:
        endpoint = f"{ENDPOINT_NAME}=canned:{model_ms:g},features={version}"
        local = Program(
            "sagemaker_local", [*python, "sagemaker_local", "serve", "--port", "0", "--endpoint", endpoint], inherited
        )
        stack.callback(local.stop, GRACE_S)
        endpoint_url = local.wait_until_ready("/_local/ready", deadline_s)
        settings = bidder_settings(endpoint_url, 0)
        settings |= {"BIDDER_CATALOG_URI": str(catalog), "BASELINE_FEATURES": str(features)}
        settings["BIDDER_MAX_BUSY"] = "1"  # saturated, it is to do all it can
        settings |= {"BIDDER_PROFILES_PATH": str(known), "BIDDER_TCF_VENDOR_ID": VENDOR_ID}
        started = {}
        with on_cores(frozenset({cores.measured})):
            for system, module in (("bidder", ["bidder", "serve"]), ("baseline", ["loadtest.baseline"])):
                started[system] = Program(system, [*python, *module], {**inherited, **settings})
                stack.callback(started[system].stop, GRACE_S)
        urls = {system: program.wait_until_ready("/readyz", deadline_s) for system, program in started.items()}
        yield Rig(cores, urls, {system: program.process.pid for system, program in started.items()}, endpoint_url)


def _bidder(*arguments: str) -> bytes:
    command = [sys.executable, "-m", "bidder", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=CATALOG_S, check=False)
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise BenchError(f"`python -m bidder {' '.join(arguments)}` ended with exit code {done.returncode}: {said}")
    return done.stdout
