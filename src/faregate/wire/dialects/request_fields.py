"""What reading and rewriting a request's JSON body has in common in all dialects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec
from msgspec import Raw

from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_LEASE_UNITS

NULL: Final = b"null"
ABSENT: Final = Raw(NULL)
"""The default of a field that is kept as it came."""

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes that are not the JSON expected, however deeply they nest."""

FIELDS_DECODER: Final = msgspec.json.Decoder(dict[str, Raw])
ENCODER: Final = msgspec.json.Encoder()

_TEXT_DECODER: Final = msgspec.json.Decoder(str)
_Decoded = TypeVar("_Decoded")


def decode_request(decoder: msgspec.json.Decoder[_Decoded], body: bytes) -> _Decoded:
    """Decode a request's body; `InvalidInput` names the field that is wrong, in msgspec's words."""
    try:
        return decoder.decode(body)
    except UNREADABLE as error:
        raise InvalidInput.of(field_of(str(error)), str(error)) from error


def is_given(value: Raw) -> bool:
    """Return whether a field came, and not as null."""
    return value is not ABSENT and bytes(value) != NULL


def require_limit(name: str, limit: int | None) -> None:
    """Raise `InvalidInput` for a limit on tokens that no upstream would take."""
    if limit is not None and not 1 <= limit <= MAX_LEASE_UNITS:
        raise InvalidInput.of(name, f"must be from 1 to {MAX_LEASE_UNITS}")


def unbounded(field: str, what: str) -> InvalidInput:
    """Return the refusal of a part whose usage the request does not bound."""
    return InvalidInput.of(field, f"{what} is not accepted here: its usage cannot be bounded before the call")


def bound_of(bound: int | None, field: str, what: str, *, raw: Raw = ABSENT) -> int:
    """Return the bound of a part, less its bytes, which are no text; raises the refusal where there is none."""
    if bound is None:
        raise unbounded(field, what)
    return bound - (memoryview(raw).nbytes if is_given(raw) else 0)


def replace_fields(body: bytes, changes: Mapping[str, bytes]) -> bytes:
    """Return the JSON object with these fields set; the others keep their bytes, a name that came twice its last."""
    fields = FIELDS_DECODER.decode(body)
    for name, value in changes.items():
        fields[name] = Raw(value)
    return ENCODER.encode(fields)


def field_of(message: str) -> str:
    """Return the field that msgspec's message names (``... - at `$.n` ``), or `body`."""
    _, found, path = message.rpartition("`$")
    return path.rstrip("`").lstrip(".") or "body" if found else "body"


def decode_list(decoder: msgspec.json.Decoder[list[_Decoded]], value: Raw, field: str) -> list[_Decoded]:
    """Return the elements of a value that may be an array; none where it is absent, null or a string.

    `InvalidInput` on `field` for every other value.
    """
    if not is_given(value) or bytes(value)[:1] == b'"':
        return []
    try:
        return decoder.decode(value)
    except UNREADABLE as error:
        raise InvalidInput.of(field, str(error)) from error


def elements_of(decoder: msgspec.json.Decoder[list[_Decoded]], value: Raw) -> list[_Decoded]:
    """Return the elements of a value, none where it is no array of them."""
    try:
        return decode_list(decoder, value, "")
    except InvalidInput:
        return []


def text_of(value: Raw) -> str:
    """Return a value that is a string, and the empty string for every other."""
    try:
        return _TEXT_DECODER.decode(value)
    except UNREADABLE:
        return ""


def length_of(value: object) -> int:
    """Return the characters of a string, 0 for every other value."""
    return len(value) if isinstance(value, str) else 0
