"""Bodies: what is sent reads back in numpy, what comes is read strictly or refused."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidder.inference import payload
from bidder.inference.errors import BadResponse


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@given(st.integers(1, 40), st.integers(1, 60), st.integers(1, 5))
def test_npy_request_is_what_numpy_reads(rows: int, width: int, blocks: int) -> None:
    """The joined blocks are one float32 array of shape (rows, width), with the data aligned to 64 bytes."""
    blocks = min(blocks, rows)
    array = np.arange(rows * width, dtype="<f4").reshape(rows, width)
    body = payload.encode(payload.NPY, [part.tobytes() for part in np.array_split(array, blocks)], rows)
    assert np.array_equal(np.load(io.BytesIO(body)), array)
    assert (len(body) - array.nbytes) % 64 == 0


def test_csv_request_joins_lines() -> None:
    """CSV blocks are joined as they are; a single one is not copied."""
    assert payload.encode(payload.CSV, [b"1,2\n", b"3,4\n5,6\n"], 3) == b"1,2\n3,4\n5,6\n"
    body = b"1,2\n"
    assert payload.encode(payload.CSV, [body], 1) is body


def test_zero_row() -> None:
    """A probe's row has the right width in both formats."""
    assert payload.zero_row(payload.CSV, 3) == b"0,0,0\n"
    assert payload.zero_row(payload.NPY, 3) == bytes(12)


@pytest.mark.parametrize("body", [b"0.25\n0.5\n", b"0.25\n0.5", b"0.25,0.5", b"0.25\r\n0.5\r\n", b" 0.25 , 5e-1\n\n"])
def test_csv_answers(body: bytes) -> None:
    """Scores one a line or all in one line, with the usual line ends."""
    assert list(payload.decode(b"text/csv; charset=utf-8", body, 2)) == [0.25, 0.5]


@pytest.mark.parametrize("dtype", ["<f4", "<f8", ">f4", ">f8"])
@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_npy_answers(dtype: str, shape: tuple[int, ...]) -> None:
    """numpy's own files in float32 and float64, either byte order, flat or one column."""
    array = np.array([0.0, 0.5, 1.0], dtype=dtype).reshape(shape)
    assert list(payload.decode(b"application/x-npy", _npy(array), 3)) == [0.0, 0.5, 1.0]


@given(st.lists(st.integers(0, 0xFFFFFFFF), min_size=1, max_size=8))
def test_npy_scores_are_probabilities_whatever_their_bits(bits: list[int]) -> None:
    """Any float32, next to any other: taken if all are from 0 to 1, else refused."""
    array = np.array(bits, dtype="<u4").view("<f4")
    expected = [float(value) for value in array]
    if all(0.0 <= value <= 1.0 for value in expected):
        assert list(payload.decode(b"application/x-npy", _npy(array), len(bits))) == expected
    else:
        with pytest.raises(BadResponse, match="no probabilities"):
            payload.decode(b"application/x-npy", _npy(array), len(bits))


@pytest.mark.parametrize(
    "edge", [0.0, -0.0, 5e-324, 1e-45, 0.49999997, 0.5, 0.50000006, 1.0, 1.0000001, -1e-45, np.inf, -np.inf, np.nan]
)
@pytest.mark.parametrize("dtype", ["<f4", "<f8", ">f4", ">f8"])
def test_npy_scores_at_the_edges(edge: float, dtype: str) -> None:
    """Beside an ordinary score, in each layout; what rounds to zero or to one is that."""
    array = np.array([0.25, edge], dtype=dtype)
    if 0.0 <= array[1] <= 1.0:
        assert list(payload.decode(b"application/x-npy", _npy(array), 2)) == [0.25, float(array[1])]
    else:
        with pytest.raises(BadResponse, match="no probabilities"):
            payload.decode(b"application/x-npy", _npy(array), 2)


@pytest.mark.parametrize("body", [b"[0.25,1]", b"[[0.25],[1]]"])
def test_json_answers(body: bytes) -> None:
    """A JSON list of numbers, or of lists of one."""
    assert list(payload.decode(b"application/json", body, 2)) == [0.25, 1.0]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (b"text/csv", b""),
        (b"text/csv", b"0.5\n"),
        (b"text/csv", b"0.5\n0.5\n0.5\n"),
        (b"text/csv", b"0.5\n\n0.5"),
        (b"text/csv", b"0.5\nnan\n"),
        (b"text/csv", b"nan\n0.5\n"),
        (b"text/csv", b"0.5\ninf\n"),
        (b"text/csv", b"0.5\n-inf\n"),
        (b"text/csv", b"0.5\n1e400\n"),
        (b"text/csv", b"0.5\n1.0000001\n"),
        (b"text/csv", b"0.5\n-0.1\n"),
        (b"text/csv", b"0.5\n0_1\n"),
        (b"text/csv", b"0.5\n0x1p-1\n"),
        (b"text/csv", b"0.5\n\xff\n"),
        (b"text/csv", b"score\n0.5\n"),
        (b"application/json", b"[0.5]"),
        (b"application/json", b"[0.5,NaN]"),
        (b"application/json", b"[0.5,null]"),
        (b"application/json", b"[0.5,true]"),
        (b"application/json", b'[0.5,"0.5"]'),
        (b"application/json", b"[[0.5],[0.5,0.5]]"),
        (b"application/json", b"[[0.5],0.5]"),
        (b"application/json", b'{"a":0.5,"b":0.5}'),
        (b"application/json", b"[0.5,0.5"),
        (b"application/json", b"[" * 100_000),
        (b"application/json", b"[0.5," + b"9" * 5000 + b"]"),
        (b"application/x-npy", b""),
        (b"application/x-npy", b"\x93NUMPY\x01\x00"),
        (b"application/x-npy", _npy(np.array([0.5, 0.5]))[:-1]),
        (b"application/x-npy", _npy(np.array([0.5, 0.5])) + b"\0"),
        (b"application/x-npy", _npy(np.array([0.5]))),
        (b"application/x-npy", _npy(np.array([0.5, np.nan]))),
        (b"application/x-npy", _npy(np.array([1, 0]))),
        (b"application/x-npy", _npy(np.array([[0.5, 0.5]]))),
        (b"application/x-npy", b"\x93NUMPY\x02\x00" + struct.pack("<I", 0xFFFFFFFF) + b"{}"),
        (b"text/html", b"0.5\n0.5\n"),
        (b"", b"0.5\n0.5\n"),
    ],
)
def test_what_is_no_list_of_two_probabilities(content_type: bytes, body: bytes) -> None:
    """Wrong type, wrong number, not finite, out of range, or unreadable: refused, never a score."""
    with pytest.raises(BadResponse):
        payload.decode(content_type, body, 2)


@given(st.sampled_from([b"text/csv", b"application/json", b"application/x-npy"]), st.binary(max_size=200))
def test_any_bytes_give_probabilities_or_are_refused(content_type: bytes, body: bytes) -> None:
    """Random bytes, with and without the NPY magic, raise nothing but BadResponse."""
    for candidate in (body, b"\x93NUMPY\x01\x00" + body):
        try:
            values = payload.decode(content_type, candidate, 1)
        except BadResponse:
            continue
        assert len(values) == 1
        assert 0.0 <= values[0] <= 1.0
