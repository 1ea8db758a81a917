"""Writes docs/openrtb.md: what the bidder does with every field of OpenRTB 2.6 and Native 1.2.

    python docs/make_openrtb.py            # writes it
    python docs/make_openrtb.py --check    # exits 1 where the file is not what would be written

The rule: nothing is declared, everything is observed. Requests are read into objects that note each look-up; then
each field is taken away, or changed, and the answer, the model's input and the profile's keys are compared. The
requests are the exemplars' and a few with every field of the tables, so the page depends on this repository alone.
"""

from __future__ import annotations

import asyncio
import copy
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, Required, get_args, get_origin

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from msgspec import defstruct  # noqa: E402
from pydantic import ValidationError  # noqa: E402
from typing_extensions import get_type_hints, is_typeddict  # noqa: E402

import openrtb_schemas  # noqa: E402
from bidder.domain import Exchange  # noqa: E402
from bidder.stages import native  # noqa: E402
from bidder.stages.decode import begin, read_auction  # noqa: E402
from bidder.stages.impression import AUDIOS, BANNERS, VIDEOS  # noqa: E402
from bidder.stages.parts import Parts  # noqa: E402
from bidder.stages.privacy import Policy  # noqa: E402
from bidder.stages.request import ABSENT, Object  # noqa: E402
from bidder.stages.supply import SupplyPolicy  # noqa: E402
from bidder.stages.wire import KINDS as READ  # noqa: E402
from bidder.stages.wire import NotJsonError, read  # noqa: E402
from openrtb_schemas import (  # noqa: E402
    BidRequest,
    BidResponse,
    NativeMarkupRequest,
    NativeMarkupResponse,
    restriction_paths,
)
from tests.exemplars.bench import Bench  # noqa: E402
from tests.exemplars.cases import BASES, campaign, exemplars  # noqa: E402

Json = dict[str, Any]
Field = tuple[str, str]  # object, field

TARGET = ROOT / "docs" / "openrtb.md"
TABLE: Json = json.loads((ROOT / "tests" / "openrtb_schemas" / "fields.json").read_bytes())
SAMPLES = {"string": "s", "integer": 7, "float": 0.25, "object": {}}
MARKER = "marker-7f3a"


class Use(IntEnum):
    """What is done with a field, the strongest that was seen."""

    IGNORES = 0
    READS = 1
    LEARNS = 2
    USES = 3
    PASSES_ON = 4


# -- which object a place belongs to -----------------------------------------------------------------------------------


def fields_of(kind: Any) -> dict[str, Any]:
    """Field → the kind of object below it; None for plain values."""
    return {name: _object(annotation) for name, annotation in get_type_hints(kind, include_extras=True).items()}


def _object(annotation: Any) -> Any:
    origin = get_origin(annotation)
    if origin in (Annotated, Required, list):
        return _object(get_args(annotation)[0])
    return annotation if is_typeddict(annotation) else None


KINDS = {name: getattr(openrtb_schemas, name) for name in openrtb_schemas.__all__}
FIELDS = {name: fields_of(kind) for name, kind in KINDS.items() if is_typeddict(kind)}


class Noting(dict[str, Any]):
    """An object of a request that notes which of its fields are looked up."""

    noted: set[Field] = set()
    owner: str

    @classmethod
    def wrap(cls, value: Any, owner: str) -> Any:
        if isinstance(value, list):
            return [cls.wrap(item, owner) for item in value]
        if not isinstance(value, dict):
            return value
        below = FIELDS.get(owner, {})
        wrapped = cls()
        wrapped.owner = owner
        for name, inner in value.items():
            kind = below.get(name)
            dict.__setitem__(wrapped, name, cls.wrap(inner, kind.__name__ if kind else f"{owner}.{name}"))
        return wrapped

    def get(self, key: str, default: Any = None) -> Any:
        self.noted.add((self.owner, key))
        return dict.get(self, key, default)

    def __getitem__(self, key: str) -> Any:
        self.noted.add((self.owner, key))
        return dict.__getitem__(self, key)

    def __contains__(self, key: object) -> bool:
        self.noted.add((self.owner, str(key)))
        return dict.__contains__(self, key)


