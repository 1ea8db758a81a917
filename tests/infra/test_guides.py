"""Every command, file, stack and link that the guides name exists."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name

from infra.synthesis import Composition
from tests.infra.guides import ROOT, commands, guides, headings, links

every_guide = pytest.mark.parametrize("guide", guides(), ids=lambda path: path.name)
OF_THE_CLI = {  # what the AWS CLI adds to the services' own operations
    "aws s3 cp", "aws s3 ls", "aws s3 rm", "aws s3 rb", "aws s3 sync", "aws logs tail", "aws ecr get-login-password",
    "aws eks update-kubeconfig",
}  # fmt: skip
API = {"s3api": "s3"}  # where the CLI calls a service otherwise
FOR_ALL = {"--region", "--query", "--output", "--profile", "--no-cli-pager", "--no-paginate"}
PROGRAMS = {
    "aws", "curl", "docker", "gh", "git", "grep", "gunzip", "gzip", "helm", "jq", "kubectl", "make", "npx", "openssl",
    "python", "python3", ".venv/bin/python", ".venv-infra/bin/python", "tar", "tee", "sleep", "for", "do", "done",
    "cat", "echo", "cd",
}  # fmt: skip


@every_guide
def test_commands_are_of_known_programs(guide: Path) -> None:
    """The parser understood each line."""
    for words in commands(guide.read_text()):
        assert words[0] in PROGRAMS, words


@every_guide
def test_make_targets_exist(guide: Path) -> None:
    """In the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    for words in commands(guide.read_text()):
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), words


@cache
def source_of(module: str) -> str:
    """All that a module's command line can be made of."""
    path = ROOT / module.replace(".", "/")
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    return "\n".join(file.read_text() for file in files)


@cache
def help_of(module: str) -> str:
    command = [sys.executable, "-m", module, "--help"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stdout


@every_guide
def test_programs_of_the_project_exist_with_their_options(guide: Path) -> None:
    """Modules that run, their subcommands and options; scripts that are there."""
    for words in commands(guide.read_text()):
        if not words[0].rpartition("/")[2].startswith("python"):
            continue
        if words[1] != "-m":
            assert (ROOT / words[1]).is_file(), words
            continue
        module = words[2]
        if module == "pip":
            continue
        path = ROOT / module.replace(".", "/")
        assert (path / "__main__.py").is_file() or path.with_suffix(".py").is_file(), words
        known = help_of(module) if module.startswith("infra.") else source_of(module)
        for option in (word.partition("=")[0] for word in words[3:] if word.startswith("--")):
            assert option in known, (words, option)
        if not module.startswith("infra.") and len(words) > 3 and re.fullmatch(r"[a-z-]+", words[3]):
            assert f'"{words[3]}"' in known, words


@cache
def operations(service: str) -> dict[str, str]:
    """The CLI's names of a service's operations → the API's."""
    model = botocore.session.get_session().get_service_model(API.get(service, service))
    return {xform_name(name, "-"): name for name in model.operation_names}


@every_guide
def test_commands_of_aws_exist_with_their_options(guide: Path) -> None:
    """Service, operation and each option, by botocore's models, which the CLI is made from."""
    for words in commands(guide.read_text()):
        if words[0] != "aws" or " ".join(words[:3]) in OF_THE_CLI:
            continue
        service, operation = words[1], words[2]
        if operation == "wait":
            continue
        assert operation in operations(service), words
        model = botocore.session.get_session().get_service_model(API.get(service, service))
        shape = model.operation_model(operations(service)[operation]).input_shape
        members = {f"--{xform_name(name, '-')}" for name in (shape.members if shape else {})}
        negated = {name.replace("--", "--no-", 1) for name in members}
        options = {word.partition("=")[0] for word in words[3:] if word.startswith("--")}
        assert options <= members | negated | FOR_ALL, (words, sorted(options - members - FOR_ALL))
        required = {f"--{xform_name(name, '-')}" for name in (shape.required_members if shape else [])}
        assert not options or required <= options, (words, sorted(required - options))


@every_guide
def test_links_lead_somewhere(guide: Path) -> None:
    """Files that are there, headings that are in them."""
    for path, anchor in links(guide.read_text()):
        target = (guide.parent / path).resolve() if path else guide
        assert target.exists(), (guide.name, path)
        if anchor:
            assert anchor in headings(target.read_text()), (guide.name, path, anchor)


@every_guide
def test_code_that_looks_like_a_file_is_one(guide: Path) -> None:
    """Of the project's own folders."""
    for name in re.findall(r"`((?:infra|docs|docker|bidder|model|loadtest|tests)/[\w./-]+\.\w+)`", guide.read_text()):
        assert (ROOT / name).is_file(), (guide.name, name)


def test_stacks_exist(compositions: tuple[Composition, ...]) -> None:
    """All that the guide deploys or destroys, and the guide tells of all that there are."""
    there = {name for composition in compositions for name in composition.templates}
    text = (ROOT / "docs/deployment.md").read_text()
    named = {
        word for words in commands(text) if "aws-cdk@2" in words[1:2] for word in words if word.startswith("bidder-")
    }
    assert named - {"bidder-boundary"} <= there
    told = {
        name.partition("-")[2].partition("-")[2] for name in re.findall(r"^\| `(bidder-[\w-]+)`", text, re.MULTILINE)
    }
    assert told == {name.partition("-")[2].partition("-")[2] for name in there}


@every_guide
def test_names_of_resources_exist(guide: Path, compositions: tuple[Composition, ...]) -> None:
    """Clusters, repositories, buckets, roles, log groups: what begins with a deployment's name is in a template."""
    templates = json.dumps([dict(composition.templates) for composition in compositions])
    stacks = {name for composition in compositions for name in composition.templates}
    for words in commands(guide.read_text()):
        for name in re.findall(r"(?<![\w-])/?(?:bidder|rtb)-(?:dev|prod|\$ENV)[\w/-]*", " ".join(words)):
            real = name.replace("$ENV", "dev").rstrip("-")
            assert real in stacks or real.lstrip("/") in templates, (words, real)
