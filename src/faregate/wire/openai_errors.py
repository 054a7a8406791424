"""Error documents in OpenAI's shape: `{"error": {"message", "type", "param", "code"}}`.

Source: OpenAI's API reference and the official Python client, which raises a class by status and reads `code` and
`type`.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct


class ErrorBody(Struct, frozen=True, kw_only=True):
    """`code` is always a string; `param` names the request's field that is wrong, if one is."""

    message: str
    type: str
    param: str | None = None
    code: str


class ErrorDocument(Struct, frozen=True, kw_only=True):
    """What a caller gets instead of an answer."""

    error: ErrorBody


def encode_error(*, message: str, error_type: str, code: str, param: str | None = None) -> bytes:
    """Return the error document as JSON."""
    return msgspec.json.encode(ErrorDocument(error=ErrorBody(message=message, type=error_type, param=param, code=code)))
