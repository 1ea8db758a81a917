"""The commands in the guides, as data: what a test can hold against the Makefile, the programs and AWS's own models."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GUIDES = ("deployment", "restore", "rtb-fabric", "runbook", "secrets", "training", "well-architected")


def guides() -> list[Path]:
    """The guides to a deployment."""
    return [ROOT / f"docs/{name}.md" for name in GUIDES]


def commands(text: str) -> Iterator[list[str]]:
    """The commands of shell blocks, and of code within lines that is one, as words; variables stay as they are."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    lines += re.findall(r"`((?:make|aws|python|npx|\.venv\S*) [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    for line in lines:
        inner = re.findall(r"\$\(([^()]*)\)", line)
        for part in [re.sub(r"\$\([^()]*\)", "$IT", line), *inner]:
            for piece in re.split(r"\s(?:\|\|?|&&|;)\s", part):
                words = shlex.split(piece, comments=True)
                while words and (words[0] == "export" or re.match(r"\w+=", words[0])):
                    words = words[1:]
                if words:
                    yield words


def headings(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", title).lower()).replace(" ", "-") for title in titles}


def links(text: str) -> list[tuple[str, str]]:
    """Path and anchor of each link that is no address on the web."""
    found = re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", text)
    return [(path, anchor) for path, anchor in found if "://" not in path]
