"""The command line: `python -m bidder serve`, `check` and the tools around the data the bidder runs on."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import uvloop
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from bidder import logs
from bidder.bootstrap import load_exchanges_of, load_rates_of, privacy_of, running
from bidder.catalog import CatalogError, load
from bidder.catalog.child import make_image
from bidder.catalog.generate import write_catalog
from bidder.catalog.image import put_in_place
from bidder.check import check
from bidder.config import Settings
from bidder.domain import Rates
from bidder.emf import HistogramLines
from bidder.exchanges import ExchangesError
from bidder.explain import as_text
from bidder.rates import RatesError
from bidder.rows import header, write_rows
from bidder.server.lane import DEFAULT_EXCHANGE
from bidder.server.process import Server, listen
from bidder.server.workers import leave_with_supervisor, supervise
from bidder.source import SourceError, read_document
from bidder.stages.index import CampaignIndex
from bidder.stages.privacy import profile_key
from bidder.state.embedded import EmbeddedProfiles
from bidder.supply_lists import SupplyError, load_supply

WRONG = 2
"""Exit status: the bidder was given something that cannot be used; the message says what."""

STOP_RESERVE_S = 5.0
"""What a worker may take beyond its own bounds to leave, before it is killed."""

SWITCH_S = 0.0005
"""How long a thread of ours, as the one that opens a new catalog, may keep the interpreter from the event loop. By
default it is 5 ms, for which each turn of the loop waited."""

_DATA_ERRORS = (CatalogError, SourceError, ExchangesError, RatesError, SupplyError, OSError, ValueError)


def _said(problem: ErrorDetails) -> str:
    """Of a setting, with what it was; of several together without, as the secrets are among them."""
    if not problem["loc"]:
        return problem["msg"].removeprefix("Value error, ")
    name = "_".join(map(str, problem["loc"])).upper()
    return f"BIDDER_{name}: {problem['msg']} (got {problem['input']!r})"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors():
            print(_said(problem), file=sys.stderr)
        return WRONG
    logs.configure(settings.log_format, settings.log_level)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    try:
        return int(options.run(settings, options))
    except _DATA_ERRORS as error:
        print(f"bidder: {error}", file=sys.stderr)
        return WRONG


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bidder",
        description="A low-latency OpenRTB bidder. Settings are environment variables, BIDDER_…; see README.md.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="answer bid requests until SIGTERM or Ctrl-C")
    serve.add_argument(
        "--workers", type=int, choices=range(1, 257), metavar="N", help="processes on the port; default: BIDDER_WORKERS"
    )
    serve.set_defaults(run=_serve)

    checking = commands.add_parser("check", help="say what is wrong with settings, catalog, exchanges, rates, endpoint")
    checking.set_defaults(run=_check)

    features = commands.add_parser("features", help="print the features of a row, in order, and their version, as JSON")
    features.set_defaults(run=_features)

    explaining = commands.add_parser("explain", help="say what becomes of one bid request, rule by rule")
    explaining.add_argument("request", type=Path, help="a bid request, JSON")
    explaining.add_argument("--exchange", default=DEFAULT_EXCHANGE, metavar="NAME", help="default: %(default)s")
    explaining.add_argument("--json", action="store_true", help="all of it, with every feature by name")
    explaining.set_defaults(run=_explain)

    rows = commands.add_parser("rows", help="write the rows that requests would have asked the model about")
    rows.add_argument("requests", type=Path, help="bid requests, one JSON object a line")
    rows.add_argument("out", type=Path, help="the event log to write (CSV with a header line)")
    rows.add_argument("--start", type=float, default=None, metavar="UNIX_S", help="arrival of the first; default: now")
    rows.add_argument("--step", type=float, default=60.0, metavar="S", help="seconds between two; default: 60")
    rows.set_defaults(run=_rows)

    generate = commands.add_parser("generate-catalog", help="write a catalog of made-up campaigns, for load tests")
    generate.add_argument("out", type=Path, help="file to write; ending in .gz: compressed")
    generate.add_argument("--campaigns", type=int, default=10_000, metavar="N")
    generate.add_argument("--seed", type=int, default=1, metavar="N")
    generate.set_defaults(run=_generate)

    compiling = commands.add_parser("compile-catalog", help="check and compile a catalog, for a quick start")
    compiling.add_argument("document", metavar="IN", help="path, or s3://bucket/key")
    compiling.add_argument("out", type=Path, metavar="OUT", help="file to write, for BIDDER_CATALOG_URI")
    compiling.set_defaults(run=_compile)

    hashing = commands.add_parser("hash-profiles", help="turn profiles with raw ids into a profile file without them")
    hashing.add_argument("raw", type=Path, help='JSON lines: {"kind": "buyeruid", "id": "…", "s": ["travel"], …}')
    hashing.add_argument("out", type=Path, help="profile file to write, for BIDDER_PROFILES_PATH or load-profiles")
    hashing.set_defaults(run=_hash_profiles)

    loading = commands.add_parser("load-profiles", help="fill the Redis or Valkey at BIDDER_STATE_URL")
    loading.add_argument("file", type=Path, help="profile file")
    loading.add_argument("--expiry", type=int, default=None, metavar="S", help="forget after so many seconds")
    loading.set_defaults(run=_load_profiles)
    return parser


def _serve(settings: Settings, options: argparse.Namespace) -> int:
    is_worker = settings.worker_peers is not None
    count = options.workers or settings.workers
    if count > 1 and not is_worker:
        with listen(settings.host, settings.port, shared=True) as reserved:
            grace_s = settings.drain_s + settings.stop_s + STOP_RESERVE_S
            return asyncio.run(supervise(count, reserved, grace_s=grace_s))
    with listen(settings.host, settings.port, shared=is_worker) as bound:

        async def serve() -> None:
            async with running(settings) as bidder:
                server = Server(
                    bidder.app,
                    bidder.protocol,
                    keep_alive_s=settings.keep_alive_s,
                    drain_s=settings.drain_s,
                    stop_s=settings.stop_s,
                    on_stop=bidder.readiness.drain,
                )
                if is_worker:
                    leave_with_supervisor(server.stop)
                lines = HistogramLines(
                    settings.emf_namespace,
                    settings.emf_service,
                    bidder.metrics.histograms,
                    lambda line: print(line, flush=True),
                    interval_s=settings.emf_interval_s,
                )
                if settings.emf_namespace:
                    lines.start()
                await server.serve([bound])
                lines.stop()

        sys.setswitchinterval(SWITCH_S)
        uvloop.run(serve())
    return 0


def _check(settings: Settings, _: argparse.Namespace) -> int:
    return 0 if uvloop.run(check(settings)) else 1


def _features(_: Settings, __: argparse.Namespace) -> int:
    print(json.dumps(header(), indent=1))
    return 0


def _explain(settings: Settings, options: argparse.Namespace) -> int:
    async def explain() -> None:
        async with running(settings) as bidder:
            exchange = bidder.exchanges.get(options.exchange)
            if exchange is None:
                known = ", ".join(sorted(bidder.exchanges))
                raise ValueError(f"no exchange {options.exchange!r} is configured; there are: {known}")
            report = await bidder.explainer.explain(options.request.read_bytes(), exchange)
            print(json.dumps(report, indent=1) if options.json else as_text(report))

    uvloop.run(explain())
    return 0


def _rows(settings: Settings, options: argparse.Namespace) -> int:
    async def write() -> None:
        rates = await load_rates_of(settings)
        supply = await load_supply(settings.supply_uri or None, region=settings.aws_region)
        directory = settings.catalog_cache_dir
        catalog = await load(
            settings.catalog_uri, CampaignIndex, rates=rates, region=settings.aws_region, directory=directory
        )
        exchanges = await load_exchanges_of(settings)
        profiles = EmbeddedProfiles(settings.profiles_path)
        await profiles.start()
        with options.requests.open("rb") as bodies, options.out.open("w", newline="") as out:
            counts = write_rows(
                bodies,
                out,
                index=catalog.index,
                exchange=exchanges[DEFAULT_EXCHANGE],
                rates=rates,
                lookup=lambda keys: profiles.lookup(keys, 0.0),
                start_s=time.time() if options.start is None else options.start,
                step_s=options.step,
                per_slot=settings.candidates_per_slot,
                privacy=privacy_of(settings),
                supply=supply,
            )
        await profiles.aclose()
        print(f"{options.out}: {counts['rows']} rows of {counts['requests']} requests, {counts['refused']} refused")

    asyncio.run(write())
    return 0


def _generate(_: Settings, options: argparse.Namespace) -> int:
    written = write_catalog(options.out, campaigns=options.campaigns, seed=options.seed)
    print(f"{options.out}: {written} bytes, {options.campaigns} campaigns, seed {options.seed}")
    return 0


def _compile(settings: Settings, options: argparse.Namespace) -> int:
    async def stored() -> tuple[bytes, Rates]:
        rates = await load_rates_of(settings)
        return await read_document(options.document, region=settings.aws_region), rates

    document, rates = asyncio.run(stored())
    with put_in_place(options.out) as out:
        make_image(document, options.document, rates, out)
    print(f"{options.out}: {options.out.stat().st_size} bytes")
    return 0


def _hash_profiles(_: Settings, options: argparse.Namespace) -> int:
    count = 0
    with options.raw.open() as raw, options.out.open("w") as out:
        for line in hashed_profiles(raw, str(options.raw)):
            out.write(line)
            count += 1
    print(f"{options.out}: {count} profiles")
    return 0


def hashed_profiles(lines: Iterator[str], source: str) -> Iterator[str]:
    """Lines of a profile file. Raises ValueError with the number of the line that cannot be read."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            profile = json.loads(line)
            kind, identifier = profile.pop("kind"), profile.pop("id")
            key = profile_key(kind, identifier.lower() if kind == "ifa" else identifier)
        except (ValueError, KeyError, AttributeError, TypeError):
            example = '{"kind": "buyeruid", "id": "u-1", "s": ["travel"]}'
            raise ValueError(f"{source}:{number}: not a profile with a raw id, as {example}") from None
        yield json.dumps({"key": key} | profile, separators=(",", ":")) + "\n"


def _load_profiles(settings: Settings, options: argparse.Namespace) -> int:
    if settings.state_url == "embedded":
        raise ValueError("BIDDER_STATE_URL is not set: a URL such as redis://127.0.0.1:6379/0 is needed")
    from bidder.state.load import load_profiles  # not needed, and slow to import, elsewhere

    print(f"{load_profiles(options.file, settings.state_url, expiry_s=options.expiry)} profiles written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
