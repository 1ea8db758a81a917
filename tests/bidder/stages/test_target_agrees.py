"""The index against a reading of the terms campaign by campaign: the same candidates, in the same order."""

from __future__ import annotations

from itertools import islice
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from bidder.domain import (
    Auction,
    BannerOffer,
    Campaign,
    Circle,
    Creative,
    CreativeSpec,
    Deal,
    Exchange,
    Format,
    Goal,
    GoalKind,
    MediaOffer,
    NativeAsset,
    NativeOffer,
    Profile,
    Rates,
    Slot,
    Targeting,
)
from bidder.stages.categories import FAMILY_OF, lineage, unsuitable_for_children
from bidder.stages.domains import and_above, app_id, bare_domain
from bidder.stages.facts import ATTRIBUTES, facts_of, hour_of_week, slot_attributes
from bidder.stages.floors import floor_of, reachable
from bidder.stages.index import compile_index
from bidder.stages.languages import ranges_over
from bidder.stages.target import target
from bidder.stages.versions import version_of

from .plain_circles import distance_km  # isort: skip
from .plain_fit import fits  # isort: skip

NOW_S = 1_767_614_400.0  # Monday 2026-01-05, 12:00 UTC
RATES = Rates("2026-01-02", "USD", {"EUR": 0.8})
EXCHANGE = Exchange("generic", seats={"seat-2": "4711"})

# -- the terms, read aloud ---------------------------------------------------------------------------------------------


def takes(campaign: Campaign, auction: Auction, profile: Profile | None) -> bool:
    """Whether the campaign wants this request, whatever the slot."""
    aim, app = campaign.targeting, auction.inventory_id if auction.channel == "app" else ""
    region = f"{auction.country}/{auction.region}" if auction.region else ""
    one: list[tuple[frozenset[Any], Any]] = [
        (aim.exchanges, EXCHANGE.name),
        (aim.channels, auction.channel),
        (aim.countries, auction.country),
        (aim.regions, region),
        (aim.device_types, auction.device_type),
        (aim.operating_systems, auction.os),
        (aim.bundles, auction.bundle),
        (aim.apps, app),
        (aim.publishers, auction.publisher_id),
        (aim.hours, hour_of_week(NOW_S, auction.utc_offset_min)),
    ]
    if any(named and value not in named for named, value in one):
        return False
    sites = {auction.domain, auction.inventory_id} if auction.channel == "site" else set()
    categories = {name for each in auction.categories for name in (each, each.split("-")[0])}
    segments = auction.segments | (profile.segments if profile else frozenset())
    venues = {".".join(v.split(".")[:n]) for v in auction.venue_types for n in range(1, v.count(".") + 2)}
    several = [(aim.sites, sites), (aim.categories, categories), (aim.segments, segments), (aim.venue_types, venues)]
    if any(named and not named & values for named, values in several):
        return False
    avoided = [
        (aim.excluded_countries, {auction.country}),
        (aim.excluded_sites, sites),
        (aim.excluded_apps, {app}),
        (aim.excluded_bundles, {auction.bundle}),
        (aim.excluded_publishers, {auction.publisher_id}),
        (aim.excluded_categories, categories),
        (aim.excluded_segments, segments),
    ]
    if any(named & values for named, values in avoided):
        return False
    lowest = dict(aim.os_min_versions)
    if lowest and (not auction.os or version_of(auction.os_version) < version_of(lowest.get(auction.os, ""))):
        return False
    where = auction.latitude, auction.longitude
    if aim.circles and (
        None in where or not any(distance_km(*where, c.latitude, c.longitude) <= c.radius_km for c in aim.circles)  # type: ignore[arg-type]
    ):
        return False
    if (campaign.start_s and campaign.start_s > NOW_S) or (campaign.end_s and campaign.end_s <= NOW_S):
        return False
    seen = profile.campaign_impressions.get(campaign.id, 0) if profile else campaign.daily_frequency_cap
    return not campaign.daily_frequency_cap or seen < campaign.daily_frequency_cap


