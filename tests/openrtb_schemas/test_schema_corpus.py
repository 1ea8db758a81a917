"""What others wrote: a message is refused only where JSON, a required field or a restriction is broken."""

import gzip
import json
from collections import Counter
from typing import Any

from pydantic import ValidationError

from openrtb_schemas import REQUEST, unreadable_restrictions


def is_required(objects: dict[str, Any], loc: tuple[int | str, ...]) -> bool:
    """Whether the field at this place is required by the tables, or an item of one that is."""
    kind, field = "BidRequest", ""
    for name in (step for step in loc if isinstance(step, str)):
        field = objects[kind]["fields"][name]
        kind = field.rstrip("[]!")
    return field.endswith("!")


def test_the_corpus_is_refused_for_good_reasons_only(table, reference):
    """Every error is at a required field or a restriction; nearly all messages, and all restrictions, are read."""
    outcomes: Counter[str] = Counter()
    with gzip.open(reference / "requests.jsonl.gz", "rt") as lines:
        for line in lines:
            entry = json.loads(line)
            try:
                REQUEST.validate_json(json.dumps(entry["body"]))
                outcomes["read"] += 1
            except ValidationError as error:
                closed = unreadable_restrictions(error)
                outcomes["failed closed" if closed else "malformed"] += 1
                if not closed:
                    locs = [detail["loc"] for detail in error.errors()]
                    assert any(is_required(table["openrtb"], loc) for loc in locs), (entry["file"], locs)
    total = outcomes.total()
    assert outcomes["read"] > 0.95 * total
    assert outcomes["failed closed"] < 0.01 * total
