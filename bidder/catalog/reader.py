"""The bytes of a catalog → its version and its campaigns, best first.

The rule kept here: campaigns are read one at a time, with a rest after every few. Reading the document in one call of
a C parser would hold the interpreter for seconds, in whichever thread it ran, and bids would wait. All problems are
reported together.
"""

from __future__ import annotations

import threading

from pydantic import TypeAdapter, ValidationError

from bidder.catalog.convert import Converter
from bidder.catalog.document import CAMPAIGN, FIELD_NAMES, FORMATS
from bidder.catalog.fields import Text
from bidder.catalog.scanner import BrokenJsonError, Scanner
from bidder.domain import Campaign, Rates
from bidder.report import Problems, shown

_CAMPAIGNS_A_TURN = 8  # about 1 ms
_REST_S = 0.0001  # long enough for a waiting thread to take the interpreter
_VERSION: TypeAdapter[str] = TypeAdapter(Text)


class CatalogError(Exception):
    """The catalog cannot be used. The message is the report: one line a problem, the first 20 of them."""


def read_catalog(
    data: bytes, rates: Rates | None = None, stop: threading.Event | None = None
) -> tuple[str, list[Campaign]]:
    """Version and campaigns, by falling expected value, equal ones by id.

    With `rates`, values are compared in one currency, and a campaign whose currency has no rate comes last; without,
    numbers are compared as they stand. `stop` ends the reading early, from another thread. CatalogError: what is wrong.
    """
    reader = _Reader(stop or threading.Event())
    try:
        reader.read(data)
    except BrokenJsonError as error:
        raise CatalogError(f"{error}\n{reader.problems}".rstrip()) from error
    if reader.problems:
        raise CatalogError(str(reader.problems))
    # Two stable sorts by plain keys: sorting by (value, id) pairs would hold the interpreter several times as long.
    reader.campaigns.sort(key=lambda campaign: campaign.id)
    reader.campaigns.sort(key=lambda campaign: _worth(campaign, rates), reverse=True)
    return reader.version, reader.campaigns


def _worth(campaign: Campaign, rates: Rates | None) -> int:
    value = campaign.expected_cpm_micros
    if rates is None:
        return value
    return rates.convert(value, campaign.currency, rates.base) if rates.knows(campaign.currency) else 0


class _Reader:
    def __init__(self, stop: threading.Event) -> None:
        self.version = ""
        self.campaigns: list[Campaign] = []
        self.problems = Problems()
        self._stop = stop
        self._converter = Converter()
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
        if index % _CAMPAIGNS_A_TURN == 0 and self._stop.wait(_REST_S):
            raise CatalogError("reading was stopped")
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
            self.campaigns.append(self._converter.campaign(campaign))

    def _unique(self, kind: str, seen: dict[str, int], id_: str, index: int, path: str) -> None:
        before = len(seen)
        first = seen.setdefault(id_, index)
        if len(seen) == before:
            where = f"a creative of campaigns[{first}]" if kind == "creative" else f"campaigns[{first}]"
            self.problems.add(f"{path}.id", f"{shown(id_)} is already the id of {where}; each {kind} needs its own")
