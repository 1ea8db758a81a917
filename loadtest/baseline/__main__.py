"""`python -m loadtest.baseline`: serves with one worker, set up by the bidder's own variables.

BASELINE_FEATURES names a file with what `python -m bidder features` prints; BIDDER_CATALOG_URI and BIDDER_RATES_URI
are paths here. Exit 0 after SIGTERM or SIGINT, 2 where a variable is missing.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import uvicorn

from loadtest.baseline.app import Features, Settings, make_app
from loadtest.baseline.campaigns import Catalog
from loadtest.verify import Rates

DATA = Path(__file__).resolve().parents[2] / "bidder" / "data"
KEEP_ALIVE_S = 180


class _Server(uvicorn.Server):
    """Says where it listens once it does, which with port 0 nobody else can know."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            host, port = listener.getsockname()[:2]
            print(f"baseline serving on http://{host}:{port}", flush=True)


def main(environment: Mapping[str, str] = os.environ) -> int:
    missing = [name for name in ("BASELINE_FEATURES", "BIDDER_ENDPOINT_NAME") if not environment.get(name)]
    if missing:
        print(f"baseline: {', '.join(missing)} must be set; see the text of this module", file=sys.stderr)
        return 2
    listed = json.loads(Path(environment["BASELINE_FEATURES"]).read_bytes())
    dollars = Rates.load(Path(environment.get("BIDDER_RATES_URI") or DATA / "rates.json")).dollars
    catalog = Path(environment.get("BIDDER_CATALOG_URI") or DATA / "demo_catalog.json")
    settings = Settings(
        endpoint_name=environment["BIDDER_ENDPOINT_NAME"],
        endpoint_url=environment.get("BIDDER_ENDPOINT_URL") or None,
        region=environment.get("BIDDER_AWS_REGION") or "us-east-1",
        notice_url=environment.get("BIDDER_NOTICE_URL", "").rstrip("/"),
        default_tmax_ms=int(environment.get("BIDDER_DEFAULT_TMAX_MS") or 100),
        network_margin_ms=int(environment.get("BIDDER_NETWORK_MARGIN_MS") or 10),
        candidates_per_imp=int(environment.get("BIDDER_CANDIDATES_PER_SLOT") or 8),
    )
    features = Features(listed["features"], listed["features_version"])
    app = make_app(settings, Catalog(catalog.read_bytes(), dollars), dollars, features)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_level="warning",
        backlog=2048,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    # uvicorn raises the signal again when it has drained; ended as asked is exit 0, not death by signal.
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, lambda *_: None)
    host, port = environment.get("BIDDER_HOST") or "127.0.0.1", int(environment.get("BIDDER_PORT") or 8080)
    with socket.create_server((host, port), backlog=2048) as listener:
        _Server(config).run(sockets=[listener])
    return 0


if __name__ == "__main__":
    sys.exit(main())
