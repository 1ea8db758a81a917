"""Restrictions of a request: whatever the campaigns and the request, no candidate breaks one."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from bidder.domain import (
    Auction,
    BannerOffer,
    Campaign,
    Creative,
    CreativeSpec,
    Exchange,
    Format,
    Goal,
    GoalKind,
    Rates,
    Slot,
    Targeting,
)
from bidder.stages.categories import KEPT_CATEGORIES
from bidder.stages.index import compile_index
from bidder.stages.languages import language_ranges
from bidder.stages.target import target

Make = Callable[..., Any]
NOW_S = 1_767_614_400.0
RATES = Rates("2026-01-02", "USD", {})
SIZE = (300, 250)


def ids(campaigns: list[Campaign], auction: Auction, exchange: Exchange) -> list[str]:
    found = target(auction, exchange, None, compile_index(campaigns), RATES, NOW_S, 100)
    return [candidate.campaign.id for candidate in found]


def auction(**restrictions: Any) -> Auction:
    return Auction("a", [Slot("1", banner=BannerOffer(sizes=(SIZE,)))], **restrictions)


@pytest.mark.parametrize(
    ("taxonomy", "label", "blocked"),
    [
        (1, "IAB1-2", "IAB1"),
        (1, "IAB1-2", "IAB1-2"),
        (1, "IAB1-2", " iab1"),
        (2, "4", "1"),
        (5, "64", "52"),  # four levels down
        (6, "497", "496"),  # the tiers count, where the column of parents contradicts them
        (3, "225", "221"),
        (3, "80DV7O", "220"),
        (7, "332", "SPSHQ5"),
        (9, "ZJG29S", "685"),
        (8, "1051", "1049"),
        (8, "1426", "1425"),
    ],
)
def test_what_is_below_a_blocked_category_is_blocked(
    make_campaign: Make, exchange: Exchange, taxonomy: int, label: str, blocked: str
) -> None:
    """In every taxonomy that has a table; a neighbour of another branch stays."""
    campaign = make_campaign("c", ad_categories=(label,), category_taxonomy=taxonomy)
    refused = auction(blocked_categories=frozenset({blocked}), category_taxonomy=taxonomy)
    assert ids([campaign], refused, exchange) == []
    other = auction(blocked_categories=frozenset({"IAB26" if taxonomy == 1 else "no-such"}), category_taxonomy=taxonomy)
    assert ids([campaign], other, exchange) == ["c"]


def test_a_blocked_child_leaves_its_parent(make_campaign: Make, exchange: Exchange) -> None:
    """Blocking cannabis drinks does not block cannabis."""
    campaign = make_campaign("c", ad_categories=("1049",), category_taxonomy=8)
    assert ids([campaign], auction(blocked_categories=frozenset({"1051"}), category_taxonomy=8), exchange) == ["c"]


@pytest.mark.parametrize(("stated", "passes"), [(2, True), (5, True), (6, True), (7, False), (9, False), (8, False)])
def test_versions_that_share_their_ids_are_compared(
    make_campaign: Make, exchange: Exchange, stated: int, passes: bool
) -> None:
    """A label of Content Taxonomy 2.1 can be held against 2.0 and 2.2, not against 3.0, whose tree is another."""
    campaign = make_campaign("c", ad_categories=("53",), category_taxonomy=5)
    request = auction(blocked_categories=frozenset({"1"}), category_taxonomy=stated)
    assert ids([campaign], request, exchange) == (["c"] if passes else [])


@pytest.mark.parametrize(
    ("taxonomy", "labels"),
    [(1, ()), (1, ("no category",)), (1, ("IAB1", "no category")), (8, ("9999",)), (4, ("1",)), (501, ("1",)), (7, ())],
)
def test_an_ad_that_cannot_be_judged_does_not_pass(
    make_campaign: Make, exchange: Exchange, taxonomy: int, labels: tuple[str, ...]
) -> None:
    """No label, one that the table does not know, or a taxonomy without a table."""
    campaign = make_campaign("c", ad_categories=labels, category_taxonomy=taxonomy)
    assert ids([campaign], auction(), exchange) == ["c"]
    for listed in ("blocked_categories", "allowed_categories"):
        request = auction(**{listed: frozenset({"77"})}, category_taxonomy=taxonomy)
        assert ids([campaign], request, exchange) == []


def test_an_ad_labelled_in_several_taxonomies_is_judged_in_the_requests(
    make_campaign: Make, exchange: Exchange
) -> None:
    """Beer passes a block list on cars in each of them, and none on alcohol."""
    campaign = make_campaign("c", ad_categories=("IAB8-5",), more_categories=((8, ("1004",)), (6, ("211",))))
    for taxonomy, cars, alcohol in ((1, "IAB2", "IAB8"), (8, "1551", "1002"), (2, "1", "210")):
        passed = auction(blocked_categories=frozenset({cars}), category_taxonomy=taxonomy)
        assert ids([campaign], passed, exchange) == ["c"]
        refused = auction(blocked_categories=frozenset({alcohol}), category_taxonomy=taxonomy)
        assert ids([campaign], refused, exchange) == []


def test_ids_of_content_taxonomy_1_count_whatever_cattax_says(make_campaign: Make, exchange: Exchange) -> None:
    """A list that mixes "IAB…" into another taxonomy is kept to in both."""
    both = make_campaign("both", ad_categories=("IAB8-5",), more_categories=((8, ("1133",)),))
    request = auction(blocked_categories=frozenset({"1551", "IAB8"}), category_taxonomy=8)
    assert ids([both], request, exchange) == []
    assert ids([both], changed(request, blocked_categories=frozenset({"1551", "IAB2"})), exchange) == ["both"]


def test_an_id_of_no_known_form_blocks_wherever_it_is_one(make_campaign: Make, exchange: Exchange) -> None:
    """bcat 1002 without a cattax blocks the ad that says it is alcohol in another taxonomy."""
    beer = make_campaign("beer", ad_categories=("IAB8",), more_categories=((8, ("1004",)),))
    assert ids([beer], auction(blocked_categories=frozenset({"1002"})), exchange) == []
    assert ids([beer], auction(blocked_categories=frozenset({"1551"})), exchange) == ["beer"]


def test_a_list_of_categories_blocks_the_same_again(make_campaign: Make, exchange: Exchange) -> None:
    """Also once those that block nobody are known, and with more of them than are remembered."""
    index = compile_index(
        [make_campaign("cars", ad_categories=("IAB2-1",)), make_campaign("food", ad_categories=("IAB8",))]
    )
    strange = [f"strange-{number}" for number in range(KEPT_CATEGORIES + 9)]
    lists = (("IAB2", ["food"]), ("IAB9", ["cars", "food"]), (" iab8 ", ["cars"]))
    for (blocked, left), more in product(lists * 2, ([], ["strange"], strange)):
        request = auction(blocked_categories=frozenset({blocked, "IAB10", *more}))
        found = target(request, exchange, None, index, RATES, NOW_S, 100)
        assert [candidate.campaign.id for candidate in found] == left


@pytest.mark.parametrize(
    ("labels", "allowed", "passes"),
    [
        (("IAB1-2",), {"IAB1"}, True),
        (("IAB1-2", "IAB2-3"), {"IAB1"}, False),
        (("IAB1-2", "IAB2-3"), {"IAB1-2", "IAB2"}, True),
        (("IAB1",), {"IAB1-2"}, False),
    ],
)
def test_all_categories_must_be_allowed(
    make_campaign: Make, exchange: Exchange, labels: tuple[str, ...], allowed: set[str], passes: bool
) -> None:
    """Children of allowed parents count; one category beside the list is one too many."""
    campaign = make_campaign("c", ad_categories=labels)
    assert ids([campaign], auction(allowed_categories=frozenset(allowed)), exchange) == (["c"] if passes else [])


@pytest.mark.parametrize(
    "blocked",
    [
        "brand.example",
        "shop.brand.example",
        "www.brand.example",
        "https://www.brand.example/offers?x=1#top",
        "//brand.example:443",
        "user@brand.example",
        "brand.example.",
        ".brand.example",
        "*.brand.example",
        " brand.example ",
        "example",
    ],
)
def test_a_blocked_domain_blocks_in_every_spelling(make_campaign: Make, exchange: Exchange, blocked: str) -> None:
    """The domain itself, those above it, and what people write for it; also beside many others."""
    campaign = make_campaign("c", domains=("shop.brand.example",))
    others = {f"other{number}.example" for number in range(100)}
    assert ids([campaign], auction(blocked_domains=frozenset({blocked, *others})), exchange) == []


@pytest.mark.parametrize("blocked", ["a.shop.brand.example", "rand.example", "brand.example.org", "other.example", ""])
def test_another_domain_blocks_nothing(make_campaign: Make, exchange: Exchange, blocked: str) -> None:
    """Below it, or alike only in letters."""
    campaign = make_campaign("c", domains=("shop.brand.example",))
    assert ids([campaign], auction(blocked_domains=frozenset({blocked})), exchange) == ["c"]


def test_a_domain_beyond_ascii_is_one_in_both_spellings(make_campaign: Make, exchange: Exchange) -> None:
    """bücher.example and xn--bcher-kva.example."""
    campaign = make_campaign("c", domains=("xn--bcher-kva.example",))
    assert ids([campaign], auction(blocked_domains=frozenset({"bücher.example"})), exchange) == []
    campaign = make_campaign("c", domains=("bücher.example",))
    assert ids([campaign], auction(blocked_domains=frozenset({"xn--bcher-kva.example"})), exchange) == []


@pytest.mark.parametrize(
    ("bundle", "blocked"),
    [("com.brand.app", "com.brand.app"), ("com.brand.app", "com.Brand.App"), ("123456", "id123456")],
)
def test_a_blocked_app_is_known_by_its_store_id(
    make_campaign: Make, exchange: Exchange, bundle: str, blocked: str
) -> None:
    """Capitals and Apple's prefix make no other app of it; a campaign for no app is not concerned."""
    campaigns = [make_campaign("app", bundle=bundle), make_campaign("web")]
    assert ids(campaigns, auction(blocked_bundles=frozenset({blocked})), exchange) == ["web"]


