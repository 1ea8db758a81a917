"""What the CDK's command line runs, as it runs it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
APP = shlex.split(json.loads((ROOT / "cdk.json").read_text())["app"])


def run(directory: Path, **context: str) -> subprocess.CompletedProcess[str]:
    """The app as `npx cdk synth -c name=value …` starts it, writing to `directory`."""
    environment = os.environ | {
        "CDK_OUTDIR": str(directory),
        "CDK_CONTEXT_JSON": json.dumps(context),
        "CDK_VALIDATION": "false",  # cfn-lint has looked at these templates
    }
    return subprocess.run(APP, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_the_context_names_environment_and_platform(tmp_path: Path) -> None:
    """The assembly that the command line then deploys has that environment's stacks."""
    done = run(tmp_path, environment="prod", platform="ecs")
    assert done.returncode == 0, done.stderr
    artifacts = json.loads((tmp_path / "manifest.json").read_text())["artifacts"]
    stacks = {name for name, each in artifacts.items() if each["type"] == "aws:cloudformation:stack"}
    assert stacks == {f"bidder-prod-{part}" for part in ("foundation", "model", "observability", "replica", "service")}


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    """In words."""
    done = run(tmp_path, environment="staging")
    assert done.returncode != 0
    assert "environment is 'staging', expected one of dev, prod" in done.stderr
