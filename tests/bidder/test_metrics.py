"""The series: that each is there, is what it says and stays within bounds; and that the dashboard asks for no other."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from timeit import repeat
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client import Histogram as LibraryHistogram
from prometheus_client.parser import text_string_to_metric_families

from bidder.catalog.loader import Catalog
from bidder.catalog.store import CatalogStore
from bidder.domain import Bid, Candidate, Format, NoBidReason, Slot
from bidder.inference.client import InferenceClient
from bidder.inference.credentials import StaticCredentials
from bidder.metrics import CONTENT_TYPE, NOTICES, OUTCOMES, STAGE_BUCKETS, STAGES, Metrics, Together
from bidder.server.busy import Busy
from bidder.state.embedded import EmbeddedProfiles

Make = Callable[..., Any]

DOCKER = Path(__file__).parents[2] / "docker"
HAS_PROC = Path("/proc/self/stat").exists()

LANE = {"endpoint", "variant", "role"}
SERIES: dict[str, tuple[str, set[str]]] = {
    "bidder_requests": ("counter", {"exchange", "outcome"}),
    "bidder_late_answers": ("counter", {"exchange"}),
    "bidder_no_bids": ("counter", {"reason"}),
    "bidder_bids_by_format": ("counter", {"format"}),
    "bidder_bid_latency_seconds": ("histogram", set()),
    "bidder_shed_share": ("gauge", set()),
    "bidder_stage_latency_seconds": ("histogram", {"stage"}),
    "bidder_in_flight": ("gauge", set()),
    "bidder_connections": ("gauge", set()),
    "bidder_connections_closed": ("counter", {"why"}),
    "bidder_notices": ("counter", {"kind"}),
    "bidder_bids_refused": ("counter", {"reason"}),
    "bidder_self_checks": ("counter", set()),
    "bidder_self_check_violations": ("counter", {"kind"}),
    "bidder_unknown_versions": ("counter", {"exchange"}),
    "bidder_notices_apart": ("counter", {"kind", "why"}),
    "bidder_notice_price_micros": ("counter", {"kind", "exchange", "currency"}),
    "bidder_markups": ("counter", {"result"}),
    "bidder_event_loop_busy": ("gauge", set()),
    "bidder_event_loop_lag_seconds": ("histogram", set()),
    "bidder_build_info": ("gauge", {"version", "python"}),
    "bidder_scores": ("counter", {"source"}),
    "bidder_score_fallbacks": ("counter", {"source"}),
    "bidder_endpoint_calls": ("counter", LANE | {"result"}),
    "bidder_endpoint_errors": ("counter", LANE | {"type"}),
    "bidder_endpoint_rows_per_call": ("histogram", LANE),
    "bidder_endpoint_latency_seconds": ("histogram", LANE),
    "bidder_endpoint_connections": ("gauge", LANE | {"state"}),
    "bidder_endpoint_breaker_open": ("gauge", LANE),
    "bidder_endpoint_queue": ("gauge", LANE),
    "bidder_endpoint_connections_opened": ("counter", LANE),
    "bidder_endpoint_resends": ("counter", LANE),
    "bidder_catalog_info": ("gauge", {"version", "fingerprint"}),
    "bidder_catalog_campaigns": ("gauge", set()),
    "bidder_catalog_age_seconds": ("gauge", set()),
    "bidder_catalog_stale": ("gauge", set()),
    "bidder_catalog_reloads": ("counter", set()),
    "bidder_catalog_reload_failures": ("counter", set()),
    "bidder_profile_lookups": ("counter", {"result"}),
    "bidder_profile_malformed": ("counter", set()),
    "bidder_profile_batches": ("counter", set()),
    "bidder_profile_store_ready": ("gauge", set()),
    "bidder_ready": ("gauge", set()),
}


class Ready:
    """What is not ready, to be changed by the test."""

    def __init__(self, reasons: dict[str, str]) -> None:
        self.reasons = reasons

    def not_ready(self) -> dict[str, str]:
        return self.reasons


Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def exposed(metrics: Metrics) -> Samples:
    """What a scrape reads: values by name and labels. No series stands there twice."""
    samples: Samples = {}
    for family in text_string_to_metric_families(b"".join(metrics.pieces()).decode()):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in samples
            samples[key] = sample.value
    return samples


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return exposed(metrics)[name, frozenset(labels.items())]


@pytest.fixture
async def client() -> InferenceClient:
    """An inference client of two variants and a shadow that has called nobody; there is nothing to close."""
    return InferenceClient(
        "ranker",
        row_width=2,
        endpoint_url="http://127.0.0.1:9",
        credentials=StaticCredentials("AKIDLOCAL", "local"),
        variants=(("blue", 0.9), ("green", 0.1)),
        shadow_endpoint_name="next",
        shadow_rate=0.5,
    )


@pytest.fixture
def store(tmp_path: Path) -> CatalogStore[int]:
    """A catalog store as it is an hour after it has loaded two campaigns."""
    store: CatalogStore[int] = CatalogStore(tmp_path / "catalog.json", lambda _, campaigns: len(campaigns))
    two: tuple[object, ...] = (object(), object())
    store.current = Catalog("7", "catalog.json", "0123456789ab", time.time() - 3600, two, 2)  # type: ignore[arg-type]
    return store


@pytest.fixture
async def everything(client: InferenceClient, store: CatalogStore[int]) -> Metrics:
    """Metrics with all sources; each kind of error has happened once, so that every series has a sample."""
    metrics = Metrics(["generic"], version="1.2.3")
    client.lanes[0].stats.count_call_error("timeout")
    metrics.request("generic", "bid")
    metrics.notice_price("win", "generic", "USD", 1_000_000)
    metrics.watch_inference(client)
    metrics.watch_catalog(store)
    metrics.watch_profiles(EmbeddedProfiles())
    metrics.watch_readiness(Ready({}))
    metrics.watch_busy(Busy(0.95))
    return metrics


# -- the exposition


def test_every_exchange_has_a_count_of_late_answers_from_the_start() -> None:
    """So that the first of them is seen as one more."""
    metrics = Metrics(["generic", "north"])
    metrics.late_answer("north")
    assert value(metrics, "bidder_late_answers_total", exchange="generic") == 0
    assert value(metrics, "bidder_late_answers_total", exchange="north") == 1


def test_what_is_shed_is_exposed_as_it_is_now() -> None:
    """How busy the loop was, and the share of bids that is answered at once."""
    metrics, busy = Metrics(), Busy(0.95)
    metrics.watch_busy(busy)
    busy.share, busy.shed = 0.99, 0.25
    assert value(metrics, "bidder_event_loop_busy") == 0.99
    assert value(metrics, "bidder_shed_share") == 0.25


def test_readiness_is_exposed_as_it_is_now() -> None:
    """What /readyz would say at the time of the scrape."""
    metrics, ready = Metrics(), Ready({"credentials": "are missing or expired"})
    metrics.watch_readiness(ready)
    assert value(metrics, "bidder_ready") == 0
    ready.reasons = {}
    assert value(metrics, "bidder_ready") == 1


async def test_every_series_is_exposed_with_its_type_and_labels(everything: Metrics) -> None:
    """The text parses, and holds the series that operators rely on, neither fewer nor others."""
    found = {}
    for family in text_string_to_metric_families(b"".join(everything.pieces()).decode()):
        if family.name.startswith("bidder_"):
            assert family.documentation.endswith(".")
            labels = {frozenset(sample.labels) - {"le"} for sample in family.samples}
            assert len(labels) == 1
            found[family.name] = (family.type, set(*labels))
    assert found == SERIES


@pytest.mark.skipif(not HAS_PROC, reason="the process series need /proc, as on Linux")
def test_the_process_and_the_collector_are_exposed() -> None:
    """CPU, memory, descriptors and garbage collections of the process are there."""
    names = {name for name, _ in exposed(Metrics())}
    assert {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"} <= names
    assert "python_gc_collections_total" in names


def test_a_scrape_is_made_in_pieces() -> None:
    """Each is of one family, or of what one worker has of it: a bid waits for one of them at most."""
    metrics = Metrics(["generic"])
    largest = max(sum(not line.startswith(b"#") for line in piece.splitlines()) for piece in metrics.pieces())
    assert largest == len(STAGES) * (len(STAGE_BUCKETS) + 3)
    snapshot = [family for family in metrics.snapshot() if family[0].startswith("bidder_")]
    together = list(Together({"0": snapshot, "1": snapshot}).pieces())
    assert len(together) == 2 * len(snapshot)
    assert sum(line.startswith(b"# TYPE ") for line in b"".join(together).splitlines()) == len(snapshot)


def test_the_pieces_of_a_scrape_are_of_one_moment() -> None:
    """What is counted while they are written is for the next one: series can be held against each other."""
    metrics = Metrics(["generic"])
    metrics.request("generic", "bid")
    pieces = metrics.pieces()
    metrics.request("generic", "bid")
    assert b'bidder_requests_total{exchange="generic",outcome="bid"} 1.0' in b"".join(pieces)


def test_each_metrics_has_a_registry_of_its_own() -> None:
    """Two of them count apart, and the library's global registry knows neither."""
    one, other = Metrics(["generic"]), Metrics(["generic"])
    one.request("generic", "bid")
    assert value(one, "bidder_requests_total", exchange="generic", outcome="bid") == 1
    assert not other.requests
    assert not any(family.name.startswith("bidder_") for family in REGISTRY.collect())


