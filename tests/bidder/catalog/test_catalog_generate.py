"""Generated catalogs: the same bytes from the same seed, correct, varied, like real ones."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import os
from pathlib import Path

import pytest

from bidder.catalog import load
from bidder.catalog.generate import generate, write_catalog
from bidder.catalog.reader import read_catalog
from bidder.domain import Campaign, Format, GoalKind, Targeting


@pytest.fixture(scope="module")
def campaigns() -> list[Campaign]:
    return read_catalog(b"".join(generate(2_000, 7)))[1]


def test_the_same_seed_gives_the_same_bytes_on_every_machine() -> None:
    """The bytes of one catalog are known beforehand; another seed gives others."""
    digest = hashlib.sha256(b"".join(generate(300, 42))).hexdigest()
    assert digest.startswith("20f257cb03f35fd0")
    assert hashlib.sha256(b"".join(generate(300, 43))).hexdigest() != digest


def test_a_generated_catalog_is_correct_and_complete(campaigns: list[Campaign]) -> None:
    """All campaigns asked for are there, with 1 to 4 creatives each."""
    assert len(campaigns) == 2_000
    assert {len(campaign.creatives) for campaign in campaigns} == {1, 2, 3, 4}


def test_all_dimensions_formats_and_goals_occur(campaigns: list[Campaign]) -> None:
    """Nothing that the bidder can do is left out of a load test."""
    for field in dataclasses.fields(Targeting):
        assert any(getattr(campaign.targeting, field.name) for campaign in campaigns), field.name
    assert {creative.spec.format for campaign in campaigns for creative in campaign.creatives} == set(Format)
    assert {campaign.goal.kind for campaign in campaigns} == set(GoalKind)


def test_shares_are_plausible(campaigns: list[Campaign]) -> None:
    """Most campaigns name countries, about one in twenty is for deals, and the most common country is in many."""
    countries = [campaign.targeting.countries for campaign in campaigns]
    assert 0.85 < sum(map(bool, countries)) / len(campaigns) < 0.98
    assert 0.2 < sum("USA" in named for named in countries) / len(campaigns) < 0.6
    assert 0.03 < sum(bool(campaign.targeting.deals) for campaign in campaigns) / len(campaigns) < 0.08
    assert all(0 < campaign.expected_cpm_micros <= 20_000_000 for campaign in campaigns)


def test_few_kinds_of_creative_serve_all_campaigns(campaigns: list[Campaign]) -> None:
    """Distinct specs stay few, as in life."""
    specs = {creative.spec for campaign in campaigns for creative in campaign.creatives}
    assert 40 < len(specs) < 400


@pytest.mark.parametrize("name", ["catalog.json", "catalog.json.gz"])
async def test_a_catalog_is_written_to_a_file_and_loads(tmp_path: Path, name: str) -> None:
    """The file holds what the generator gives, gzipped by name, and nothing else is left beside it."""
    path = tmp_path / name
    assert write_catalog(path, campaigns=100, seed=1) == path.stat().st_size
    data = path.read_bytes()
    assert (gzip.decompress(data) if name.endswith(".gz") else data) == b"".join(generate(100, 1))
    assert os.listdir(tmp_path) == [name]
    assert len((await load(path, lambda _, campaigns: len(campaigns))).campaigns) == 100


@pytest.mark.parametrize("count", [0, -1, 1_000_001])
def test_a_number_of_campaigns_out_of_range_is_refused(tmp_path: Path, count: int) -> None:
    """The range is named, and no file is left."""
    with pytest.raises(ValueError, match=f"campaigns: {count} is not within 1 to 1000000"):
        write_catalog(tmp_path / "catalog.json", campaigns=count, seed=1)
    assert list(tmp_path.iterdir()) == []
