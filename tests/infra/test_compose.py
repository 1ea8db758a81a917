"""The Compose file against the Compose Specification's schema, which the package check-jsonschema carries."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

COMPOSE_FILE = Path(__file__).resolve().parents[2] / "docker/compose.yaml"
SCHEMA = json.loads(files("check_jsonschema.builtin_schemas.vendor").joinpath("compose-spec.json").read_text())
DOCUMENT = yaml.safe_load(COMPOSE_FILE.read_text())


def problems(document: dict[str, Any]) -> list[str]:
    """What is wrong with a Compose file."""
    validator = jsonschema.validators.validator_for(SCHEMA)(SCHEMA)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def test_the_schema_is_the_one_of_compose() -> None:
    """It is a schema, and a wholly unknown key of a service is against it."""
    jsonschema.validators.validator_for(SCHEMA).check_schema(SCHEMA)
    assert SCHEMA["title"] == "Compose Specification"
    assert problems({"services": {"a": {"image": "a:1"}}}) == []
    assert problems({"services": {"a": {"image": "a:1", "colour": "red"}}})


def test_the_compose_file_is_valid() -> None:
    """Every key is known and every value is of its type."""
    assert problems(DOCUMENT) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it["services"]["bidder"].update(read_onyl=True),
        lambda it: it["services"]["bidder"].update(cap_drop="ALL"),
        lambda it: it["services"]["valkey"]["healthcheck"].update(interval=[5]),
        lambda it: it["services"]["model"]["depends_on"]["train"].update(condition="service_ended"),
        lambda it: it.update(service={}),
    ],
)
def test_a_broken_compose_file_is_not(change: Callable[[dict[str, Any]], object]) -> None:
    """A misspelt key, a wrong type, an unknown condition: each is found."""
    broken = copy.deepcopy(DOCUMENT)
    change(broken)
    assert len(problems(broken)) >= 1
