"""Domains: one spelling of each, and which advertisers of a catalog a block list names."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from bidder.stages.domains import LONGEST, MAX_KEPT, Advertisers, bare_domain
from bidder.stages.tables import Table, pack

NAMES = ("brand.example", "example", "www.brand.example")


def advertisers() -> Advertisers:
    return Advertisers(Table(memoryview(pack({name: [0] for name in NAMES}, 8))))


@given(st.text("abwz09-_.:/@ W", max_size=12))
@example("www.brand.example")
@example("www.")
def test_what_is_bare_already_is_read_as_all_else(text: str) -> None:
    """A blank before it changes nothing, and is no part of a bare domain."""
    assert bare_domain(text) == bare_domain(f" {text}")


def test_a_list_names_the_same_again() -> None:
    """Remembered are those that block nobody; in whatever spelling, none that blocks someone."""
    known = advertisers()
    plain = frozenset({"brand.example", "other.example", "one.example"})
    odd = frozenset({"https://brand.example/", "https://other.example/", "two.example"})
    for _ in range(3):
        assert known.blocked(plain) == {"brand.example"}
        assert known.blocked(odd) == {"brand.example"}
        assert known.blocked(frozenset({"one.example", "two.example"})) == frozenset()


def test_lists_without_end_change_no_answer() -> None:
    """More domains than are remembered, at once and one after the other, and longer ones than there are."""
    known = advertisers()
    many = frozenset(f"d{number}.example" for number in range(MAX_KEPT + 9)) | {"x" * (LONGEST + 1)}
    for _ in range(2):
        assert known.blocked(many) == frozenset()
        assert known.blocked(many | {"example"}) == {"example"}
        assert known.blocked(frozenset({"d1.example", "brand.example"})) == {"brand.example"}
