"""Every series the bidder exposes, declared once, and what the hot path counts into.

The rule kept here: counting is an addition to a plain attribute; names, labels and text exist at scrape time only.
Every label comes from a bounded set. What stands above this module is read by shape (the Protocols below), so that
nothing is imported upwards: the composition root hands the objects to `watch_inference`, `watch_catalog` and
`watch_profiles`. The module is long because the list of series is, and it stands in one place.
"""

from __future__ import annotations

import platform
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Generic, Literal, Protocol, TypeVar

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from bidder.domain import Bid, Format, NoBidReason
from bidder.stages.conformance import SelfCheck
from bidder.stages.encode import REFUSALS

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

# fmt: off
STAGES = ("decode", "profile", "target", "features", "inference", "price", "encode")
OUTCOMES = (
    "bid", "no_bid", "malformed", "too_large", "unsupported_media", "unknown_exchange", "method", "overload",
    "disconnected", "test",
)
NOTICES = ("win", "billing", "loss", "impression", "click", "event", "error")
APART = ("test", "audit", "macro", "price", "unmeasured")  # why a notice counts for nothing
CLOSED = ("idle", "slow", "not_http", "head_too_large", "too_many")  # why a connection was ended by us
OTHER = "other"  # what stands for a label out of bounds
SETTLE_EVERY = 256  # bids, each of which observes a stage once at most

# Seconds. Bids end between a no-bid (50 µs) and the exchange's deadline; most stages take 5 to 100 µs.
BID_BUCKETS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05,
    0.06, 0.075, 0.09, 0.1, 0.125, 0.15, 0.2, 0.25,
)
STAGE_BUCKETS = (
    0.000005, 0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05,
    0.075, 0.1, 0.15, 0.25,
)
LAG_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)
# fmt: on


