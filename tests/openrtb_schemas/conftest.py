"""What the tests of the schemas share: the project's own table of fields, and the reference data where it exists."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SAMPLES = {"string": "s", "integer": 7, "float": 0.25, "object": {"vendor": [1, None, {"deep": True}]}}
REFERENCE = Path(__file__).parents[3] / "shared" / "openrtb"


@pytest.fixture(scope="session")
def table() -> dict[str, Any]:
    """Object -> {"section", "fields": {name: type, with "[]" for an array and "!" for required}}, by document."""
    return json.loads((Path(__file__).parent / "fields.json").read_text())


@pytest.fixture(scope="session")
def reference() -> Path:
    if not REFERENCE.is_dir():
        pytest.skip("the OpenRTB reference data is not beside this repository")
    return REFERENCE


@pytest.fixture(scope="session")
def complete() -> Callable[[dict[str, Any], str], Any]:
    """Makes a value of a type with every field of it and below it, out of the table of one document."""

    def value(objects: dict[str, Any], kind: str) -> Any:
        bare = kind.rstrip("[]!")
        if bare in objects:
            one = {name: value(objects, field) for name, field in objects[bare]["fields"].items()}
        else:
            one = SAMPLES[bare]
        return [one] if "[]" in kind else one

    return value