def _noting(owner: str, kind: type[Object]) -> type[Object]:
    """The same kind of object, but it notes which of its fields are looked up."""

    def look_up(self: Any, name: str) -> Any:
        if name in kind.__struct_fields__:
            Noting.noted.add((owner, name))
        return object.__getattribute__(self, name)

    return defstruct(kind.__name__, [], bases=(kind,), namespace={"__getattribute__": look_up})


NATIVE = {
    kind.__name__: kind
    for kind in vars(native).values()
    if isinstance(kind, type) and issubclass(kind, Object) and kind.__module__ == native.__name__
}
NOTING_KINDS = {kind: (owner, _noting(owner, kind)) for owner, kind in (READ | NATIVE).items()}


def noting(value: Any) -> Any:
    """A copy of a request that notes look-ups."""
    if isinstance(value, list):
        return [noting(item) for item in value]
    if type(value) not in NOTING_KINDS:
        return value
    owner, kind = NOTING_KINDS[type(value)]
    inner = {name: getattr(value, name) for name in value.__struct_fields__}
    return kind(**{name: Noting.wrap(noting(each), f"{owner}.{name}") for name, each in inner.items()})


PARTS_OF_IMP: dict[str, Parts[Any, Any]] = {
    "banner": BANNERS,
    "video": VIDEOS,
    "audio": AUDIOS,
    "native": native.NATIVES,
}

VENDOR = Policy(755)
STRICT = SupplyPolicy(authorised={"news.example": frozenset()}, authorisation_required=True)


def note_lookups(body: bytes, *policies: SupplyPolicy) -> None:
    """What decoding looks up of a request, by each of the policies."""
    with suppress(ValidationError, NotJsonError):
        request, _ = read(body, begin)
        for imp in request.imp:
            for name, parts in PARTS_OF_IMP.items():
                if (raw := getattr(imp, name)) is not ABSENT and (part := parts.decode(raw)) is not None:
                    parts.understand(noting(part))
        for supply in policies:
            noted = noting(request)
            read_auction(noted, begin(noted), VENDOR, supply)


def note_native_lookups() -> None:
    """From now on native requests are read into noting objects."""
    read_native = native.read_markup
    native.read_markup = lambda request: (noting((read := read_native(request))[0]), read[1])


# -- the requests ------------------------------------------------------------------------------------------------------


def complete(objects: Json, kind: str) -> Any:
    """A value of this type (as the table writes it) with every field of it and below it."""
    bare = kind.rstrip("[]!")
    if bare in objects:
        one = {name: complete(objects, field) for name, field in objects[bare]["fields"].items()}
    else:
        one = SAMPLES[bare]
    return [one] if "[]" in kind else one


def rich_requests(bases: Json) -> Iterator[Json]:
    """Requests with all hints of the tables, for each kind of place, that the base campaigns would bid on."""
    everything = complete(TABLE["openrtb"], "BidRequest")
    limits = {path.split(".")[0].removesuffix("[]") for path in restriction_paths(BidRequest)} - {
        "imp",
        "device",
        "user",
    }
    for place in ("site", "app", "dooh"):
        for name in ("banner", "video", "audio", "native"):
            request = copy.deepcopy(everything)
            for other in {"site", "app", "dooh"} - {place} | limits:
                request.pop(other, None)
            request["tmax"] = 100
            request["device"] |= {"dnt": 0, "lmt": 0}
            (imp,) = request["imp"]
            base = bases["requests"][name]["imp"][0]
            for dropped in ("pmp", "bidfloor", "bidfloorcur", "secure", "banner", "video", "audio", "native"):
                del imp[dropped]
            imp |= copy.deepcopy(base)
            imp["metric"] = [{"type": "viewability", "value": 0.7, "vendor": "s"}]
            if name in ("video", "audio"):  # the hints of the format, beside the base's limits
                full = everything["imp"][0][name]
                imp[name] = {k: v for k, v in full.items() if k in HINTS[name]} | imp[name]
            yield request
    yield everything


