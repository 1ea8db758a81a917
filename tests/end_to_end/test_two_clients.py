"""The bidder's own SageMaker client and boto3's, side by side against the same endpoint."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aioboto3
import boto3
import pytest
from botocore.config import Config

from bidder.domain import Rows
from bidder.inference import InferenceClient, InferenceError, StaticCredentials
from bidder.inference.payload import NPY
from bidder.stages.features import CATEGORICAL, FEATURES, FEATURES_VERSION
from loadtest.stack import ENDPOINT_NAME, REGION, Stack

KEYS = {"aws_access_key_id": "AKIDLOCAL", "aws_secret_access_key": "local", "region_name": REGION}
TIMEOUT_S = 30.0
CALLS = 50


@pytest.fixture
def sagemaker(stack: Stack) -> Iterator[Any]:
    client = boto3.client(
        "sagemaker-runtime", endpoint_url=stack.sagemaker_url, config=Config(retries={"max_attempts": 0}), **KEYS
    )
    yield client
    client.close()


@pytest.fixture
async def own(stack: Stack) -> AsyncIterator[InferenceClient]:
    client = make_client(stack)
    await client.start()
    yield client
    await client.aclose()


def make_client(stack: Stack, *, secret: str = "local", features_version: str = FEATURES_VERSION) -> InferenceClient:
    return InferenceClient(
        ENDPOINT_NAME,
        row_width=len(FEATURES),
        region=REGION,
        endpoint_url=stack.sagemaker_url,
        credentials=StaticCredentials("AKIDLOCAL", secret),
        content_type=NPY,
        accept=NPY,
        features_version=features_version,
    )


def rows(rng: random.Random) -> list[list[float]]:
    hashed = set(CATEGORICAL)
    return [
        [float(rng.randrange(1 << 24)) if name in hashed else float(rng.randrange(30)) for name in FEATURES]
        for _ in range(rng.randint(1, 20))
    ]


async def test_both_clients_get_the_same_scores(sagemaker: Any, own: InferenceClient) -> None:
    """Random rows: boto3 by CSV, the bidder by NPY; as many scores, equal to the precision of float32."""
    rng = random.Random(5)
    loop = asyncio.get_running_loop()
    for _ in range(CALLS):
        matrix = rows(rng)
        csv = "".join(",".join(map(repr, row)) + "\n" for row in matrix)
        body = struct.pack(f"<{len(matrix) * len(FEATURES)}f", *(value for row in matrix for value in row))
        scores = await own.score(Rows(len(matrix), body), [0.5] * len(matrix), loop.time() + TIMEOUT_S)
        answer = await asyncio.to_thread(
            sagemaker.invoke_endpoint, EndpointName=ENDPOINT_NAME, Body=csv, ContentType="text/csv", Accept="text/csv"
        )
        expected = [float(line) for line in answer["Body"].read().decode().split()]
        assert scores.source == "sagemaker"
        assert scores.variant == answer["InvokedProductionVariant"]
        assert answer["CustomAttributes"] == f"features={FEATURES_VERSION}"
        assert list(scores.values) == pytest.approx(expected, rel=1e-6)


async def test_aioboto3_gets_them_too(stack: Stack) -> None:
    """The client that supplies the bidder's credentials works against the same wire."""
    line = ",".join("1" for _ in FEATURES)
    async with aioboto3.Session().client("sagemaker-runtime", endpoint_url=stack.sagemaker_url, **KEYS) as client:
        answer = await client.invoke_endpoint(EndpointName=ENDPOINT_NAME, Body=line, ContentType="text/csv")
        async with answer["Body"] as body:
            (score,) = (await body.read()).split()
    assert 0 < float(score) < 1


async def test_a_wrong_secret_is_refused(stack: Stack) -> None:
    """By signature; the bidder says so, and answers with priors."""
    client = make_client(stack, secret="other")
    await client.start()
    with pytest.raises(InferenceError, match=r"(?i)signature"):
        await client.probe()
    body = struct.pack(f"<{len(FEATURES)}f", *[0.0] * len(FEATURES))
    scores = await client.score(Rows(1, body), [0.25], asyncio.get_running_loop().time() + TIMEOUT_S)
    await client.aclose()
    assert (scores.source, list(scores.values)) == ("prior", [0.25])


async def test_a_model_of_other_features_is_never_believed(stack: Stack) -> None:
    """The endpoint names the features that it learned from; they must be the bidder's."""
    client = make_client(stack, features_version="000000000000")
    await client.start()
    with pytest.raises(InferenceError, match="features"):
        await client.probe()
    await client.aclose()
