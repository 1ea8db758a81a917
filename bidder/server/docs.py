"""The bid lane in the OpenAPI document: FastAPI does not see it, so its paths and schemas are added here.

The rule kept here: the schemas are those the bidder reads with, not a copy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from openrtb_schemas import REQUEST, RESPONSE

_REFERENCE = "#/components/schemas/{model}"

_ANSWERS = {
    "204": "No bid.",
    "400": "Not JSON, or a required field is missing; the text says where.",
    "404": "The exchange is not known.",
    "405": "Not a POST; `Allow` says what may be sent.",
    "413": "The body is larger than the limit, as sent or inflated.",
    "415": "The content type or coding cannot be read.",
}


def describe_bids(app: FastAPI) -> None:
    """Add the bid paths to the application's OpenAPI document."""
    original: Callable[[], dict[str, Any]] = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = original()
            _add(document)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _add(document: dict[str, Any]) -> None:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    content: dict[str, dict[str, Any]] = {}
    for name, message in (("BidRequest", REQUEST), ("BidResponse", RESPONSE)):
        schema = message.json_schema(_REFERENCE)
        schemas.update(schema.pop("$defs", {}))
        if "$ref" not in schema:
            schemas[name] = schema
        content[name] = {"application/json": {"schema": {"$ref": _REFERENCE.format(model=name)}}}
    operation = {
        "tags": ["bids"],
        "summary": "A bid request in, a bid or a no-bid out (OpenRTB 2.5 and 2.6, JSON, gzip allowed)",
        "requestBody": {"required": True, "content": content["BidRequest"]},
        "responses": {
            "200": {"description": "A bid, or a no-bid with its reason.", "content": content["BidResponse"]},
            **{status: {"description": text} for status, text in _ANSWERS.items()},
        },
    }
    exchange = {"name": "exchange", "in": "path", "required": True, "schema": {"type": "string"}}
    document["paths"]["/openrtb2/bid"] = {"post": {"operationId": "bid", **operation}}
    document["paths"]["/openrtb2/bid/{exchange}"] = {
        "post": {"operationId": "bid_for_exchange", **operation, "parameters": [exchange]}
    }