class Histogram:
    """Counts by bucket: `counts[i]` is of values ≤ `bounds[i]` and above the bound before; the last is the rest."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Gathered:
    """A histogram as `Histogram`, of what every bid observes: values are kept, and counted all at once, by `settle` or
    before they are read. Observing one is a list's own `append` (0.1 of what counting it at once would cost); who
    observes has to see to it that they are settled now and then."""

    __slots__ = ("_counts", "_fresh", "_total", "bounds", "observe")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0
        self._fresh: list[float] = []
        self.observe: Callable[[float], None] = self._fresh.append

    @property
    def counts(self) -> list[int]:
        self.settle()
        return self._counts

    @property
    def total(self) -> float:
        self.settle()
        return self._total

    def settle(self) -> None:
        """Count what was observed since it last was."""
        fresh, counts = self._fresh, self._counts
        if not fresh:
            return
        fresh.sort()
        below = 0
        for bucket, bound in enumerate(self.bounds):
            up_to = bisect_right(fresh, bound, below)
            counts[bucket] += up_to - below
            below = up_to
        counts[-1] += len(fresh) - below
        self._total += sum(fresh)
        fresh.clear()


# -- what is read at scrape time, by shape -----------------------------------------------------------------------------


class Buckets(Protocol):
    """A histogram of any module: see `Histogram`."""

    bounds: tuple[float, ...]

    @property
    def counts(self) -> list[int]: ...
    @property
    def total(self) -> float: ...


class Target(Protocol):
    @property
    def endpoint_name(self) -> str: ...
    @property
    def variant(self) -> str: ...


class Pool(Protocol):
    @property
    def in_flight(self) -> int: ...
    @property
    def idle(self) -> int: ...

    open: int
    connecting: int


class CallCounts(Protocol):
    answered: int
    call_errors: dict[str, int]  # by kind of error
    resends: int
    opened: int

    @property
    def rows_per_call(self) -> Buckets: ...
    @property
    def call_seconds(self) -> Buckets: ...


class Limiter(Protocol):
    @property
    def closed(self) -> bool: ...


class Batcher(Protocol):
    @property
    def queued(self) -> int: ...


class Lane(Protocol):
    """One target of the inference client, with its connections and counters."""

    @property
    def target(self) -> Target: ...
    @property
    def pool(self) -> Pool: ...
    @property
    def limiter(self) -> Limiter: ...
    @property
    def batcher(self) -> Batcher: ...
    @property
    def stats(self) -> CallCounts: ...


class Cascade(Protocol):
    answers: dict[str, int]  # auctions by the tier that answered
    fallbacks: dict[str, int]  # and by the tier that did not


class Inference(Protocol):
    @property
    def lanes(self) -> Sequence[Lane]: ...
    @property
    def shadow_lane(self) -> Lane | None: ...
    @property
    def cascade(self) -> Cascade: ...


class Catalog(Protocol):
    @property
    def version(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def campaigns(self) -> Sequence[object]: ...


class CatalogStore(Protocol):
    reloads: int
    reload_failures: int
    last_error: str

    @property
    def current(self) -> Catalog: ...
    @property
    def age_s(self) -> float: ...


class LookupCounts(Protocol):
    hits: int
    misses: int
    timeouts: int
    errors: int
    refused: int
    malformed: int
    batches: int


class Readiness(Protocol):
    def not_ready(self) -> Mapping[str, str]:
        """A reason for each part that is not ready."""
        ...


class Busy(Protocol):
    share: float
    shed: float


class ProfileStore(Protocol):
    @property
    def ready(self) -> bool: ...
    @property
    def counts(self) -> LookupCounts: ...


# -- the series --------------------------------------------------------------------------------------------------------

T = TypeVar("T")
Labels = tuple[str, ...]
Reading = Iterable[tuple[Labels, float | Buckets]]


@dataclass(frozen=True, slots=True)
class Series(Generic[T]):
    """One metric: what it is called, and how it is read from its source. `read` gives a value for each set of labels.

    A counter's name is given without the `_total` that it is exposed with."""

    type: Literal["counter", "gauge", "histogram"]
    name: str
    help: str
    labels: Labels
    read: Callable[[T], Reading]

    def family(self, source: T) -> Metric:
        """What a scrape gets of it."""
        family = Metric(self.name, self.help, self.type)
        for values, value in dict(self.read(source)).items():
            labels = dict(zip(self.labels, values, strict=True))
            if isinstance(value, int | float):
                family.add_sample(self.name + "_total" * (self.type == "counter"), labels, value)
            else:
                self._add_buckets(family, labels, value)
        return family

    def histograms(self, source: T) -> Iterator[tuple[str, dict[str, str], Buckets]]:
        """Name, labels and state of each, where it is of histograms."""
        if self.type == "histogram":
            for values, value in self.read(source):
                if not isinstance(value, int | float):
                    yield self.name, dict(zip(self.labels, values, strict=True)), value

    def _add_buckets(self, family: Metric, labels: dict[str, str], buckets: Buckets) -> None:
        counts = list(accumulate(buckets.counts))
        for bound, count in zip((*map(str, buckets.bounds), "+Inf"), counts, strict=True):
            family.add_sample(self.name + "_bucket", labels | {"le": bound}, count)
        family.add_sample(self.name + "_sum", labels, buckets.total)
        family.add_sample(self.name + "_count", labels, counts[-1])


def _one(value: float | Buckets) -> Reading:
    return [((), value)]


def _by_label(values: Mapping[str, float] | Mapping[str, Buckets]) -> Reading:
    return [((label,), value) for label, value in values.items()]


def _by_labels(values: Mapping[str, Mapping[str, float]]) -> Reading:
    return [((first, second), value) for first, seconds in values.items() for second, value in seconds.items()]


def _by_lane(read: Callable[[Lane], Reading]) -> Callable[[Inference], Reading]:
    """The readings of every lane of a client, with the labels of the lane before their own."""

    def read_all(client: Inference) -> Iterator[tuple[Labels, float | Buckets]]:
        lanes = [(lane, "answer") for lane in client.lanes]
        if client.shadow_lane is not None:
            lanes.append((client.shadow_lane, "shadow"))
        for lane, role in lanes:
            for labels, value in read(lane):
                yield (lane.target.endpoint_name, lane.target.variant, role, *labels), value

    return read_all


