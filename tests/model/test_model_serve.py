"""The serving container over a real socket: SageMaker's contract, formats, refusals, draining."""

from __future__ import annotations

import http.client
import io
import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from model import artifact, log
from model.predictor import Predictor
from model.serve import MAX_BODY_BYTES

CSV, NPY, JSON = "text/csv", "application/x-npy", "application/json"
Answer = tuple[int, http.client.HTTPMessage, bytes]


@pytest.fixture
def call(server: tuple[str, int]) -> Iterator[Callable[..., Answer]]:
    """One kept-alive connection: call(method, path, body, headers)."""
    connection = http.client.HTTPConnection(*server, timeout=60)

    def request(method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()

    yield request
    connection.close()


@pytest.fixture(scope="module")
def rows(container: Any) -> np.ndarray:
    return log.read(container.log).rows[:200]


@pytest.fixture(scope="module")
def expected(container: Any, rows: np.ndarray) -> np.ndarray:
    return Predictor(artifact.load(container.model)).predict(rows)


def as_csv(table: np.ndarray) -> bytes:
    return "\n".join(",".join(repr(value) for value in line) for line in table.tolist()).encode()


def as_npy(table: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, table)
    return stream.getvalue()


def test_ping_answers_once_the_model_is_loaded(call: Callable[..., Answer]) -> None:
    """The server listens only when it can answer, so /ping is 200."""
    status, _, body = call("GET", "/ping")
    assert (status, body) == (200, b"{}")


def test_csv_gives_one_probability_a_line(call: Callable[..., Answer], rows: np.ndarray, expected: np.ndarray) -> None:
    """Rows of features in, without a header; the float32 probabilities come back exactly."""
    status, headers, body = call("POST", "/invocations", as_csv(rows), Content_Type="text/csv; charset=utf-8")
    assert (status, headers["Content-Type"]) == (200, CSV)
    np.testing.assert_allclose(np.array(body.split(), np.float32), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "shape",
    [
        lambda table: table.astype("<f4"),
        lambda table: table.astype("<f8"),
        lambda table: table.astype(">f4"),
        lambda table: np.asfortranarray(table),
    ],
    ids=["float32", "float64", "big-endian", "fortran"],
)
def test_npy_agrees_with_csv(
    call: Callable[..., Answer], rows: np.ndarray, expected: np.ndarray, shape: Callable[[np.ndarray], np.ndarray]
) -> None:
    """The same rows as an array, in either precision, byte order and memory order, give the same probabilities."""
    status, headers, body = call("POST", "/invocations", as_npy(shape(rows)), Content_Type=NPY)
    answer = np.load(io.BytesIO(body), allow_pickle=False)
    assert (status, headers["Content-Type"]) == (200, NPY)
    assert (answer.dtype, answer.shape) == (np.dtype(np.float32), (len(rows),))
    np.testing.assert_allclose(answer, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("accept", "answered"),
    [(JSON, JSON), ("application/xml, text/csv;q=0.5", CSV), ("*/*", NPY), ("application/*", NPY)],
)
def test_accept_chooses_the_answers_format(
    call: Callable[..., Answer], rows: np.ndarray, expected: np.ndarray, accept: str, answered: str
) -> None:
    """The first acceptable type that we write, by default the request's."""
    status, headers, body = call("POST", "/invocations", as_npy(rows[:3]), Content_Type=NPY, Accept=accept)
    assert (status, headers["Content-Type"]) == (200, answered)
    if answered == JSON:
        assert json.loads(body)["predictions"] == pytest.approx(expected[:3].tolist(), rel=1e-6)


def test_every_answer_names_the_feature_list(call: Callable[..., Answer], container: Any, rows: np.ndarray) -> None:
    """The bidder can tell from any answer, also from an error, which features the model was trained on."""
    version = log.read(container.log).header.features_version
    answers = [
        call("GET", "/ping"),
        call("POST", "/invocations", as_csv(rows[:1]), Content_Type=CSV),
        call("POST", "/invocations", b"1,2", Content_Type=CSV),
    ]
    assert [status for status, _, _ in answers] == [200, 200, 400]
    assert {headers["X-Amzn-SageMaker-Custom-Attributes"] for _, headers, _ in answers} == {f"features={version}"}


def test_a_large_batch_is_one_answer(call: Callable[..., Answer], rows: np.ndarray, expected: np.ndarray) -> None:
    """Thousands of rows go through the worker thread and come back in order."""
    status, _, body = call("POST", "/invocations", as_npy(np.tile(rows, (50, 1))), Content_Type=NPY)
    assert status == 200
    np.testing.assert_allclose(np.load(io.BytesIO(body)), np.tile(expected, 50), rtol=1e-6)


def with_value(table: np.ndarray, value: float) -> np.ndarray:
    changed = table[:2].astype(np.float64)
    changed[1, 3] = value
    return changed


def claiming(shape: str, data: bytes) -> bytes:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


@pytest.mark.parametrize(
    ("build", "kind", "complaint"),
    [
        (lambda rows: b"", CSV, "the body is empty, expected lines of 40 numbers"),
        (lambda rows: b"1,2,3", CSV, "line 1 has 3 columns, expected 40"),
        (lambda rows: as_csv(rows[:1]) + b"\n1", CSV, "line 2 has 1 columns, expected 40"),
        (lambda rows: b",".join([b"x"] * 40), CSV, "no number"),
        (lambda rows: "é".encode(), CSV, "not ASCII"),
        (lambda rows: as_csv(with_value(rows, np.nan)), CSV, "row 2, column 4 is nan, expected a finite float32"),
        (lambda rows: as_npy(with_value(rows, np.inf)), NPY, "row 2, column 4 is inf"),
        (lambda rows: as_npy(with_value(rows, 1e39)), NPY, "row 2, column 4 is 1e+39"),
        (lambda rows: as_npy(rows[:, :39]), NPY, "shape (200, 39), expected (rows, 40)"),
        (lambda rows: as_npy(rows[0]), NPY, "shape (40,), expected (rows, 40)"),
        (lambda rows: as_npy(rows[:0]), NPY, "shape (0, 40)"),
        (lambda rows: as_npy(rows.astype(np.int64)), NPY, "'<i8', expected float32"),
        (lambda rows: as_npy(rows)[:-4], NPY, "bytes, expected 32000"),
        (lambda rows: claiming("(10000000000, 40)", b"1234"), NPY, "data is 4 bytes"),
        (lambda rows: claiming("(1, 40", b""), NPY, "header cannot be read"),
        (lambda rows: claiming("[1, 40]", b""), NPY, "header cannot be read"),
        (lambda rows: claiming("(" * 2_000, b""), NPY, "header cannot be read"),
        (lambda rows: claiming("(-1, 40)", b""), NPY, "expected (rows, 40)"),
        (lambda rows: b"\x93NUMPY\x01\x00\xff\xff{'descr'", NPY, "cut off"),
        (lambda rows: b"PK\x03\x04 a zip of pickles", NPY, "no .npy file"),
    ],
)
def test_a_bad_body_is_a_400_that_says_why(
    call: Callable[..., Answer], rows: np.ndarray, build: Callable[[np.ndarray], bytes], kind: str, complaint: str
) -> None:
    """Nothing is guessed: the answer is JSON with what was wrong and what would be right; the connection is kept."""
    status, headers, body = call("POST", "/invocations", build(rows), Content_Type=kind)
    assert (status, headers["Content-Type"]) == (400, JSON)
    assert complaint in json.loads(body)["error"]
    assert call("GET", "/ping")[0] == 200


def test_a_category_that_is_no_hash_is_a_400(call: Callable[..., Answer], container: Any, rows: np.ndarray) -> None:
    """A negative category means that caller and model disagree on the row."""
    bad = rows[:1].copy()
    bad[0, log.read(container.log).header.features.index("site")] = -5
    status, _, body = call("POST", "/invocations", as_npy(bad), Content_Type=NPY)
    assert status == 400
    assert "a category is outside 0..16777215" in json.loads(body)["error"]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/invocations", {"Content_Type": "application/xml"}, 415),
        ("POST", "/invocations", {}, 415),
        ("POST", "/invocations", {"Content_Type": CSV, "Accept": "image/png"}, 406),
        ("GET", "/invocations", {}, 405),
        ("POST", "/ping", {}, 405),
        ("GET", "/", {}, 404),
    ],
)
def test_other_refusals_have_their_status(
    call: Callable[..., Answer], method: str, path: str, headers: dict[str, str], status: int
) -> None:
    """Type not read, type not written, wrong method, no such path: each a JSON error."""
    found, _, body = call(method, path, b"1" if method == "POST" else None, **headers)
    assert found == status
    assert json.loads(body)["error"]