def _hints(kind: str, path: str) -> set[str]:
    limits = {each.removeprefix(path).split(".")[0] for each in restriction_paths(BidRequest) if each.startswith(path)}
    return TABLE["openrtb"][kind]["fields"].keys() - limits - {"companionad", "durfloors", "podid"}


HINTS = {"video": _hints("Video", "imp[].video."), "audio": _hints("Audio", "imp[].audio.")}


# -- watching ----------------------------------------------------------------------------------------------------------


class Watch:
    """Collects what is seen of each field."""

    def __init__(self) -> None:
        self.uses: dict[Field, Use] = {}
        self.sent: set[Field] = set()

    async def all(self) -> None:
        campaigns = [campaign(name) for name in BASES["campaigns"]]
        for request in rich_requests(BASES):
            await self._request(Bench(campaigns, Exchange("generic")), json.dumps(request).encode())
        for exemplar in exemplars():
            await self._request(exemplar.bench(), exemplar.body)
        for field in Noting.noted:
            self._see(field, Use.READS)

    def _see(self, field: Field, use: Use) -> None:
        self.uses[field] = max(use, self.uses.get(field, Use.IGNORES))

    async def _bid(self, bidder: Any, body: bytes) -> Any:
        note_lookups(body, SupplyPolicy())
        return await bidder.bid(body)

    async def _request(self, bidder: Any, body: bytes) -> None:
        outcome = await self._bid(bidder, body)
        note_lookups(body, STRICT)
        self._response(outcome)
        try:
            request = json.loads(body)
        except ValueError:
            return
        if outcome.status == 400 or not isinstance(request, dict):
            return
        for holder, key, field in places(request, "BidRequest"):
            value = holder.pop(key)
            self._see(field, await self._effect(bidder, outcome, body, json.dumps(request).encode()))
            if isinstance(value, str) and outcome.bids:
                holder[key] = MARKER
                marked = await self._bid(bidder, json.dumps(request).encode())
                if MARKER.encode() in marked.body:
                    self._see(field, Use.PASSES_ON)
            holder[key] = value

    async def _effect(self, bidder: Any, before: Any, body: bytes, without: bytes) -> Use:
        after = await self._bid(bidder, without)
        if _answer(after) == _answer(before) and after.rows == before.rows:
            return Use.IGNORES
        # Once more, in case only the hour of the day has changed in between.
        before, after = await self._bid(bidder, body), await self._bid(bidder, without)
        if after.status == 400 or "invalid_request" in (before.reason, after.reason):
            return Use.READS  # that a field is required, or must be readable, shows no more than that
        if _answer(after) != _answer(before):
            return Use.USES
        return Use.LEARNS if after.rows != before.rows else Use.IGNORES

    def _response(self, outcome: Any) -> None:
        if outcome.status != 200:
            return
        self._sent(outcome.response, "BidResponse")
        for bid in outcome.bids:
            if bid.get("mtype") == 4:
                markup = json.loads(bid["adm"])
                self._sent(markup.get("native", markup), "NativeMarkupResponse")

    def _sent(self, value: Any, owner: str) -> None:
        for item in value if isinstance(value, list) else [value]:
            for name, inner in item.items():
                self.sent.add((owner, name))
                if kind := FIELDS[owner].get(name):
                    self._sent(inner, kind.__name__)


def _answer(outcome: Any) -> tuple[Any, ...]:
    return outcome.status, outcome.body, outcome.reason, outcome.keys


def places(value: Json, owner: str) -> Iterator[tuple[Json, str, Field]]:
    """Every field of the request that stands in it, with the object that holds it; ext's are named by their parent."""
    below = FIELDS.get(owner, {})
    for name in list(value):
        kind = below.get(name)
        yield value, name, (owner, name)
        inner = value[name]
        if owner == "Native" and name == "request" and isinstance(inner, dict):
            inner = inner.get("native", inner)
            kind = NativeMarkupRequest
        for item in inner if isinstance(inner, list) else [inner]:
            if isinstance(item, dict) and (kind or name == "ext" or ".ext" in owner):
                yield from places(item, kind.__name__ if kind else f"{owner}.{name}")