def _connections(pool: Pool) -> Mapping[str, int]:
    draining = pool.open - pool.idle - pool.in_flight
    return {"idle": pool.idle, "busy": pool.in_flight, "draining": draining, "connecting": pool.connecting}


def _ended(stats: CallCounts) -> Mapping[str, int]:
    return {"ok": stats.answered, "error": sum(stats.call_errors.values())}


def _lookups(counts: LookupCounts) -> Mapping[str, int]:
    ended = {"hit": counts.hits, "miss": counts.misses, "timeout": counts.timeouts}
    return ended | {"error": counts.errors, "refused": counts.refused}


# fmt: off
OWN: tuple[Series[Metrics], ...] = (
    Series("counter", "bidder_requests", "Bid requests answered, by exchange and outcome.", ("exchange", "outcome"),
           lambda metrics: _by_labels(metrics.requests)),
    Series("counter", "bidder_late_answers", "Answers after their deadline: tmax less the margin.", ("exchange",),
           lambda metrics: _by_label(metrics.late_answers)),
    Series("counter", "bidder_no_bids", "No-bids, by reason.", ("reason",),
           lambda metrics: _by_label(metrics.no_bids)),
    Series("counter", "bidder_bids_by_format", "Bids sent, by format; an answer can hold several.", ("format",),
           lambda metrics: [((kind.name.lower(),), metrics.bids[kind]) for kind in Format]),
    Series("histogram", "bidder_bid_latency_seconds", "Time from a bid request's arrival to its answer.", (),
           lambda metrics: _one(metrics.bid_latency)),
    Series("histogram", "bidder_stage_latency_seconds", "Time that a bid took in a stage of the bid path.", ("stage",),
           lambda metrics: _by_label(metrics.stage_latency)),
    Series("gauge", "bidder_in_flight", "Bid requests under way.", (),
           lambda metrics: _one(metrics.in_flight)),
    Series("gauge", "bidder_connections", "Connections of exchanges and others that are open.", (),
           lambda metrics: _one(metrics.connections)),
    Series("counter", "bidder_connections_closed", "Connections that we ended, by why.", ("why",),
           lambda metrics: _by_label(metrics.connections_closed)),
    Series("counter", "bidder_notices", "Notices that came in, by kind.", ("kind",),
           lambda metrics: _by_label(metrics.notices)),
    Series("histogram", "bidder_event_loop_lag_seconds", "How late the event loop runs what is due.", (),
           lambda metrics: _one(metrics.loop_lag)),
    Series("counter", "bidder_bids_refused", "Bids left out of an answer by the exchange's profile, by reason.",
           ("reason",), lambda metrics: _by_label(metrics.refusals)),
    Series("counter", "bidder_self_checks", "Answers held against their exchange's profile, by sample.", (),
           lambda metrics: _one(metrics.self_check.checked)),
    Series("counter", "bidder_self_check_violations", "What those answers broke, by kind.", ("kind",),
           lambda metrics: _by_label(metrics.self_check.violations)),
    Series("counter", "bidder_unknown_versions", "Bid requests whose x-openrtb-version is not known.", ("exchange",),
           lambda metrics: _by_label(metrics.unknown_versions)),
    Series("counter", "bidder_notices_apart", "Notices apart, by why: test, audit, macro, price or unmeasured.",
           ("kind", "why"), lambda metrics: metrics.notices_apart.items()),
    Series("counter", "bidder_notice_price_micros", "Sum of the CPMs that notices told, in micro-units.",
           ("kind", "exchange", "currency"), lambda metrics: metrics.notice_prices.items()),
    Series("counter", "bidder_markups", "Win notices that asked for markup: served, or missing.", ("result",),
           lambda metrics: _by_label(metrics.markups)),
    Series("gauge", "bidder_build_info", "1; the labels tell what is running.", ("version", "python"),
           lambda metrics: [((metrics.version, platform.python_version()), 1)]),
)

