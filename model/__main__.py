"""The command line: `python -m model simulate | train | serve`.

The rule: exit 0 when done, 1 when the work failed (one line on standard error says why), 2 when the command was not
understood.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from model import artifact, container
from model.artifact import Artifact, ArtifactError
from model.container import BASE, Job

DESCRIPTION = "Learns the probability of a campaign's goal event from the bidder's event log, and serves it."


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns the exit code."""
    options = _parser().parse_args(arguments)
    if options.command != "serve":  # which drains instead
        # As process 1 of a container, a program without a handler would not be ended by StopTrainingJob's SIGTERM.
        signal.signal(signal.SIGTERM, _leave)
    try:
        if options.command == "simulate":
            return _simulate(options)
        return _train(options) if options.command == "train" else _serve(options)
    except (*container.Expected, ArtifactError) as error:
        print(f"model {options.command}: {container.describe(error)}", file=sys.stderr)
        return 1


def _leave(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m model", description=DESCRIPTION)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    simulate = commands.add_parser("simulate", help="label an unlabelled event log from a known truth")
    simulate.add_argument("source", type=Path, metavar="IN", help="event log without labels, plain or .gz")
    simulate.add_argument("target", type=Path, metavar="OUT", help="where the labelled log goes; .gz compresses it")
    simulate.add_argument("--seed", type=int, default=1, help="chooses the world and the luck (default 1)")
    simulate.add_argument("--truth", type=Path, metavar="FILE", help="also write the true probability of each row here")

    train = commands.add_parser(
        "train",
        help="train on a labelled event log; in a container, on SageMaker's channels",
        description="Without flags, SageMaker's layout under /opt/ml and its SM_* variables. Flags go before both.",
    )
    train.add_argument(
        "--base", type=Path, metavar="DIR", help=f"a folder laid out like {BASE}; SM_* variables are then ignored"
    )
    train.add_argument(
        "--train", type=Path, metavar="PATH", help="labelled log, or a folder of them; needs --model-dir"
    )
    train.add_argument(
        "--validation", type=Path, metavar="PATH", help="logs to measure on (default: a part of the training log)"
    )
    train.add_argument("--model-dir", type=Path, metavar="DIR", help="where the model goes")
    train.add_argument(
        "--output-data-dir", type=Path, metavar="DIR", help="where held_out.csv goes (default: nowhere with --train)"
    )
    train.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a hyperparameter; may be repeated"
    )
    train.add_argument("--tar", type=Path, metavar="FILE", help="also write the model as model.tar.gz")

    serve = commands.add_parser("serve", help="serve a model over HTTP, as a SageMaker container does")
    serve.add_argument(
        "--model-dir", type=Path, metavar="DIR", help=f"the model (default SM_MODEL_DIR or {BASE}/model)"
    )
    serve.add_argument(
        "--host",
        help=f"default 0.0.0.0 in a container (SAGEMAKER_BIND_TO_PORT is set or {BASE} exists), else 127.0.0.1",
    )
    serve.add_argument("--port", type=_port, help="default SAGEMAKER_BIND_TO_PORT or 8080; 0 takes any free one")
    serve.add_argument(
        "--latency-ms",
        type=_latency_ms,
        default=0.0,
        help="make each invocation take this long, for benches (default 0)",
    )
    return parser


def _simulate(options: argparse.Namespace) -> int:
    from model.simulate import simulate

    print(simulate(options.source, options.target, options.seed, options.truth))
    return 0


def _train(options: argparse.Namespace) -> int:
    overrides = {}
    for text in options.set:
        name, sign, value = text.partition("=")
        if not sign:
            return _misunderstood(f"--set takes NAME=VALUE, got {text!r}")
        overrides[name] = value
    if options.train is not None and options.base is not None:
        return _misunderstood("--train and --base exclude each other")
    if (options.train is None) == (options.model_dir is not None):
        return _misunderstood(
            "--train and --model-dir go together; --base DIR is for a folder laid out like a container's"
        )
    if options.train is None and (options.validation or options.output_data_dir):
        return _misunderstood("--validation and --output-data-dir go with --train; a container has channels for both")
    if options.train is not None:
        job = Job(options.train, options.validation, options.model_dir, None, options.output_data_dir, overrides)
    else:
        try:
            job = Job.in_container(options.base or BASE, {} if options.base else os.environ, overrides)
        except container.Expected as error:
            container.write_failure((options.base or BASE) / "output", error)
            raise
    result = job.run()
    if options.tar is not None:
        artifact.pack(job.model, options.tar)
    _report(result, job.model)
    return 0


def _report(result: Artifact, folder: Path) -> None:
    """One `name=value` a line, which SageMaker's metric definitions can pick up by regular expression."""
    for name, value in result.metrics.items():
        print(f"{name}={value:g}")
    print(f"model written to {folder} (features {result.header.features_version})")


def _serve(options: argparse.Namespace) -> int:
    from model.predictor import Predictor
    from model.serve import serve

    folder = options.model_dir or Path(os.environ.get("SM_MODEL_DIR", BASE / "model"))
    platform_port = os.environ.get("SAGEMAKER_BIND_TO_PORT", "")
    if options.port is None and platform_port and not platform_port.isdigit():
        return _misunderstood(f"SAGEMAKER_BIND_TO_PORT is {platform_port!r}, expected a port")
    port = options.port if options.port is not None else int(platform_port or 8080)
    contained = bool(platform_port) or BASE.exists()
    host = options.host or ("0.0.0.0" if contained else "127.0.0.1")  # noqa: S104 - the contract of a container
    serve(Predictor(artifact.load(folder)), host, port, options.latency_ms)
    return 0


def _misunderstood(message: str) -> int:
    print(f"python -m model: {message}", file=sys.stderr)
    return 2


def _port(text: str) -> int:
    if text.isdigit() and int(text) <= 65_535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no port, expected 0..65535")


def _latency_ms(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if 0 <= value <= 60_000:
        return value
    raise argparse.ArgumentTypeError(f"{text!r} is no time, expected 0..60000 milliseconds")


if __name__ == "__main__":
    sys.exit(main())
