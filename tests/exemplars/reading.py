"""A request as a tolerant reader has it, for the judges."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from openrtb_schemas import NATIVE_REQUEST, REQUEST

Json = dict[str, Any]


def meant(body: bytes) -> Json:
    """The request as a tolerant reader has it, codes of currencies and languages in one spelling, for the judge."""
    try:
        request: Json = dict(REQUEST.validate_json(body))
    except ValidationError:  # the schema's parser gives up at 200 levels of nesting, also where nobody reads
        request = dict(REQUEST.validate_python(json.loads(body)))
    if "cur" in request:
        request["cur"] = [code.upper() for code in request["cur"]]
    for imp in request["imp"]:
        if "native" in imp:
            imp["native"] = {**imp["native"], "request": _native(imp["native"]["request"])}
        for priced in (imp, *(imp.get("pmp") or {}).get("deals", ())):
            if "bidfloorcur" in priced:
                priced["bidfloorcur"] = priced["bidfloorcur"].upper()
    return request


def _native(raw: Any) -> Any:
    """In its envelope or without, as it came; without assets of no known kind, which nobody can fill."""
    try:
        parsed = json.loads(raw) if isinstance(raw, str) else raw
        markup: Json = dict(NATIVE_REQUEST.validate_python(parsed))
    except ValueError:
        return raw
    markup["assets"] = [asset for asset in markup["assets"] if asset.keys() & {"title", "img", "data", "video"}]
    return markup if "assets" in parsed else {"native": markup}
