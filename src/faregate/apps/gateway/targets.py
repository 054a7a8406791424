"""Where a route's calls go: its upstream and its fallbacks, with the environment's values, and when to ask the next."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from faregate.apps.gateway.headers import never_upstream
from faregate.wire.gateway_protocol import RouteState

_ENVIRONMENT: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NO_ENCODING: Final = (("accept-encoding", "identity"),)


class Target(Struct, frozen=True, kw_only=True):
    """One upstream, as `place` (host and port) in events.

    `headers` are added to the caller's, less those of `dropped_headers`. `missing`: variables of the environment
    that are named and not there.
    """

    upstream_url: str
    place: str
    headers: tuple[tuple[str, str], ...]
    dropped_headers: frozenset[str]
    missing: frozenset[str]


class Retries(Struct, frozen=True, kw_only=True):
    """A route's attempts, in their order, and the statuses after which the next is made."""

    targets: tuple[Target, ...]
    statuses: frozenset[int]


def targets_of(route: RouteState, environment: Mapping[str, str], *, metered: bool) -> tuple[Target, ...]:
    """Return a route's upstream and its fallbacks, resolved."""
    first = _target(route.upstream_url, route.upstream_headers, environment, metered=metered)
    fallbacks = [
        _target(
            fallback.upstream_url,
            route.upstream_headers if fallback.upstream_headers is None else fallback.upstream_headers,
            environment,
            metered=metered,
        )
        for fallback in route.fallbacks
    ]
    return first, *fallbacks


def retries_of(route: RouteState, targets: tuple[Target, ...]) -> Retries | None:
    """Return a route's attempts over its targets in turn, None where a call is sent once."""
    if route.attempts == 1:
        return None
    turns = tuple(targets[attempt % len(targets)] for attempt in range(route.attempts))
    return Retries(targets=turns, statuses=frozenset(route.retry_statuses))


def _target(url: str, headers: Mapping[str, str], environment: Mapping[str, str], *, metered: bool) -> Target:
    upstream_url, missing = _substitute(url, environment)
    resolved = {name.lower(): _substitute(value, environment) for name, value in headers.items()}
    for _, names in resolved.values():
        missing += names
    return Target(
        upstream_url=upstream_url.rstrip("/"),
        # Without credentials, which the environment may have put there.
        place=urlsplit(upstream_url).netloc.rpartition("@")[2],
        headers=(*((name, value) for name, (value, _) in resolved.items()), *(_NO_ENCODING if metered else ())),
        dropped_headers=never_upstream(resolved, metered=metered),
        missing=frozenset(missing),
    )


def _substitute(value: str, environment: Mapping[str, str]) -> tuple[str, list[str]]:
    missing = [name for name in _ENVIRONMENT.findall(value) if name not in environment]
    return _ENVIRONMENT.sub(lambda found: environment.get(found[1], ""), value), missing
