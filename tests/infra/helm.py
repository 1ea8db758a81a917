"""The chart as the real helm renders it, and what the real kubeconform says of it, both without a network.

`make .cache/bin/helm` builds them; where they are not, tests that need them are skipped and say so.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "infra" / "helm" / "bidder"
CRDS = Path(__file__).parent / "crds"
KUBERNETES = "1.36.0"
SCHEMAS = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"


def tool(name: str) -> str:
    """Where the program is. Skips the test that asks where it is nowhere."""
    found = shutil.which(name, path=str(ROOT / ".cache" / "bin")) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is neither in .cache/bin nor on the PATH: make .cache/bin/{name} builds it, and needs Go")
    return found


def run(name: str, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """What the program says, whatever it says."""
    return subprocess.run([tool(name), *arguments], input=text, capture_output=True, text=True, timeout=120)


def helm(command: str, *files: Path, sets: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """`helm template` or `helm lint` of the chart with these values, in the namespace "bidding"."""
    name = ["bidder"] if command == "template" else []
    values = [argument for file in files for argument in ("--values", str(file))]
    values += [argument for each in sets for argument in ("--set-json", each)]
    return run("helm", command, *name, str(CHART), "--kube-version", KUBERNETES, "--namespace", "bidding", *values)


def refusal(*files: Path, sets: tuple[str, ...] = ()) -> str:
    """Why helm does not render this. Fails where it does."""
    done = helm("template", *files, sets=sets)
    assert done.returncode != 0, f"rendered with {sets}"
    return done.stderr


def render(*files: Path, sets: tuple[str, ...] = ()) -> str:
    """The manifests, as one text. Fails where there are none."""
    done = helm("template", *files, sets=sets)
    assert done.returncode == 0, done.stderr
    return done.stdout


def documents(manifests: str) -> dict[str, dict[str, Any]]:
    """By kind: the chart has one of each."""
    return {each["kind"]: each for each in yaml.safe_load_all(manifests) if each}


def conformity(manifests: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """What Kubernetes' own schemas, strict, and those in `crds` say; a kind without a schema is an error."""
    _lay_out(manifests, directory)
    locations = [
        argument
        for place in (directory, CRDS)
        for argument in ("-schema-location", str(place / "{{.ResourceKind}}{{.KindSuffix}}.json"))
    ]
    return run("kubeconform", "-strict", "-summary", "-kubernetes-version", KUBERNETES, *locations, text=manifests)


def _lay_out(manifests: str, directory: Path) -> None:
    """The package's schemas of these kinds, as kubeconform looks for them. They point to their definitions by address
    (`$id` is on kubernetes.io); here each carries its own."""
    source = SCHEMAS / f"v{KUBERNETES}-local-strict"
    definitions = json.loads((source / "_definitions.json").read_text())["$defs"]
    for each in yaml.safe_load_all(manifests):
        group, _, version = each["apiVersion"].rpartition("/")
        name = "-".join(filter(None, (each["kind"].lower(), group.split(".")[0], version))) + ".json"
        if (source / name).exists():
            schema = json.loads((source / name).read_text()) | {"$defs": definitions}
            del schema["$id"]
            (directory / name).write_text(json.dumps(schema).replace("/api/_definitions.json#", "#"))