_LANE = ("endpoint", "variant", "role")
INFERENCE: tuple[Series[Inference], ...] = (
    Series("counter", "bidder_scores", "Auctions scored, by the tier that answered.", ("source",),
           lambda client: _by_label(client.cascade.answers)),
    Series("counter", "bidder_score_fallbacks", "Auctions passed on, by the tier that did not answer.", ("source",),
           lambda client: _by_label(client.cascade.fallbacks)),
    Series("counter", "bidder_endpoint_calls", "Calls of the endpoint that have ended: ok or error.",
           (*_LANE, "result"),
           _by_lane(lambda lane: _by_label(_ended(lane.stats)))),
    Series("counter", "bidder_endpoint_errors", "Calls of the endpoint that brought no scores, by type of error.",
           (*_LANE, "type"), _by_lane(lambda lane: _by_label(lane.stats.call_errors))),
    Series("histogram", "bidder_endpoint_rows_per_call", "Rows sent in one call of the endpoint.", _LANE,
           _by_lane(lambda lane: _one(lane.stats.rows_per_call))),
    Series("histogram", "bidder_endpoint_latency_seconds", "Time from sending a call of the endpoint to its scores.",
           _LANE, _by_lane(lambda lane: _one(lane.stats.call_seconds))),
    Series("gauge", "bidder_endpoint_connections", "Connections to the endpoint: idle, busy, draining or connecting.",
           (*_LANE, "state"), _by_lane(lambda lane: _by_label(_connections(lane.pool)))),
    Series("gauge", "bidder_endpoint_breaker_open", "1 while the endpoint is given a rest or probed.", _LANE,
           _by_lane(lambda lane: _one(not lane.limiter.closed))),
    Series("gauge", "bidder_endpoint_queue", "Auctions that wait for a free call.", _LANE,
           _by_lane(lambda lane: _one(lane.batcher.queued))),
    Series("counter", "bidder_endpoint_connections_opened", "Connections to the endpoint that were opened.", _LANE,
           _by_lane(lambda lane: _one(lane.stats.opened))),
    Series("counter", "bidder_endpoint_resends", "Calls sent again because their connection had been closed.", _LANE,
           _by_lane(lambda lane: _one(lane.stats.resends))),
)

CATALOG: tuple[Series[CatalogStore], ...] = (
    Series("gauge", "bidder_catalog_info", "1; the labels tell the catalog in use.", ("version", "fingerprint"),
           lambda store: [((store.current.version, store.current.fingerprint), 1)]),
    Series("gauge", "bidder_catalog_campaigns", "Campaigns in the catalog in use.", (),
           lambda store: _one(len(store.current.campaigns))),
    Series("gauge", "bidder_catalog_age_seconds", "Time since the catalog in use was loaded.", (),
           lambda store: _one(store.age_s)),
    Series("gauge", "bidder_catalog_stale", "1 while the newest document cannot be used and an older one stays.", (),
           lambda store: _one(bool(store.last_error))),
    Series("counter", "bidder_catalog_reloads", "Catalogs taken into use after the first.", (),
           lambda store: _one(store.reloads)),
    Series("counter", "bidder_catalog_reload_failures", "Attempts to read a new catalog that failed.", (),
           lambda store: _one(store.reload_failures)),
)

READINESS: tuple[Series[Readiness], ...] = (
    Series("gauge", "bidder_ready", "1 while traffic may be sent here, as /readyz says.", (),
           lambda readiness: _one(not readiness.not_ready())),
)

BUSY: tuple[Series[Busy], ...] = (
    Series("gauge", "bidder_event_loop_busy", "Share of its time that the event loop's thread wants a core.", (),
           lambda busy: _one(busy.share)),
    Series("gauge", "bidder_shed_share", "Share of bids answered at once, as the event loop has too much to do.", (),
           lambda busy: _one(busy.shed)),
)

PROFILES: tuple[Series[ProfileStore], ...] = (
    Series("counter", "bidder_profile_lookups", "Profile look-ups, by what became of them.", ("result",),
           lambda store: _by_label(_lookups(store.counts))),
    Series("counter", "bidder_profile_malformed", "Values in the profile store that are no profiles.", (),
           lambda store: _one(store.counts.malformed)),
    Series("counter", "bidder_profile_batches", "Questions sent to the profile store.", (),
           lambda store: _one(store.counts.batches)),
    Series("gauge", "bidder_profile_store_ready", "1 while the profile store answers.", (),
           lambda store: _one(store.ready)),
)
# fmt: on


