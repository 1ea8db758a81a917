"""What the bidder exposes and logs, read from its source: infra imports nothing of the bidder."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

BIDDER = Path(__file__).parents[2] / "bidder"


@dataclass(frozen=True)
class Exposed:
    """A series as a scrape shows it."""

    kind: str
    labels: frozenset[str]


@cache
def exposed() -> dict[str, Exposed]:
    """Name as scraped ("bidder_requests_total") → what it is, of every Series in bidder/metrics.py."""
    tree = ast.parse((BIDDER / "metrics.py").read_text())
    lane = constant("metrics.py", "_LANE")
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Series":
            kind, name = (ast.literal_eval(argument) for argument in node.args[:2])
            found[name + "_total" * (kind == "counter")] = Exposed(kind, _labels(node.args[3], lane))
    return found


def _labels(node: ast.expr, lane: tuple[str, ...]) -> frozenset[str]:
    if isinstance(node, ast.Name):
        return frozenset(lane)
    assert isinstance(node, ast.Tuple)
    found = [lane if isinstance(item, ast.Starred) else (ast.literal_eval(item),) for item in node.elts]
    return frozenset(label for labels in found for label in labels)


def constant(module: str, name: str) -> tuple[str, ...]:
    """A tuple of texts that `module` of the bidder defines."""
    for node in ast.parse((BIDDER / module).read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name:
            return tuple(ast.literal_eval(node.value))
    raise AssertionError(f"{module} has no {name}")


def members(module: str, name: str) -> set[str]:
    """The values of the members of the enumeration `name`."""
    for node in ast.parse((BIDDER / module).read_text()).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return {ast.literal_eval(item.value) for item in node.body if isinstance(item, ast.Assign)}
    raise AssertionError(f"{module} has no {name}")


def kinds_of_errors() -> dict[str, str]:
    """Class → its `kind`, in bidder/inference/errors.py."""
    return {
        node.name: ast.literal_eval(item.value)
        for node in ast.parse((BIDDER / "inference" / "errors.py").read_text()).body
        if isinstance(node, ast.ClassDef)
        for item in node.body
        if isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name) and item.targets[0].id == "kind"
    }


def logged_fields() -> set[str]:
    """The members of a JSON log line."""
    tree = ast.parse((BIDDER / "logs.py").read_text())
    keys = {key.value for node in ast.walk(tree) if isinstance(node, ast.Dict) for key in node.keys
            if isinstance(key, ast.Constant)}  # fmt: skip
    stored = {
        node.slice.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.ctx, ast.Store)
    }
    return {str(key) for key in keys | stored}