def test_the_media_type_is_that_of_the_text_format() -> None:
    """Scrapers are told what they get."""
    assert CONTENT_TYPE == "text/plain; version=0.0.4; charset=utf-8"


# -- counting


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_requests_are_counted_by_exchange_and_outcome(outcome: str) -> None:
    """Each outcome of each known exchange is a series of its own."""
    metrics = Metrics(["generic", "north"])
    for exchange in ("generic", "north", "north"):
        metrics.request(exchange, outcome)
    assert value(metrics, "bidder_requests_total", exchange="generic", outcome=outcome) == 1
    assert value(metrics, "bidder_requests_total", exchange="north", outcome=outcome) == 2


def test_names_from_outside_make_no_series() -> None:
    """Exchanges and notices that are not known are all counted as one."""
    metrics = Metrics(["generic"])
    for number in range(100):
        metrics.request(f"made-up-{number}", "unknown_exchange")
        metrics.notice(f"made-up-{number}")
    metrics.request("generic", "made-up")
    assert metrics.requests == {"other": {"unknown_exchange": 100}, "generic": {"other": 1}}
    assert set(metrics.notices) == {*NOTICES, "other"}
    assert value(metrics, "bidder_notices_total", kind="other") == 100


@pytest.mark.parametrize("reason", NoBidReason)
def test_no_bids_are_counted_by_reason(reason: NoBidReason) -> None:
    """Every reason is there from the start, at zero."""
    metrics = Metrics()
    assert value(metrics, "bidder_no_bids_total", reason=reason) == 0
    metrics.no_bid(reason)
    assert value(metrics, "bidder_no_bids_total", reason=reason) == 1


