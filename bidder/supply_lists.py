"""Who may sell what: the document behind the supply policy, from a file or S3.

The rule kept here: checked whole and bounded. ads.txt and sellers.json are fetched and boiled down elsewhere; here is
only what came of them, so that the bid path looks up and never asks.
"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from bidder.report import Problems, shown
from bidder.source import SourceError, read_document
from bidder.stages.supply import SupplyPolicy

MAX_BYTES = 256 * 1024 * 1024
MAX_ENTRIES = 5_000_000


class SupplyError(Exception):
    """The supply lists cannot be used. The message is the report: one line a problem."""


def _name(value: str) -> str:
    name = value.strip().lower().rstrip(".").removeprefix("www.")
    if not name or any(character.isspace() or character == "/" for character in name):
        raise ValueError(f"{shown(value)} is not a domain or bundle such as 'news.example'")
    return name


_Name = Annotated[str, Field(max_length=253), AfterValidator(_name)]
_Seller = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(str.strip)]


class _Accounts(BaseModel):
    """`sellers` are accounts at `system`; without any, the whole system."""

    model_config = ConfigDict(extra="forbid", strict=True)

    system: _Name
    sellers: list[_Seller] = []


class _Document(BaseModel):
    """`blocked`: never bought through. `sellers`: sellers.json, system → accounts. `authorised`: ads.txt and
    app-ads.txt, publisher's domain or bundle → system → accounts."""

    model_config = ConfigDict(extra="forbid", strict=True)

    about: str = ""
    chain_required: bool = False
    incomplete_allowed: bool = False
    authorisation_required: bool = False
    blocked: list[_Accounts] = []
    sellers: dict[_Name, list[_Seller]] = {}
    authorised: dict[_Name, dict[_Name, list[_Seller]]] = {}


async def load_supply(
    uri: str | Path | None, *, endpoint_url: str | None = None, region: str | None = None
) -> SupplyPolicy:
    """The policy at a path or `s3://bucket/key`; None: the usual one, without lists. SupplyError: it is not usable."""
    if uri is None:
        return SupplyPolicy()
    try:
        data = await read_document(uri, endpoint_url=endpoint_url, region=region, max_bytes=MAX_BYTES)
    except SourceError as error:
        raise SupplyError(str(error)) from error
    return read_supply(data, str(uri))


def read_supply(data: bytes, source: str) -> SupplyPolicy:
    """The policy in `data`, a JSON object as `_Document` has it. `source` names it in messages."""
    problems = Problems()
    try:
        document = _Document.model_validate_json(data)
    except ValidationError as error:
        problems.add_all("", error, known=(*_Document.model_fields, *_Accounts.model_fields))
        raise SupplyError(f"{source}: the supply lists are not usable:\n{problems}") from error
    entries = sum(map(len, document.sellers.values()))
    entries += sum(len(accounts) for systems in document.authorised.values() for accounts in systems.values())
    if entries > MAX_ENTRIES:
        problems.add("", f"{entries} accounts are more than the {MAX_ENTRIES} that are kept; leave out systems")
    if document.authorisation_required and not document.authorised:
        problems.add("authorisation_required", "is true, but authorised is empty: nothing would be bought")
    if problems:
        raise SupplyError(f"{source}: the supply lists are not usable:\n{problems}")
    return SupplyPolicy(
        chain_required=document.chain_required,
        incomplete_allowed=document.incomplete_allowed,
        blocked_systems=frozenset(entry.system for entry in document.blocked if not entry.sellers),
        blocked_sellers=frozenset((entry.system, seller) for entry in document.blocked for seller in entry.sellers),
        sellers=MappingProxyType({system: frozenset(accounts) for system, accounts in document.sellers.items()}),
        authorised=MappingProxyType(
            {
                name: frozenset((system, seller) for system, accounts in systems.items() for seller in accounts)
                for name, systems in document.authorised.items()
            }
        ),
        authorisation_required=document.authorisation_required,
    )
