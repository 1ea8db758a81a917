"""What is wrong with a document, in words: one line a problem, `path: value is wrong in this way`.

The rule kept here: an operator can act on every line without reading code, and a document with a million problems
makes a short report.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import AfterValidator, ValidationError
from pydantic_core import ErrorDetails

_SHOWN = 20
_VALUE_LENGTH = 60


class Problems:
    """The first 20 problems of a document, and the count of all of them."""

    __slots__ = ("count", "lines")

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.count = 0

    def __bool__(self) -> bool:
        return self.count > 0

    def __str__(self) -> str:
        more = self.count - len(self.lines)
        return "\n".join([*self.lines, f"… and {more} more"] if more else self.lines)

    def add(self, path: str, what: str) -> None:
        self.count += 1
        if len(self.lines) < _SHOWN:
            self.lines.append(f"{path}: {what}" if path else what)

    def add_all(self, path: str, error: ValidationError, tags: Iterable[str] = (), known: Iterable[str] = ()) -> None:
        """Every problem that pydantic found below `path`.

        `tags` are the names of union members, which pydantic puts into paths though the document has no such key.
        `known` are all field names, for guessing what a misspelt one was meant to be.
        """
        if len(self.lines) == _SHOWN:  # counted only: wording them would cost time for nothing
            self.count += error.error_count()
            return
        for problem in error.errors(include_url=False):
            self.add(_path(path, problem["loc"], frozenset(tags)), _words(problem, known))


CURRENCY = r"[A-Z]{3}"
A_CURRENCY = "an ISO 4217 currency, three capital letters such as 'USD'"


def matching(pattern: str, what: str) -> AfterValidator:
    """A check for pydantic: the whole text matches, or the problem reads "VALUE is not WHAT"."""
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(f"{shown(value)} is not {what}")
        return value

    return AfterValidator(check)


def shown(value: object) -> str:
    """`value` for a message: JSON's spelling of the simple ones, cut where it is long."""
    simple = {None: "null", True: "true", False: "false"}
    text = simple[value] if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= _VALUE_LENGTH else f"{text[:_VALUE_LENGTH]}…"


def _path(prefix: str, location: tuple[int | str, ...], tags: frozenset[str]) -> str:
    path = prefix
    after_index = False
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part != "[key]" and not (after_index and part in tags):
            path += f".{part}" if path else part
        after_index = isinstance(part, int)
    return path


def _words(problem: ErrorDetails, known: Iterable[str]) -> str:
    kind, value, context = problem["type"], problem["input"], problem.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "extra_forbidden":
        return _unknown_field(str(problem["loc"][-1]), known)
    if phrase := _PHRASES.get(kind):
        return phrase(shown(value), context)
    return f"{shown(value)}: {problem['msg'][:1].lower()}{problem['msg'][1:]}"


def _unknown_field(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"no such field is known; did you mean {close[0]!r}?" if close else "no such field is known; remove it"


def _limit(value: str, bound: Any, word: str) -> str:
    return f"{value} is {word} {bound:g}"


def _bare(context: dict[str, Any]) -> str:
    return str(context["discriminator"]).strip("'")


_PHRASES: dict[str, Callable[[str, dict[str, Any]], str]] = {
    "json_invalid": lambda _, c: f"no JSON, or cut off: {c['error']}",
    "missing": lambda value, _: "is missing",
    "int_type": lambda value, _: f"{value} is not a whole number",
    "int_from_float": lambda value, _: f"{value} is not a whole number",
    "float_type": lambda value, _: f"{value} is not a number",
    "finite_number": lambda value, _: f"{value} is not a finite number",
    "string_type": lambda value, _: f"{value} is not text in quotes",
    "bool_type": lambda value, _: f"{value} is neither true nor false",
    "list_type": lambda value, _: f"{value} is not a list; write [ … ]",
    "tuple_type": lambda value, _: f"{value} is not a list; write [ … ]",
    "dict_type": lambda value, _: f"{value} is not an object; write {{ … }}",
    "model_type": lambda value, _: f"{value} is not an object; write {{ … }}",
    "model_attributes_type": lambda value, _: f"{value} is not an object; write {{ … }}",
    "greater_than": lambda value, c: (
        f"{value} is not positive" if c["gt"] == 0 else _limit(value, c["gt"], "not above")
    ),
    "greater_than_equal": lambda value, c: f"{value} is negative" if c["ge"] == 0 else _limit(value, c["ge"], "below"),
    "less_than_equal": lambda value, c: _limit(value, c["le"], "above"),
    "too_short": lambda value, _: "is empty; at least one is needed",
    "too_long": lambda value, c: f"holds more than {c['max_length']} entries",
    "string_too_short": lambda value, _: "is empty",
    "string_too_long": lambda value, c: f"{value} is longer than {c['max_length']} characters",
    "literal_error": lambda value, c: f"{value} is not known; one of {c['expected']} is meant",
    "union_tag_invalid": lambda value, c: (
        f"{_bare(c)} {shown(c['tag'])} is not known; it is one of {c['expected_tags']}"
    ),
    "union_tag_not_found": lambda value, c: f"{_bare(c)} is missing; it says which kind this is",
    "timezone_aware": lambda value, _: f"{value} has no time zone; add one, as in 2026-01-31T00:00:00Z",
    "datetime_type": lambda value, _: f"{value} is not a date-time such as 2026-01-31T00:00:00Z",
    "datetime_parsing": lambda value, _: f"{value} is not a date-time such as 2026-01-31T00:00:00Z",
    "datetime_from_date_parsing": lambda value, _: f"{value} is not a date-time such as 2026-01-31T00:00:00Z",
}
