"""Tries the built images together: `python docker/try_images.py [--runner "..."] BIDDER MODEL SAGEMAKER_LOCAL`.

The model image trains on a log that is piped into it and serves, the local SageMaker Runtime stands before it, the
bidder asks it. Each image's own health check has to pass in it, the smoke test has to get bids, and each server has to
end with 0 on SIGTERM. The rule kept here: nothing is mounted and nothing is changed; what runs is the image as built.

Without `--runner` Docker runs them, read-only and without capabilities. A runner is a command that takes IMAGE, `--`
and the command. The containers share the host's network: ports 18080, 18081 and 18090 of loopback. Exit 0: all is well.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODEL_PORT, BIDDER_PORT, LOCAL_PORT = "18080", "18081", "18090"
WRITABLE = ("/tmp", "/opt/ml/input/data/train", "/opt/ml/model", "/opt/ml/output")  # noqa: S108
DOCKER = [
    *("docker", "run", "--rm", "-i", "--network", "host"),
    *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *(option for path in WRITABLE for option in ("--tmpfs", f"{path}:uid=10001")),
]
TRAIN = """
read -r log; echo "$log" | base64 -d >/opt/ml/input/data/train/log.csv.gz
python -m model train >/tmp/train 2>&1 || { cat /tmp/train; exit 1; }
"""
# Starts "$@" and waits until the image's health check passes; ends it when nobody holds the standard input any more.
SERVE = """
port=$1 path=$2; shift 2
"$@" >/tmp/log 2>&1 & server=$!
until python -IS /app/healthcheck.py "$port" "$path" 2>/tmp/why; do
    kill -0 $server 2>/dev/null || { cat /tmp/log; exit 1; }
    python -c "import time; time.sleep(0.3)"
done
echo "healthy: $path on $port, as user $(id -u), with pip: $(python -m pip --version 2>/dev/null || echo none)"
cat >/dev/null
kill -TERM $server; wait $server; echo "ended with $?"
"""


class TrialError(Exception):
    """An image does not do what it should."""


@contextlib.contextmanager
def serving(command: list[str], first: bytes = b"") -> Iterator[None]:
    """A container that has become healthy; on leaving, it has to end with 0 on SIGTERM. `first` goes to its input."""
    container = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # noqa: S603
    assert container.stdin
    assert container.stdout
    try:
        container.stdin.write(first)
        container.stdin.flush()
        _await_line(container.stdout, b"healthy")
        yield
    finally:
        container.stdin.close()
        rest = container.stdout.read().decode()
        container.wait()
    print(f"    {rest.strip()}", flush=True)
    if "ended with 0" not in rest:
        raise TrialError("expected the server to end with 0 on SIGTERM")


def _await_line(output: object, start: bytes) -> None:
    seen = b""
    for line in output:  # type: ignore[attr-defined]
        seen += line
        if line.startswith(start):
            print(f"    {line.decode().strip()}", flush=True)
            return
    raise TrialError(f"expected a line {start!r}, got: {seen.decode()}")


def main() -> int:
    """Runs the trial and returns the exit code."""
    options = _parser().parse_args()
    try:
        _try(options)
    except (TrialError, OSError, subprocess.CalledProcessError) as error:
        print(f"not well: {error}", file=sys.stderr)
        return 1
    print("all images are well")
    return 0


def _try(options: argparse.Namespace) -> None:
    def inside(image: str, script: str, *arguments: str) -> list[str]:
        command = ["sh", "-c", script, "sh", *arguments]
        if options.runner:
            return [*shlex.split(options.runner), image, "--", *command]
        return [*DOCKER, "--entrypoint", command[0], image, *command[1:]]

    model = ["env", f"SAGEMAKER_BIND_TO_PORT={MODEL_PORT}", "python", "-m", "model", "serve"]
    local = ["python", "-m", "sagemaker_local", "serve", "--port", LOCAL_PORT]
    local += ["--endpoint", f"rtb-demo=http://127.0.0.1:{MODEL_PORT}"]
    settings = {
        "BIDDER_HOST": "127.0.0.1",
        "BIDDER_PORT": BIDDER_PORT,
        "BIDDER_ENDPOINT_NAME": "rtb-demo",
        "BIDDER_ENDPOINT_URL": f"http://127.0.0.1:{LOCAL_PORT}",
        "BIDDER_NOTICE_URL": "https://bidder.example",
        "AWS_ACCESS_KEY_ID": "AKIDLOCAL",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    bidder = ["env", *(f"{name}={value}" for name, value in settings.items()), "python", "-m", "bidder", "serve"]
    url = f"http://127.0.0.1:{BIDDER_PORT}"
    smoke = ["-m", "infra.smoke", url, "--inside", url, "--want-bid", "--timeout", "30"]
    print("the model trains and serves", flush=True)
    with serving(inside(options.model, TRAIN + SERVE, MODEL_PORT, "/ping", *model), _training_log()):
        print("the local SageMaker Runtime", flush=True)
        with serving(inside(options.sagemaker_local, SERVE, LOCAL_PORT, "/_local/ready", *local)):
            print("the bidder", flush=True)
            with serving(inside(options.bidder, SERVE, BIDDER_PORT, "/readyz", *bidder)):
                subprocess.run([sys.executable, *smoke], cwd=ROOT, check=True)  # noqa: S603


def _training_log() -> bytes:
    """A line of Base64: the log of simulated users for twelve thousand made-up requests."""
    with tempfile.TemporaryDirectory() as folder:
        traffic, rows, log = (f"{folder}/{name}" for name in ("traffic.jsonl", "rows.csv", "log.csv.gz"))
        for command in (
            ["loadtest", "traffic", "--count", "12000", "--seed", "7", "--valid-only", "--out", traffic],
            ["bidder", "rows", traffic, rows],
            ["model", "simulate", rows, log, "--seed", "7"],
        ):
            subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        return base64.b64encode(Path(log).read_bytes()) + b"\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Tries the built images together.")
    parser.add_argument("--runner", help="runs IMAGE -- COMMAND... in place of Docker")
    for name in ("bidder", "model", "sagemaker_local"):
        parser.add_argument(name, help="the image")
    return parser


if __name__ == "__main__":
    sys.exit(main())
