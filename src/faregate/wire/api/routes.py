"""Routes of the gateway on the wire."""

from __future__ import annotations

import re
from typing import Annotated, Final
from urllib.parse import urlsplit

from msgspec import UNSET, Meta, Struct, UnsetType, field

from faregate.base.errors import FieldFault, InvalidInput
from faregate.base.limits import DEFAULT_ROUTE_REQUEST_BYTES, MAX_ATTEMPTS, MAX_ROUTE_REQUEST_BYTES
from faregate.wire.api.common import Headers
from faregate.wire.dialects.registry import dialect_of
from faregate.wire.dialects.settings import NO_PARTS, GenericSettings, PartBounds
from faregate.wire.gateway_protocol import (
    DEFAULT_OVERDRAFT_TOKENS,
    DEFAULT_RETRY_STATUSES,
    Dialect,
    Enforce,
    Fallback,
    NearZero,
    OnAbort,
    RouteState,
    WhenCreditEnds,
)

_LEADING_VARIABLE: Final = re.compile(r"\A\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_NAME: Final = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_ENVIRONMENT_NAME: Final = re.compile(r"\$\{([^}]*)\}?")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RETRYABLE: Final = frozenset((408, 425, 429))
_FIRST_SERVER_ERROR: Final = 500
_LAST_STATUS: Final = 599
_RESERVED: Final = ("/healthz", "/readyz", "/metrics", "/v1/quote", "/v1/balance", "/v1/usage")

_WITHOUT_LIMIT: Final = " unless generic_json.output_limit names the field that limits its output"

RouteName = Annotated[str, Meta(min_length=2, max_length=200, examples=["/ai/chat"])]
Url = Annotated[str, Meta(max_length=2_000, examples=["https://api.openai.com/v1"])]
RequestBytes = Annotated[int, Meta(ge=1, le=MAX_ROUTE_REQUEST_BYTES)]
Tokens = Annotated[int, Meta(ge=1, le=10_000_000)]
HoldWait = Annotated[int, Meta(ge=0, le=60_000)]
Models = Annotated[list[Annotated[str, Meta(min_length=1, max_length=200)]], Meta(max_length=1_000)]
Timeout = Annotated[int, Meta(ge=1, le=3_600_000)]
HeldTokens = Annotated[int, Meta(ge=64, le=10_000_000)]
Attempts = Annotated[int, Meta(ge=1, le=MAX_ATTEMPTS)]
RetryStatuses = Annotated[list[int], Meta(max_length=20, examples=[[429, 502, 503]])]


