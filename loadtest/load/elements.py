"""What pages are made of: frame, header, notes, tiles, tables, bars.

The rule: text is escaped here and nowhere else; the style is inline, and nothing is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

Json = dict[str, Any]
STYLE = Path(__file__).with_name("page.css")


def frame(title: str, body: Iterable[str]) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{STYLE.read_text()}</style></head><body><main>{''.join(body)}</main></body></html>\n"
    )


def header(title: str, document: Json) -> str:
    passed = document["passed"]
    badge = f'<span class="badge {"good" if passed else "bad"}">{"passed" if passed else "failed"}</span>'
    when = document["started_at"].replace("T", " ").replace("+00:00", " UTC")
    return f"<header><h1>{escape(title)}{badge}</h1><p>{escape(when)} · {escape(document['machine'])}</p></header>"


def note(kind: str, title: str, lines: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<div class="note {kind}"><b>{escape(title)}</b><ul>{items}</ul></div>'


def section(title: str, content: str, explained: str = "") -> str:
    told = f"<p>{escape(explained)}</p>" if explained else ""
    return f"<section><h2>{escape(title)}</h2>{told}{content}</section>"


def tile(label: str, value: str, more: str = "", kind: str = "") -> str:
    return f'<div class="tile {kind}"><span>{escape(label)}</span><b>{value}</b><small>{escape(more)}</small></div>'


def pair(*charts: tuple[str, str]) -> str:
    drawn = "".join(f"<figure><figcaption>{escape(title)}</figcaption>{chart}</figure>" for title, chart in charts)
    return f'<div class="pair">{drawn}</div>'


def table(rows: Iterable[Sequence[str]], head: Sequence[str] = ()) -> str:
    titles = f"<tr>{''.join(f'<th>{escape(title)}</th>' for title in head)}</tr>" if head else ""
    lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{titles}{lines}</table>"


def bar(label: str, share: float, value: str, kind: str) -> str:
    width = max(0.0, min(1.0, share)) * 100
    return (
        f'<div class="bar {kind}"><span>{escape(label)}</span><div><i style="width:{width:.2f}%"></i></div>'
        f"<b>{escape(value)}</b></div>"
    )


def ms(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f} ms" if value < 10 else f"{value:,.1f} ms"


def thresholds(checked: Sequence[Json]) -> str:
    cells = "".join(
        f'<li class="{"good" if each["held"] else "bad"}"><code>{escape(each["text"])}</code> {escape(each["value"])}'
        "</li>"
        for each in checked
    )
    return f'<ul class="thresholds">{cells}</ul>'


def settings(document: Json) -> str:
    rows = [(name.replace("_", " "), _plain(value)) for name, value in document["settings"].items()]
    half = (len(rows) + 1) // 2
    return f'<div class="pair">{table(rows[:half])}{table(rows[half:])}</div>'


def _plain(value: Any) -> str:
    return f"{value:,g}" if isinstance(value, int | float) else str(value)
