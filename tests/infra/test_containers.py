"""Containers are locked down and hold no secret; what would loosen one is found."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from infra.containers import loose_containers, plain_secrets
from tests.infra.bidders import built

KINDS = ("fargate", "instances", "application")


def broken(kind: str, change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """A template whose task's first container was changed."""
    template = copy.deepcopy(built()[kind].template)
    (task,) = (each for each in template["Resources"].values() if each["Type"] == "AWS::ECS::TaskDefinition")
    change(task["Properties"]["ContainerDefinitions"][0])
    return template


@pytest.mark.parametrize("kind", KINDS)
def test_containers_are_locked_down(kind: str) -> None:
    """On Fargate and on instances, side-cars included."""
    assert loose_containers(built()[kind].template) == []


@pytest.mark.parametrize("kind", KINDS)
def test_no_secret_stands_in_a_task_definition(kind: str) -> None:
    """Nor a URL with a password."""
    assert plain_secrets(built()[kind].template) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda it: it.pop("User"), "runs as root"),
        (lambda it: it.update(User="0:10001"), "runs as root"),
        (lambda it: it.update(ReadonlyRootFilesystem=False), "may write to its image"),
        (lambda it: it["LinuxParameters"].pop("Capabilities"), "keeps capabilities"),
        (lambda it: it["LinuxParameters"]["Capabilities"].update(Add=["SYS_PTRACE"]), "keeps capabilities"),
        (lambda it: it.update(Privileged=True), "is privileged"),
        (lambda it: it.pop("DockerSecurityOptions"), "may gain privileges"),
    ],
)
def test_a_loosened_container_is_found(change: Callable[[dict[str, Any]], object], said: str) -> None:
    """By what is wrong with it."""
    (found,) = loose_containers(broken("instances", change))
    assert found.endswith(f"/bidder: {said}")


@pytest.mark.parametrize(
    ("name", "value"),
    [("BIDDER_EXPLAIN_TOKEN", "x"), ("BIDDER_PRICE_KEYS", "x"), ("ANY", {"Fn::Join": ["", ["redis://a:", "b@c"]]})],
)
def test_a_secret_in_plain_sight_is_found(name: str, value: object) -> None:
    """By its name, or by what it looks like; its value is not repeated."""
    template = broken("fargate", lambda it: it["Environment"].append({"Name": name, "Value": value}))
    (found,) = plain_secrets(template)
    assert found.endswith(f"/bidder: {name}")