class FallbackUpstream(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another upstream that speaks the route's dialect, asked where the one before it fails.

    Its `upstream_headers` take the place of the route's, which it gets where it names none.
    """

    upstream_url: Url
    upstream_headers: Headers | None = None


Fallbacks = Annotated[list[FallbackUpstream], Meta(max_length=MAX_ATTEMPTS - 1)]


class RouteCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A route to make. Only its name and upstream are needed.

    `upstream_headers` are added to every call. A header's value, and the start of `upstream_url`, may name the
    gateway's own environment, as in `Bearer ${OPENAI_API_KEY}` and `${AI_API_URL}/v1`. `enforce`: `strict` holds
    prepaid credit before the upstream call (the default where the dialect can bound a call); `none` debits afterwards.
    `generic_json` says where usage stands in an API of your own; it bounds a call where it names an `output_limit`.
    `parts` bound a request's images, audio, files, what it only names, and the upstream's own tools: input tokens that
    one of them comes to at most; without a bound a strict route refuses it. `models`: the only ones that may be asked
    for; empty is any. Durations are in milliseconds.

    `attempts`: how often a call may be sent, to the upstream and its `fallbacks` in turn, within `total_timeout_ms`: as
    long as the upstream cannot be reached or answers with one of `retry_statuses`, and nothing of an answer has reached
    the caller, who is billed for the last attempt alone.

    `near_zero`: a prepaid call whose bound costs more than is left has its output limited to what is left, at least
    `least_output_tokens` (`clamp`), or is refused (`refuse`). `hold_output_tokens`: a stream starts with so much output
    held and holds more as it goes; null holds all of it first. `when_credit_ends`: such a stream ends with an error
    event (`end`), or goes on for `overdraft_output_tokens` at most, which are debited below zero (`finish`).

    `answer_cost`: an answer that is no stream waits, tens of milliseconds, until it is settled in the ledger, and says
    in `x-faregate-cost`, `x-faregate-currency` and, prepaid, `x-faregate-balance` what it cost and what is left.
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
    generic_json: GenericSettings | None = None
    parts: PartBounds = NO_PARTS
    models: Models = field(default_factory=list)
    attempts: Attempts = 1
    retry_statuses: RetryStatuses = field(default_factory=lambda: list(DEFAULT_RETRY_STATUSES))
    fallbacks: Fallbacks = field(default_factory=list)
    near_zero: NearZero = NearZero.CLAMP
    hold_output_tokens: HeldTokens | None = None
    when_credit_ends: WhenCreditEnds = WhenCreditEnds.END
    overdraft_output_tokens: Tokens = DEFAULT_OVERDRAFT_TOKENS
    answer_cost: bool = False


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
    generic_json: GenericSettings | UnsetType | None = UNSET
    parts: PartBounds | UnsetType = UNSET
    models: Models | UnsetType = UNSET
    attempts: Attempts | UnsetType = UNSET
    retry_statuses: RetryStatuses | UnsetType = UNSET
    fallbacks: Fallbacks | UnsetType = UNSET
    near_zero: NearZero | UnsetType = UNSET
    hold_output_tokens: HeldTokens | UnsetType | None = UNSET
    when_credit_ends: WhenCreditEnds | UnsetType = UNSET
    overdraft_output_tokens: Tokens | UnsetType = UNSET
    answer_cost: bool | UnsetType = UNSET


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
    generic_json: GenericSettings | None
    parts: PartBounds
    models: list[str]
    attempts: int
    retry_statuses: list[int]
    fallbacks: list[FallbackUpstream]
    near_zero: NearZero
    hold_output_tokens: int | None
    when_credit_ends: WhenCreditEnds
    overdraft_output_tokens: int
    answer_cost: bool


def to_fallbacks(fallbacks: list[FallbackUpstream]) -> list[Fallback]:
    """Return the fallbacks as gateways are sent them."""
    return [
        Fallback(upstream_url=fallback.upstream_url.rstrip("/"), upstream_headers=fallback.upstream_headers)
        for fallback in fallbacks
    ]


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
        generic_json=route.generic_json,
        parts=route.parts,
        models=route.models,
        attempts=route.attempts,
        retry_statuses=route.retry_statuses,
        fallbacks=[
            FallbackUpstream(upstream_url=fallback.upstream_url, upstream_headers=fallback.upstream_headers)
            for fallback in route.fallbacks
        ],
        near_zero=route.near_zero,
        hold_output_tokens=route.hold_output_tokens,
        when_credit_ends=route.when_credit_ends,
        overdraft_output_tokens=route.overdraft_output_tokens,
        answer_cost=route.answer_cost,
    )


def route_faults(route: RouteState) -> list[FieldFault]:
    """Return what is wrong with a route, field by field."""
    faults = [
        *_name_faults(route.name),
        *_url_faults("upstream_url", route.upstream_url),
        *_header_faults("upstream_headers", route.upstream_headers),
        *_attempt_faults(route),
    ]
    if route.enforce is Enforce.STRICT and not can_bound(route.dialect, route.generic_json):
        faults.append(
            FieldFault(
                field="enforce",
                message=f"cannot be 'strict' with the dialect {route.dialect.value!r}, which cannot bound what a call "
                f"uses{_WITHOUT_LIMIT if route.dialect is Dialect.GENERIC_JSON else ''}; use 'none'",
            )
        )
    faults += _dialect_faults(route)
    if route.least_output_tokens > route.default_output_tokens:
        faults.append(FieldFault(field="least_output_tokens", message="must not be above default_output_tokens"))
    return faults


def can_bound(dialect: Dialect, generic_json: GenericSettings | None) -> bool:
    """Return whether a dialect, so set up, can bound a call before it is made."""
    if dialect is Dialect.GENERIC_JSON:
        return generic_json is not None and generic_json.output_limit is not None
    return dialect is not Dialect.NONE


def _dialect_faults(route: RouteState) -> list[FieldFault]:
    if route.generic_json is not None and route.dialect is not Dialect.GENERIC_JSON:
        message = f"is for the dialect 'generic_json' alone, not for {route.dialect.value!r}"
        return [FieldFault(field="generic_json", message=message)]
    faults = []
    try:
        dialect_of(route)
    except InvalidInput as error:
        inside = "" if route.generic_json is None else "generic_json."
        faults += [FieldFault(field=inside + fault.field, message=fault.message) for fault in error.faults]
    if route.parts != NO_PARTS and route.dialect in {Dialect.GENERIC_JSON, Dialect.NONE}:
        message = f"are for the providers' dialects, whose parts are known, not for {route.dialect.value!r}"
        faults.append(FieldFault(field="parts", message=message))
    if route.hold_output_tokens is not None and route.dialect in {Dialect.GENERIC_JSON, Dialect.NONE}:
        message = (
            f"needs a dialect whose output is counted as it passes, which {route.dialect.value!r} is not; use null"
        )
        faults.append(FieldFault(field="hold_output_tokens", message=message))
    if route.models and route.dialect is Dialect.NONE:
        faults.append(FieldFault(field="models", message="are not read with the dialect 'none'"))
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


def _attempt_faults(route: RouteState) -> list[FieldFault]:
    faults = []
    for place, fallback in enumerate(route.fallbacks):
        faults += _url_faults(f"fallbacks[{place}].upstream_url", fallback.upstream_url)
        faults += _header_faults(f"fallbacks[{place}].upstream_headers", fallback.upstream_headers or {})
    for place, status in enumerate(route.retry_statuses):
        if status not in _RETRYABLE and not _FIRST_SERVER_ERROR <= status <= _LAST_STATUS:
            message = "must be 408, 425, 429 or from 500 to 599: other answers would be the same again"
            faults.append(FieldFault(field=f"retry_statuses[{place}]", message=message))
    if route.attempts <= len(route.fallbacks):
        message = f"must be at least {1 + len(route.fallbacks)}, else a fallback would never be asked"
        faults.append(FieldFault(field="attempts", message=message))
    if route.attempts > 1 and route.dialect is Dialect.NONE:
        message = "must be 1 with the dialect 'none': a body that streams through cannot be sent again"
        faults.append(FieldFault(field="attempts", message=message))
    return faults


def _url_faults(field_name: str, url: str) -> list[FieldFault]:
    fault = FieldFault(
        field=field_name,
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


def _header_faults(field_name: str, headers: dict[str, str]) -> list[FieldFault]:
    return [
        FieldFault(
            field=f"{field_name}.{name}",
            message=f"'${{{variable}}}' does not name an environment variable; write it as '${{OPENAI_API_KEY}}'",
        )
        for name, value in headers.items()
        for variable in _ENVIRONMENT_NAME.findall(value)
        if _VARIABLE.fullmatch(variable) is None
    ]