Family = tuple[str, str, str, list[tuple[str, dict[str, str], float]]]
"""Name, help, type, and samples: name, labels, value."""


@dataclass(frozen=True, slots=True)
class _Alone(Collector):
    """One family, as the library's writer wants it."""

    family: Metric

    def collect(self) -> Iterable[Metric]:
        return [self.family]


def _text(family: Metric) -> bytes:
    return generate_latest(_Alone(family))


class Together:
    """The series of several workers, told apart by the label `worker`: each is a process whose counters begin anew
    when it does, which a sum would hide."""

    def __init__(self, snapshots: Mapping[str, Sequence[Family]]) -> None:
        self._told: dict[str, list[tuple[str, Family]]] = {}  # by the family's name
        for worker, snapshot in snapshots.items():
            for family in snapshot:
                self._told.setdefault(family[0], []).append((worker, family))

    def pieces(self) -> Iterator[bytes]:
        """See `Metrics.pieces`; what one worker has of one family is one."""
        for told in self._told.values():
            for number, (worker, (name, documentation, kind, samples)) in enumerate(told):
                family = Metric(name, documentation, kind)
                for sample, labels, value in samples:
                    family.add_sample(sample, labels | {"worker": worker}, value)
                text = _text(family)
                yield text if number == 0 else text.split(b"\n", 2)[2]  # help and type are said once


