"""The index of a catalog: what is done when it is made, so that no request waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bidder.stages.index import compile_index

Make = Callable[..., Any]


def test_the_values_of_small_tables_are_read_when_the_index_is_made(make_campaign: Make) -> None:
    """Reading one takes milliseconds where there are thousands of values: not in a request."""
    index = compile_index([make_campaign(deals=frozenset({"d-1", "d-2"}))])
    assert index._deals._known == {"d-1", "d-2"}
