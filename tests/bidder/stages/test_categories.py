"""The tables of category taxonomies."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest

from bidder.stages.categories import FAMILY_OF, NOT_FOR_CHILDREN, lineage, unsuitable_for_children

TABLES = json.loads(files("bidder").joinpath("data", "category_parents.json").read_bytes())
REFERENCE = Path(__file__).parents[4] / "shared" / "openrtb" / "openrtb26_lists.json"


@pytest.mark.parametrize(
    ("family", "first", "last"), [("content-2", 1, 698), ("product-1", 1, 863), ("product-2", 1000, 1582)]
)
def test_tables_are_complete(family: str, first: int, last: int) -> None:
    """Every number of these taxonomies is known, and its line of ancestors ends."""
    assert all(lineage(family, str(number)) for number in range(first, last + 1))
    assert not lineage(family, str(last + 1))


@pytest.mark.parametrize(
    ("family", "category", "above"),
    [
        ("content-1", "IAB8-5", ("IAB8-5", "IAB8")),
        ("content-1", "iab8", ("IAB8",)),
        ("content-1", "IAB8-5-1", ()),
        ("content-1", "IABx", ()),
        ("content-2", "64", ("64", "63", "53", "52")),
        ("content-2", "Rm3SiT", ("Rm3SiT", "v9i3On")),
        ("content-3", "640", ("640", "JLBCU7")),
        ("product-1", "225", ("225", "224", "222", "221", "220")),
        ("product-2", "1041", ("1041", "1036", "1010")),
        ("product-2", "1000", ("1000",)),
        ("unheard-of", "1", ()),
    ],
)
def test_lines_of_ancestors(family: str, category: str, above: tuple[str, ...]) -> None:
    """The category itself first, the top last; nothing for what the family does not know."""
    assert lineage(family, category) == above


def test_no_category_stands_in_two_places() -> None:
    """In each table an id has one parent."""
    for family in TABLES["families"].values():
        listed = [part for packed in family["children"].values() for part in packed.split()]
        assert len(listed) == len(set(listed))


def test_what_is_not_for_children_is_known() -> None:
    """Each entry of the rule is a category of its taxonomy, and each taxonomy with a table has a rule."""
    assert set(NOT_FOR_CHILDREN) == set(FAMILY_OF.values())
    for family, categories in NOT_FOR_CHILDREN.items():
        assert categories
        assert all(lineage(family, category) for category in categories)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ([(1, ["IAB9"])], None),
        ([(1, ["IAB9"]), (4, ["1"])], None),
        ([(1, ["IAB25-3"])], "not advertised to children"),
        ([(1, ["IAB9"]), (8, ["1362"])], "not advertised to children"),
        ([(1, ["IAB9", "toys"])], "not known in taxonomy 1"),
        ([(4, ["1"])], "no category in a taxonomy whose table is known"),
        ([], "no category"),
    ],
)
def test_only_the_known_and_harmless_is_for_children(labels: list[tuple[int, list[str]]], reason: str | None) -> None:
    """One doubtful category is enough; none at all is doubtful too."""
    found = unsuitable_for_children(labels)
    assert found is None if reason is None else reason in (found or "")


@pytest.mark.skipif(not REFERENCE.exists(), reason="the reference data of OpenRTB is not beside the repository")
def test_all_taxonomies_but_that_of_audiences_have_a_table() -> None:
    """AdCOM's list of category taxonomies; audiences are no categories of ads."""
    values = json.loads(REFERENCE.read_bytes())["lists"]["category_taxonomies"]["values"]
    assert set(FAMILY_OF) == {entry["value"] for entry in values if "Audience" not in entry["definition"]}
