"""Writes what the demo's model learns from: `demo_inputs.py CATALOG COUNT SEED PROFILES TRAFFIC`.

The rule: the same bytes as `python -m loadtest profiles` and `traffic --valid-only` write, but for the time of the
profiles; without that command line's display, whose packages nothing else in the image needs.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from loadtest.profiles import capped_campaigns, profiles
from loadtest.traffic import requests


def main(catalog: str, count: str, seed: str, raw_profiles: str, traffic: str) -> None:
    with Path(raw_profiles).open("w") as file:
        for profile in profiles(int(time.time()), capped_campaigns(Path(catalog))):
            file.write(json.dumps(profile) + "\n")
    with Path(traffic).open("wb") as file:
        for case in requests(int(seed), int(count), valid_only=True):
            file.write(case.body + b"\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