def is_let_in(campaign: Campaign, auction: Auction) -> bool:
    """Whether the request takes the campaign, whatever the slot."""
    seat = EXCHANGE.seats.get(campaign.seat, campaign.seat)
    if seat in auction.blocked_seats or (auction.allowed_seats and seat not in auction.allowed_seats):
        return False
    if auction.coppa and not (campaign.suitable_for_children and unsuitable_for_children(campaign.labels) is None):
        return False
    if campaign.roadblock and not auction.all_impressions:
        return False
    if campaign.bundle and app_id(campaign.bundle) in map(app_id, auction.blocked_bundles):
        return False
    names = {name for domain in campaign.domains for name in and_above(domain)}
    if names & set(map(bare_domain, auction.blocked_domains)):
        return False
    if not auction.blocked_categories:
        return True
    family = FAMILY_OF[auction.category_taxonomy]
    own = [
        lineage(family, name) for taxonomy, ids in campaign.labels if FAMILY_OF.get(taxonomy) == family for name in ids
    ]
    return bool(own) and all(above and not auction.blocked_categories & set(above) for above in own)


def spec_fits(creative: Creative, slot: Slot, languages: frozenset[str]) -> bool:
    return fits(creative.spec, slot) and (not languages or bool(languages & ranges_over(creative.spec.language)))