def test_a_body_over_the_limit_is_a_413(call: Callable[..., Answer]) -> None:
    """SageMaker's own limit of 6,291,456 bytes; the server goes on."""
    status, _, body = call("POST", "/invocations", b"1" * (MAX_BODY_BYTES + 1), Content_Type=CSV)
    assert status == 413
    assert "over 6291456 bytes" in json.loads(body)["error"]
    assert call("GET", "/ping")[0] == 200


def test_an_absurd_announcement_is_refused_unread(server: tuple[str, int]) -> None:
    """A Content-Length of a gigabyte is answered before a byte of it comes."""
    with socket.create_connection(server, timeout=60) as connection:
        connection.sendall(
            b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nContent-Length: 1073741824\r\n\r\n"
        )
        assert connection.recv(64).startswith(b"HTTP/1.1 413 ")


def test_sigterm_drains_and_exits_0(container: Any, serving: Any, rows: np.ndarray) -> None:
    """A call in flight is answered, an idle connection is closed, and the process ends as asked."""
    with serving("--model-dir", container.model, "--port", 0, "--latency-ms", 400) as (process, host, port):
        working = http.client.HTTPConnection(host, port, timeout=60)
        idle = http.client.HTTPConnection(host, port, timeout=60)
        try:
            working.request("GET", "/ping")
            working.getresponse().read()
            working.request("POST", "/invocations", as_npy(rows[:2]), {"Content-Type": NPY})
            idle.request("GET", "/ping")  # answered, so the loop has read what came before it
            idle.getresponse().read()
            process.send_signal(signal.SIGTERM)
            answer = working.getresponse()
            assert answer.status == 200
            assert len(np.load(io.BytesIO(answer.read()))) == 2
            assert process.wait(40) == 0
        finally:
            working.close()
            idle.close()


def test_the_port_and_the_fixed_latency_come_as_told(container: Any, serving: Any, rows: np.ndarray) -> None:
    """SAGEMAKER_BIND_TO_PORT is the port, SM_MODEL_DIR the model; --latency-ms is the least that a call takes."""
    places = {"SAGEMAKER_BIND_TO_PORT": "0", "SM_MODEL_DIR": str(container.model)}
    with serving("--host", "127.0.0.1", "--latency-ms", 80, env=places) as (_, host, port):
        connection = http.client.HTTPConnection(host, port, timeout=60)
        try:
            began = time.monotonic()
            connection.request("POST", "/invocations", as_csv(rows[:1]), {"Content-Type": CSV})
            assert connection.getresponse().status == 200
            assert time.monotonic() - began >= 0.08
        finally:
            connection.close()
    assert host == "127.0.0.1"
