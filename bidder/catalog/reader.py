"""The bytes of a document → its version and its campaigns.

The rule kept here: campaigns are read one at a time, and all problems are reported together. Nothing is handed on after
the first of them.
"""

from __future__ import annotations

from collections.abc import Callable

from pydantic import TypeAdapter, ValidationError

from bidder.catalog.convert import converted
from bidder.catalog.document import CAMPAIGN, FIELD_NAMES, FORMATS
from bidder.catalog.fields import Text
from bidder.catalog.image import CatalogError
from bidder.catalog.scanner import BrokenJsonError, Scanner
from bidder.domain import Campaign, Rates
from bidder.report import Problems, shown

_VERSION: TypeAdapter[str] = TypeAdapter(Text)


def read_campaigns(data: bytes, take: Callable[[Campaign], None]) -> str:
    """The version; `take` gets each campaign, in the document's order. CatalogError: what is wrong with the document;
    what `take` got is void then."""
    reader = _Reader(take)
    try:
        reader.read(data)
    except BrokenJsonError as error:
        raise CatalogError(f"{error}\n{reader.problems}".rstrip()) from error
    if reader.problems:
        raise CatalogError(str(reader.problems))
    return reader.version


def read_catalog(data: bytes, rates: Rates | None = None) -> tuple[str, list[Campaign]]:
    """Version and campaigns as objects, by falling worth, equal ones by id. CatalogError: what is wrong."""
    campaigns: list[Campaign] = []
    version = read_campaigns(data, campaigns.append)
    campaigns.sort(key=lambda campaign: (-worth(campaign, rates), campaign.id))
    return version, campaigns


def worth(campaign: Campaign, rates: Rates | None) -> int:
    """The value of an impression in the base currency, 0 where its own has no rate. Without rates: in its own."""
    value = campaign.expected_cpm_micros
    if rates is None:
        return value
    return rates.convert(value, campaign.currency, rates.base) if rates.knows(campaign.currency) else 0


class _Reader:
    def __init__(self, take: Callable[[Campaign], None]) -> None:
        self.version = ""
        self.problems = Problems()
        self._take = take
        self._campaign_ids: dict[str, int] = {}  # id → index
        self._creative_ids: dict[str, int] = {}  # id → index of its campaign

    def read(self, data: bytes) -> None:
        scan = Scanner(data)
        seen = set()
        for _ in scan.entries("{", "}"):
            key = scan.key()
            if key in seen:
                self.problems.add(key, "is given twice")
            seen.add(key)
            if key == "campaigns":
                for index, _ in enumerate(scan.entries("[", "]")):
                    self._campaign(index, scan.value())
            elif key == "version":
                self._version(scan.value())
            else:
                scan.value()
                self.problems.add(key, 'no such field is known; the document has "version" and "campaigns"')
        scan.end()
        for missing in sorted({"version", "campaigns"} - seen):
            self.problems.add(missing, "is missing")

    def _version(self, value: str) -> None:
        try:
            self.version = _VERSION.validate_json(value)
        except ValidationError as error:
            self.problems.add_all("version", error)

    def _campaign(self, index: int, value: str) -> None:
        path = f"campaigns[{index}]"
        try:
            campaign = CAMPAIGN.validate_json(value)
        except ValidationError as error:
            self.problems.add_all(path, error, FORMATS, FIELD_NAMES)
            return
        self._unique("campaign", self._campaign_ids, campaign.id, index, path)
        for number, creative in enumerate(campaign.creatives):
            self._unique("creative", self._creative_ids, creative.id, index, f"{path}.creatives[{number}]")
        if not self.problems:
            self._take(converted(campaign))

    def _unique(self, kind: str, seen: dict[str, int], id_: str, index: int, path: str) -> None:
        before = len(seen)
        first = seen.setdefault(id_, index)
        if len(seen) == before:
            where = f"a creative of campaigns[{first}]" if kind == "creative" else f"campaigns[{first}]"
            self.problems.add(f"{path}.id", f"{shown(id_)} is already the id of {where}; each {kind} needs its own")
