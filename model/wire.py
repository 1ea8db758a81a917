"""Request bodies to rows, probabilities to answer bodies: CSV, NumPy's .npy, JSON.

The rule: a body is checked before anything of its claimed size is allocated, and what is wrong with it is said in one
sentence. Nothing is ever unpickled.
"""

from __future__ import annotations

import ast
import io
import json
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

CSV, NPY, JSON = "text/csv", "application/x-npy", "application/json"
Numbers = NDArray[np.floating[Any]]
_KINDS = ("<f4", "<f8", ">f4", ">f8")
_MAGIC = b"\x93NUMPY"
_LARGEST = float(np.finfo(np.float32).max)


class BodyError(ValueError):
    """A body that is no rows; the text says what is wrong and what would be right."""


def decode_csv(body: bytes, columns: int) -> NDArray[np.float32]:
    """Lines of `columns` numbers, without a header, to float32 (n, columns). Raises BodyError."""
    try:
        lines = body.decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise BodyError(f"byte {error.start} of the CSV body is not ASCII, expected numbers and commas") from error
    for number, line in enumerate(lines, 1):
        if (found := line.count(",") + 1) != columns:
            raise BodyError(f"line {number} has {found} columns, expected {columns}")
    if not lines:
        raise BodyError(f"the body is empty, expected lines of {columns} numbers")
    try:
        values = np.fromiter(map(float, ",".join(lines).split(",")), np.float64, len(lines) * columns)
    except ValueError as error:
        raise BodyError(
            f"the CSV body holds something that is no number ({error}); it must have no header line"
        ) from error
    return _checked(values.reshape(len(lines), columns))


def decode_npy(body: bytes, columns: int) -> NDArray[np.float32]:
    """A .npy of float32 or float64 (n, columns), rows in C or Fortran order, to float32. Raises BodyError."""
    start = _npy_header_size(body)
    shape, fortran, dtype = _npy_layout(body[:start])
    if len(shape) != 2 or shape[1] != columns or shape[0] < 1:
        raise BodyError(f"the array has shape {shape}, expected (rows, {columns})")
    if len(body) - start != shape[0] * columns * dtype.itemsize:
        wanted = shape[0] * columns * dtype.itemsize
        raise BodyError(
            f"the array's data is {len(body) - start} bytes, expected {wanted} for shape {shape} of {dtype}"
        )
    values: Numbers = np.frombuffer(body, dtype, offset=start)
    return _checked(np.reshape(values, (shape[0], columns), order="F" if fortran else "C"))


def encode(probabilities: NDArray[np.float32], media_type: str) -> bytes:
    """Probabilities (n,): CSV is one number a line, .npy float32 (n,), JSON {"predictions": [...]}."""
    if media_type == NPY:
        return _npy_header(len(probabilities)) + probabilities.astype("<f4", copy=False).tobytes()
    # Nine digits give a float32 back exactly.
    texts = [f"{p:.9g}" for p in probabilities.tolist()]
    if media_type == CSV:
        return ("\n".join(texts) + "\n").encode()
    return ('{"predictions": [' + ", ".join(texts) + "]}").encode()


def problem(message: str) -> bytes:
    """The JSON body of every answer that is an error."""
    return json.dumps({"error": message}).encode()


def _npy_header_size(body: bytes) -> int:
    if len(body) < 12 or not body.startswith(_MAGIC) or body[6] not in (1, 2):
        raise BodyError("the body is no .npy file of version 1.0 or 2.0")
    wide = body[6] == 2
    size = (12 if wide else 10) + int.from_bytes(body[8 : 12 if wide else 10], "little")
    if size > min(len(body), 4096):
        raise BodyError("the .npy header is cut off or longer than 4,096 bytes")
    return size


@lru_cache(maxsize=256)  # saves 40 us: batches of one size have the same header
def _npy_layout(header: bytes) -> tuple[tuple[int, ...], bool, np.dtype[np.floating[Any]]]:
    """Shape, Fortran order and type. NumPy's own reader is not used: what it raises on bad headers is not bounded."""
    try:
        facts = ast.literal_eval(header[header.index(b"{") :].decode("latin-1").strip())
        shape, fortran, kind = facts["shape"], facts["fortran_order"], facts["descr"]
        sound = isinstance(shape, tuple) and all(type(size) is int for size in shape) and isinstance(fortran, bool)
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError):
        sound = False
    if not sound:
        raise BodyError("the .npy header cannot be read, expected descr, fortran_order and shape")
    if kind not in _KINDS:
        raise BodyError(f"the array is of {str(kind)[:40]!r}, expected float32 ('<f4') or float64 ('<f8')")
    return shape, fortran, np.dtype(kind)


@lru_cache(maxsize=256)
def _npy_header(rows: int) -> bytes:
    stream = io.BytesIO()
    npy.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": (rows,)})
    return stream.getvalue()


def _checked(values: Numbers) -> NDArray[np.float32]:
    """Every value finite and within float32, as in training; C order. NaN fails the comparison too."""
    if not (np.abs(values).max() <= _LARGEST):
        row, column = np.argwhere(~(np.abs(values) <= _LARGEST))[0].tolist()
        raise BodyError(f"row {row + 1}, column {column + 1} is {values[row, column]}, expected a finite float32")
    return np.ascontiguousarray(values, np.float32)
