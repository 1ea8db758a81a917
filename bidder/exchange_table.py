"""The exchange profiles that ship, as the tables of docs/exchanges.md: `python -m bidder.exchange_table` prints them.

The rule kept here: the document says what the data says; a test holds one against the other.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.resources import files

from bidder.domain import Exchange
from bidder.exchanges import built_in_exchanges

_Columns = tuple[tuple[str, Callable[[Exchange], object]], ...]
_ANSWERS: _Columns = (
    ("version", lambda e: e.version),
    ("tmax ms", lambda e: e.default_tmax_ms),
    ("no-bid", lambda e: "200 with nbr" if e.no_bid_body else "204"),
    ("most bytes", lambda e: e.max_answer_bytes),
    ("gzip", lambda e: e.compression),
    ("currency", lambda e: e.currency),
    ("price", lambda e: f"{e.price_unit}, {e.price_decimals} decimals"),
    ("if it says no `at`", lambda e: "first price" if e.auction_type == 1 else "second price"),
    ("bids an imp", lambda e: f"{e.bids_per_imp}{' + deals' if e.deals_beside_open else ''}"),
    ("seats read", lambda e: e.max_seatbids or "all"),
)
_BIDS: _Columns = (
    ("required beyond OpenRTB", lambda e: _codes(e.required)),
    ("left out", lambda e: _codes(e.omitted)),
    ("most bytes", lambda e: ", ".join(f"`{name}` {limit}" for name, limit in sorted(e.max_bytes.items()))),
    ("seat", lambda e: "a number" if e.numeric_seats else ""),
    ("markup", lambda e: "registered, named by `crid`" if e.markup == "registered" else f"`{e.markup}`"),
    ("native", lambda e: "always wrapped" if e.native_wrapped else "as asked"),
)
_NOTICES: _Columns = (
    ("called", lambda e: _codes(e.notices)),
    ("price macro", lambda e: f"`{e.price_macro}`"),
    ("price written", lambda e: {"plain": "CPM", "micros": "micro-units", "google": "encrypted"}[e.notice_price]),
    ("price in the markup", lambda e: "yes" if e.price_in_adm else ""),
    ("macro required", lambda e: "yes" if e.price_macro_required else ""),
    ("spelled otherwise", lambda e: ", ".join(f"{name}: `{text}`" for name, text in e.macros.items() if text)),
    ("not known", lambda e: _codes(name for name, text in e.macros.items() if not text)),
)


def tables() -> str:
    """The tables and, for each profile, what it is from and what it leaves open; Markdown."""
    notes = json.loads(files("bidder").joinpath("data", "exchanges.json").read_bytes())
    parts = [_table("Answers", _ANSWERS), _table("Bids", _BIDS), _table("Notices and macros", _NOTICES)]
    parts += ["\n".join(_profile(name, note)).strip() for name, note in notes.items()]
    return "\n\n".join(parts) + "\n"


def _table(title: str, columns: _Columns) -> str:
    lines = [f"## {title}", "", "| exchange | " + " | ".join(head for head, _ in columns) + " |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    for name, exchange in built_in_exchanges().items():
        cells = " | ".join(str(cell(exchange) or "-") for _, cell in columns)
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def _profile(name: str, note: dict[str, object]) -> Iterator[str]:
    yield f"### {name}\n\n{note['about']}\n"
    for title, field in (("Sources", "sources"), ("Not verified", "unverified")):
        entries = note.get(field)
        if isinstance(entries, list) and entries:
            yield f"{title}:"
            yield from (f"- {entry}" for entry in entries)
            yield ""


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


if __name__ == "__main__":
    sys.stdout.write(tables())
