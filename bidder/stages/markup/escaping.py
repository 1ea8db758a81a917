"""How text gets into URLs, attributes, CDATA sections and JSON.

The rule kept here: what `url`, `value` and `request_value` return is ASCII without quotes, angle brackets,
backslashes, spaces or control characters, so it is inert in HTML, JavaScript strings, XML and JSON; in HTML only `&` is
left to escape.
"""

from __future__ import annotations

import html
import re
from string import ascii_letters, digits
from urllib.parse import quote

import orjson

MAX_ID_CHARS = 128
"""Longer ids from a request are cut in URLs: 10 KB must not come back ten times. The bid's id tells them apart."""

# Legal in a URL, less the apostrophe; braces and square brackets stand in macros: ${AUCTION_PRICE}, [ERRORCODE].
_URL_CHARS = "!#$%&()*+,-./:;=?@[]_~{}"
_OF_URLS = (_URL_CHARS + ascii_letters + digits).encode()
_OF_ATTRIBUTES = _OF_URLS.replace(b"&", b" ")  # what is not escaped in them
# XML 1.0, section 2.2: no other character may stand in a document, escaped or not.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CONTROL = bytes(code for code in range(0x20) if code not in b"\t\n\r")  # those of ASCII

# RFC 3986, section 2.3. A table that changes all other bytes, to one of these: most ids have none, and stay the same,
# which is found in half of the time of a regular expression.
_UNRESERVED = f"{ascii_letters}{digits}-._~".encode()
_OTHERS_CHANGED = bytes(code if code in _UNRESERVED else b"-"[0] for code in range(256))


def _has_only(characters: bytes, text: str) -> bool:
    """ASCII ones. Of what is made once a creative, in a half to a third of what quoting or escaping takes."""
    return text.isascii() and not text.encode().translate(None, characters)


def clean(text: str) -> str:
    """`text` without the characters that XML forbids: control characters, lone surrogates."""
    if text.isascii():
        return text.encode().translate(None, _CONTROL).decode()
    return _NOT_XML.sub("", text)


def url(text: str) -> str:
    """A URL from the catalog, with what a URL may not hold percent-encoded. Macros stay as they are."""
    text = text.strip()
    return text if _has_only(_OF_URLS, text) else quote(text, safe=_URL_CHARS, errors="replace")


def value(text: str) -> str:
    """An id as the value of a query parameter. A macro inside an id is encoded too, so no exchange replaces it."""
    if text.isascii():
        plain = text.encode()
        if plain.translate(_OTHERS_CHANGED) == plain:
            return text
    return quote(text, safe="", errors="replace")


def request_value(text: str) -> str:
    """The same for an id that a request brought, cut to MAX_ID_CHARS."""
    if len(text) > MAX_ID_CHARS:
        text = text[:MAX_ID_CHARS]
    # Of letters and digits alone, as slots' ids are, `isalnum` knows it in half of the time.
    return text if text.isalnum() and text.isascii() else value(text)


def attribute(text: str) -> str:
    """`text` as the value of a double-quoted attribute, HTML or XML; cleaned."""
    return text if _has_only(_OF_ATTRIBUTES, text) else html.escape(clean(text), quote=True)


def url_attribute(url: str) -> str:
    """The same for what `url` returned."""
    return url.replace("&", "&amp;")


def cdata(text: str) -> str:
    """`text` as a CDATA section; a `]]>` inside is split over two."""
    return "<![CDATA[" + text.replace("]]>", "]]]]><![CDATA[>") + "]]>"


def quoted(text: str) -> str:
    """`text` as a JSON string."""
    return orjson.dumps(text).decode()


def in_json(text: str) -> str:
    """`text` as it stands within a JSON string."""
    return orjson.dumps(text).decode()[1:-1]


def json_parts(text: str, mark: str) -> tuple[str, ...]:
    """What stands before, between and after the `mark`s in `text`, each as within a JSON string. A bid joins them with
    what goes in the mark's place, if that is inert in JSON: nothing is searched or escaped again."""
    return tuple(map(in_json, text.split(mark)))


def is_script(tracker: str) -> bool:
    """Whether a tracker is JavaScript rather than a pixel: its path ends in `.js`."""
    return tracker.partition("?")[0].partition("#")[0].endswith(".js")