@pytest.mark.parametrize(("kind", "name"), [(Format.BANNER, "banner"), (Format.NATIVE, "native")])
def test_bids_are_counted_by_format(make_campaign: Make, make_creative: Make, kind: Format, name: str) -> None:
    """Each bid of an answer counts for its format alone."""
    metrics, campaign = Metrics(), make_campaign()
    candidate = Candidate(Slot("1"), campaign, make_creative(format=kind), None)
    metrics.sent([Bid(candidate, 1_000_000, "USD", 0.01)] * 2)
    assert value(metrics, "bidder_bids_by_format_total", format=name) == 2
    assert sum(metrics.bids) == 2


def test_notices_and_bids_in_flight_are_read_as_they_stand() -> None:
    """A scrape shows the attributes of the moment."""
    metrics = Metrics()
    metrics.notice("win")
    metrics.in_flight += 3
    assert value(metrics, "bidder_notices_total", kind="win") == 1
    assert value(metrics, "bidder_in_flight") == 3


# -- histograms


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(st.floats(0, 1), st.sampled_from(STAGE_BUCKETS)), max_size=30))
def test_buckets_count_all_values_up_to_their_bound(values: list[float]) -> None:
    """Each bucket counts what is at most its bound, +Inf counts all, and the sum is the sum."""
    metrics = Metrics()
    for seconds in values:
        metrics.stage_latency["decode"].observe(seconds)
    samples = exposed(metrics)
    stage = ("stage", "decode")
    for bound in STAGE_BUCKETS:
        key = ("bidder_stage_latency_seconds_bucket", frozenset([stage, ("le", str(bound))]))
        assert samples[key] == sum(seconds <= bound for seconds in values)
    assert samples["bidder_stage_latency_seconds_bucket", frozenset([stage, ("le", "+Inf")])] == len(values)
    assert samples["bidder_stage_latency_seconds_count", frozenset([stage])] == len(values)
    assert samples["bidder_stage_latency_seconds_sum", frozenset([stage])] == pytest.approx(sum(values))


