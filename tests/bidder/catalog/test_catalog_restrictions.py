"""What a catalog says about restrictions: categories in several taxonomies, children, languages."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import orjson
import pytest

from bidder.catalog.reader import CatalogError, read_catalog
from bidder.domain import Campaign


def read(**changes: Any) -> Campaign:
    campaign = {
        "id": "c",
        "advertiser": {"id": "a", "domains": ["brand.example"]},
        "seat": "s",
        "goal": {"kind": "cpm", "amount": 1},
        "max_cpm": 1,
        "prior": 0.5,
        "creatives": [
            {
                "format": "banner",
                "id": "cr",
                "w": 300,
                "h": 250,
                "landing_url": "https://brand.example/",
                "html": "<b></b>",
                "language": changes.pop("language", "en"),
            }
        ],
    } | changes
    return read_catalog(orjson.dumps({"version": "v", "campaigns": [campaign]}))[1][0]


def test_categories_stand_in_several_taxonomies() -> None:
    """The old form is the first of them."""
    campaign = read(categories=["IAB8-5"], more_categories=[{"taxonomy": 8, "ids": ["1004"]}])
    assert campaign.labels == ((1, ("IAB8-5",)), (8, ("1004",)))
    assert read(categories=["1004"], category_taxonomy=8).labels == ((8, ("1004",)),)


def test_an_ad_for_children_is_marked() -> None:
    """And none is without the mark."""
    assert read(categories=["IAB9"], suitable_for_children=True).suitable_for_children
    assert not read(categories=["IAB9"]).suitable_for_children


@pytest.mark.parametrize(("language", "read_as"), [("en", "en"), ("en-GB", "en-gb"), ("zh-Hant-TW", "zh-hant-tw")])
def test_creatives_name_their_language_in_full(language: str, read_as: str) -> None:
    """BCP 47, in lower case."""
    assert read(language=language).creatives[0].spec.language == read_as


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"more_categories": [{"taxonomy": 1, "ids": ["IAB2"]}]}, "taxonomy 1 are given twice"),
        ({"more_categories": [{"taxonomy": 8, "ids": []}]}, "is empty"),
        ({"more_categories": [{"taxonomy": 8}]}, "ids: is missing"),
        ({"categories": ["IAB8-18"], "suitable_for_children": True}, "'IAB8-18' is not advertised to children"),
        ({"suitable_for_children": True}, "has no category"),
        ({"language": "english"}, "is not a language such as"),
    ],
)
def test_what_contradicts_itself_is_refused(changes: dict[str, Any], message: str) -> None:
    """With the campaign and the reason."""
    with pytest.raises(CatalogError, match=message):
        read(**changes)


def test_the_catalog_that_ships_has_ads_for_children_and_labels_beside_content_taxonomy_1() -> None:
    """A newcomer finds an example of each."""
    campaigns = read_catalog(files("bidder").joinpath("data", "demo_catalog.json").read_bytes())[1]
    assert sum(campaign.suitable_for_children for campaign in campaigns) >= 5
    assert {taxonomy for campaign in campaigns for taxonomy, _ in campaign.labels} >= {1, 6, 7, 8, 9}
