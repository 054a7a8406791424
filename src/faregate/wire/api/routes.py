"""Routes of the gateway on the wire."""

from __future__ import annotations

import re
from typing import Annotated, Final
from urllib.parse import urlsplit

from msgspec import UNSET, Meta, Struct, UnsetType, field

from faregate.base.errors import FieldFault
from faregate.base.limits import DEFAULT_ROUTE_REQUEST_BYTES, MAX_ROUTE_REQUEST_BYTES
from faregate.wire.api.common import Headers
from faregate.wire.gateway_protocol import Dialect, Enforce, OnAbort, RouteState

_LEADING_VARIABLE: Final = re.compile(r"\A\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_NAME: Final = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_ENVIRONMENT_NAME: Final = re.compile(r"\$\{([^}]*)\}?")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED: Final = ("/healthz", "/readyz", "/metrics", "/v1/quote", "/v1/balance", "/v1/usage")

RouteName = Annotated[str, Meta(min_length=2, max_length=200, examples=["/ai/chat"])]
Url = Annotated[str, Meta(max_length=2_000, examples=["https://api.openai.com/v1"])]
RequestBytes = Annotated[int, Meta(ge=1, le=MAX_ROUTE_REQUEST_BYTES)]
Tokens = Annotated[int, Meta(ge=1, le=10_000_000)]
HoldWait = Annotated[int, Meta(ge=0, le=60_000)]
Timeout = Annotated[int, Meta(ge=1, le=3_600_000)]


class RouteCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A route to make. Only its name and upstream are needed.

    `upstream_headers` are added to every call. A header's value, and the start of `upstream_url`, may name the
    gateway's own environment, as in `Bearer ${OPENAI_API_KEY}` and `${AI_API_URL}/v1`. `enforce`: `strict` holds
    prepaid credit before the upstream call (the default where the dialect can bound a call); `none` debits afterwards.
    Durations are in milliseconds.
    """

    name: RouteName
    upstream_url: Url
    upstream_headers: Headers = field(default_factory=dict)
    dialect: Dialect = Dialect.OPENAI_CHAT
    enforce: Enforce | UnsetType = UNSET
    on_abort: OnAbort = OnAbort.DRAIN
    max_request_bytes: RequestBytes = DEFAULT_ROUTE_REQUEST_BYTES
    default_output_tokens: Tokens = 4_096
    least_output_tokens: Tokens = 256
    hold_wait_ms: HoldWait = 2_000
    connect_timeout_ms: Timeout = 5_000
    read_timeout_ms: Timeout = 60_000
    total_timeout_ms: Timeout = 600_000


class RouteChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a route. Its name is what meters and rules know it by: it stays."""

    upstream_url: Url | UnsetType = UNSET
    upstream_headers: Headers | UnsetType = UNSET
    dialect: Dialect | UnsetType = UNSET
    enforce: Enforce | UnsetType = UNSET
    on_abort: OnAbort | UnsetType = UNSET
    max_request_bytes: RequestBytes | UnsetType = UNSET
    default_output_tokens: Tokens | UnsetType = UNSET
    least_output_tokens: Tokens | UnsetType = UNSET
    hold_wait_ms: HoldWait | UnsetType = UNSET
    connect_timeout_ms: Timeout | UnsetType = UNSET
    read_timeout_ms: Timeout | UnsetType = UNSET
    total_timeout_ms: Timeout | UnsetType = UNSET


class RouteView(Struct, frozen=True, kw_only=True):
    """A route: where calls to its public name go, and how their usage is bounded and read."""

    route_id: str
    name: str
    upstream_url: str
    upstream_headers: dict[str, str]
    dialect: Dialect
    enforce: Enforce
    on_abort: OnAbort
    max_request_bytes: int
    default_output_tokens: int
    least_output_tokens: int
    hold_wait_ms: int
    connect_timeout_ms: int
    read_timeout_ms: int
    total_timeout_ms: int


def route_view(route: RouteState) -> RouteView:
    """Return a route as the management API shows it."""
    return RouteView(
        route_id=route.route_id,
        name=route.name,
        upstream_url=route.upstream_url,
        upstream_headers=route.upstream_headers,
        dialect=route.dialect,
        enforce=route.enforce,
        on_abort=route.on_abort,
        max_request_bytes=route.max_request_bytes,
        default_output_tokens=route.default_output_tokens,
        least_output_tokens=route.least_output_tokens,
        hold_wait_ms=route.hold_wait_ms,
        connect_timeout_ms=route.connect_timeout_ms,
        read_timeout_ms=route.read_timeout_ms,
        total_timeout_ms=route.total_timeout_ms,
    )


def route_faults(route: RouteState) -> list[FieldFault]:
    """Return what is wrong with a route, field by field."""
    faults = [*_name_faults(route.name), *_url_faults(route.upstream_url), *_header_faults(route.upstream_headers)]
    if route.enforce is Enforce.STRICT and route.dialect is Dialect.NONE:
        faults.append(
            FieldFault(
                field="enforce",
                message="cannot be 'strict' with the dialect 'none', which cannot bound what a call uses; use 'none'",
            )
        )
    if route.least_output_tokens > route.default_output_tokens:
        faults.append(FieldFault(field="least_output_tokens", message="must not be above default_output_tokens"))
    return faults


def _name_faults(name: str) -> list[FieldFault]:
    if _NAME.fullmatch(name) is None:
        message = (
            "must be a path such as '/ai/chat': letters, digits and . _ ~ - between single slashes, none at the end"
        )
        return [FieldFault(field="name", message=message)]
    if name in _RESERVED:
        return [FieldFault(field="name", message="is one of the gateway's own paths")]
    return []


def _url_faults(url: str) -> list[FieldFault]:
    fault = FieldFault(
        field="upstream_url",
        message="must be an http or https URL without credentials, query or fragment, such as "
        "'https://api.openai.com/v1', or begin with a variable of the gateway, such as '${AI_API_URL}/v1'",
    )
    url = _LEADING_VARIABLE.sub("http://upstream", url, count=1)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return [fault]
    del port
    if (
        parts.scheme not in {"http", "https"}
        or not parts.hostname
        or "@" in parts.netloc
        or parts.query
        or parts.fragment
    ):
        return [fault]
    return [] if url.isascii() and url.isprintable() and " " not in url else [fault]


def _header_faults(headers: dict[str, str]) -> list[FieldFault]:
    return [
        FieldFault(
            field=f"upstream_headers.{name}",
            message=f"'${{{variable}}}' does not name an environment variable; write it as '${{OPENAI_API_KEY}}'",
        )
        for name, value in headers.items()
        for variable in _ENVIRONMENT_NAME.findall(value)
        if _VARIABLE.fullmatch(variable) is None
    ]