def test_every_stage_and_the_whole_bid_are_timed() -> None:
    """Stages do not mix, and the bid has a histogram of its own."""
    metrics = Metrics()
    for count, stage in enumerate(STAGES, start=1):
        for _ in range(count):
            metrics.stage_latency[stage].observe(0.00002)
    metrics.answered("generic", "bid", 0.012)
    for count, stage in enumerate(STAGES, start=1):
        assert value(metrics, "bidder_stage_latency_seconds_count", stage=stage) == count
    assert value(metrics, "bidder_bid_latency_seconds_sum") == 0.012
    assert value(metrics, "bidder_bid_latency_seconds_bucket", le="0.01") == 0
    assert value(metrics, "bidder_bid_latency_seconds_bucket", le="0.015") == 1


def test_no_observation_is_lost_while_its_cost_is_taken(record_property: Callable[[str, object], None]) -> None:
    """Ten thousand timings make ten thousand counts; what one costs beside the library's is put in the report."""
    metrics = Metrics()
    library = LibraryHistogram("s", "s", ["stage"], registry=CollectorRegistry(), buckets=STAGE_BUCKETS).labels(
        "decode"
    )
    decode = metrics.stage_latency["decode"]
    ours_s = min(repeat(lambda: decode.observe(0.00003), number=2000, repeat=5)) / 2000
    library_s = min(repeat(lambda: library.observe(0.00003), number=2000, repeat=5)) / 2000
    record_property("observe_ns", round(ours_s * 1e9))
    record_property("library_observe_ns", round(library_s * 1e9))
    assert value(metrics, "bidder_stage_latency_seconds_count", stage="decode") == 10_000


# -- what other modules count


async def test_lanes_are_told_apart(client: InferenceClient) -> None:
    """Each variant and the shadow have series of their own, with what that lane has counted."""
    metrics = Metrics()
    metrics.watch_inference(client)
    blue, green = client.lanes
    assert client.shadow_lane is not None
    blue.stats.answered = 5
    green.stats.count_call_error("timeout")
    green.stats.count_call_error("throttling")
    client.shadow_lane.stats.rows_per_call.observe(12)
    lanes = [
        {"endpoint": "ranker", "variant": "blue", "role": "answer"},
        {"endpoint": "ranker", "variant": "green", "role": "answer"},
        {"endpoint": "next", "variant": "", "role": "shadow"},
    ]
    calls = [value(metrics, "bidder_endpoint_calls_total", **lane, result="ok") for lane in lanes]
    assert calls == [5, 0, 0]
    assert value(metrics, "bidder_endpoint_calls_total", **lanes[1], result="error") == 2
    assert value(metrics, "bidder_endpoint_errors_total", **lanes[1], type="throttling") == 1
    assert value(metrics, "bidder_endpoint_rows_per_call_sum", **lanes[2]) == 12
    assert value(metrics, "bidder_endpoint_connections", **lanes[0], state="idle") == 0


async def test_scores_are_counted_by_the_tier_that_answered(client: InferenceClient) -> None:
    """Answers and fallbacks come from the cascade."""
    metrics = Metrics()
    metrics.watch_inference(client)
    client.cascade.answers["prior"] += 2
    client.cascade.fallbacks["sagemaker"] += 2
    assert value(metrics, "bidder_scores_total", source="prior") == 2
    assert value(metrics, "bidder_score_fallbacks_total", source="sagemaker") == 2


