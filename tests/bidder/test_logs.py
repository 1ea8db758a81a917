"""Log lines as a log service reads them."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from bidder.logs import JsonLines


def record(message: str, *arguments: object, error: BaseException | None = None) -> logging.LogRecord:
    told = (type(error), error, error.__traceback__) if error else None
    made = logging.LogRecord("bidder.part", logging.ERROR, __file__, 1, message, arguments, told)
    made.created = 1767225600.25
    return made


def test_a_record_is_one_object_on_one_line() -> None:
    """Time in UTC, level, logger, and the words with their values."""
    line = JsonLines().format(record("catalog %s:\nline %d", "demo", 3))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2026-01-01T00:00:00.250+00:00",
        "level": "ERROR",
        "logger": "bidder.part",
        "message": "catalog demo:\nline 3",
    }


def test_an_exception_is_told_without_its_words() -> None:
    """They could quote what somebody sent; the class and the place are enough to find the bug."""

    def read(user: str) -> int:
        return int(user)

    with pytest.raises(ValueError, match="u-4711") as caught:
        read("u-4711")
    line = JsonLines().format(record("a bid failed", error=caught.value))
    told = json.loads(line)
    assert told["error"] == "ValueError"
    assert told["trace"].endswith(f"{__file__}:{sys._getframe().f_code.co_firstlineno + 4} read")
    assert "u-4711" not in line
