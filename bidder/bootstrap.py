"""The composition root: settings in, a running bidder out. All wiring is on this page.

The rule kept here: parts get plain arguments and know nothing of settings; what is started is stopped, in reverse, also
when a later part fails to start.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from bidder.catalog import CatalogStore
from bidder.config import Settings
from bidder.domain import Campaign, Exchange, Rates
from bidder.exchanges import Usual, load_exchanges
from bidder.inference import InferenceClient, InferenceError, Limits
from bidder.metrics import Metrics
from bidder.pipeline import Compiled, Pipeline
from bidder.rates import load_rates
from bidder.server.app import make_app
from bidder.server.lag import LoopLag
from bidder.server.lane import App, BidLane
from bidder.stages.encode import Encoder
from bidder.stages.features import FEATURES, FEATURES_VERSION
from bidder.stages.target import CampaignIndex
from bidder.state.embedded import EmbeddedProfiles
from bidder.state.profiles import ProfileStore
from bidder.state.valkey import ValkeyProfiles

logger = logging.getLogger(__name__)

VERSION = "0.1.0"
PROBE_INTERVAL_S = 1.0
GC_THRESHOLDS = (20_000, 20, 50)
MEDIA_TYPES = {"npy": "application/x-npy", "csv": "text/csv"}


@dataclass(slots=True)
class Readiness:
    """What has to be true before traffic may come: a reason for each part that is not ready."""

    inference: InferenceClient
    draining: bool = False
    endpoint: str = "has not answered yet"

    def drain(self) -> None:
        self.draining = True

    def not_ready(self) -> Mapping[str, str]:
        reasons = {}
        if self.draining:
            reasons["server"] = "is stopping"
        if not self.inference.ready:
            reasons["credentials"] = "are missing or expired"
        if self.endpoint:
            reasons["endpoint"] = self.endpoint
        return reasons

    async def watch_endpoint(self) -> None:
        """Ask the endpoint until it has answered once, with the features that this bidder sends."""
        while self.endpoint:
            try:
                await self.inference.probe()
                self.endpoint = ""
            except InferenceError as error:
                if str(error) != self.endpoint:
                    logger.warning("endpoint not ready: %s", error)
                self.endpoint = str(error) or error.kind
                await asyncio.sleep(PROBE_INTERVAL_S)


@dataclass(slots=True)
class Bidder:
    """The running parts that others need to reach."""

    app: App
    pipeline: Pipeline
    metrics: Metrics
    readiness: Readiness


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Bidder]:
    """A bidder with everything started. Raises CatalogError, ExchangesError, RatesError, ProfileFileError or ValueError
    with a report of what is wrong with what it was given."""
    async with AsyncExitStack() as stack:
        exchanges = await load_exchanges_of(settings)
        rates = await load_rates(settings.rates_uri or None, region=settings.aws_region)
        metrics = Metrics(exchanges, version=VERSION)

        catalog = catalog_of(settings, rates)
        await catalog.start()
        stack.push_async_callback(catalog.aclose)
        metrics.watch_catalog(catalog)

        profiles = profiles_of(settings)
        await profiles.start()
        stack.push_async_callback(profiles.aclose)
        metrics.watch_profiles(profiles)

        inference = inference_of(settings)
        await inference.start()
        stack.push_async_callback(inference.aclose)
        metrics.watch_inference(inference)

        pipeline = pipeline_of(settings, catalog, profiles, inference, rates, metrics)
        readiness = Readiness(inference)
        app = app_of(settings, pipeline, catalog, exchanges, metrics, readiness)
        _start(stack, readiness.watch_endpoint())
        lag = LoopLag(metrics.loop_lag.observe)
        lag.start()
        stack.callback(lag.stop)
        spare_the_collector()
        yield Bidder(app, pipeline, metrics, readiness)


def spare_the_collector() -> None:
    """What lives as long as the process is not walked again. What a bid makes is looked at less often: reference counts
    free it. p99 about halves."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _start(stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)

    async def stop() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(stop)


def catalog_of(settings: Settings, rates: Rates | None) -> CatalogStore[Compiled]:
    def compiled(campaigns: Sequence[Campaign]) -> Compiled:
        return Compiled(CampaignIndex(campaigns), Encoder(settings.notice_url))

    return CatalogStore(
        settings.catalog_uri,
        compiled,
        rates=rates,
        interval_s=settings.catalog_interval_s,
        region=settings.aws_region,
    )


async def load_exchanges_of(settings: Settings) -> Mapping[str, Exchange]:
    usual = Usual(settings.default_tmax_ms, settings.network_margin_ms)
    return await load_exchanges(settings.exchanges_uri or None, usual, region=settings.aws_region)


def profiles_of(settings: Settings) -> ProfileStore:
    if settings.state_url == "embedded":
        return EmbeddedProfiles(settings.profiles_path)
    return ValkeyProfiles(settings.state_url, budget_s=settings.profile_budget_ms / 1000)


def inference_of(settings: Settings) -> InferenceClient:
    media_type = MEDIA_TYPES[settings.row_format]
    return InferenceClient(
        settings.endpoint_name,
        row_width=len(FEATURES),
        region=settings.aws_region,
        endpoint_url=settings.endpoint_url,
        content_type=media_type,
        accept=media_type,
        features_version=FEATURES_VERSION,
        variants=settings.variants(),
        shadow_endpoint_name=settings.shadow_endpoint_name,
        shadow_rate=settings.shadow_rate,
        limits=Limits(max_calls=settings.endpoint_max_calls, max_rows=settings.endpoint_max_rows),
    )


def pipeline_of(
    settings: Settings,
    catalog: CatalogStore[Compiled],
    profiles: ProfileStore,
    inference: InferenceClient,
    rates: Rates,
    metrics: Metrics,
) -> Pipeline:
    return Pipeline(
        catalog=catalog,
        profiles=profiles,
        scorer=inference,
        rates=rates,
        metrics=metrics,
        candidates_per_slot=settings.candidates_per_slot,
        as_csv=settings.row_format == "csv",
    )


def app_of(
    settings: Settings,
    pipeline: Pipeline,
    catalog: CatalogStore[Compiled],
    exchanges: Mapping[str, Exchange],
    metrics: Metrics,
    readiness: Readiness,
) -> BidLane:
    return BidLane(
        pipeline,
        exchanges,
        metrics,
        otherwise=make_app(metrics, readiness.not_ready, lambda: catalog.current.campaigns),
        max_body_bytes=settings.max_body_bytes,
        max_in_flight=settings.max_in_flight,
    )
