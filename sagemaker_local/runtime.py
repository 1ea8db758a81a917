"""The way of a call: who asks → which endpoint → what is to go wrong → a container → the answer.

Rule: every call is answered with what InvokeEndpoint may answer; anything unforeseen is logged and an InternalFailure.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import Counter
from typing import Final

from . import faults, wire
from .admin import Admin
from .config import Config
from .containers import Answer, ContainerDownError, ContainerError
from .endpoints import Endpoint, Endpoints, Variant
from .errors import ServiceError
from .faults import FaultInjector
from .server import Reply, Request
from .signature import SignatureVerifier

HANG_LIMIT_S: Final = 300.0  # then the connection closes: even a hang is bounded

logger = logging.getLogger(__name__)


class Runtime:
    """The application behind `server.Server`."""

    def __init__(self, config: Config, endpoints: Endpoints) -> None:
        self._config = config
        self._endpoints = endpoints.by_name
        self._verifier = SignatureVerifier(config.credentials, config.region)
        self._refused: Counter[str] = Counter()
        self._admin = Admin(endpoints.by_name, self._refused)

    def idle_timeout_s(self, path: bytes) -> float:
        endpoint = self._endpoints.get(wire.endpoint_name(path) or "")
        close_s = endpoint.injector.settings.idle_close_s if endpoint is not None else None
        return self._config.idle_timeout_s if close_s is None else close_s

    async def answer(self, request: Request) -> Reply | None:
        request_id = str(uuid.uuid4())
        try:
            if request.path.startswith(b"/_local/"):
                return self._admin.answer(request)
            return await self._answer(request, request_id)
        except Exception:
            logger.exception("call %s failed inside sagemaker_local", request_id)
            return wire.error_answer(ServiceError("InternalFailure", "An internal failure occurred."), request_id)

    async def _answer(self, request: Request, request_id: str) -> Reply | None:
        try:
            endpoint, headers = self._authorise(request)
        except ServiceError as error:
            self._refused[error.name] += 1
            return wire.error_answer(error, request_id)
        endpoint.calls += 1
        status = "500"
        try:
            reply = await self._invoke(endpoint, request, headers, request_id)
            if reply is not None and reply.status == 200:
                endpoint.took_s.append(time.perf_counter() - request.whole_at_s)
            status = str(reply.status) if reply else "closed"
            return reply
        except ServiceError as error:
            status = str(error.status)
            endpoint.by_error[error.name] += 1
            return wire.error_answer(error, request_id)
        except asyncio.CancelledError:
            status = "cancelled"
            raise
        finally:
            endpoint.by_status[status] += 1

    def _authorise(self, request: Request) -> tuple[Endpoint, list[tuple[bytes, bytes]]]:
        name = wire.checked_endpoint_name(request)
        self._verifier.verify(request, time.time())
        headers = wire.container_headers(request.headers)
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            raise ServiceError("ValidationError", f"Endpoint {name} of account {self._config.account_id} not found.")
        return endpoint, headers

    async def _invoke(
        self, endpoint: Endpoint, request: Request, headers: list[tuple[bytes, bytes]], request_id: str
    ) -> Reply | None:
        target = request.headers.get(wire.TARGET_VARIANT)
        variant = endpoint.choose_variant(target.decode() if target else None)
        variant.calls += 1
        injector = endpoint.injector_of(variant)
        if not injector.admit():
            raise ServiceError("ThrottlingException", "Rate exceeded")
        if delay_s := injector.draw_delay_s():
            await asyncio.sleep(delay_s)
        fault = injector.draw_fault()
        if fault is not None:
            endpoint.by_fault[fault] += 1
            if fault == faults.HANG:
                await asyncio.sleep(HANG_LIMIT_S)
            if fault in (faults.HANG, faults.CLOSE):
                return None
            if fault not in faults.SPOILT_ANSWERS:
                raise self._injected_error(endpoint, fault)
        answer = await self._ask_container(endpoint, variant, headers, request.body)
        reply = wire.answer(answer.body, answer.headers, variant.name, request_id)
        if fault is not None:
            _spoil(reply, fault, injector, answer)
        return reply

    async def _ask_container(
        self, endpoint: Endpoint, variant: Variant, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> Answer:
        try:
            answer = await variant.pick_instance().invoke(headers, body, self._config.model_timeout_s)
        except TimeoutError:
            raise self._model_error(
                endpoint, 0, "Your invocation timed out while waiting for a response from container primary."
            ) from None
        except ContainerDownError as error:
            raise ServiceError(
                "ServiceUnavailable", f"No container of variant {variant.name} can be reached: {error}"
            ) from error
        except ContainerError as error:
            raise self._model_error(endpoint, 0, f"No response could be had from the container: {error}.") from error
        if answer.status != 200:
            raise self._model_error(endpoint, answer.status, answer.body.decode("utf-8", "replace"))
        return answer

    def _injected_error(self, endpoint: Endpoint, name: str) -> ServiceError:
        if name == "ModelError":
            return self._model_error(endpoint, 500, "an error on demand")
        return ServiceError(name, f"{name} on demand")

    def _model_error(self, endpoint: Endpoint, status: int, message: str) -> ServiceError:
        return wire.model_error(endpoint.name, self._config.region, self._config.account_id, status, message)


def _spoil(reply: Reply, fault: str, injector: FaultInjector, answer: Answer) -> None:
    if fault == faults.GARBAGE:
        reply.body = injector.garbage(len(reply.body))
    elif fault == faults.TRUNCATE:
        reply.body = faults.truncate_rows(reply.body, answer.headers.get(b"content-type", b""))
    elif fault == faults.TRICKLE:
        reply.bytes_per_s = injector.settings.trickle_bytes_per_s
