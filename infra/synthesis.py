"""Compositions as data: the templates of each, and what cdk-nag says of it. Made once, checked by pure functions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aws_cdk as cdk

from infra import nag
from infra.app import PLATFORMS, Platform, compose
from infra.environments import ENVIRONMENTS, Environment


@dataclass(frozen=True, slots=True)
class Composition:
    """`name` is "dev-ecs"; the rest is by the stack's name, but for cdk-nag's `findings`, which are unfiltered."""

    name: str
    templates: Mapping[str, Mapping[str, Any]]
    files: Mapping[str, Path]
    regions: Mapping[str, str]
    findings: tuple[nag.Finding, ...]


def synthesise(environment: Environment, platform: Platform, directory: Path) -> Composition:
    """Writes a cloud assembly to `directory`. Takes seconds of CPU."""
    app = cdk.App(
        outdir=str(directory),
        analytics_reporting=False,
        builtin_cloud_formation_validation=False,  # cfn-lint does it, and knows more
        stack_traces=False,
        tree_metadata=False,
    )
    stacks = compose(app, environment, platform)
    findings = nag.findings(app)
    app.synth()
    files = {stack.stack_name: directory / stack.template_file for stack in stacks}
    templates = {name: json.loads(file.read_text()) for name, file in files.items()}
    regions = {stack.stack_name: stack.region for stack in stacks}
    return Composition(f"{environment.name}-{platform}", templates, files, regions, tuple(findings))


def synthesise_all(directory: Path) -> Iterator[Composition]:
    """Every environment on every platform, each in a directory of its own."""
    for environment in ENVIRONMENTS.values():
        for platform in PLATFORMS:
            yield synthesise(environment, platform, directory / f"{environment.name}-{platform}")