class Metrics(Collector):
    """What the hot path counts, and the exposition of all series.

    `exchanges` are the names that their label may take, `version` is the bidder's. `in_flight` is the number of bids
    under way, `connections` that of open ones; who admits them keeps them. Every `check_every`th answer is held
    against its exchange's profile; 0: none. One thread counts and reads: nothing is locked."""

    def __init__(self, exchanges: Iterable[str] = (), *, version: str = "unknown", check_every: int = 0) -> None:
        self.version: str = version
        self.in_flight: int = 0
        self.connections: int = 0
        self.connections_closed: dict[str, int] = dict.fromkeys(CLOSED, 0)
        self.requests: dict[str, dict[str, int]] = {}  # by exchange, then by outcome
        self.no_bids: dict[str, int] = dict.fromkeys(map(str, NoBidReason), 0)
        self.bids: list[int] = [0] * (max(Format) + 1)  # by the value of the format
        self.refusals: dict[str, int] = dict.fromkeys(REFUSALS, 0)
        self.self_check: SelfCheck = SelfCheck(check_every)
        self.notices: dict[str, int] = dict.fromkeys((*NOTICES, OTHER), 0)
        self.notices_apart: dict[tuple[str, str], int] = {(kind, why): 0 for kind in NOTICES for why in APART}
        self.notice_prices: dict[tuple[str, str, str], int] = {}  # by kind, exchange and currency
        self.markups: dict[str, int] = {"served": 0, "missing": 0}
        self.bid_latency: Gathered = Gathered(BID_BUCKETS)
        self.stage_latency: dict[str, Gathered] = {stage: Gathered(STAGE_BUCKETS) for stage in STAGES}
        self._unsettled = 0
        self.loop_lag: Histogram = Histogram(LAG_BUCKETS)
        self._exchanges = frozenset(exchanges)
        self.unknown_versions: dict[str, int] = dict.fromkeys(self._exchanges, 0)
        self.late_answers: dict[str, int] = dict.fromkeys(sorted(self._exchanges), 0)
        self._families: list[Callable[[], Iterator[Metric]]] = []
        self._histograms: list[Callable[[], Iterator[tuple[str, dict[str, str], Buckets]]]] = []
        self._watch(OWN, self)
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    # -- the hot path

    def answered(self, exchange: str, outcome: str, seconds: float) -> None:
        """One bid request answered, so long after its arrival."""
        self.bid_latency.observe(seconds)
        try:
            self.requests[exchange][outcome] += 1
        except KeyError:
            self.request(exchange, outcome)
            return
        self._unsettled += 1
        if self._unsettled >= SETTLE_EVERY:
            self._settle()

    def request(self, exchange: str, outcome: str) -> None:
        """One bid request at its end, which may have been left before its answer."""
        outcomes = self.requests.setdefault(exchange if exchange in self._exchanges else OTHER, {})
        outcome = outcome if outcome in OUTCOMES else OTHER
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        self._unsettled += 1
        if self._unsettled >= SETTLE_EVERY:
            self._settle()

    def connection_closed(self, why: str) -> None:
        """One connection ended by us, for one of CLOSED."""
        self.connections_closed[why] += 1

    def late_answer(self, exchange: str) -> None:
        """One answer, to an exchange that has a profile, after its deadline."""
        self.late_answers[exchange] = self.late_answers.get(exchange, 0) + 1

    def no_bid(self, reason: NoBidReason) -> None:
        self.no_bids[reason] += 1

    def sent(self, bids: Iterable[Bid]) -> None:
        """The bids of one answer."""
        for bid in bids:
            self.bids[bid.candidate.creative.spec.format] += 1

    def refused(self, reason: str) -> None:
        """One bid left out of an answer, for one of REFUSALS."""
        self.refusals[reason] += 1

    def notice(self, kind: str) -> None:
        """One of NOTICES came in."""
        self.notices[kind if kind in self.notices else OTHER] += 1

    def notice_apart(self, kind: str, why: str) -> None:
        """One of NOTICES came in that must not count."""
        self.notices_apart[kind, why] += 1

    def notice_price(self, kind: str, exchange: str, currency: str, price_micros: int) -> None:
        """A notice told a price. `exchange` is a configured one, `currency` one with a rate, or "": not said."""
        key = (kind, exchange, currency)
        self.notice_prices[key] = self.notice_prices.get(key, 0) + price_micros

    def markup(self, result: str) -> None:
        """A win notice asked for markup, which was "served" or "missing"."""
        self.markups[result] += 1

    def unknown_version(self, exchange: str) -> None:
        """One request of a configured exchange names a version that is not known."""
        self.unknown_versions[exchange] += 1

    # -- the scrape

    def watch_inference(self, client: Inference) -> None:
        """Expose what the inference client counts."""
        self._watch(INFERENCE, client)

    def watch_catalog(self, store: CatalogStore) -> None:
        """Expose the state of the catalog; it must be loaded already."""
        self._watch(CATALOG, store)

    def watch_profiles(self, store: ProfileStore) -> None:
        """Expose what the profile store counts."""
        self._watch(PROFILES, store)

    def watch_busy(self, busy: Busy) -> None:
        """Expose how busy the event loop is, and what is shed for it."""
        self._watch(BUSY, busy)

    def watch_readiness(self, readiness: Readiness) -> None:
        """Expose whether traffic may come."""
        self._watch(READINESS, readiness)

    def collect(self) -> Iterator[Metric]:
        for families in self._families:
            yield from families()

    def histograms(self) -> Iterator[tuple[str, dict[str, str], Buckets]]:
        """Name, labels and state of every histogram."""
        for histograms in self._histograms:
            yield from histograms()

    def pieces(self) -> Iterator[bytes]:
        """All series in the text exposition format, whose media type is CONTENT_TYPE: as they are now, written family
        by family, when each is taken, so that bids need not wait for the whole, 2 ms."""
        return map(_text, list(self._registry.collect()))

    def snapshot(self) -> list[Family]:
        """All series as plain data, for another process."""
        return [
            (
                family.name,
                family.documentation,
                family.type,
                [(s.name, dict(s.labels), s.value) for s in family.samples],
            )
            for family in self._registry.collect()
        ]

    def _settle(self) -> None:
        self._unsettled = 0
        for histogram in (self.bid_latency, *self.stage_latency.values()):
            histogram.settle()

    def _watch(self, series: Sequence[Series[T]], source: T) -> None:
        self._families.append(lambda: (one.family(source) for one in series))
        self._histograms.append(lambda: (found for one in series for found in one.histograms(source)))