# -- the page ----------------------------------------------------------------------------------------------------------

INTRO = """\
# OpenRTB, field by field

What the bidder does with every field of OpenRTB 2.6-202606 and Native 1.2. This page is written by
`python docs/make_openrtb.py` from what the bidder was seen to do; a test fails when it is out of date.

| word | meaning |
|---|---|
| honours | a restriction, of the answer or of the use of data: it changes the answer or the profile looked up |
| uses | a hint that changes the answer or the profile looked up |
| learns | goes into the model's features: the answer follows the scores |
| reads | is looked up; no exemplar shows an effect of it alone |
| passes on | comes back in the answer, as a value or in a URL |
| ignores | is dropped unread |

Restrictions are marked ●. One that cannot be read ends in a no-bid, also where its value is not used. An object that
stands in several places (Geo in device and user, Banner as a companion, …) has one table: what is used in one of them
counts as used. Unknown fields and unknown values of enumerations are tolerated everywhere.
"""


def page(watch: Watch) -> str:
    limits = {_owner(path) for path in restriction_paths(BidRequest)}
    words: dict[str, int] = {}
    sections = []
    for title, document, roots, sent in (
        ("Requests", "openrtb", (BidRequest,), False),
        ("Native requests", "native", (NativeMarkupRequest,), False),
        ("Responses", "openrtb", (BidResponse,), True),
        ("Native responses", "native", (NativeMarkupResponse,), True),
    ):
        sections.append(f"\n## {title}\n")
        for kind in reachable(roots):
            entry = TABLE[document][kind]
            sections.append(f"\n### {kind} (§{entry['section']})\n\n| field | type | the bidder |\n|---|---|---|")
            for name, written in entry["fields"].items():
                field = kind, name
                if sent:
                    word = "sends" if field in watch.sent else "never sends"
                else:
                    word = _word(watch.uses.get(field, Use.IGNORES), field in limits)
                words[word] = words.get(word, 0) + 1
                mark = " ●" if field in limits and not sent else ""
                sections.append(f"| {name}{mark} | {written.replace('!', ', required')} | {word} |")
    extensions = sorted(f"`{owner}.{name}`" for owner, name in Noting.noted if ".ext" in owner)
    removed = sorted(
        f"`{owner}.{name}`"
        for owner, names in TABLE["removed_in_26"].items()
        for name in names
        if watch.uses.get((owner, name))
    )
    counts = ", ".join(f"{word} {count}" for word, count in sorted(words.items()))
    tail = (
        "\n## Beside the tables\n\n"
        f"Looked up in `ext`, where 2.5 and common practice have it: {', '.join(extensions)}.\n\n"
        f"Fields of 2.5 that 2.6 removed, and that are read: {', '.join(removed)}.\n"
    )
    return f"{INTRO}\nFields: {counts}.\n" + "\n".join(sections) + "\n" + tail


def _word(use: Use, limit: bool) -> str:
    if use is Use.USES:
        return "honours" if limit else "uses"
    return use.name.lower().replace("_", " ")


def _owner(path: str) -> Field:
    """The object and field at a place such as `imp[].banner.battr`."""
    owner = "BidRequest"
    *parents, last = path.split(".")
    for step in parents:
        owner = FIELDS[owner][step.removesuffix("[]")].__name__
    return owner, last


def reachable(roots: tuple[Any, ...]) -> list[str]:
    """The names of the objects of a message, in the order in which they come up."""
    found: list[str] = []
    waiting = [root.__name__ for root in roots]
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found.append(name)
            waiting += [kind.__name__ for kind in FIELDS[name].values() if kind]
    return found


def main() -> int:
    note_native_lookups()
    watch = Watch()
    asyncio.run(watch.all())
    text = page(watch)
    if "--check" in sys.argv[1:]:
        if TARGET.exists() and TARGET.read_text() == text:
            return 0
        print("docs/openrtb.md is not what the bidder does: run python docs/make_openrtb.py", file=sys.stderr)
        return 1
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
