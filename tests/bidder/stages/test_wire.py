"""What is read of a request: the fields that decoding looks up, and the same auction as from all of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from typing_extensions import get_type_hints

from bidder.stages import wire
from bidder.stages.decode import MalformedError, decode, read_auction
from bidder.stages.privacy import Policy
from bidder.stages.supply import SupplyPolicy
from loadtest.traffic import requests
from openrtb_schemas import REQUEST
from openrtb_schemas.reading import _Hint

ROOT = Path(__file__).parents[3]
VENDOR = Policy(755)
STRICT = SupplyPolicy(authorised={"news.example": frozenset()}, authorisation_required=True)


@pytest.fixture(scope="module")
def pages() -> Any:
    """The program that observes which fields the bidder looks up."""
    spec = spec_from_file_location("make_openrtb", ROOT / "docs" / "make_openrtb.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def bodies(bench: Any, pages: Any) -> Iterator[bytes]:
    """The exemplars', some with every field of the tables, and those of a simulated exchange."""
    yield from (exemplar.body for exemplar in bench.exemplars())
    yield from (json.dumps(request).encode() for request in pages.rich_requests(bench.BASES))
    yield from (case.body for case in requests(5, 300))
    native = {"ver": "1.1", "request": {"assets": [{"id": 1, "title": {"len": 90}}]}}  # says its version outside only
    yield json.dumps({"id": "1", "imp": [{"id": "1", "native": native}]}).encode()


def test_every_hint_that_is_looked_up_is_named_and_no_other(bench: Any, pages: Any) -> None:
    """A hint that is looked up and not named would be missing from every request; one that is named in vain costs."""
    pages.Noting.noted.clear()
    for body in bodies(bench, pages):
        for supply in (SupplyPolicy(), STRICT):
            try:
                request = pages.Noting.wrap(REQUEST.validate_json(body), "BidRequest")
            except ValidationError:
                continue
            read_auction(request, VENDOR, supply)
    looked_up = {(owner, name) for owner, name in pages.Noting.noted if name in hints_of(pages, owner)}
    named = {(owner, name) for owner, names in wire.HINTS.items() for name in names.split()}
    named |= {(owner.removesuffix(".ext"), "ext") for owner in wire.HINTS if owner.endswith(".ext")}
    assert looked_up == named


def hints_of(pages: Any, owner: str) -> set[str]:
    """The hints that an object of the schema has; of an `ext` that is not read whole, whatever is looked up."""
    parent = owner.removesuffix(".ext")
    if parent not in wire.HINTS or ("ext" in wire.HINTS[parent].split() and owner != parent):
        return set()
    if owner != parent:
        return {name for noted, name in pages.Noting.noted if noted == owner}
    fields = get_type_hints(pages.KINDS[owner], include_extras=True)
    return {name for name, kind in fields.items() if any(isinstance(note, _Hint) for note in notes(kind))}


def notes(annotation: Any) -> tuple[Any, ...]:
    found: tuple[Any, ...] = getattr(annotation, "__metadata__", ())
    return found


def test_the_auction_is_the_same_as_from_every_field(bench: Any, pages: Any) -> None:
    """Also the no-bid, and whether it is a request at all."""
    for body in bodies(bench, pages):
        try:
            request = REQUEST.validate_json(body)
        except ValidationError:
            request = None
        try:
            decoded = decode(body, VENDOR, STRICT)
        except MalformedError:
            assert request is None
            continue
        if request is not None:
            assert decoded == read_auction(request, VENDOR, STRICT)


@pytest.mark.parametrize("fields", [{"Sight": "id"}, {"Site": "idd"}])
def test_a_name_that_no_schema_has_is_refused(fields: dict[str, str]) -> None:
    """At start-up, not at the first request."""
    with pytest.raises(LookupError):
        wire.Message(wire.BidRequest, fields)
