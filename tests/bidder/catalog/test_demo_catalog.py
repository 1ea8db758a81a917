"""The catalog that ships: correct, varied, and broad enough that varied traffic finds bids."""

from __future__ import annotations

import dataclasses
from importlib.resources import files

import pytest

from bidder.catalog.reader import read_catalog
from bidder.domain import Campaign, CreativeSpec, Format, GoalKind, Targeting

COUNTRIES = ("USA", "DEU", "GBR", "FRA", "JPN", "BRA", "IND", "CAN", "AUS", "MEX")
SIZES = ((300, 250), (728, 90), (320, 50), (160, 600), (300, 600), (970, 250), (320, 480))


@pytest.fixture(scope="module")
def campaigns() -> list[Campaign]:
    return read_catalog(files("bidder").joinpath("data", "demo_catalog.json").read_bytes())[1]


def reachable(campaigns: list[Campaign], country: str) -> list[CreativeSpec]:
    """Specs of campaigns that ask for nothing but a country, and take this one."""
    specs = []
    for campaign in campaigns:
        plain = dataclasses.replace(campaign.targeting, countries=frozenset(), excluded_countries=frozenset())
        if plain == Targeting() and (not campaign.targeting.countries or country in campaign.targeting.countries):
            specs += [creative.spec for creative in campaign.creatives]
    return specs


def test_it_is_correct_and_has_at_least_forty_campaigns(campaigns: list[Campaign]) -> None:
    """It loads without a problem."""
    assert len(campaigns) >= 40


@pytest.mark.parametrize("dimension", [field.name for field in dataclasses.fields(Targeting)])
def test_every_dimension_of_targeting_is_used(campaigns: list[Campaign], dimension: str) -> None:
    """A newcomer finds an example of each."""
    assert any(getattr(campaign.targeting, dimension) for campaign in campaigns)


def test_all_formats_goals_and_three_currencies_are_used(campaigns: list[Campaign]) -> None:
    """Banner, video, audio and native; CPM, CPC and CPA; USD, EUR and GBP."""
    assert {creative.spec.format for campaign in campaigns for creative in campaign.creatives} == set(Format)
    assert {campaign.goal.kind for campaign in campaigns} == set(GoalKind)
    assert {campaign.currency for campaign in campaigns} == {"USD", "EUR", "GBP"}


def test_the_deals_and_segments_of_the_demonstration_traffic_are_wanted(campaigns: list[Campaign]) -> None:
    """Each deal and segment that the traffic carries has a campaign that asks for it."""
    assert {deal for campaign in campaigns for deal in campaign.targeting.deals} == {
        "deal-sports-01",
        "deal-news-02",
        "deal-ctv-03",
    }
    wanted = {segment for campaign in campaigns for segment in campaign.targeting.segments}
    assert wanted >= {"auto-intenders", "travel", "parents", "gamers", "finance"}


def test_caps_flights_and_dayparts_are_used(campaigns: list[Campaign]) -> None:
    """Limits in time occur, and most campaigns are open-ended."""
    assert any(campaign.daily_frequency_cap for campaign in campaigns)
    assert any(campaign.start_s and campaign.end_s for campaign in campaigns)
    assert sum(not campaign.end_s for campaign in campaigns) > 40


@pytest.mark.parametrize("country", COUNTRIES)
def test_every_common_slot_finds_a_plain_campaign(campaigns: list[Campaign], country: str) -> None:
    """In each country, all common banner sizes, spots of 15 and 30 s and a short native ad are there for anyone."""
    specs = reachable(campaigns, country)
    assert {(spec.width, spec.height) for spec in specs if spec.format is Format.BANNER} >= set(SIZES)
    assert {spec.duration_s for spec in specs if spec.format is Format.VIDEO} >= {6, 15, 30}
    assert {spec.duration_s for spec in specs if spec.format is Format.AUDIO} >= {15, 30}
    assert any(spec.title_length <= 25 for spec in specs if spec.format is Format.NATIVE)


def test_everything_is_fictional_and_by_https(campaigns: list[Campaign]) -> None:
    """Brands live on .example domains, and no asset is by plain HTTP."""
    for campaign in campaigns:
        assert all(domain.endswith(".example") for domain in campaign.domains)
        assert all(creative.spec.secure for creative in campaign.creatives)


def test_banners_carry_the_click_macro(campaigns: list[Campaign]) -> None:
    """Clicks of demonstration ads can be counted."""
    banners = [c for campaign in campaigns for c in campaign.creatives if c.spec.format is Format.BANNER]
    assert all("${CLICK_URL}" in banner.html and len(banner.html) < 400 for banner in banners)
