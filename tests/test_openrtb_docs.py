"""The page that says what the bidder does with every field, docs/openrtb.md."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "openrtb.md"
TABLE = json.loads((ROOT / "tests" / "openrtb_schemas" / "fields.json").read_bytes())


def test_the_page_is_what_the_bidder_does() -> None:
    """It is observed anew, in a process of its own."""
    command = [sys.executable, "docs/make_openrtb.py", "--check"]
    observed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert observed.returncode == 0, observed.stderr


def test_every_field_stands_on_the_page() -> None:
    """38 objects with 417 fields, and those of Native."""
    sections = dict(part.split(" (§", 1) for part in PAGE.read_text().split("\n### ")[1:])
    for name, entry in {**TABLE["openrtb"], **TABLE["native"]}.items():
        rows = [line.split(" | ")[0].strip("| ●") for line in sections[name].splitlines() if line.startswith("| ")]
        assert rows[1:] == list(entry["fields"]), name