@pytest.mark.parametrize(
    ("language", "allowed", "fits"),
    [
        ("en", {"en"}, True),
        ("en-gb", {"en"}, True),
        ("en-gb", {"en-gb"}, True),
        ("en-us", {"en-gb"}, False),
        ("en", {"en-gb"}, False),
        ("eng", {"en"}, False),
        ("de", {"*"}, True),
        ("", {"*"}, False),
        ("", {"en"}, False),
        ("", set(), True),
    ],
)
def test_creatives_keep_to_the_allowed_languages(
    make_campaign: Make, make_creative: Make, exchange: Exchange, language: str, allowed: set[str], fits: bool
) -> None:
    """Ranges of BCP 47; a creative of unknown language fits no list."""
    campaign = make_campaign("c", creatives=(make_creative("x", language=language),))
    assert ids([campaign], auction(allowed_languages=frozenset(allowed)), exchange) == (["c"] if fits else [])


@pytest.mark.parametrize(
    ("wlang", "wlangb", "ranges"),
    [
        (None, None, set()),
        (["EN", "de"], None, {"en", "de"}),
        (None, ["en_GB"], {"en-gb"}),
        (["en"], ["en-GB", "fr"], {"en-gb"}),
        (["en", "fr"], ["en-GB", "*"], {"en-gb", "en", "fr"}),
        (["en"], ["de"], {"zxx-x-none"}),
    ],
)
def test_two_lists_of_languages_are_both_kept_to(
    wlang: list[str] | None, wlangb: list[str] | None, ranges: set[str]
) -> None:
    """wlang and wlangb together allow what both allow; where they contradict each other, nothing."""
    assert language_ranges(wlang, wlangb) == ranges


