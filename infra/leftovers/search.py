"""Asks AWS for each kind of thing that can be left, and keeps what is ours.

A thing is ours if one of the deployment's names stands in its name, if it carries the deployment's tags, if it is in
one of our networks, or in a thing of ours. The rule kept here: every answer is read to its last page, and a question
that was refused or failed is kept as such.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jmespath
from botocore.exceptions import BotoCoreError, ClientError

from infra.leftovers.probes import PROBES, Cost, Probe

ONE_PAGE = {"list_object_versions"}  # a bucket can hold millions
STEPS = {probe.kind for probe in PROBES if probe.step}
TAGGED = "tagged resource"


@dataclass(frozen=True, slots=True)
class Found:
    """A thing that is left. `gone`: when it goes by itself, and costs nothing until then."""

    kind: str
    region: str
    id: str
    cost: Cost
    gone: str = ""


@dataclass(frozen=True, slots=True)
class Unseen:
    """A kind that could not be looked for, and why."""

    kind: str
    region: str
    why: str


@dataclass(slots=True)
class Search:
    """A search in one account for the things of a deployment: those with one of `names` in theirs or with `tags`."""

    session: Any  # boto3.Session
    names: Sequence[str]
    tags: Mapping[str, str]
    found: list[Found] = field(default_factory=list)
    unseen: list[Unseen] = field(default_factory=list)
    clients: dict[tuple[str, str], Any] = field(default_factory=dict)

    def look(self, regions: Sequence[str]) -> None:
        """Looks everywhere; results are in `found` and `unseen`."""
        for region in regions:
            self._look(region, [probe for probe in PROBES if region == regions[0] or not probe.everywhere])

    def _look(self, region: str, probes: Iterable[Probe]) -> None:
        networks: set[str] = set()
        ours: dict[str, list[str]] = {}
        for probe in probes:
            for parent in ours.get(probe.parent, []) if probe.parent else [""]:
                try:
                    items = list(self._ours(self._ask(probe, region, parent), probe, networks))
                except (BotoCoreError, ClientError) as error:
                    self.unseen.append(Unseen(probe.kind, region, _short(error)))
                    continue
                ours.setdefault(probe.kind, []).extend(item["id"] for item in items)
                networks |= {item["vpc"] for item in items if probe.kind == "VPC"}
                if not probe.step:
                    where = "all" if probe.everywhere else region
                    self.found += [Found(probe.kind, where, it["id"], probe.cost, _day(it.get("gone"))) for it in items]
        self._look_for_tags(region)

    def _client(self, service: str, region: str) -> Any:
        """Making a client takes a tenth of a second, so each is made once."""
        if (service, region) not in self.clients:
            self.clients[service, region] = self.session.client(service, region_name=region)
        return self.clients[service, region]

    def _ask(self, probe: Probe, region: str, parent: str) -> Iterator[dict[str, Any]]:
        """The items of all pages."""
        client = self._client(probe.service, region)
        arguments = {**probe.arguments, **({probe.argument: parent} if probe.parent else {})}
        if probe.service == "budgets":
            arguments["AccountId"] = self._client("sts", region).get_caller_identity()["Account"]
        if client.can_paginate(probe.operation) and probe.operation not in ONE_PAGE:
            pages: Iterable[Any] = client.get_paginator(probe.operation).paginate(**arguments)
        else:
            pages = [getattr(client, probe.operation)(**arguments)]
        for page in pages:
            for item in jmespath.search(probe.items, page) or []:
                if probe.tags_by:
                    operation, tags = probe.tags_by
                    item["tags"] = jmespath.search(tags, getattr(client, operation)(**{probe.argument: parent}))
                yield item

    def _ours(self, items: Iterable[dict[str, Any]], probe: Probe, networks: set[str]) -> Iterator[dict[str, Any]]:
        for item in items:
            inherited = probe.parent and probe.parent not in STEPS
            if inherited or probe.step or item.get("vpc") in networks or self._is_ours(item):
                yield item

    def _is_ours(self, item: Mapping[str, Any]) -> bool:
        tags = {tag["Key"]: tag["Value"] for tag in item.get("tags") or []}
        names = "|".join(map(re.escape, self.names))
        named = re.search(rf"(?<![a-z0-9])({names})(?![a-z0-9])", item.get("name") or "", re.IGNORECASE)
        return bool(named) or self.tags.items() <= tags.items()

    def _look_for_tags(self, region: str) -> None:
        """Whatever else carries the tags, of kinds that nobody thought of."""
        known = {found.id.rpartition("/")[2] for found in self.found} | {found.id for found in self.found}
        filters = [{"Key": key, "Values": [value]} for key, value in self.tags.items()]
        try:
            client = self._client("resourcegroupstaggingapi", region)
            for page in client.get_paginator("get_resources").paginate(TagFilters=filters):
                for arn in (it["ResourceARN"] for it in page.get("ResourceTagMappingList", [])):
                    if arn not in known and re.split("[:/]", arn)[-1] not in known:
                        self.found.append(Found(TAGGED, region, arn, Cost.UNKNOWN))
        except (BotoCoreError, ClientError) as error:
            self.unseen.append(Unseen(TAGGED, region, _short(error)))


def _day(gone: Any) -> str:
    return f"{gone:%Y-%m-%d}" if gone else ""


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
