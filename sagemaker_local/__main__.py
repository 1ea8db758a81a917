"""The command line: `python -m sagemaker_local serve`. The only place that puts the parts together.

Exit status: 0 after SIGTERM or SIGINT, 2 for a configuration that cannot be used, 1 for an address that cannot be had.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .config import Config, ConfigError, parse
from .endpoints import Endpoints
from .runtime import Runtime
from .server import Server

_EXAMPLES = """\
examples:
  python -m sagemaker_local serve --endpoint ctr=http://127.0.0.1:8080
  python -m sagemaker_local serve --config endpoints.json --port 0
  python -m sagemaker_local serve --endpoint ctr=canned:3       no model: a score of 0.5 a row, after 3 ms

a configuration file (every field but `instances` has a default):
  {"region": "us-east-1",
   "credentials": [{"access_key_id": "AKIDLOCAL", "secret_access_key": "local"}],
   "endpoints": {
     "ctr": {
       "variants": [
         {"name": "champion", "weight": 9, "instances": ["http://127.0.0.1:8080", "http://127.0.0.1:8081"]},
         {"name": "challenger", "weight": 1, "instances": ["http://127.0.0.1:8082"], "faults": {"latency_ms": 5}}],
       "faults": {"slow_share": 0.05, "slow_ms": 200, "errors": {"ServiceUnavailable": 0.01}}}}}

faults change while it runs (from this machine only):
  curl -X PUT http://127.0.0.1:8090/_local/endpoints/ctr/faults -d '{"hang_share": 1}'
  curl http://127.0.0.1:8090/_local/endpoints
  curl http://127.0.0.1:8090/_local/endpoints/ctr/latency
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sagemaker_local", description="A SageMaker Runtime for one machine."
    )
    serve = parser.add_subparsers(required=True, metavar="COMMAND").add_parser(
        "serve",
        help="serve InvokeEndpoint in front of model containers",
        description="Serve InvokeEndpoint in front of model containers: signatures checked, faults on demand.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    serve.add_argument(
        "--config", type=Path, metavar="FILE", help="JSON configuration; the options below are laid over it"
    )
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=int, default=8090, help="0: any free one (default: %(default)s)")
    serve.add_argument(
        "--endpoint",
        action="append",
        default=[],
        metavar="NAME=URL",
        help="an endpoint with one variant, AllTraffic, served by the container at URL (or canned:MS); may be repeated",
    )
    serve.add_argument(
        "--latency-ms", type=float, metavar="MS", help="added to every call to those given by --endpoint"
    )
    serve.add_argument("--region", help="region a signature must be scoped to (default: us-east-1)")
    serve.add_argument(
        "--credentials",
        action="append",
        default=[],
        metavar="KEY:SECRET",
        help="a key pair to accept; may be repeated; local only, so no secret (default: AKIDLOCAL:local)",
    )
    serve.add_argument("--seed", type=int, help="makes the choice of variants and faults repeatable")
    serve.add_argument(
        "--grace-s", type=float, default=5, metavar="S", help="for calls under way at the end (default: %(default)s)"
    )
    return parser


def configuration(arguments: argparse.Namespace) -> Config:
    """The file with the options laid over it. Raises ConfigError."""
    settings: Any = {}
    if arguments.config is not None:
        try:
            settings = json.loads(arguments.config.read_bytes())
        except OSError as error:
            raise ConfigError(f"{arguments.config}: {error.strerror}") from error
        except ValueError as error:
            raise ConfigError(f"{arguments.config} is no JSON: {error}") from error
        if not isinstance(settings, dict):
            raise ConfigError(f"{arguments.config} must hold a JSON object")
    for name in ("region", "seed"):
        if (value := getattr(arguments, name)) is not None:
            settings[name] = value
    if arguments.credentials:
        pairs = [_split(pair, ":", "--credentials KEY:SECRET") for pair in arguments.credentials]
        settings["credentials"] = [{"access_key_id": key, "secret_access_key": secret} for key, secret in pairs]
    for option in arguments.endpoint:
        name, url = _split(option, "=", "--endpoint NAME=URL")
        endpoint = {"variants": [{"instances": [url]}], "faults": {"latency_ms": arguments.latency_ms or 0}}
        settings.setdefault("endpoints", {})[name] = endpoint
    return parse(settings)


def _split(option: str, separator: str, form: str) -> tuple[str, str]:
    left, found, right = option.partition(separator)
    if not found:
        raise ConfigError(f"{option!r} is not of the form {form}")
    return left, right


async def serve(config: Config, host: str, port: int, grace_s: float) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    endpoints = Endpoints(config)
    await endpoints.start()
    server = Server(Runtime(config, endpoints), config.max_client_connections)
    try:
        bound_port = await server.start(host, port)
        _announce(config, host, bound_port)
        await stop.wait()
        await server.stop(grace_s)
    finally:
        await endpoints.stop()


def _announce(config: Config, host: str, port: int) -> None:
    for credential in config.credentials:
        default = credential.access_key_id == "AKIDLOCAL" and credential.secret_access_key == "local"  # noqa: S105
        secret = (
            f"secret access key {credential.secret_access_key}" if default else "the secret access key it was given"
        )
        print(
            f"accepts access key {credential.access_key_id} with {secret}, region {config.region}"
            " (no secret: it opens nothing but this local service)"
        )
    for name, endpoint in config.endpoints.items():
        for variant in endpoint.variants:
            print(f"endpoint {name}, variant {variant.name}, weight {variant.weight:g}: {', '.join(variant.instances)}")
    shown = f"[{host}]" if ":" in host else host
    print(f"sagemaker_local listening on http://{shown}:{port}", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    arguments = _parser().parse_args(argv)
    try:
        config = configuration(arguments)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        _run(serve(config, arguments.host, arguments.port, arguments.grace_s))
    except OSError as error:
        print(f"cannot listen on {arguments.host}:{arguments.port}: {error}", file=sys.stderr)
        return 1
    return 0


def _run(main_coroutine: Any) -> None:
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        asyncio.run(main_coroutine)
    else:
        uvloop.run(main_coroutine)


if __name__ == "__main__":
    sys.exit(main())