def test_children_see_only_what_is_marked_for_them_and_harmless(make_campaign: Make, exchange: Exchange) -> None:
    """Under COPPA an unmarked ad does not bid, nor a marked one for what is not advertised to children."""
    campaigns = [
        make_campaign("toys", ad_categories=("IAB9",), suitable_for_children=True),
        make_campaign("unmarked", ad_categories=("IAB9",)),
        make_campaign("wine", ad_categories=("IAB9", "IAB8-18"), suitable_for_children=True),
        make_campaign("wine elsewhere", more_categories=((8, ("1007",)),), suitable_for_children=True),
        make_campaign("unlabelled", ad_categories=(), suitable_for_children=True),
        make_campaign("strange", ad_categories=("toys",), suitable_for_children=True),
    ]
    assert ids(campaigns, auction(coppa=True), exchange) == ["toys"]
    assert len(ids(campaigns, auction(), exchange)) == len(campaigns)


def test_strict_sizes_leave_no_range(make_campaign: Make) -> None:
    """A banner inside a range of sizes, or of a ratio, fits, unless only the sizes named count."""
    specs, languages = compile_index([make_campaign("c")]).specs, frozenset[str]()

    def taken(slot: Slot, strict: bool) -> int:
        return specs.taken(slot, languages, strict)

    ranged = Slot("1", banner=BannerOffer(width_range=(200, 400), height_range=(200, 400)))
    flexible = Slot("1", banner=BannerOffer(ratios=((6, 5, 300),)))
    named = Slot("1", banner=BannerOffer(sizes=(SIZE,), width_range=(1, 2), height_range=(1, 2)))
    for slot in (ranged, flexible):
        assert taken(slot, False)
        assert not taken(slot, True)
    assert taken(named, True)


