"""Compressed request bodies, as Moesif's agents send them: gzip, or zlib-wrapped deflate (RFC 9110, section 8.4.1)."""

from __future__ import annotations

import zlib
from typing import Final

from faregate.base.errors import FaregateError, InvalidInput, TooLarge

_WINDOW_BITS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class UnsupportedEncoding(FaregateError):
    """The body is coded in a way that is not read here."""

    code = "unsupported_encoding"


def decompress(body: bytes, encoding: str, most_bytes: int) -> bytes:
    """Return the body without its `Content-Encoding`; never more than `most_bytes` are unpacked.

    Raises:
        UnsupportedEncoding: Neither gzip, deflate nor identity.
        InvalidInput: The body is not what the header says.
        TooLarge: It unpacks to more than `most_bytes`.
    """
    name = encoding.strip().lower()
    if name in {"", "identity"}:
        return body
    window_bits = _WINDOW_BITS.get(name)
    if window_bits is None:
        raise UnsupportedEncoding(f"Content-Encoding {encoding!r} is not read here; use gzip, deflate or none")
    unpacker = zlib.decompressobj(window_bits)
    try:
        plain = unpacker.decompress(body, most_bytes + 1)
    except zlib.error as error:
        raise InvalidInput.of("Content-Encoding", f"the body is not valid {name}") from error
    if len(plain) > most_bytes:
        raise TooLarge(f"the request body unpacks to more than the limit of {most_bytes} bytes")
    if not unpacker.eof or unpacker.unused_data:
        raise InvalidInput.of("Content-Encoding", f"the body is not one whole {name} stream")
    return plain
