"""Endpoints, their weighted variants and the instances behind them; who gets a call, and how calls went.

Rule: a variant is chosen by weight alone, as the real service does; one whose instances are not ready fails its calls.
Bodies are opaque here, so calls are counted, rows are not.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from math import ceil
from typing import Any, Final

from .canned import SCHEME, CannedInstance
from .config import Config, EndpointConfig, Faults, VariantConfig
from .containers import Instance, State
from .errors import ServiceError
from .faults import FaultInjector

KEPT_LATENCIES: Final = 16_384


class Variant:
    def __init__(self, variant: VariantConfig, routing: str, config: Config, rng: random.Random) -> None:
        self.name = variant.name
        self.weight = variant.weight
        self.calls = 0
        self.injector = FaultInjector(variant.faults, rng) if variant.faults is not None else None
        self.instances: list[Instance | CannedInstance] = [
            CannedInstance(url)
            if url.startswith(SCHEME)
            else Instance(url, config.max_container_connections, config.ping_interval_s)
            for url in variant.instances
        ]
        self._least_outstanding = routing == "LEAST_OUTSTANDING_REQUESTS"
        self._rng = rng

    def pick_instance(self) -> Instance | CannedInstance:
        """Raises ModelNotReadyException while a container starts, ServiceUnavailable where none can be reached."""
        ready = [instance for instance in self.instances if instance.state is State.READY]
        if not ready:
            if any(instance.state is State.NOT_READY for instance in self.instances):
                raise ServiceError(
                    "ModelNotReadyException", f"The containers of variant {self.name} do not answer /ping with 200 yet."
                )
            raise ServiceError("ServiceUnavailable", f"No container of variant {self.name} can be reached.")
        if self._least_outstanding and len(ready) > 1:
            fewest = min(instance.outstanding for instance in ready)
            ready = [instance for instance in ready if instance.outstanding == fewest]
        return ready[0] if len(ready) == 1 else self._rng.choice(ready)


class Endpoint:
    """One endpoint and its counts.

    `calls` is the sum of `by_status` and the calls under way. `by_status` also has "closed" (no answer was sent) and
    "cancelled" (the caller left). `took_s`: the latest calls that were answered with scores, from the whole request
    being there to its answer being handed to the connection: what Amazon calls model latency and overhead latency.
    """

    def __init__(self, name: str, endpoint: EndpointConfig, config: Config, rng: random.Random) -> None:
        self.name = name
        self.variants = {v.name: Variant(v, endpoint.routing, config, rng) for v in endpoint.variants}
        self.injector = FaultInjector(endpoint.faults, rng)
        self.calls = 0
        self.by_status: Counter[str] = Counter()
        self.by_error: Counter[str] = Counter()
        self.by_fault: Counter[str] = Counter()
        self.took_s: deque[float] = deque(maxlen=KEPT_LATENCIES)
        self._rng = rng
        self._chosen = list(self.variants.values())
        self._weights = [variant.weight for variant in self._chosen]

    def choose_variant(self, target: str | None) -> Variant:
        """The target variant if one is named, else one by weight. Raises ValidationError."""
        if target is None:
            return self._chosen[0] if len(self._chosen) == 1 else self._rng.choices(self._chosen, self._weights)[0]
        variant = self.variants.get(target)
        if variant is None:
            raise ServiceError(
                "ValidationError",
                f"Variant {target} not found for endpoint {self.name}; it has {', '.join(self.variants)}.",
            )
        return variant

    def injector_of(self, variant: Variant) -> FaultInjector:
        return variant.injector or self.injector

    def set_faults(self, faults: Faults) -> None:
        self.injector = FaultInjector(faults, self._rng)

    def set_variant_faults(self, variant: Variant, faults: Faults | None) -> None:
        variant.injector = FaultInjector(faults, self._rng) if faults is not None else None

    @property
    def instances(self) -> list[Instance | CannedInstance]:
        return [instance for variant in self.variants.values() for instance in variant.instances]

    def latency(self) -> dict[str, float | None]:
        """How long the calls of `took_s` took, in milliseconds; None: there were none."""
        ordered = sorted(self.took_s)

        def ms(share: float) -> float | None:
            return round(ordered[ceil(share * len(ordered)) - 1] * 1000, 3) if ordered else None

        return {"calls": len(ordered), "p50_ms": ms(0.5), "p99_ms": ms(0.99), "max_ms": ms(1)}

    def snapshot(self) -> dict[str, Any]:
        return {
            "calls": self.calls,
            "by_variant": {name: variant.calls for name, variant in self.variants.items()},
            "by_status": dict(self.by_status),
            "by_error": dict(self.by_error),
            "by_fault": dict(self.by_fault),
            "faults": self.injector.settings.model_dump(),
            "variants": {
                name: {
                    "weight": variant.weight,
                    "faults": variant.injector.settings.model_dump() if variant.injector else None,
                    "instances": [
                        {"url": i.url, "state": i.state.value, "outstanding": i.outstanding} for i in variant.instances
                    ],
                }
                for name, variant in self.variants.items()
            },
        }


class Endpoints:
    """All endpoints, by name, and the tasks that ping their containers."""

    def __init__(self, config: Config) -> None:
        rng = random.Random(config.seed)
        self.by_name = {name: Endpoint(name, endpoint, config, rng) for name, endpoint in config.endpoints.items()}
        self._watchers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Ping every container once, so that those which are up serve from the first call on; then keep pinging."""
        instances = [instance for endpoint in self.by_name.values() for instance in endpoint.instances]
        await asyncio.gather(*(instance.ping() for instance in instances))
        self._watchers = [asyncio.create_task(instance.watch()) for instance in instances]

    async def stop(self) -> None:
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        for endpoint in self.by_name.values():
            for instance in endpoint.instances:
                instance.close()
