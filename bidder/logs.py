"""Log lines: text for people, or a JSON object a line for a log service.

The rule kept here: a line holds no identifier of a person. So the JSON form says of an exception what it is and where
it happened, and not its words: those can quote the request.
"""

from __future__ import annotations

import logging
import traceback
from datetime import UTC, datetime
from typing import Literal

import orjson

LogFormat = Literal["text", "json"]

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class JsonLines(logging.Formatter):
    """One object a record: `time` (RFC 3339, UTC), `level`, `logger`, `message`; of an exception `error`, its class,
    and `trace`, the calls that led to it, the innermost last."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            frames = traceback.extract_tb(record.exc_info[2])
            line["trace"] = " > ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames)
        return orjson.dumps(line).decode()


def configure(log_format: LogFormat, level: str = "warning") -> None:
    """Log to standard error from now on, from `level` up; where nobody has said otherwise before."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if log_format == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler])


def format_in_use() -> LogFormat:
    """What a process that this one starts should be told."""
    handlers = logging.getLogger().handlers
    return "json" if any(isinstance(handler.formatter, JsonLines) for handler in handlers) else "text"