# -- any campaigns, any request --------------------------------------------------------------------------------------

_TREES: dict[int, dict[str, str | None]] = {
    1: {"IAB1": None, "IAB1-1": "IAB1", "IAB1-2": "IAB1", "IAB25": None, "IAB25-3": "IAB25"},
    5: {"52": None, "53": "52", "63": "53", "64": "63", "1": None},
    7: {"JLBCU7": None, "338": "JLBCU7", "363": "338", "211": "210", "210": None},
    8: {"1002": None, "1004": "1002", "1049": None, "1050": "1049", "1051": "1050"},
}
_DOMAINS = ["brand.example", "shop.brand.example", "a.shop.brand.example", "other.example", "brand.test"]
_SPELLINGS = ["{}", "www.{}", "https://{}/x", "{}."]
_SEATS = ["seat-1", "seat-2", "seat-3"]
_LANGUAGES = ["", "en", "en-gb", "en-us", "de"]
_taxonomies = st.sampled_from(sorted(_TREES))
_labels = _taxonomies.flatmap(
    lambda taxonomy: st.tuples(
        st.just(taxonomy), st.lists(st.sampled_from(sorted(_TREES[taxonomy])), max_size=2).map(tuple)
    )
)


@st.composite
def _campaigns(draw: st.DrawFn) -> list[Campaign]:
    campaigns = []
    for number in range(draw(st.integers(1, 8))):
        labels = list(dict(draw(st.lists(_labels, min_size=1, max_size=3))).items())
        spec = CreativeSpec(
            Format.BANNER, *SIZE, mimes=frozenset({"text/html"}), language=draw(st.sampled_from(_LANGUAGES))
        )
        campaigns.append(
            Campaign(
                id=str(number),
                advertiser_id="brand",
                seat=draw(st.sampled_from(_SEATS)),
                domains=tuple(draw(st.lists(st.sampled_from(_DOMAINS), min_size=1, max_size=2))),
                goal=Goal(GoalKind.CPM, 1_000_000),
                max_cpm_micros=1_000_000,
                currency="USD",
                prior=0.5,
                targeting=Targeting(),
                creatives=(Creative("x", spec, "https://brand.example/"),),
                categories=labels[0][1],
                category_taxonomy=labels[0][0],
                more_categories=tuple(labels[1:]),
                bundle=draw(st.sampled_from(["", "com.brand", "com.other"])),
            )
        )
    return campaigns