def test_the_catalog_in_use_is_named(store: CatalogStore[int]) -> None:
    """Version, size, age, reloads and failures are those of the store, also after a swap."""
    metrics = Metrics()
    metrics.watch_catalog(store)
    assert value(metrics, "bidder_catalog_info", version="7", fingerprint="0123456789ab") == 1
    assert value(metrics, "bidder_catalog_campaigns") == 2
    assert value(metrics, "bidder_catalog_age_seconds") >= 3600
    store.current = Catalog("8", "catalog.json", "ba9876543210", time.time(), (), 0)
    store.reloads, store.reload_failures, store.last_error = 1, 4, "line 3: what is wrong"
    assert value(metrics, "bidder_catalog_info", version="8", fingerprint="ba9876543210") == 1
    assert value(metrics, "bidder_catalog_reloads_total") == 1
    assert value(metrics, "bidder_catalog_reload_failures_total") == 4
    assert value(metrics, "bidder_catalog_stale") == 1


async def test_profile_lookups_are_counted_by_result() -> None:
    """What became of look-ups is read from the store."""
    profiles = EmbeddedProfiles()
    metrics = Metrics()
    metrics.watch_profiles(profiles)
    assert value(metrics, "bidder_profile_store_ready") == 0
    await profiles.start()
    profiles.lookup(("b:1",), 0.0)
    assert value(metrics, "bidder_profile_lookups_total", result="miss") == 1
    assert value(metrics, "bidder_profile_lookups_total", result="hit") == 0
    assert value(metrics, "bidder_profile_store_ready") == 1


# -- the files for Prometheus and Grafana


async def test_the_dashboard_asks_for_series_that_exist(everything: Metrics) -> None:
    """Every metric in a query of the dashboard is exposed, and every counter is asked for by `rate` or `increase`."""
    known = {name for name, _ in exposed(everything)}
    dashboard = json.loads((DOCKER / "grafana" / "dashboards" / "bidder.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    assert len(queries) > 30
    if not HAS_PROC:
        queries = [query for query in queries if "process_" not in query]
    for query in queries:
        names = set(re.findall(r"\b(?:bidder|process|python)_\w+", query))
        assert names, query
        assert names <= known, query
        for counter in (name for name in names if name.endswith(("_total", "_bucket", "_sum", "_count"))):
            assert re.search(rf"(?:rate|increase)\({counter}\b", query), query


async def test_the_dashboard_shows_every_series(everything: Metrics) -> None:
    """No series of the bidder is left without a place, but for the one that names the build and counts of batches."""
    text = (DOCKER / "grafana" / "dashboards" / "bidder.json").read_text()
    unseen = {name for name in SERIES if not re.search(rf"\b{name}(?:_total|_bucket|_sum|_count)?\b", text)}
    assert unseen == {"bidder_build_info", "bidder_profile_batches"}


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    """Each panel has an id and a place of its own on the grid of 24 columns."""
    panels = json.loads((DOCKER / "grafana" / "dashboards" / "bidder.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_the_data_source_of_the_dashboard_is_provisioned() -> None:
    """The uid that the panels name is that of the provisioned source, and the bidder is scraped each five seconds."""
    yaml = pytest.importorskip("yaml", reason="PyYAML, which reads the files as Grafana does, is not installed")
    provisioning = DOCKER / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "bidder.yaml").read_text())["providers"]
    dashboard = json.loads((DOCKER / "grafana" / "dashboards" / "bidder.json").read_text())
    named = {panel["datasource"]["uid"] for panel in dashboard["panels"] if "datasource" in panel}
    assert named == {source["uid"]}
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
    prometheus = yaml.safe_load((DOCKER / "prometheus.yml").read_text())
    bidder = next(job for job in prometheus["scrape_configs"] if job["job_name"] == "bidder")
    assert prometheus["global"]["scrape_interval"] == "5s"
    assert bidder["metrics_path"] == "/metrics"
    assert bidder["static_configs"] == [{"targets": ["bidder:8080"]}]
