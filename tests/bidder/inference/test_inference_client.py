"""The whole client against a scripted endpoint: what happens to bids when the endpoint misbehaves."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from bidder.inference import InferenceClient, Limits, StaticCredentials, errors
from bidder.inference.credentials import Credentials, RefreshedCredentials
from bidder.inference.limiter import State

Make = Callable[..., Awaitable[InferenceClient]]


@pytest.fixture
async def client(kit: Any) -> AsyncIterator[Make]:
    """Makes started clients, and closes them before the endpoints go."""
    made: list[InferenceClient] = []

    async def make(url: str, **arguments: Any) -> InferenceClient:
        arguments.setdefault("credentials", StaticCredentials("AKIDLOCAL", "local"))
        arguments.setdefault("limits", Limits(warm_connections=2))
        name = arguments.pop("endpoint_name", "ctr")
        made.append(InferenceClient(name, row_width=3, endpoint_url=url, **arguments))
        await made[-1].start()
        return made[-1]

    yield make
    for one in made:
        await one.aclose()


def _ask(kit: Any, client: InferenceClient, tag: int, within_s: float) -> asyncio.Future[Any]:
    return client.score(kit.tagged(tag), [0.01], asyncio.get_running_loop().time() + within_s)


async def test_score_comes_from_the_endpoint(kit: Any, client: Make) -> None:
    """A bid's scores, their source and the variant that gave them."""

    async def script(request: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(kit.reply(b"0.25\n", x_Amzn_Invoked_Production_Variant="AllTraffic"))

    one = await client((await kit.endpoint(script)).url)
    scores = await _ask(kit, one, 1, kit.patience_s)
    assert (list(scores.values), scores.source, scores.variant) == ([0.25], "sagemaker", "AllTraffic")
    assert one.ready


async def test_without_endpoint_the_priors_answer(kit: Any, client: Make) -> None:
    """No endpoint name: priors only, nothing to connect to, always ready."""
    one = await client("", endpoint_name="")
    assert (await _ask(kit, one, 1, 1.0)).source == "prior"
    assert one.ready
    await one.probe()


async def test_probe_asks_a_row_of_zeros(kit: Any, client: Make) -> None:
    """The probe sends one zero row of the right width."""
    endpoint = await kit.endpoint()
    one = await client(endpoint.url)
    await one.probe(kit.patience_s)
    assert endpoint.requests[0].body == b"0,0,0\n"


async def test_probe_in_float32(kit: Any, client: Make) -> None:
    """With npy rows, the probe is one float32 array."""

    async def script(request: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(kit.reply(b"0.5\n"))

    endpoint = await kit.endpoint(script)
    one = await client(endpoint.url, content_type="application/x-npy")
    await one.probe(kit.patience_s)
    assert endpoint.requests[0].headers["content-type"] == "application/x-npy"
    assert np.array_equal(np.load(io.BytesIO(endpoint.requests[0].body)), np.zeros((1, 3), dtype="<f4"))


async def test_probe_says_what_is_wrong(kit: Any, client: Make) -> None:
    """Features that do not match, and an endpoint that does not exist, are said in the probe's error."""

    async def script(request: Any, writer: asyncio.StreamWriter) -> None:
        if "nowhere" in request.line:
            body = b'{"message":"Endpoint nowhere not found"}'
            writer.write(kit.reply(body, 400, x_amzn_ErrorType="ValidationError"))
        else:
            writer.write(kit.reply(b"0.5\n", X_Amzn_SageMaker_Custom_Attributes="features=old"))

    endpoint = await kit.endpoint(script)
    mismatched = await client(endpoint.url, features_version="new")
    with pytest.raises(errors.FeaturesMismatch, match=r"features=old.*features=new"):
        await mismatched.probe(kit.patience_s)
    absent = await client(endpoint.url, endpoint_name="nowhere")
    with pytest.raises(errors.ValidationError, match="Endpoint nowhere not found"):
        await absent.probe(kit.patience_s)


async def test_other_features_are_never_a_score(kit: Any, client: Make) -> None:
    """A model trained on other features: the prior answers."""

    async def script(request: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(kit.reply(b"0.5\n", X_Amzn_SageMaker_Custom_Attributes="features=old"))

    one = await client((await kit.endpoint(script)).url, features_version="new")
    assert (await _ask(kit, one, 1, kit.patience_s)).source == "prior"
    assert one.lanes[0].stats.errors == {"features_mismatch": 1}


async def test_hanging_endpoint(kit: Any, client: Make) -> None:
    """The endpoint hangs: every bid has its priors by its deadline, one attempt each, in-flight bounded."""

    async def script(request: Any, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    endpoint = await kit.endpoint(script)
    one = await client(endpoint.url, limits=Limits(max_calls=4, max_connections=8, warm_connections=4, max_rows=1))
    results = await asyncio.gather(*[_ask(kit, one, tag, 0.1) for tag in range(50)])
    assert {result.source for result in results} == {"prior"}
    bodies = [request.body for request in endpoint.requests]
    assert len(bodies) == len(set(bodies)) <= 8
    assert one.lanes[0].stats.resends == 0
    assert one.lanes[0].limiter.in_flight == 0


@pytest.mark.parametrize("status", [500, 429, 424, 503, 530])
async def test_failing_endpoint_opens_the_breaker(kit: Any, client: Make, status: int) -> None:
    """Errors all the time: calls stop but for single probes; when the endpoint recovers, so do the bids."""

    async def fail(request: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(kit.reply(b'{"message":"no"}', status))

    endpoint = await kit.endpoint(fail)
    one = await client(endpoint.url)
    limiter = one.lanes[0].limiter
    for tag in range(200):
        assert (await _ask(kit, one, tag, kit.patience_s)).source == "prior"
    assert limiter.opened >= 1
    assert len(endpoint.requests) <= 16 + limiter.opened  # to open it, and one probe each time
    endpoint.script = kit.answer_echo
    loop = asyncio.get_running_loop()
    give_up = loop.time() + kit.patience_s
    while (await _ask(kit, one, 7, kit.patience_s)).source == "prior" or limiter.state is not State.CLOSED:
        assert loop.time() < give_up, "did not recover"
        await asyncio.sleep(0.01)
    assert list((await _ask(kit, one, 8, kit.patience_s)).values) == [8 / 1e6]


async def test_some_calls_late(kit: Any, client: Make) -> None:
    """One call in twenty is late: those bids take priors by their deadline, the rest get scores, the breaker stays."""
    over = asyncio.Event()

    async def script(request: Any, writer: asyncio.StreamWriter) -> None:
        if int(request.body.partition(b",")[0]) % 20 == 0:
            await over.wait()
        writer.write(kit.echo(request))

    one = await client((await kit.endpoint(script)).url)
    late = [await _ask(kit, one, tag, 0.1) for tag in (0, 20)]
    timely = [await _ask(kit, one, tag, kit.patience_s) for tag in range(1, 20)]
    over.set()
    assert {scores.source for scores in late} == {"prior"}
    assert [list(scores.values) for scores in timely] == [[tag / 1e6] for tag in range(1, 20)]
    assert one.lanes[0].limiter.opened == 0


async def test_trickled_body_is_cut(kit: Any, client: Make) -> None:
    """An answer that drips is cut at the deadline, and its connection is closed after the drain bound."""

    async def script(request: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Length: 1000000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"0")
            await asyncio.sleep(0.01)

    endpoint = await kit.endpoint(script)
    one = await client(endpoint.url, limits=Limits(warm_connections=1, drain_s=0.05))
    assert (await _ask(kit, one, 1, 0.1)).source == "prior"
    await kit.until(lambda: one.lanes[0].stats.closed >= 1, "closed")
    assert one.lanes[0].stats.late_drained == 0


@pytest.mark.parametrize("body", [b"", b"0.5\n", b"0.5\n0.5\n0.5\n", b"0.5\nnan\n", b"0.5\n7\n", b"<html>"])
async def test_wrong_answers_fall_back(kit: Any, client: Make, body: bytes) -> None:
    """Too few or too many rows, no probabilities, garbage: the bid takes priors, the connection is not reused."""

    async def script(request: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(kit.reply(body))

    endpoint = await kit.endpoint(script)
    one = await client(endpoint.url, limits=Limits(warm_connections=1))
    deadline_s = asyncio.get_running_loop().time() + kit.patience_s
    for _ in range(2):
        assert (await one.score(kit.tagged(1, 2), [0.01, 0.02], deadline_s)).source == "prior"
    assert len({request.connection for request in endpoint.requests}) == 2
    assert one.lanes[0].stats.errors == {"bad_response": 2}


async def test_endpoint_that_restarts(kit: Any, client: Make) -> None:
    """The endpoint goes away and comes back on its port: priors meanwhile, scores again without help."""
    endpoint = await kit.endpoint()
    one = await client(endpoint.url)
    await _ask(kit, one, 1, kit.patience_s)
    await endpoint.stop()
    assert (await _ask(kit, one, 2, kit.patience_s)).source == "prior"
    await endpoint.start()
    loop = asyncio.get_running_loop()
    give_up = loop.time() + kit.patience_s
    while (await _ask(kit, one, 3, 1.0)).source == "prior":
        assert loop.time() < give_up, "did not recover"
        await asyncio.sleep(0.01)


async def test_expired_credentials(kit: Any, client: Make) -> None:
    """Bids go on while the refresh stalls; once expired, priors and not ready, and nothing is sent unsigned."""
    now_s = [1000.0]
    answers = [(Credentials("AKIDLOCAL", "local"), 2000.0)]

    async def fetch() -> tuple[Credentials, float]:
        if not answers:
            await asyncio.Event().wait()
        return answers.pop()

    source = RefreshedCredentials(fetch, clock=lambda: now_s[0], poll_s=0.0)
    endpoint = await kit.endpoint()
    one = await client(endpoint.url, credentials=source)
    assert (await _ask(kit, one, 1, kit.patience_s)).source == "sagemaker"
    now_s[0] = 2001.0
    assert not one.ready
    assert (await _ask(kit, one, 2, kit.patience_s)).source == "prior"
    with pytest.raises(errors.CredentialsUnavailable, match="expired"):
        await one.probe(kit.patience_s)
    assert len(endpoint.requests) == 1
    assert one.lanes[0].pool.idle == one.lanes[0].pool.open
    assert one.lanes[0].limiter.in_flight == 0


async def test_variants_and_shadow(kit: Any, client: Make) -> None:
    """Variants are asked for by header, each in calls of its own; the shadow endpoint gets copies."""
    endpoint = await kit.endpoint()
    limits = Limits(max_calls=2, warm_connections=1)
    one = await client(
        endpoint.url,
        variants=[("blue", 1.0), ("green", 1.0)],
        shadow_endpoint_name="next",
        shadow_rate=1.0,
        limits=limits,
    )
    for tag in range(40):
        assert list((await _ask(kit, one, tag, kit.patience_s)).values) == [tag / 1e6]
    assert one.cascade.shadow is not None
    shadow = one.cascade.shadow
    await kit.until(lambda: shadow.in_flight == 0, "copies answered")
    lines = [request.line for request in endpoint.requests]
    assert lines.count("POST /endpoints/next/invocations HTTP/1.1") == shadow.answered == 40
    asked = [request.headers.get("x-amzn-sagemaker-target-variant") for request in endpoint.requests]
    assert {"blue", "green", None} == set(asked)


async def test_aclose_ends_everything(kit: Any, client: Make) -> None:
    """Closing fails nothing aloud: the bid in flight takes its priors, no task and no connection stays."""

    async def script(request: Any, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    endpoint = await kit.endpoint(script)
    before = asyncio.all_tasks()
    one = await client(endpoint.url)
    answer = _ask(kit, one, 1, kit.patience_s)
    await kit.until(lambda: endpoint.requests, "sent")
    await one.aclose()
    assert (await answer).source == "prior"
    assert one.lanes[0].pool.open == 0
    await endpoint.stop()
    assert asyncio.all_tasks() <= before
