"""The composition root: settings in, a running bidder out. All wiring is on this page.

The rule kept here: parts get plain arguments and know nothing of settings; what is started is stopped, in reverse, also
when a later part fails to start.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from bidder.catalog import CatalogStore
from bidder.config import Settings
from bidder.domain import Campaign, Exchange, Rates
from bidder.exchanges import Usual, load_exchanges
from bidder.explain import Explainer
from bidder.inference import InferenceClient, InferenceError, Limits
from bidder.metrics import Metrics
from bidder.pipeline import Compiled, Pipeline
from bidder.rates import load_rates
from bidder.server.app import Scrape, make_app
from bidder.server.busy import Busy
from bidder.server.collector import Collector
from bidder.server.debug import add_explain
from bidder.server.inside import Inside
from bidder.server.lag import LoopLag
from bidder.server.lane import Lane
from bidder.server.notices import NoticeDesk
from bidder.server.patience import Patience, Watch
from bidder.server.peers import Peers
from bidder.server.protocol import BidProtocol, Bounds, protocol_for
from bidder.server.rehearsal import Rehearsal
from bidder.server.replaced import let_go_of
from bidder.server.route import App, BidRoute
from bidder.stages.encode import Encoder
from bidder.stages.features import FEATURES, FEATURES_VERSION
from bidder.stages.index import CampaignIndex
from bidder.stages.privacy import Policy
from bidder.stages.supply import SupplyPolicy
from bidder.stages.tables import Sections
from bidder.stages.winning_price import PriceKeys, read_keys
from bidder.state.embedded import EmbeddedProfiles
from bidder.state.profiles import ProfileStore
from bidder.supply_lists import load_supply

logger = logging.getLogger(__name__)

VERSION = "0.1.0"
PROBE_INTERVAL_S = 1.0
MIN_TOKEN_CHARS = 16
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
    protocol: type[BidProtocol] | None  # None: bids come by way of `app`, on uvicorn's own protocol
    pipeline: Pipeline
    explainer: Explainer
    exchanges: Mapping[str, Exchange]
    metrics: Metrics
    readiness: Readiness


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Bidder]:
    """A bidder with everything started. Raises CatalogError, ExchangesError, RatesError, SupplyError, ProfileFileError
    or ValueError with a report of what is wrong with what it was given."""
    async with AsyncExitStack() as stack:
        exchanges = await load_exchanges_of(settings)
        rates = await load_rates_of(settings)
        supply = await load_supply(settings.supply_uri or None, region=settings.aws_region)
        metrics = Metrics(exchanges, version=VERSION, check_every=settings.self_check_every)

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

        pipeline = pipeline_of(settings, catalog, profiles, inference, rates, supply, metrics)
        catalog.before_swap = Rehearsal(pipeline, settings.candidates_per_slot)
        readiness = Readiness(inference)
        metrics.watch_readiness(readiness)
        explainer = explainer_of(settings, catalog, profiles, inference, rates, supply)
        scrape = await scrape_of(settings, metrics, stack)
        app = app_of(settings, explainer, catalog, exchanges, rates, metrics, readiness, scrape)
        busy = Busy(settings.max_busy)
        busy.start()
        stack.callback(busy.stop)
        metrics.watch_busy(busy)
        lane = Lane(
            pipeline,
            exchanges,
            metrics,
            max_body_bytes=settings.max_body_bytes,
            max_in_flight=settings.max_in_flight,
            busy=busy,
        )
        protocol = None
        if settings.http == "protocol":
            watch = Watch(Patience(settings.keep_alive_s, settings.head_s, settings.body_s, settings.body_s))
            stack.callback(watch.close)
            bounds = Bounds(settings.max_head_bytes, settings.max_headers, settings.max_connections)
            protocol = protocol_for(lane, bounds, watch)
        _start(stack, readiness.watch_endpoint())
        lag = LoopLag(metrics.loop_lag.observe)
        lag.start()
        stack.callback(lag.stop)
        collector = Collector()
        collector.start()
        stack.callback(collector.stop)
        yield Bidder(BidRoute(lane, otherwise=app), protocol, pipeline, explainer, exchanges, metrics, readiness)


def _start(stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)

    async def stop() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(stop)


def catalog_of(settings: Settings, rates: Rates | None) -> CatalogStore[Compiled]:
    def opened(sections: Sections, campaigns: Sequence[Campaign]) -> Compiled:
        return Compiled(CampaignIndex(sections, campaigns), Encoder(settings.notice_url))

    return CatalogStore(
        settings.catalog_uri,
        opened,
        rates=rates,
        interval_s=settings.catalog_interval_s,
        region=settings.aws_region,
        directory=settings.catalog_cache_dir,
        on_swap=lambda replaced: let_go_of(replaced.index),
    )


async def load_exchanges_of(settings: Settings) -> Mapping[str, Exchange]:
    usual = Usual(settings.default_tmax_ms, settings.network_margin_ms)
    return await load_exchanges(settings.exchanges_uri or None, usual, region=settings.aws_region)


async def load_rates_of(settings: Settings) -> Rates:
    max_age_days = settings.rates_max_age_days or None
    return await load_rates(settings.rates_uri or None, region=settings.aws_region, max_age_days=max_age_days)


def profiles_of(settings: Settings) -> ProfileStore:
    if settings.state_url == "embedded":
        return EmbeddedProfiles(settings.profiles_path)
    from bidder.state.valkey import ValkeyProfiles  # a fifth of the start is the client's own import

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
    supply: SupplyPolicy,
    metrics: Metrics,
) -> Pipeline:
    return Pipeline(
        catalog=catalog,
        profiles=profiles,
        scorer=inference.cascade,
        rates=rates,
        metrics=metrics,
        privacy=privacy_of(settings),
        supply=supply,
        candidates_per_slot=settings.candidates_per_slot,
        as_csv=settings.row_format == "csv",
    )


def privacy_of(settings: Settings) -> Policy:
    return Policy(settings.tcf_vendor_id, *settings.tcf_purposes())


def explainer_of(
    settings: Settings,
    catalog: CatalogStore[Compiled],
    profiles: ProfileStore,
    inference: InferenceClient,
    rates: Rates,
    supply: SupplyPolicy,
) -> Explainer:
    return Explainer(
        catalog=catalog,
        profiles=profiles,
        scorer=inference.cascade,
        rates=rates,
        privacy=privacy_of(settings),
        supply=supply,
        candidates_per_slot=settings.candidates_per_slot,
        as_csv=settings.row_format == "csv",
    )


async def scrape_of(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> Scrape:
    """This process's metrics; for one worker among several, those of all."""
    if settings.worker_peers is not None:
        peers = Peers(settings.worker_peers, settings.worker, metrics)
        await peers.start()
        stack.push_async_callback(peers.aclose)
        return peers.scrape

    async def scrape() -> Iterable[bytes]:
        return metrics.pieces()

    return scrape


