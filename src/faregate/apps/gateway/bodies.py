"""Request bodies: read within the route's limit."""

from __future__ import annotations

from collections.abc import Awaitable

from granian.rsgi import HTTPProtocol

from faregate.apps.gateway import answers


def read_body(protocol: HTTPProtocol, named: dict[str, str], most_bytes: int) -> Awaitable[bytes]:
    """Return the whole body; raises the 413 `Refusal` over the limit, `ProtocolClosed` where the caller broke off."""
    length = named.get("content-length")
    if length is None:
        return _read_chunks(protocol, most_bytes)
    if not length.isdecimal() or int(length) > most_bytes:
        raise answers.too_large(most_bytes)
    return protocol()


async def _read_chunks(protocol: HTTPProtocol, most_bytes: int) -> bytes:
    chunks = []
    total = 0
    async for chunk in protocol:
        total += len(chunk)
        if total > most_bytes:
            raise answers.too_large(most_bytes)
        chunks.append(chunk)
    return b"".join(chunks)
