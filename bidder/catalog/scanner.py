"""Steps through the outer layers of a large JSON document, and hands out the text of each value within.

The rule kept here: no step holds the interpreter for long. Only a window of the document is text at any time: to decode
100 MB in one go would stop every thread for 60 to 360 ms.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import NoReturn

_WINDOW_BYTES = 1024 * 1024
_LARGEST_VALUE = 8 * 1024 * 1024  # characters
_SPACE = re.compile(r"[ \t\r\n]*")


class BrokenJsonError(Exception):
    """The document is no JSON, or is cut off. The message says where (line and column) and why."""


class Scanner:
    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._read = 0  # bytes of the document already in the window, or passed by
        self._bytes_to_text = codecs.getincrementaldecoder("utf-8-sig")()
        self._text_to_value = json.JSONDecoder().raw_decode
        self._text = ""  # the window
        self._at = 0  # where in the window the next step begins
        self._line, self._column = 1, 1  # of the window's first character

    def entries(self, opening: str, closing: str) -> Iterator[None]:
        """Stops before each entry of an object or array; the caller reads the entry."""
        self._take(opening)
        if self._peek() == closing:
            self._take(closing)
            return
        while True:
            yield
            if self._take(f",{closing}") == closing:
                return

    def key(self) -> str:
        """The next key of an object, its colon passed by."""
        if self._peek() != '"':
            self._fail('expected a key in "quotes"', self._at)
        key: str = json.loads(self.value())
        self._take(":")
        return key

    def value(self) -> str:
        """The text of the next value, whatever it is."""
        self._peek()
        while True:
            try:
                _, end = self._text_to_value(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._is_cut_short() or not self._more():
                    self._fail(error.msg, error.pos)
            except ValueError as error:  # an integer of 5,000 digits
                self._fail(str(error), self._at)
            except RecursionError:
                self._fail("nested too deeply", self._at)
            else:
                if end < len(self._text) or not self._more():
                    text, self._at = self._text[self._at : end], end
                    return text

    def end(self) -> None:
        """Checks that nothing follows."""
        if self._peek():
            self._fail("expected the end of the document", self._at)

    def _is_cut_short(self) -> bool:
        return len(self._text) - self._at < _LARGEST_VALUE

    def _peek(self) -> str:
        while True:
            space = _SPACE.match(self._text, self._at)
            self._at = space.end() if space else self._at
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def _take(self, wanted: str) -> str:
        found = self._peek()
        if not found or found not in wanted:
            self._fail(f"expected {' or '.join(wanted)}", self._at)
        self._at += 1
        return found

    def _more(self) -> bool:
        """Move the window on: drop what was passed by, add the next piece of the document. False: there is none."""
        if self._read == len(self._data):
            return False
        piece = self._data[self._read : self._read + _WINDOW_BYTES]
        try:
            text = self._bytes_to_text.decode(piece, final=self._read + len(piece) == len(self._data))
        except UnicodeDecodeError as error:
            raise BrokenJsonError(f"no UTF-8: {error.reason} near byte {self._read + error.start}") from error
        self._read += len(piece)
        self._line, self._column = self._place(self._at)
        self._text, self._at = self._text[self._at :] + text, 0
        return True

    def _place(self, at: int) -> tuple[int, int]:
        """Line and column, from 1, of a position in the window."""
        line_start = self._text.rfind("\n", 0, at) + 1
        column = at - line_start + 1 if line_start else self._column + at
        return self._line + self._text.count("\n", 0, at), column

    def _fail(self, what: str, at: int) -> NoReturn:
        line, column = self._place(at)
        raise BrokenJsonError(f"line {line}, column {column}: no JSON, or cut off: {what}")
