"""What all shapes of the management API share: names, decimals, pages, and decoding that names the field at fault."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Final, Generic, TypeVar

import msgspec
from msgspec import Meta, Struct

from faregate.base.errors import FieldFault, InvalidInput
from faregate.base.limits import MAX_ID_CHARACTERS, MAX_NAME_CHARACTERS, MAX_QUANTITY_DIGITS
from faregate.wire.event import as_utc

T = TypeVar("T")

# (?![\\s\\S]) is the end of the text, in Python as in JavaScript; `$` would let a last line feed pass.
END: Final = "(?![\\s\\S])"
_NAME_PATTERN: Final = f"^(?=.*\\S)[^\\x00-\\x1f\\x7f]+{END}"
_ID_PATTERN: Final = f"^[A-Za-z0-9][A-Za-z0-9._:@-]*{END}"
_TEXT_PATTERN: Final = f"^[^\\x00]*{END}"
_HEADER_NAME_PATTERN: Final = f"^[A-Za-z0-9!#$%&'*+.^_`|~-]+{END}"
_HEADER_VALUE_PATTERN: Final = f"^[\\x20-\\x7e]*{END}"
_PATTERN_WORDS: Final = {
    repr(_NAME_PATTERN): "must have no control characters, and more than spaces",
    repr(_ID_PATTERN): "must be letters, digits and . _ : @ - alone, beginning with a letter or a digit",
    repr(_TEXT_PATTERN): "must have no NUL character",
    repr(_HEADER_NAME_PATTERN): "must be the name of an HTTP header, for example 'x-should-retry'",
    repr(_HEADER_VALUE_PATTERN): "must be visible ASCII characters and spaces alone",
}

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARACTERS, pattern=_NAME_PATTERN)]
"""A name that people read."""

Identifier = Annotated[str, Meta(min_length=1, max_length=MAX_ID_CHARACTERS, pattern=_ID_PATTERN)]
"""An id that the operator chooses."""

Text = Annotated[str, Meta(max_length=1_000, pattern=_TEXT_PATTERN)]
"""Words for people; may be empty."""

HeaderValue = Annotated[str, Meta(max_length=4_000, pattern=_HEADER_VALUE_PATTERN)]
HeaderName = Annotated[str, Meta(min_length=1, max_length=200, pattern=_HEADER_NAME_PATTERN)]
Headers = Annotated[dict[HeaderName, HeaderValue], Meta(max_length=50)]
"""HTTP headers (RFC 9110): visible ASCII, so that none can break out of its line."""

Instant = Annotated[datetime, Meta(tz=True)]
"""RFC 3339, with its offset from UTC."""

CursorNumber = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
CursorInstant = Annotated[int, Meta(ge=0, le=253_402_300_799_999_999)]
"""Microseconds from 1970 to the end of the year 9999."""

DecimalText = Annotated[str, Meta(pattern="^-?[0-9]+([.][0-9]+)?$", examples=["0.50", "1000000"])]
"""An exact decimal, as text."""


class Page(Struct, Generic[T], frozen=True, kw_only=True):
    """A part of a list. Ask again with `cursor` set to `next_cursor` for the next part; null at the end."""

    data: list[T]
    next_cursor: str | None


def decode_body(raw: bytes, kind: type[T]) -> T:
    """Decode a request body; `InvalidInput` names the field that is wrong, `malformed` is its own error.

    A JSON number goes to a Decimal from its text, never through a binary float.
    """
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise InvalidInput(fault_of(error, kind)) from error
    except msgspec.DecodeError as error:
        raise InvalidInput.of("body", f"is not JSON: {error}") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput.of("body", "is not JSON in UTF-8") from error


def fault_of(error: msgspec.ValidationError, kind: object) -> FieldFault:
    """Return msgspec's words as a fault: its path (`$.prices[0].amount`) as ours, and what a choice may be."""
    message, _, path = str(error).rpartition(" - at `")
    if not message:
        message = path
        path = ""
    field = path.removeprefix("key` in `").removeprefix("$").rstrip("`").lstrip(".")
    for named in ("Object missing required field `", "Object contains unknown field `"):
        if message.startswith(named):
            name = message.removeprefix(named).rstrip("`")
            field = f"{field}.{name}" if field else name
            return FieldFault(field=field, message="is required" if "missing" in named else "is not a field here")
    if message.startswith(("Invalid enum value", "Invalid value")):
        choices = _choices(msgspec.inspect.type_info(kind), field)
        return FieldFault(field=field, message=message + (f"; use one of {', '.join(choices)}" if choices else ""))
    _, _, pattern = message.partition(" matching regex ")
    if pattern:
        message = _PATTERN_WORDS.get(pattern, message)
    return FieldFault(field=field or "body", message=message)


def bounded(field: str, number: Decimal) -> Decimal:
    """Return the number if it can be written in full; `InvalidInput` on `field` if it has too many digits."""
    sign, digits, exponent = number.as_tuple()
    del sign
    if not isinstance(exponent, int):
        raise InvalidInput.of(field, "must be a number, for example '0.50'")
    if max(len(digits) + max(exponent, 0), -exponent) > MAX_QUANTITY_DIGITS:
        raise InvalidInput.of(field, f"must have at most {MAX_QUANTITY_DIGITS} digits")
    return number


def plain(number: Decimal) -> str:
    """Return a decimal in full, without an exponent."""
    return f"{number:f}"


def to_utc(instant: datetime) -> datetime:
    """Return an instant in UTC; one without a zone is in UTC already."""
    return as_utc(instant)


def encode_cursor(*key: str | int) -> str:
    """Return a place in an ordered list as an opaque text."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def decode_cursor(cursor: str, kind: type[T]) -> T:
    """Return the key that `encode_cursor` took; `InvalidInput` on `cursor` for a text that it did not make."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return msgspec.json.decode(base64.urlsafe_b64decode(padded.encode("ascii")), type=kind)
    except (binascii.Error, UnicodeError, msgspec.DecodeError) as error:
        raise InvalidInput.of("cursor", "is not one that was given as next_cursor") from error


def _choices(kind: msgspec.inspect.Type, path: str) -> list[str]:
    """Return what the value at a dotted path may be, where the type says so."""
    for step in path.replace("[", ".[").split("."):
        kind = _inner(kind, step)
    match kind:
        case msgspec.inspect.EnumType(cls=choices):
            return [repr(choice.value) for choice in choices]
        case msgspec.inspect.LiteralType(values=values):
            return [repr(value) for value in values]
        case msgspec.inspect.StructType(tag=tag):
            return [repr(tag)]
        case msgspec.inspect.UnionType(types=types):
            return [repr(inner.tag) for inner in types if isinstance(inner, msgspec.inspect.StructType)]
        case _:
            return []


def _inner(kind: msgspec.inspect.Type, step: str) -> msgspec.inspect.Type:
    match kind:
        case msgspec.inspect.UnionType(types=types):
            structs = [inner for inner in types if not isinstance(inner, msgspec.inspect.NoneType)]
            if len(structs) == 1:
                return _inner(structs[0], step)
            is_tag = all(isinstance(inner, msgspec.inspect.StructType) and inner.tag_field == step for inner in structs)
            return kind if is_tag else msgspec.inspect.AnyType()
        case msgspec.inspect.Metadata(type=inner):
            return _inner(inner, step)
        case msgspec.inspect.ListType(item_type=inner):
            return inner
        case msgspec.inspect.DictType(value_type=inner):
            return inner
        case msgspec.inspect.StructType(fields=fields):
            return next((field.type for field in fields if field.encode_name == step), kind)
        case _:
            return kind
