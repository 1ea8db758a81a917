"""Small readings of a request that several parts of decoding share.

The rule kept here: absent is "" or an empty set, never None.
"""

from __future__ import annotations

import re
from functools import lru_cache

from bidder.stages.request import Device

# The order matters: Edge and Opera also say Chrome, Chrome also says Safari.
_BROWSERS = (
    ("edg", "edge"),
    ("opr/", "opera"),
    ("samsungbrowser", "samsung"),
    ("firefox", "firefox"),
    ("fxios", "firefox"),
    ("crios", "chrome"),
    ("chrome", "chrome"),
    ("safari", "safari"),
)
MAX_USER_AGENT = 1024
_SEPARATOR = re.compile(r"[,;|\s]+")


def entries(listed: list[str]) -> list[str]:
    """Those of a block list. Its only one may be a whole list in one text, "a, b": then each part is blocked too."""
    if len(listed) == 1 and len(parts := _SEPARATOR.split(listed[0])) > 1:
        return [listed[0], *parts]
    return listed


def browser_of(device: Device) -> str:
    """The browser's family, from the structured user agent (§3.2.29) if there is one, else from `ua`; "" = unknown."""
    agent = device.sua
    if agent is not None and (browsers := agent.browsers):
        brands = " ".join([browser.brand for browser in browsers]).lower()
        for token, name in (("edge", "edge"), ("opera", "opera"), ("samsung", "samsung"), ("chrom", "chrome")):
            if token in brands:
                return name
        return "other"
    raw = device.ua
    return _browser_of_text(raw[:MAX_USER_AGENT]) if raw else ""


@lru_cache(maxsize=4096)
def _browser_of_text(agent: str) -> str:
    """Remembered, since the texts of few browsers make up most of the traffic: saves 1 µs a known one."""
    lowered = agent.lower()
    for token, name in _BROWSERS:
        if token in lowered:
            return name
    return "other"
