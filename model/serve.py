"""The serving container: SageMaker's inference contract over one model.

    GET  /ping          200 once the model is loaded; the server does not listen before
    POST /invocations   rows in, one probability a row out (formats in wire.py)

The rule: the process answers every request it has accepted, in bounded memory, and says with each answer which
feature list the model was trained on: `X-Amzn-SageMaker-Custom-Attributes: features=<version>`.

One process, one core, one event loop: small batches are scored on the loop itself, since handing 200 us of work to a
thread costs about as much; larger bodies go to one worker thread, so that /ping is answered meanwhile.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvicorn

from model import wire
from model.encoding import EncodingError
from model.predictor import Predictor

MAX_BODY_BYTES = 6_291_456  # SageMaker Runtime's own limit
MAX_DISCARDED_BYTES = 4 * MAX_BODY_BYTES
MAX_IN_FLIGHT = 256  # beyond it 503; bounds the bodies in memory
INLINE_BYTES = 65_536  # about 64 rows of 40 features in CSV
BODY_TIMEOUT_S = 60.0  # SageMaker gives up on an invocation by then
DRAIN_S = 25  # SIGKILL comes 30 s after SIGTERM
KEEP_ALIVE_S = 120  # longer than the callers' pools keep a connection

_DECODERS = {wire.CSV: wire.decode_csv, wire.NPY: wire.decode_npy}
_ANSWERS = (wire.CSV, wire.NPY, wire.JSON)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Refusal(Exception):  # noqa: N818 - not a fault of ours
    """An answer that is no 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ModelApp:
    """The ASGI application. `latency_s`: each invocation takes at least that long, for benches."""

    def __init__(self, predictor: Predictor, latency_s: float = 0.0) -> None:
        self._predictor = predictor
        self._columns = len(predictor.features)
        self._latency_s = latency_s
        self._in_flight = 0
        self._worker = ThreadPoolExecutor(1, "large-batch")
        self._attributes = (b"x-amzn-sagemaker-custom-attributes", b"features=" + predictor.features_version.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request. Whatever is wrong with it is answered in JSON; only a client that left gets nothing."""
        status, media_type = 200, wire.JSON
        try:
            media_type, body = await self._answer(scope, receive)
        except Refusal as refusal:
            status, body = refusal.status, wire.problem(str(refusal))
        except ConnectionError:
            return
        headers = [
            (b"content-type", media_type.encode()),
            (b"content-length", str(len(body)).encode()),
            self._attributes,
        ]
        if status == 413:
            headers.append((b"connection", b"close"))  # the rest of the body is not worth reading
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[str, bytes]:
        path, method = scope["path"], scope["method"]
        allowed = {"/ping": "GET", "/invocations": "POST"}.get(path)
        if allowed is None:
            raise Refusal(404, f"no such path: {path[:100]}; there are GET /ping and POST /invocations")
        if method != allowed:
            raise Refusal(405, f"{path} takes {allowed}")
        if path == "/ping":
            return wire.JSON, b"{}"
        if self._in_flight >= MAX_IN_FLIGHT:
            raise Refusal(503, f"{MAX_IN_FLIGHT} invocations are in flight; try again later")
        self._in_flight += 1
        try:
            return await self._invocation(scope, receive)
        finally:
            self._in_flight -= 1

    async def _invocation(self, scope: Scope, receive: Receive) -> tuple[str, bytes]:
        began = time.monotonic()
        headers = dict(scope["headers"])
        kind = headers.get(b"content-type", b"").split(b";")[0].strip().decode("latin-1").lower()
        if kind not in _DECODERS:
            raise Refusal(415, f"content type {kind[:100]!r} is not read; send {wire.CSV} or {wire.NPY}")
        answer = acceptable(headers.get(b"accept", b"").decode("latin-1"), kind)
        body = await read_body(headers, receive)
        if len(body) <= INLINE_BYTES:
            result = self._score(body, kind, answer)
        else:
            result = await asyncio.get_running_loop().run_in_executor(self._worker, self._score, body, kind, answer)
        if self._latency_s:
            await asyncio.sleep(max(0.0, began + self._latency_s - time.monotonic()))
        return answer, result

    def _score(self, body: bytes, kind: str, answer: str) -> bytes:
        try:
            return wire.encode(self._predictor.predict(_DECODERS[kind](body, self._columns)), answer)
        except (wire.BodyError, EncodingError) as error:
            raise Refusal(400, str(error)) from error


def acceptable(accept: str, kind: str) -> str:
    """The first media type that the Accept header names and we write; by default the request's. Refuses with 406."""
    for part in (accept or "*/*").split(","):
        name = part.split(";")[0].strip().lower()
        if name in _ANSWERS:
            return name
        if name == "*/*" or (name.endswith("/*") and kind.startswith(name[:-1])):
            return kind
    raise Refusal(406, f"none of {accept[:100]!r} is written; accept {', '.join(_ANSWERS)}")


async def read_body(headers: dict[bytes, bytes], receive: Receive) -> bytes:
    """The whole body. Refuses with 413 past the limit and with 408 when it stalls.

    A body somewhat too long is read to its end and dropped: a client still writing would not see the answer.
    """
    too_long = Refusal(413, f"the body is over {MAX_BODY_BYTES} bytes; send fewer rows a call")
    if int(headers.get(b"content-length", b"0")) > MAX_DISCARDED_BYTES:
        raise too_long
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ConnectionError("the client left")
                chunk = message.get("body", b"")
                size += len(chunk)
                if size <= MAX_BODY_BYTES:
                    chunks.append(chunk)
                elif size > MAX_DISCARDED_BYTES or not message.get("more_body", False):
                    raise too_long
                if not message.get("more_body", False):
                    return b"".join(chunks)
    except TimeoutError as error:
        raise Refusal(408, f"the body did not come within {BODY_TIMEOUT_S:g} s") from error


class _Server(uvicorn.Server):
    """Says where it listens once it does, which with port 0 nobody else can know."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            host, port = listener.getsockname()[:2]
            print(f"model serving on http://{host}:{port}", flush=True)


def serve(predictor: Predictor, host: str, port: int, latency_ms: float) -> None:
    """Serves until SIGTERM or SIGINT, then drains and returns. Raises OSError when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=2048) as listener:
        config = uvicorn.Config(
            ModelApp(predictor, latency_ms / 1000),
            loop="uvloop",
            http="httptools",
            lifespan="off",
            ws="none",
            access_log=False,
            log_level="warning",
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=DRAIN_S,
        )
        # uvicorn raises the signal again when it has drained; ended as asked is exit 0, not death by signal.
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.signal(signal.SIGINT, lambda *_: None)
        _Server(config).run(sockets=[listener])