@st.composite
def _auctions(draw: st.DrawFn) -> Auction:
    taxonomy = draw(_taxonomies)
    some_categories = st.frozensets(st.sampled_from(sorted(_TREES[taxonomy])), max_size=3)
    domains = draw(st.lists(st.sampled_from(_DOMAINS), max_size=2))
    return auction(
        category_taxonomy=taxonomy,
        blocked_categories=draw(some_categories),
        allowed_categories=draw(st.one_of(st.just(frozenset()), some_categories)),
        blocked_domains=frozenset(draw(st.sampled_from(_SPELLINGS)).format(domain) for domain in domains),
        blocked_bundles=frozenset(draw(st.lists(st.sampled_from(["com.brand", "com.third"]), max_size=2))),
        allowed_seats=frozenset(draw(st.lists(st.sampled_from([*_SEATS, "4711"]), max_size=2))),
        blocked_seats=frozenset(draw(st.lists(st.sampled_from([*_SEATS, "4711"]), max_size=2))),
        allowed_languages=frozenset(draw(st.lists(st.sampled_from(_LANGUAGES[1:]), max_size=2))),
    )


def _ancestors(taxonomy: int, category: str) -> set[str]:
    found, at = set(), category
    while at:
        found.add(at)
        at = _TREES[taxonomy][at] or ""
    return found


def _keeps_to(auction: Auction, campaign: Campaign, seat: str) -> bool:
    """The restrictions as one would read them aloud."""
    labels = dict([(campaign.category_taxonomy, campaign.categories), *campaign.more_categories])
    own = labels.get(auction.category_taxonomy, ())
    if auction.blocked_categories or auction.allowed_categories:
        if not own:
            return False
        for category in own:
            above = _ancestors(auction.category_taxonomy, category)
            if above & auction.blocked_categories:
                return False
            if auction.allowed_categories and not above & auction.allowed_categories:
                return False
    for entry in auction.blocked_domains:
        name = entry.removeprefix("https://").removesuffix("/x").removesuffix(".").removeprefix("www.")
        if any(domain == name or domain.endswith("." + name) for domain in campaign.domains):
            return False
    if campaign.bundle and campaign.bundle in auction.blocked_bundles:
        return False
    if seat in auction.blocked_seats or (auction.allowed_seats and seat not in auction.allowed_seats):
        return False
    language = campaign.creatives[0].spec.language
    return not auction.allowed_languages or any(
        language == allowed or language.startswith(allowed + "-") for allowed in auction.allowed_languages
    )


@settings(max_examples=120, deadline=None)
@given(_campaigns(), _auctions())
def test_no_candidate_breaks_a_restriction(campaigns: list[Campaign], request_: Auction) -> None:
    """Of random campaigns on random requests, none bids that an independent reading forbids."""
    exchange = Exchange("generic", seats={"seat-3": "4711"})
    for found in ids(campaigns, request_, exchange):
        campaign = campaigns[int(found)]
        assert _keeps_to(request_, campaign, exchange.seats.get(campaign.seat, campaign.seat))


@settings(max_examples=120, deadline=None)
@given(_campaigns(), _auctions())
def test_the_bitmaps_refuse_no_more_than_the_restrictions(campaigns: list[Campaign], request_: Auction) -> None:
    """Without an allow list of categories, all that an independent reading permits stay."""
    exchange = Exchange("generic", seats={"seat-3": "4711"})
    request_ = changed(request_, allowed_categories=frozenset())
    permitted = [c.id for c in campaigns if _keeps_to(request_, c, exchange.seats.get(c.seat, c.seat))]
    assert ids(campaigns, request_, exchange) == permitted