def app_of(
    settings: Settings,
    explainer: Explainer,
    catalog: CatalogStore[Compiled],
    exchanges: Mapping[str, Exchange],
    rates: Rates,
    metrics: Metrics,
    readiness: Readiness,
    scrape: Scrape,
) -> App:
    keys = price_keys_of(settings, exchanges)
    desk = NoticeDesk(catalog, exchanges, metrics, keys, frozenset({rates.base, *rates.per_base}))
    app = make_app(scrape, readiness.not_ready, desk)
    if token := explain_token_of(settings):
        add_explain(app, explainer.explain, exchanges, token=token, max_body_bytes=settings.max_body_bytes)
    networks = settings.networks()
    return Inside(app, networks) if networks else app


def price_keys_of(settings: Settings, exchanges: Mapping[str, Exchange]) -> Mapping[str, PriceKeys]:
    """By exchange. ValueError: what is wrong, without what was given."""
    try:
        keys = read_keys(settings.price_keys.get_secret_value())
    except ValueError as error:
        raise ValueError(f"BIDDER_PRICE_KEYS: {error}") from None
    for number, name in enumerate(keys, 1):
        if name not in exchanges or exchanges[name].notice_price != "google":
            raise ValueError(f"BIDDER_PRICE_KEYS: entry {number} is for no exchange whose notice_price is 'google'")
    return keys


def explain_token_of(settings: Settings) -> str:
    """The token, or "". Checked here and not by pydantic, whose errors quote what they were given."""
    token = settings.explain_token.get_secret_value()
    if token and not (len(token) >= MIN_TOKEN_CHARS and token.isascii() and token.isprintable() and " " not in token):
        raise ValueError(
            f"BIDDER_EXPLAIN_TOKEN is not usable: at least {MIN_TOKEN_CHARS} printable ASCII characters, no space, are"
        )
    return token