def expected(
    campaigns: list[Campaign], auction: Auction, profile: Profile | None, per_slot: int
) -> list[tuple[str, str, str, str]]:
    """(slot, campaign, creative, deal) of all candidates; slots without guaranteed deals, pods or several formats."""
    found = []
    for slot in auction.slots:
        facts = facts_of(auction, EXCHANGE, profile, NOW_S)
        attributes = slot_attributes(slot, facts)
        present = frozenset([name for name, bit in ATTRIBUTES.items() if attributes & bit])
        offer = slot.banner or slot.video or slot.audio
        with_deal, without = [], []
        for campaign in campaigns:
            aim = campaign.targeting
            if not takes(campaign, auction, profile) or not is_let_in(campaign, auction):
                continue
            if aim.positions and (offer is None or offer.position not in aim.positions):
                continue
            if aim.required_attributes - present or aim.blocked_attributes & present:
                continue
            deals: list[Deal | None] = [deal for deal in slot.deals if deal.id in aim.deals] if aim.deals else [None]
            choice = (
                (slot.id, campaign.id, creative.id, deal.id if deal else "")
                for creative in campaign.creatives
                if spec_fits(creative, slot, auction.allowed_languages)
                for deal in deals
                if (floor := floor_of(slot, creative.spec, deal)) and reachable(campaign, floor, RATES)
            )
            (with_deal if aim.deals else without).extend(islice(choice, 1))
        first = with_deal[: per_slot if slot.private else max(1, per_slot // 2)]
        found += first + ([] if slot.private else without[: per_slot - len(first)])
    return found


# -- any campaigns, any request ----------------------------------------------------------------------------------------


def some(*values: Any, most: int = 2) -> st.SearchStrategy[frozenset[Any]]:
    """None, mostly, or a few of them."""
    return st.one_of(st.just(frozenset()), st.just(frozenset()), st.frozensets(st.sampled_from(values), max_size=most))


TARGETING: dict[str, st.SearchStrategy[Any]] = {
    "exchanges": some("generic", "other"),
    "channels": some("site", "app"),
    "countries": some("USA", "DEU"),
    "excluded_countries": some("USA", "FRA"),
    "regions": some("USA/CA", "USA/NY"),
    "circles": st.sampled_from(
        [(), (Circle(37.8, -122.3, 30.0),), (Circle(0.0, 0.0, 15_000.0), Circle(1.0, 1.0, 2.0))]
    ),
    "device_types": some(2, 4),
    "operating_systems": some("ios", "android"),
    "os_min_versions": st.sampled_from([(), (("ios", "15"),), (("android", "12"), ("ios", "16.4"))]),
    "positions": some(1, 3),
    "sites": some("news.example", "i-1"),
    "excluded_sites": some("news.example", "i-2"),
    "apps": some("i-1"),
    "excluded_bundles": some("com.game"),
    "publishers": some("p-1", "p-2"),
    "categories": some("IAB1", "IAB2-1"),
    "excluded_categories": some("IAB3", "IAB2"),
    "segments": some("a", "b"),
    "excluded_segments": some("b", "c"),
    "venue_types": some("retail", "retail.fuel"),
    "hours": some(12, 4, 30),
    "deals": some("d-1", "d-2"),
    "required_attributes": some("secure", "known_user", "skippable"),
    "blocked_attributes": some("deal", "interstitial"),
}
SPECS = (
    CreativeSpec(Format.BANNER, 300, 250, mimes=frozenset({"text/html"}), banner_type=2),
    CreativeSpec(Format.BANNER, 300, 250, mimes=frozenset({"image/png"}), banner_type=3, attributes=frozenset({3, 13})),
    CreativeSpec(Format.BANNER, 320, 50, apis=frozenset({5}), language="en", secure=False),
    CreativeSpec(
        Format.VIDEO,
        640,
        360,
        protocols=frozenset({2, 3}),
        duration_s=15,
        language="de",
        files=(("video/mp4", 2, 800), ("video/webm", 1, 800)),
    ),
    CreativeSpec(
        Format.VIDEO,
        640,
        480,
        protocols=frozenset({7}),
        duration_s=30,
        skippable=True,
        files=(("video/webm", 2, 1200),),
    ),
    CreativeSpec(Format.AUDIO, protocols=frozenset({9}), duration_s=15, files=(("audio/mpeg", 2, 128),)),
    CreativeSpec(Format.NATIVE, title_length=12, texts=((2, 30),), images=((3, 1200, 627, "image/jpeg"),)),
    CreativeSpec(Format.NATIVE, title_length=40, images=((3, 300, 300, "image/png"),)),
)


@st.composite
def campaigns_(draw: st.DrawFn) -> list[Campaign]:
    made = []
    for number in range(draw(st.integers(1, 30))):
        named = draw(st.lists(st.sampled_from(sorted(TARGETING)), max_size=4, unique=True))
        creatives = []
        for place, spec in enumerate(draw(st.lists(st.sampled_from(SPECS), min_size=1, max_size=3))):
            creatives.append(Creative(f"{number}-{place}", spec, "https://brand.example/"))
        made.append(
            Campaign(
                id=str(number),
                advertiser_id="brand",
                seat=draw(st.sampled_from(["seat-1", "seat-2"])),
                domains=(draw(st.sampled_from(["brand.example", "shop.brand.example", "other.example"])),),
                goal=Goal(GoalKind.CPM, 1_000_000),
                max_cpm_micros=draw(st.sampled_from([1_000_000, 2_000_000])),
                currency=draw(st.sampled_from(["USD", "EUR", "XXX"])),
                prior=0.5,
                targeting=Targeting(**{name: draw(TARGETING[name]) for name in named}),
                creatives=tuple(creatives),
                categories=draw(st.sampled_from([("IAB1",), ("IAB2-1", "IAB1"), ("no such",), ()])),
                suitable_for_children=draw(st.booleans()),
                bundle=draw(st.sampled_from(["", "com.brand", "id123"])),
                roadblock=number % 7 == 6,
                start_s=draw(st.sampled_from([0, int(NOW_S) + 1])) if number % 5 == 0 else 0,
                daily_frequency_cap=draw(st.sampled_from([0, 0, 2])),
            )
        )
    return made


MEDIA = st.builds(
    MediaOffer,
    mimes=some("video/mp4", "video/webm", "audio/mpeg", most=3),
    protocols=some(2, 7, 9),
    delivery=some(1, 2, most=1),
    max_bitrate_kbps=st.sampled_from([None, None, 1000]),
    max_duration_s=st.sampled_from([None, 15]),
    skippable=st.sampled_from([None, True, False]),
    floor_per_second_micros=st.sampled_from([None, None, 100_000]),
    position=st.sampled_from([0, 1]),
    aspect=st.sampled_from([None, (16, 9)]),
)
BANNER = st.builds(
    BannerOffer,
    sizes=st.sampled_from([((300, 250),), ((320, 50), (300, 250)), ((1, 1),)]),
    width_range=st.sampled_from([None, None, (300, 400)]),
    height_range=st.sampled_from([None, (40, 300)]),
    mimes=some("text/html", "image/png"),
    apis=some(5, 6),
    blocked_attributes=some(3, 13, 7),
    blocked_types=some(2, 4),
    expand_directions=st.sampled_from([frozenset(), frozenset({1, 2, 3, 4})]),
    position=st.sampled_from([0, 1, 3]),
)
TITLE = NativeAsset(1, True, "title", max_length=20)
NATIVE = st.builds(
    NativeOffer,
    assets=st.sampled_from(
        [(), (TITLE,), (changed(TITLE, required=False),), (TITLE, NativeAsset(2, True, "image", 3, min_width=600))]
    ),
)


@st.composite
def auctions(draw: st.DrawFn) -> Auction:
    slots = []
    for number in range(draw(st.integers(1, 3))):
        kind, offer = draw(
            st.one_of(
                st.tuples(st.just("banner"), BANNER),
                st.tuples(st.just("video"), MEDIA),
                st.tuples(st.just("audio"), MEDIA),
                st.tuples(st.just("native"), NATIVE),
            )
        )
        deals = draw(st.sampled_from([(), (), (Deal("d-1"),), (Deal("d-2", floor_micros=1_500_000), Deal("d-1"))]))
        slots.append(
            Slot(
                str(number),
                **{kind: offer},
                floor_micros=draw(st.sampled_from([0, 0, 1_250_000, 1_600_001])),
                floor_currency=draw(st.sampled_from(["USD", "EUR"])),
                deals=deals,
                private=bool(deals) and draw(st.booleans()),
                secure=draw(st.booleans()),
                interstitial=draw(st.booleans()),
            )
        )
    return Auction(
        "a",
        slots,
        channel=draw(st.sampled_from(["site", "app", ""])),
        inventory_id=draw(st.sampled_from(["i-1", "i-2", ""])),
        domain=draw(st.sampled_from(["news.example", ""])),
        bundle=draw(st.sampled_from(["com.game", ""])),
        publisher_id=draw(st.sampled_from(["p-1", ""])),
        categories=draw(some("IAB1", "IAB2-1", "IAB3-4")),
        venue_types=draw(some("retail.fuel")),
        device_type=draw(st.sampled_from([0, 4])),
        os=draw(st.sampled_from(["ios", "android", "windows", ""])),
        os_version=draw(st.sampled_from(["15", "17.1", ""])),
        country=draw(st.sampled_from(["USA", "DEU", ""])),
        region=draw(st.sampled_from(["CA", ""])),
        latitude=draw(st.sampled_from([None, 37.7])),
        longitude=draw(st.sampled_from([None, -122.2])),
        utc_offset_min=draw(st.sampled_from([None, 0, -480])),
        segments=draw(some("a", "b")),
        profile_keys=draw(st.sampled_from([(), ("k",)])),
        coppa=draw(st.sampled_from([False, False, False, True])),
        blocked_categories=draw(some("IAB2", "IAB7")),
        blocked_domains=draw(some("brand.example", "https://www.other.example/", most=1)),
        blocked_bundles=draw(some("123", "com.third")),
        allowed_seats=draw(some("seat-1", "seat-2", "4711")),
        blocked_seats=draw(some("4711", "seat-3", most=1)),
        allowed_languages=draw(some("en", "de")),
    )


@settings(max_examples=100, deadline=None)
@given(
    campaigns_(),
    st.lists(auctions(), min_size=1, max_size=4),
    st.sampled_from([None, Profile(frozenset({"a"}), campaign_impressions={"1": 2, "2": 1})]),
    st.sampled_from([1, 3, 8, 64]),
    st.sampled_from([(1, 3), (8, 16), (4096, 32768)]),
)
def test_the_index_finds_what_looking_at_each_campaign_finds(
    campaigns: list[Campaign],
    requests: list[Auction],
    profile: Profile | None,
    per_slot: int,
    shards: tuple[int, int],
) -> None:
    """The same campaigns, creatives and deals in the same order, wherever the shards end, also when the index is asked
    again and answers from what it has kept."""
    index = compile_index(campaigns, *shards)
    for auction in [*requests, *requests]:
        found = target(auction, EXCHANGE, profile, index, RATES, NOW_S, per_slot)
        named = [(c.slot.id, c.campaign.id, c.creative.id, c.deal.id if c.deal else "") for c in found]
        assert named == expected(campaigns, auction, profile, per_slot)
