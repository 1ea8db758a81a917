"""A report as text for a terminal.

The rule kept here: everything that decides is on it; all features by name are in the JSON only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Part = Mapping[str, Any]

SHOWN_IDS = 5
UNREADABLE = dict.fromkeys((*range(32), *range(127, 160)))
"""Control characters: a request's text must not drive the terminal."""


def as_text(report: Part) -> str:
    """The report of `Explainer.explain`, a line a fact."""
    return "\n".join(line.translate(UNREADABLE) for line in _lines(report)) + "\n"


def _lines(report: Part) -> Iterator[str]:
    yield from _request(report["request"], report["exchange"])
    if "profile" in report:
        yield f"profile   {report['profile']['result']}"
    for slot in report.get("slots", ()):
        yield from _slot(slot)
    if "scores" in report:
        variant = report["scores"]["variant"]
        yield f"scores    from {report['scores']['source']}{f', variant {variant}' if variant else ''}"
    for entry in report.get("candidates", ()):
        yield f"  {entry['slot']}  {entry['campaign']}  {entry['creative']}  {_money(entry)}"
    answer = report["answer"]
    yield f"answer    {answer['status']} ({answer['outcome']})"
    if answer["body"]:
        yield answer["body"]


def _request(request: Part, exchange: str) -> Iterator[str]:
    yield f"exchange  {exchange}"
    yield f"request   {request['outcome']}{_after(': ', request.get('detail', ''))}"
    if "no_bid" in request:
        yield f"no bid    {request['no_bid']} (nbr {request['nbr']})"
    if "auction" in request:
        auction = request["auction"]
        shown = ("id", "channel", "domain", "bundle", "country", "device_type", "os", "test", "redacted")
        yield "auction   " + ", ".join(f"{name} {auction[name]}" for name in shown if auction.get(name))
        yield f"budget    {request['budget_ms']} ms"


def _slot(slot: Part) -> Iterator[str]:
    yield f"slot      {slot['slot']}: {slot['campaigns']} campaigns"
    for row in slot["eliminated"]:
        ids = ", ".join(row["ids"][:SHOWN_IDS]) + (", …" if row["campaigns"] > SHOWN_IDS else "")
        yield f"  -{row['campaigns']:<6} {row['group']}: {row['rule']} ({ids})"
    yield f"  ={len(slot['candidates']):<6} {', '.join(slot['candidates']) or 'none left'}"


def _money(entry: Part) -> str:
    if "score" not in entry:
        return "not scored"
    amounts = [(name, entry.get(f"{name}_cpm")) for name in ("value", "floor", "price")]
    figures = "".join(f"  {name} {amount:.6f}" for name, amount in amounts if amount is not None)
    return f"score {entry['score']:.6g}{figures} {entry['currency'] or ''}  {entry['why']}"


def _after(separator: str, text: str) -> str:
    return separator + text if text else ""
