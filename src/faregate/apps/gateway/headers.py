"""Which headers pass: not those of one hop (RFC 9110, section 7.6.1), no credentials, no claimed identities."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

Headers = list[tuple[str, str]]

CREDENTIALS: Final = ("authorization", "x-api-key", "x-goog-api-key", "api-key", "apikey")
"""Where a key may stand, in the order they are asked."""

OCCURRED_AT: Final = "x-faregate-occurred-at"

CLAMPED_OUTPUT: Final = "x-faregate-clamped-output"
"""To the caller: the limit that each choice's output was lowered to, in tokens."""

_HOP_BY_HOP: Final = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
_NEVER_UPSTREAM: Final = _HOP_BY_HOP.union(
    CREDENTIALS, ("host", "content-length", "expect", "x-request-id", "x-user-id", "x-company-id")
)
_PLAIN_CONNECTIONS: Final = frozenset(("keep-alive", "close", "Keep-Alive"))
_CLAIMED_PREFIXES: Final = ("x-faregate-", "x-consumer-")
_NEVER_TO_CALLER: Final = _HOP_BY_HOP.union(("x-request-id", "content-length"))


def never_upstream(set_here: Iterable[str], *, metered: bool) -> frozenset[str]:
    """Return the names that do not pass to a route's upstream, those that the route sets itself (`set_here`) included.

    `metered`: the answer must not be compressed, since its usage is read.
    """
    return _NEVER_UPSTREAM.union(set_here, ("accept-encoding",) if metered else ())


def upstream_headers(received: Headers, named: dict[str, str], dropped: frozenset[str]) -> Headers:
    """Return the caller's headers less those `dropped`, claimed identities, and what `Connection` lists."""
    headers = [pair for pair in received if pair[0] not in dropped and not pair[0].startswith(_CLAIMED_PREFIXES)]
    connection = named.get("connection")
    if connection is not None and (connection not in _PLAIN_CONNECTIONS or len(named) != len(received)):
        listed = _listed(received)
        return [pair for pair in headers if pair[0] not in listed]
    return headers


def caller_headers(answered: Headers, request_id: str) -> Headers:
    """Return the headers to send to the caller: the upstream's, less those of its hop, with our request id."""
    headers = []
    for pair in answered:
        if pair[0] not in _NEVER_TO_CALLER:
            headers.append(pair)
        elif pair[0] == "connection" and pair[1] not in _PLAIN_CONNECTIONS:
            listed = _listed(answered)
            headers = [pair for pair in answered if pair[0] not in _NEVER_TO_CALLER and pair[0] not in listed]
            break
    headers.append(("x-request-id", request_id))
    return headers


def header(headers: Headers, name: str) -> str | None:
    """Return the first value of a header, or None."""
    for found, value in headers:
        if found == name:
            return value
    return None


def _listed(headers: Headers) -> frozenset[str]:
    """Return the names that `Connection` lists beside its options."""
    for name, value in headers:
        if name == "connection" and value not in _PLAIN_CONNECTIONS:
            return frozenset(
                part.strip().lower() for _, line in headers if _ == "connection" for part in line.split(",")
            )
    return frozenset()
