"""`python -m bidder check`: is everything there that `serve` needs?

The rule kept here: one line a part, all parts are looked at whatever fails first, and nothing is changed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from bidder.bootstrap import catalog_of, inference_of, load_exchanges_of, load_rates_of, price_keys_of, profiles_of
from bidder.catalog import CatalogError
from bidder.config import Settings
from bidder.exchanges import ExchangesError
from bidder.inference import InferenceError
from bidder.rates import RatesError
from bidder.stages.features import FEATURES, FEATURES_VERSION
from bidder.supply_lists import SupplyError, load_supply

EXPECTED = (CatalogError, ExchangesError, RatesError, SupplyError, InferenceError, OSError, ValueError)


async def check(settings: Settings) -> bool:
    """Prints what was found; whether all is well."""
    parts: tuple[tuple[str, Callable[[Settings], Awaitable[str]]], ...] = (
        ("catalog", _catalog),
        ("exchanges", _exchanges),
        ("rates", _rates),
        ("supply", _supply),
        ("profiles", _profiles),
        ("endpoint", _endpoint),
    )
    print(f"{'features':<10} ok     {len(FEATURES)} features, version {FEATURES_VERSION}")
    well = True
    for name, look in parts:
        try:
            print(f"{name:<10} ok     {await look(settings)}")
        except EXPECTED as error:
            well = False
            first, *more = str(error).splitlines() or [type(error).__name__]
            print(f"{name:<10} wrong  {first}")
            for line in more:
                print(f"{'':<17} {line}")
    return well


async def _catalog(settings: Settings) -> str:
    try:
        rates = await load_rates_of(settings)  # the compiled form that `serve` will look for depends on them
    except RatesError:
        rates = None  # they have a line of their own
    store = catalog_of(settings, rates)
    try:
        await store.start()
        catalog = store.current
        return f"{catalog.source}: version {catalog.version}, {len(catalog.campaigns)} campaigns"
    finally:
        await store.aclose()


async def _exchanges(settings: Settings) -> str:
    exchanges = await load_exchanges_of(settings)
    keys = price_keys_of(settings, exchanges)
    locked = [name for name, exchange in exchanges.items() if exchange.notice_price == "google" and name not in keys]
    unread = f"; without BIDDER_PRICE_KEYS no price of {', '.join(locked)} can be read" if locked else ""
    return ", ".join(sorted(exchanges)) + unread


async def _rates(settings: Settings) -> str:
    rates = await load_rates_of(settings)
    return f"{len(rates.per_base)} currencies, dated {rates.date}"


async def _supply(settings: Settings) -> str:
    policy = await load_supply(settings.supply_uri or None, region=settings.aws_region)
    if not settings.supply_uri:
        return "none is set (BIDDER_SUPPLY_URI): incomplete supply chains are refused, no seller is looked up"
    blocked = len(policy.blocked_systems) + len(policy.blocked_sellers)
    return f"{len(policy.sellers)} systems' and {len(policy.authorised)} publishers' lists, {blocked} blocked"


async def _profiles(settings: Settings) -> str:
    store = profiles_of(settings)
    try:
        await store.start()
        if not store.ready:
            raise ConnectionError(f"{store!r} does not answer")
        return repr(store)
    finally:
        await store.aclose()


async def _endpoint(settings: Settings) -> str:
    if not settings.endpoint_name:
        return "none is set (BIDDER_ENDPOINT_NAME): bids on the campaigns' priors"
    client = inference_of(settings)
    try:
        await client.start()
        await client.probe()
        return f"{settings.endpoint_name} answered"
    finally:
        await client.aclose()
