"""The inference client as a whole: what the composition root makes, starts, asks and closes.

The rule kept here: wiring only. One `Lane` (pool, limiter, batcher, counters) for each target, so that no target can
take another's slots; the cascade in front of them.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

from bidder.domain import Rows, Scores
from bidder.inference import payload
from bidder.inference.batcher import Batcher
from bidder.inference.cascade import Cascade, Shadow, SplitTier, Step, Tier
from bidder.inference.credentials import CredentialSource, chain_credentials
from bidder.inference.limiter import Limiter
from bidder.inference.pool import Pool, tls_context
from bidder.inference.resolver import Resolver
from bidder.inference.sagemaker import Origin, Target, Wire
from bidder.inference.sagemaker import endpoint_url as region_url
from bidder.inference.stats import InferenceStats


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one lane. Times are in seconds."""

    max_calls: int = 32  # under way at once
    max_connections: int = 64  # calls under way, plus late answers that drain
    warm_connections: int = 4
    max_rows: int = 128  # a call
    max_queue: int = 2048  # auctions that wait
    connects_per_s: float = 50.0
    idle_s: float = 50.0
    drain_s: float = 1.0
    dns_ttl_s: float = 10.0
    share: float = 0.9  # of the time left, before the prior answers


@dataclass(frozen=True, slots=True)
class Lane:
    """All that serves one target."""

    target: Target
    pool: Pool
    limiter: Limiter
    batcher: Batcher
    stats: InferenceStats


class InferenceClient:
    """Scores rows with a model behind a SageMaker endpoint; construct inside the running loop.

    `endpoint_name`: the endpoint, or "" to answer with priors only. `endpoint_url`: `https://host[:port]`, a VPC
    endpoint or a local one; "" is the region's own. `credentials`: the usual AWS chain if None. `row_width`: features
    a row, for the probe. `features_version`: hash that the endpoint's must equal, "" to accept any. `variants`: pairs
    (production variant, weight) to choose from; none leaves the choice to SageMaker. `shadow_endpoint_name` gets copies
    of a share `shadow_rate` of the auctions. Raises ValueError for a setting that cannot be.
    """

    def __init__(
        self,
        endpoint_name: str,
        *,
        row_width: int,
        region: str = "us-east-1",
        endpoint_url: str = "",
        credentials: CredentialSource | None = None,
        content_type: str = payload.CSV,
        accept: str = payload.CSV,
        features_version: str = "",
        variants: Sequence[tuple[str, float]] = (),
        shadow_endpoint_name: str = "",
        shadow_rate: float = 0.0,
        limits: Limits | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._limits = limits or Limits()
        self._region = region
        self._origin = Origin.parse(endpoint_url or region_url(region))
        self._ssl = (ssl_context or tls_context()) if self._origin.tls else None
        self._media = (content_type, accept)
        self._features_version = features_version
        self._zero = Rows(1, payload.zero_row(content_type, row_width))
        self.credentials = credentials or chain_credentials()
        self.lanes: list[Lane] = []
        self.shadow_lane: Lane | None = None
        self.cascade = self._cascade(endpoint_name, variants, shadow_endpoint_name, shadow_rate)

    def __repr__(self) -> str:
        return f"<InferenceClient {[lane.pool for lane in self.lanes]} ready={self.ready}>"

    @property
    def ready(self) -> bool:
        """Whether calls can be signed. A client without an endpoint is always ready."""
        return not self.lanes or self.credentials.ready

    def score(self, rows: Rows, priors: Sequence[float], due_s: float) -> asyncio.Future[Scores]:
        """Scores for who waits with a future; see `Cascade.score`. The bid path asks `cascade`."""
        return self.cascade.score(rows, priors, due_s)

    async def start(self) -> None:
        """Fetch credentials, resolve the host, open the first connections. What fails is retried in the background."""
        if self.lanes:
            await self.credentials.start()
        for lane in self._all_lanes():
            await lane.pool.start()
            await lane.pool.warm(self._limits.warm_connections)

    async def probe(self, timeout_s: float = 2.0) -> None:
        """Ask each answering target for the score of a row of zeros. Raises the InferenceError that says why not."""
        for lane in self.lanes:
            await lane.batcher.submit(self._zero, self._loop.time() + timeout_s)

    async def aclose(self) -> None:
        """Fail what waits, close all connections, stop what runs in the background."""
        for lane in self._all_lanes():
            lane.batcher.close()
            await lane.pool.aclose()
        if self.lanes:
            await self.credentials.aclose()

    def _all_lanes(self) -> list[Lane]:
        return self.lanes + ([self.shadow_lane] if self.shadow_lane else [])

    def _cascade(self, name: str, variants: Sequence[tuple[str, float]], shadow_name: str, rate: float) -> Cascade:
        if not name:
            return Cascade(())
        choices = variants or (("", 1.0),)
        self.lanes = [self._lane(Target(name, variant=variant)) for variant, _ in choices]
        tiers = [lane.batcher for lane in self.lanes]
        weights = [weight for _, weight in choices]
        tier: Tier = tiers[0] if len(tiers) == 1 else SplitTier(list(zip(tiers, weights, strict=True)))
        shadow = None
        if shadow_name and rate > 0:
            self.shadow_lane = self._lane(Target(shadow_name), name="shadow")
            shadow = Shadow(
                self.shadow_lane.batcher,
                rate,
                busy=lambda: any(lane.batcher.is_behind for lane in self.lanes),
                rng=random.Random(),
            )
        return Cascade([Step(tier, self._limits.share)], shadow=shadow)

    def _lane(self, target: Target, name: str = "sagemaker") -> Lane:
        limits, origin, stats = self._limits, self._origin, InferenceStats()
        content_type, accept = self._media
        wire = Wire(
            target,
            origin,
            region=self._region,
            credentials=self.credentials,
            content_type=content_type,
            accept=accept,
            features_version=self._features_version if name == "sagemaker" else "",
        )
        pool = Pool(
            Resolver(origin.host, origin.port, ttl_s=limits.dns_ttl_s),
            stats,
            ssl_context=self._ssl,
            max_connections=limits.max_connections,
            connects_per_s=limits.connects_per_s,
            idle_s=limits.idle_s,
            drain_s=limits.drain_s,
        )
        limiter = Limiter(limits.max_calls)
        batcher = Batcher(wire, pool, limiter, stats, name=name, max_rows=limits.max_rows, max_queue=limits.max_queue)
        return Lane(target, pool, limiter, batcher, stats)
