"""The names a catalog uses where OpenRTB has numbers.

The rule kept here: a table is the specification's list (AdCOM 1.0; Native 1.2; for banner types OpenRTB 2.6,
section 3.2.6), word for number, and nothing else. A catalog may give the number instead of the word.
"""

from __future__ import annotations

from importlib.resources import files

import orjson

DEVICE_TYPES = {
    "mobile": 1,  # phone or tablet, where the exchange does not say which
    "pc": 2,
    "ctv": 3,
    "phone": 4,
    "tablet": 5,
    "connected": 6,
    "set_top_box": 7,
    "ooh": 8,
}

CONNECTIONS = {"ethernet": 1, "wifi": 2, "cellular": 3, "2g": 4, "3g": 5, "4g": 6, "5g": 7}

POSITIONS = {
    "above_the_fold": 1,
    "locked": 2,
    "below_the_fold": 3,
    "header": 4,
    "footer": 5,
    "sidebar": 6,
    "fullscreen": 7,
    "partial_screen": 8,
    "top_left": 9,
    "top_right": 10,
    "frame": 11,
    "double_box": 12,
    "double_box_background": 13,
    "bottom_left": 14,
    "bottom_right": 15,
    "l_shape": 16,
    "reversed_l_shape": 17,
}

APIS = {
    "vpaid1": 1,
    "vpaid2": 2,
    "mraid1": 3,
    "ormma": 4,
    "mraid2": 5,
    "mraid3": 6,
    "omid1": 7,
    "simid1.0": 8,
    "simid1.1": 9,
}

PROTOCOLS = {
    "vast1": 1,
    "vast2": 2,
    "vast3": 3,
    "vast1_wrapper": 4,
    "vast2_wrapper": 5,
    "vast3_wrapper": 6,
    "vast4": 7,
    "vast4_wrapper": 8,
    "daast1": 9,
    "daast1_wrapper": 10,
    "vast4.1": 11,
    "vast4.1_wrapper": 12,
    "vast4.2": 13,
    "vast4.2_wrapper": 14,
    "vast4.3": 15,
    "vast4.3_wrapper": 16,
}

BANNER_TYPES = {"xhtml_text": 1, "xhtml_banner": 2, "javascript": 3, "iframe": 4}

DELIVERIES = {"streaming": 1, "progressive": 2, "download": 3}

LINEARITIES = {"linear": 1, "overlay": 2}

TEXT_TYPES = {
    "sponsored": 1,
    "desc": 2,
    "rating": 3,
    "likes": 4,
    "downloads": 5,
    "price": 6,
    "saleprice": 7,
    "phone": 8,
    "address": 9,
    "desc2": 10,
    "displayurl": 11,
    "ctatext": 12,
}
CALL_TO_ACTION = TEXT_TYPES["ctatext"]

IMAGE_TYPES = {"icon": 1, "main": 3}

DAYS = {"mon": 0, "tue": 1, "wed": 2, "thu": 3, "fri": 4, "sat": 5, "sun": 6}

CHANNELS = ("site", "app", "dooh")

ALPHA3_BY_ALPHA2: dict[str, str] = orjson.loads(
    files("bidder").joinpath("data", "countries.json").read_bytes()
)  # ISO 3166-1, and XK for Kosovo
COUNTRIES = frozenset(ALPHA3_BY_ALPHA2.values())
