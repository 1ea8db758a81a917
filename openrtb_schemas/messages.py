"""The four messages, each with its validator built once.

The rule: ``validate_json`` is pydantic-core's own bound method; nothing stands between the bytes and the dict. Whatever
the bytes, the outcome is a dict or a ``pydantic.ValidationError`` (a ``ValueError``).
"""

from collections.abc import Callable
from operator import itemgetter
from typing import Annotated, Any, Generic, TypeVar

from pydantic import TypeAdapter
from pydantic_core import CoreSchema, core_schema

from openrtb_schemas.native import NativeMarkupRequest, NativeMarkupResponse
from openrtb_schemas.projection import Fields, projected
from openrtb_schemas.reading import Reading
from openrtb_schemas.request import BidRequest
from openrtb_schemas.response import BidResponse

T = TypeVar("T")


class Message(Generic[T]):
    """Reads one type of message, ``T`` being its TypedDict."""

    __slots__ = ("_adapter", "validate_json", "validate_python")

    validate_json: Callable[[bytes | bytearray | str], T]
    """From JSON text. Raises ``pydantic.ValidationError``."""
    validate_python: Callable[[Any], T]
    """From an object that was parsed before. Raises ``pydantic.ValidationError``."""

    def __init__(self, message: Any, read: Fields | None = None) -> None:
        """With ``read``, hints that are not named there are dropped unread: see ``projection``."""
        self._adapter: TypeAdapter[T] = TypeAdapter(message)
        validator = self._adapter.validator if read is None else projected(self._adapter.core_schema, read)
        self.validate_json = validator.validate_json
        self.validate_python = validator.validate_python

    def validate(self, message: str | bytes | dict[str, Any]) -> T:
        """From JSON text or the object itself: ``imp.native.request`` arrives as either."""
        return self.validate_python(message) if isinstance(message, dict) else self.validate_json(message)

    def json_schema(self, ref_template: str = "#/$defs/{model}") -> dict[str, Any]:
        """The JSON schema of a correct message, without the tolerance."""
        return self._adapter.json_schema(ref_template=ref_template)


class _Envelope(Reading):
    """Native 1.0 wraps its markup, ``{"native": {...}}``; later versions do not. Both are read as the latter."""

    def read(self, schema: CoreSchema) -> CoreSchema:
        wrapped = core_schema.typed_dict_schema({"native": core_schema.typed_dict_field(schema)})
        unwrapped = core_schema.no_info_after_validator_function(itemgetter("native"), wrapped)
        return core_schema.union_schema([(schema, "markup"), (unwrapped, "wrapped")], mode="left_to_right")


REQUEST: Message[BidRequest] = Message(BidRequest)
RESPONSE: Message[BidResponse] = Message(BidResponse)
NATIVE_REQUEST: Message[NativeMarkupRequest] = Message(Annotated[NativeMarkupRequest, _Envelope()])
NATIVE_RESPONSE: Message[NativeMarkupResponse] = Message(Annotated[NativeMarkupResponse, _Envelope()])
