"""Which headers pass: not those of one hop (RFC 9110, section 7.6.1), no credentials, no claimed identities."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

Headers = list[tuple[str, str]]

CREDENTIALS: Final = ("authorization", "x-api-key", "x-goog-api-key", "api-key", "apikey")
"""Where a key may stand, in the order they are asked."""

OCCURRED_AT: Final = "x-faregate-occurred-at"

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
_CLAIMED_PREFIXES: Final = ("x-faregate-", "x-consumer-")
_NEVER_TO_CALLER: Final = _HOP_BY_HOP.union(("x-request-id", "content-length"))


def upstream_headers(
    received: Headers, *, set_here: Iterable[tuple[str, str]], names_set_here: frozenset[str], metered: bool
) -> Headers:
    """Return the headers to send upstream: the caller's, less what must not pass, and the route's own.

    `metered`: ask for an answer that is not compressed, since its usage is read.
    """
    listed = _listed(received)
    headers = [
        pair
        for pair in received
        if (name := pair[0]) not in _NEVER_UPSTREAM
        and name not in names_set_here
        and not (name[:2] == "x-" and name.startswith(_CLAIMED_PREFIXES))
        and not (metered and name == "accept-encoding")
        and not (listed and name in listed)
    ]
    headers.extend(set_here)
    if metered:
        headers.append(("accept-encoding", "identity"))
    return headers


def caller_headers(answered: Headers, request_id: str) -> Headers:
    """Return the headers to send to the caller: the upstream's, less those of its hop, with our request id."""
    listed = _listed(answered)
    headers = [pair for pair in answered if pair[0] not in _NEVER_TO_CALLER and not (listed and pair[0] in listed)]
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
        if name == "connection" and value not in {"keep-alive", "close", "Keep-Alive"}:
            return frozenset(
                part.strip().lower() for _, line in headers if _ == "connection" for part in line.split(",")
            )
    return frozenset()
