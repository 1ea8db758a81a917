"""The way in for whoever runs the machine: look at the counts, change the faults. Rule: from loopback only, unsigned.

GET    /_local/ready                    200 when every variant has a ready container, else 503
GET    /_local/endpoints                all of them: counts, faults, containers; and which calls were refused
GET    /_local/endpoints/{name}         one of them
GET    /_local/endpoints/{name}/latency  of its latest calls, in milliseconds; DELETE forgets them
PUT    /_local/endpoints/{name}/faults  replace its faults (JSON of `config.Faults`; `{}` clears them)
PUT    /_local/endpoints/{name}/variants/{variant}/faults  a variant's own, instead of the endpoint's
DELETE either of these                  clear them; a variant has the endpoint's again

Names of endpoints hold no underscore, so no path of the wire begins with /_local.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from .config import Faults, VariantFaults, describe
from .containers import State
from .endpoints import Endpoint
from .server import Reply, Request


class _AdminError(Exception):
    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class Admin:
    def __init__(self, endpoints: Mapping[str, Endpoint], refused: Counter[str]) -> None:
        self._endpoints = endpoints
        self._refused = refused

    def answer(self, request: Request) -> Reply:
        try:
            if not request.from_loopback:
                raise _AdminError(403, "/_local is for clients on this machine only")
            return _json(*self._route(request))
        except _AdminError as error:
            return _json(error.status, {"message": str(error)})

    def _route(self, request: Request) -> tuple[int, Any]:
        method = request.method.decode()
        match method, request.path.decode("latin-1").removeprefix("/_local/").split("/"):
            case "GET", ["ready"]:
                return self._ready()
            case "GET", ["endpoints"]:
                shown = {name: endpoint.snapshot() for name, endpoint in self._endpoints.items()}
                return 200, {"endpoints": shown, "refused": dict(self._refused)}
            case "GET", ["endpoints", name]:
                return 200, self._endpoint(name).snapshot()
            case "GET", ["endpoints", name, "latency"]:
                return 200, self._endpoint(name).latency()
            case "DELETE", ["endpoints", name, "latency"]:
                self._endpoint(name).took_s.clear()
                return 200, self._endpoint(name).latency()
            case "PUT" | "DELETE", ["endpoints", name, "faults"]:
                faults = _faults(request.body, Faults) if method == "PUT" else Faults()
                self._endpoint(name).set_faults(faults)
                return 200, faults.model_dump()
            case "PUT" | "DELETE", ["endpoints", name, "variants", variant_name, "faults"]:
                endpoint = self._endpoint(name)
                variant = endpoint.variants.get(variant_name)
                if variant is None:
                    raise _AdminError(
                        404, f"endpoint {name} has no variant {variant_name!r}; it has {', '.join(endpoint.variants)}"
                    )
                own_faults = _faults(request.body, VariantFaults) if method == "PUT" else None
                endpoint.set_variant_faults(variant, own_faults)
                return 200, own_faults.model_dump() if own_faults is not None else None
        raise _AdminError(404, f"{method} {request.path.decode('latin-1')} is not served here")

    def _endpoint(self, name: str) -> Endpoint:
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            raise _AdminError(404, f"no endpoint {name!r}; there are {', '.join(self._endpoints) or 'none'}")
        return endpoint

    def _ready(self) -> tuple[int, Any]:
        missing = [
            f"{endpoint.name}/{variant.name}"
            for endpoint in self._endpoints.values()
            for variant in endpoint.variants.values()
            if not any(instance.state is State.READY for instance in variant.instances)
        ]
        return (503, {"ready": False, "without a ready container": missing}) if missing else (200, {"ready": True})


F = TypeVar("F", bound=Faults)


def _faults(body: bytes, kind: type[F]) -> F:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise _AdminError(400, describe(error)) from error


def _json(status: int, value: Any) -> Reply:
    return Reply(status, [(b"Content-Type", b"application/json")], json.dumps(value).encode() + b"\n")
