"""What every container of every task has to be: locked down, and without a secret where anyone may read it.

Pure functions over synthesised templates, which name what they find; an empty list is what is wanted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from infra.statements import Template, rendered

SECRET = re.compile(r"(TOKEN|PASSWORD|SECRET|KEYS?|CREDENTIALS?|STATE_URL)$")
PASSWORD_IN_URL = re.compile(r"://[^/@\s]*:[^/@\s]*@")


def loose_containers(template: Template) -> list[str]:
    """Containers that run as root, write to their image, keep a capability, or could gain privileges."""
    found = []
    for place, task, container in _containers(template):
        dropped = container.get("LinuxParameters", {}).get("Capabilities", {})
        user = str(container.get("User", "root")).partition(":")[0]
        on_instances = task["RequiresCompatibilities"] != ["FARGATE"]  # Fargate has no such option: see infra/task.py
        rules = {
            "runs as root": user not in ("0", "root"),
            "may write to its image": container.get("ReadonlyRootFilesystem") is True,
            "keeps capabilities": dropped.get("Drop") == ["ALL"] and not dropped.get("Add"),
            "is privileged": not container.get("Privileged", False),
            "may gain privileges": not on_instances
            or "no-new-privileges" in container.get("DockerSecurityOptions", []),
        }
        found += [f"{place}: {problem}" for problem, holds in rules.items() if not holds]
    return found


def plain_secrets(template: Template) -> list[str]:
    """Variables that are named like a secret, or hold a password, and stand in a task definition as they are."""
    return [
        f"{place}: {variable['Name']}"
        for place, _, container in _containers(template)
        for variable in container.get("Environment", [])
        if SECRET.search(variable["Name"]) or PASSWORD_IN_URL.search(rendered(variable["Value"]))
    ]


def _containers(template: Template) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    for logical_id, resource in template["Resources"].items():
        if resource["Type"] == "AWS::ECS::TaskDefinition":
            task = resource["Properties"]
            for container in task["ContainerDefinitions"]:
                yield f"{logical_id}/{container['Name']}", task, container
