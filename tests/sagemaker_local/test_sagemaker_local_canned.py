"""The canned model: right-sized answers in the caller's format, without a container."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest

from sagemaker_local.canned import SCORE, parse


def npy(rows: int, columns: int) -> bytes:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}".encode()
    header = header.ljust(-(len(header) + 11) % 64 + len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(4 * rows * columns)


@pytest.fixture(scope="module")
def canned(start_service: Any, make_client: Any) -> Any:
    with start_service(["--endpoint", "ctr=canned:0,features=abc"]) as service:
        client = make_client(service.url)
        yield client
        client.close()


@pytest.mark.parametrize("rows", [1, 7, 500])
def test_csv_rows_get_a_score_each(canned: Any, rows: int):
    """With and without a last line feed, one number a line, in the format that came."""
    for body in (b"1,2,3\n" * rows, (b"1,2,3\n" * rows)[:-1]):
        answer = canned.invoke_endpoint(EndpointName="ctr", ContentType="text/csv", Accept="*/*", Body=body)
        assert answer["ContentType"] == "text/csv"
        assert [float(line) for line in answer["Body"].read().split()] == [SCORE] * rows


def test_npy_rows_get_an_array_of_scores(canned: Any):
    """float32 of shape (rows,), as NumPy reads it."""
    np = pytest.importorskip("numpy")
    kind = "application/x-npy"
    answer = canned.invoke_endpoint(EndpointName="ctr", ContentType=kind, Accept=kind, Body=npy(5, 3))
    scores = np.load(io.BytesIO(answer["Body"].read()))
    assert (answer["ContentType"], scores.dtype, scores.tolist()) == (kind, np.float32, [SCORE] * 5)


def test_the_attributes_are_those_it_was_given(canned: Any):
    """What a model container would say of its features."""
    answer = canned.invoke_endpoint(EndpointName="ctr", ContentType="text/csv", Body=b"1\n")
    assert answer["CustomAttributes"] == "features=abc"


def test_a_body_whose_rows_cannot_be_counted_is_a_model_error(canned: Any):
    """As a container's 415 is."""
    with pytest.raises(canned.exceptions.ModelError) as caught:
        canned.invoke_endpoint(EndpointName="ctr", ContentType="image/png", Body=b"?")
    assert caught.value.response["OriginalStatusCode"] == 415


def test_the_delay_is_in_milliseconds():
    """With or without a fraction; anything else is no canned model."""
    assert parse("canned:3") == (0.003, b"")
    assert parse("canned:2.5,features=x") == (0.0025, b"features=x")
    for wrong in ("canned:", "canned:x", "canned:-1", "canned:3,"):
        with pytest.raises(ValueError, match="write canned:MS"):
            parse(wrong)


def test_the_endpoint_says_what_its_calls_took(start_service: Any, make_client: Any):
    """Of those with scores; forgotten on demand."""
    with start_service(["--endpoint", "ctr=canned:20"]) as service:
        client = make_client(service.url)
        none = {"calls": 0, "p50_ms": None, "p99_ms": None, "max_ms": None}
        assert service.admin("GET", "endpoints/ctr/latency") == (200, none)
        for kind in ("text/csv", "text/csv", "text/csv", "image/png"):
            try:
                client.invoke_endpoint(EndpointName="ctr", ContentType=kind, Body=b"1\n")
            except client.exceptions.ModelError:
                assert kind == "image/png"
        status, latency = service.admin("GET", "endpoints/ctr/latency")
        assert (status, latency["calls"]) == (200, 3)
        assert 10 <= latency["p50_ms"] <= latency["p99_ms"] == latency["max_ms"]  # timers are coarse
        assert service.admin("DELETE", "endpoints/ctr/latency") == (200, none)
        client.close()
