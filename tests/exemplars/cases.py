"""The exemplars: requests, catalogs and the answers that must come back, as the files beside this one have them."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bidder.domain import Exchange, Profile
from bidder.exchanges import built_in_exchanges
from tests.exemplars.bench import Bench

Json = dict[str, Any]

HERE = Path(__file__).parent
BASES: Json = json.loads((HERE / "bases.json").read_bytes())
_FILE_KEYS = {"describes", "request", "body", "body_hex", "change", "remove", "exchange", "catalog", "profile"}
_FILE_KEYS |= {"vendor", "supply", "cases"}


@dataclass(slots=True)
class Exemplar:
    """One case of a file: what is sent to whom, and what must come back."""

    name: str
    subject: str
    body: bytes
    campaigns: list[Json]
    exchange: Exchange
    expect: Json = field(default_factory=dict)
    profile: Profile | None = None
    vendor: int = 0
    supply: Json | None = None

    def bench(self) -> Bench:
        return Bench(self.campaigns, self.exchange, self.profile, self.vendor, self.supply)


def exemplars() -> Iterator[Exemplar]:
    """All cases of all files, in the order of their paths. ValueError: a file that cannot be understood."""
    for path in sorted(HERE.glob("*/*.json")):
        document = json.loads(path.read_bytes())
        if unknown := document.keys() - _FILE_KEYS:
            raise ValueError(f"{path}: {', '.join(sorted(unknown))} is not known; a file has {sorted(_FILE_KEYS)}")
        for number, case in enumerate(document["cases"]):
            if unknown := case.keys() - _FILE_KEYS - {"case", "expect"}:
                raise ValueError(f"{path}, case {number}: {', '.join(sorted(unknown))} is not known")
            yield _exemplar(path, document, case)


def _exemplar(path: Path, document: Json, case: Json) -> Exemplar:
    both = {**document, **case}
    named = both.get("request", "banner")
    like_request = named if isinstance(named, str) and named in BASES["campaigns"] else "banner"
    catalog = both.get("catalog", [like_request])
    return Exemplar(
        name=f"{path.parent.name}/{path.stem}: {case['case']}",
        subject=path.parent.name,
        body=_body(document, both, case),
        campaigns=[campaign(entry) for entry in catalog],
        exchange=_exchange(both.get("exchange", "generic")),
        expect=both["expect"],
        profile=_profile(both.get("profile")),
        vendor=both.get("vendor", 0),
        supply=both.get("supply"),
    )


def _body(document: Json, both: Json, case: Json) -> bytes:
    if "body_hex" in both:
        return bytes.fromhex(both["body_hex"])
    if "body" in both:
        text: str = both["body"]
        return text.encode()
    named = both.get("request", "banner")
    request = copy.deepcopy(BASES["requests"][named] if isinstance(named, str) else named)
    for place, value in {**document.get("change", {}), **case.get("change", {})}.items():
        put(request, place, copy.deepcopy(value))
    for place in both.get("remove", ()):
        *parents, last = place.split(".")
        holder = request
        for step in parents:
            holder = holder[int(step)] if isinstance(holder, list) else holder[step]
        del holder[int(last) if isinstance(holder, list) else last]
    return json.dumps(request, ensure_ascii=False).encode()


def put(request: Json, place: str, value: Any) -> None:
    """Sets the value at a place such as `imp.0.banner.battr`."""
    _put(request, place.split("."), value)


def _put(holder: Any, steps: list[str], value: Any) -> None:
    """Objects are made on the way; the index after the last one appends."""
    step, rest = steps[0], steps[1:]
    if isinstance(holder, list):
        index = int(step)
        if index == len(holder):
            holder.append({})
        if rest:
            _put(holder[index], rest, value)
        else:
            holder[index] = value
    elif rest:
        _put(holder.setdefault(step, [] if rest[0] == "0" else {}), rest, value)
    else:
        holder[step] = value


def campaign(entry: str | Json) -> Json:
    """A campaign's document: the name of one in bases.json, or {"like": name, …} with the fields that differ.

    `pays` is short for a goal of that CPM which the model is sure of; `creative` differs from the first creative."""
    changes = {"like": entry} if isinstance(entry, str) else dict(entry)
    document: Json = copy.deepcopy(BASES["campaigns"][changes.pop("like")])
    creative = changes.pop("creative", {})
    if (cpm := changes.pop("pays", None)) is not None:
        changes |= {"goal": {"kind": "cpm", "amount": cpm}, "max_cpm": cpm, "prior": 1.0}
    document |= changes
    if "creatives" not in changes:
        document["creatives"][0] |= {"id": f"{document['id']}-cr", **creative}
    return document


def _exchange(entry: str | Json) -> Exchange:
    """A profile that ships, by name, or fields that differ from the plainest one."""
    if entry == "generic":
        return Exchange("generic")
    return built_in_exchanges()[entry] if isinstance(entry, str) else Exchange(**{"name": "exemplar", **entry})


def _profile(entry: Json | None) -> Profile | None:
    if entry is None:
        return None
    return Profile(**{**entry, "segments": frozenset(entry.get("segments", ()))})
