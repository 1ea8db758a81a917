"""The bidder's settings as bidder/config.py declares them, read from its source: infra never imports the bidder."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

CONFIG = Path(__file__).parents[2] / "bidder" / "config.py"
TYPES = {"str": "string", "int": "integer", "float": "number", "Path": "string"}
BOUNDS = {"ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum", "lt": "exclusiveMaximum"}


def declared() -> dict[str, dict[str, Any]]:
    """Name of a setting → what it may be, in the words of JSON Schema: type, enum, bounds; secrets are `secret`."""
    module = ast.parse(CONFIG.read_text())
    aliases = {
        target.id: node.value
        for node in module.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    (settings,) = [node for node in module.body if isinstance(node, ast.ClassDef) and node.name == "Settings"]
    return {
        node.target.id: _schema(node.annotation, aliases)
        for node in settings.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def _schema(annotation: ast.expr, aliases: dict[str, ast.expr]) -> dict[str, Any]:
    match annotation:
        case ast.Name(id=name) if name in aliases:
            return _schema(aliases[name], aliases)
        case ast.Name(id="SecretStr"):
            return {"type": "string", "secret": True}
        case ast.Name(id=name):
            return {"type": TYPES[name]}
        case ast.BinOp(left=kind):  # … | None
            return _schema(kind, aliases)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=ast.Tuple(elts=values)):
            return {"enum": [ast.literal_eval(value) for value in values]}
        case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[kind, ast.Call(keywords=keywords)])):
            bounds = {BOUNDS[k.arg]: ast.literal_eval(k.value) for k in keywords if k.arg in BOUNDS}
            return _schema(kind, aliases) | bounds
    raise ValueError(f"{ast.unparse(annotation)}: not read here")
