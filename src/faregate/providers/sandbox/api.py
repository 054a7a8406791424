"""One request of Stripe's API, from its bytes to its answer: who asks, which version, what, and is it a repeat."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, NamedTuple

from faregate.providers.sandbox import (
    account,
    charges,
    checkout,
    coupons,
    credit_balance,
    credit_grants,
    credit_notes,
    customer_balance,
    customers,
    disputes,
    event_destinations,
    event_stream,
    events,
    faulty,
    invoice_items,
    invoice_payments,
    invoice_previews,
    invoice_requests,
    meters,
    payment_intents,
    payment_methods,
    portal,
    prices,
    products,
    refunds,
    setup_intents,
    subscription_items,
    subscriptions,
    tax,
    test_clocks,
    v2_events,
    webhook_endpoints,
)
from faregate.providers.sandbox.asking import Asked, Route, Sandbox
from faregate.providers.sandbox.control import CONTROL_PREFIX, controlled
from faregate.providers.sandbox.due import work_due
from faregate.providers.sandbox.expanding import expanded
from faregate.providers.sandbox.faults import Declined, StripeFault, refused
from faregate.providers.sandbox.faulty import RequestFault
from faregate.providers.sandbox.forms import Sent, decode_form, decode_json
from faregate.providers.sandbox.live import RequestLine
from faregate.providers.sandbox.parameters import check_parameters
from faregate.providers.sandbox.store import KeptAnswer
from faregate.providers.stripe_version import API_VERSION

_MODULES: Final = (
    account,
    charges,
    checkout,
    coupons,
    credit_balance,
    credit_grants,
    credit_notes,
    customer_balance,
    customers,
    disputes,
    event_destinations,
    event_stream,
    events,
    invoice_items,
    invoice_payments,
    invoice_previews,
    invoice_requests,
    meters,
    payment_intents,
    payment_methods,
    portal,
    prices,
    products,
    refunds,
    setup_intents,
    subscription_items,
    subscriptions,
    tax,
    test_clocks,
    v2_events,
    webhook_endpoints,
)
_ROUTES: Final = [
    (route, re.compile(re.escape(route.path).replace(r"\{\}", "([^/]+)")))
    for module in _MODULES
    for route in module.ROUTES
]
_MOST_KEY: Final = 255
_V2: Final = "/v2/"
_METER_EVENTS: Final = frozenset({"/v1/billing/meter_events", "/v2/billing/meter_events"})


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A request as it came; header names are lower case."""

    method: str
    path: str
    query: bytes
    headers: Mapping[str, str]
    body: bytes


class HttpAnswer(NamedTuple):
    """An answer: status, further headers, and JSON; whether it is to be lost on its way, and how late it is to be."""

    status: int
    headers: dict[str, str]
    body: bytes
    is_lost: bool = False
    late_ms: int = 0


def answer(sandbox: Sandbox, request: HttpRequest) -> HttpAnswer:
    """Answer one request, in one transaction, after what is due by then; what is refused changes nothing."""
    request_id = sandbox.new_id("req")
    headers = {"content-type": "application/json", "request-id": request_id, "stripe-version": API_VERSION}
    error: StripeFault | None = None
    rule: RequestFault | None = None
    try:
        _authorize(sandbox, request)
        if request.path.startswith(CONTROL_PREFIX):
            return HttpAnswer(HTTPStatus.OK, headers, _controlled(sandbox, request))
        route, ids = _route(request)
        rule, error = _struck(sandbox, request)
        if error is not None:
            raise error
        work_due(sandbox)
        with sandbox.live.alone(_held_by(request)):
            answered = _worked(sandbox, request, route=route, ids=ids, rule=rule)
    except StripeFault as fault:
        error, answered = fault, HttpAnswer(fault.status, _advice(fault), json.dumps(fault.document()).encode())
    answered = answered._replace(headers=headers | answered.headers)
    if rule is not None:
        answered = answered._replace(is_lost=rule.answer == "lost", late_ms=rule.late_ms)
    sandbox.live.requests.append(_line(sandbox, request, answered, error=error, rule=rule))
    return answered


def _worked(
    sandbox: Sandbox, request: HttpRequest, *, route: Route, ids: tuple[str, ...], rule: RequestFault | None
) -> HttpAnswer:
    with sandbox.store.transaction():
        kept = _kept(sandbox, request)
        if kept is not None:
            return HttpAnswer(kept.status, {"idempotent-replayed": "true"}, kept.body.encode())
        status, body = _answered(sandbox, request, route=route, ids=ids, rule=rule)
        _keep(sandbox, request, status=status, body=body)
    return HttpAnswer(status, {}, body)


def _struck(sandbox: Sandbox, request: HttpRequest) -> tuple[RequestFault | None, StripeFault | None]:
    """Return the rule that strikes the request, and what it is refused with for that."""
    second = sandbox.machine_ms() // 1_000
    with sandbox.store.transaction():
        rule = faulty.strike(
            sandbox.store, method=request.method, path=request.path, second=second, rates=sandbox.live.rates
        )
        fault = None if rule is None else faulty.refusal_of(rule)
        if rule is not None and fault is not None and faulty.is_kept(rule):
            if _kept(sandbox, request) is not None:
                return rule, None
            _keep(sandbox, request, status=fault.status, body=json.dumps(fault.document()).encode())
    return rule, fault


def _held_by(request: HttpRequest) -> Hashable | None:
    """Return what one request alone may hold at a time: of a meter's events, those of a customer."""
    if request.method != "POST" or request.path not in _METER_EVENTS:
        return None
    sent = _sent(request)
    payload = sent.get("payload")
    values = payload.values() if isinstance(payload, dict) else ()
    return (str(sent.get("event_name")), *sorted(str(value) for value in values if str(value).startswith("cus_")))


def _sent(request: HttpRequest) -> dict[str, Sent]:
    """Return a request's fields: in its address, in a form, or, of `/v2`, in JSON."""
    if request.method in {"GET", "DELETE"}:
        return decode_form(request.query)
    return decode_json(request.body) if request.path.startswith(_V2) else decode_form(request.body)


def _advice(fault: StripeFault) -> dict[str, str]:
    return {} if fault.should_retry is None else {"stripe-should-retry": str(fault.should_retry).lower()}


def _line(
    sandbox: Sandbox,
    request: HttpRequest,
    answered: HttpAnswer,
    *,
    error: StripeFault | None,
    rule: RequestFault | None,
) -> RequestLine:
    return RequestLine(
        at_ms=sandbox.machine_ms(),
        method=request.method,
        path=request.path,
        status=answered.status,
        request_id=answered.headers["request-id"],
        idempotency_key=request.headers.get("idempotency-key"),
        error=None if error is None else error.message,
        fault=None if rule is None else rule.answer,
    )


def _controlled(sandbox: Sandbox, request: HttpRequest) -> bytes:
    shown = controlled(sandbox, method=request.method, path=request.path, body=request.body)
    return json.dumps(shown).encode()


def _answered(
    sandbox: Sandbox, request: HttpRequest, *, route: Route, ids: tuple[str, ...], rule: RequestFault | None
) -> tuple[int, bytes]:
    sent = _sent(request)
    page = sent.pop("page", None) if request.path.startswith(_V2) and request.method == "GET" else None
    parameters = check_parameters(route.parameters, sent)
    expand = parameters.pop("expand", [])
    asked = Asked(
        url=request.path,
        ids=ids,
        parameters=parameters,
        idempotency_key=request.headers.get("idempotency-key"),
        page=None if page is None else str(page),
        checks_later=rule is not None and rule.answer == "reported",
        lost_as=None if rule is None else rule.code,
    )
    try:
        body = route.answer(sandbox, asked)
    except Declined as declined:
        return declined.status, json.dumps(declined.document()).encode()
    return HTTPStatus.OK, json.dumps(expanded(sandbox.store, body, expand)).encode()


def _authorize(sandbox: Sandbox, request: HttpRequest) -> None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if request.path == event_stream.STREAM:
        event_stream.authorize(sandbox, key.strip())
    elif scheme.lower() != "bearer" or not hmac.compare_digest(key.strip().encode(), sandbox.key.encode()):
        message = "Invalid API Key provided: the sandbox takes the key in its data folder alone."
        raise StripeFault(message, status=HTTPStatus.UNAUTHORIZED)
    version = request.headers.get("stripe-version")
    if version not in {None, API_VERSION}:
        raise refused(f"Invalid Stripe API version: {version}; the sandbox speaks {API_VERSION}")


def _route(request: HttpRequest) -> tuple[Route, tuple[str, ...]]:
    for route, pattern in _ROUTES:
        found = pattern.fullmatch(request.path) if route.method == request.method else None
        if found is not None:
            return route, found.groups()
    message = f"Unrecognized request URL ({request.method}: {request.path})."
    raise StripeFault(message, status=HTTPStatus.NOT_FOUND)


def _kept(sandbox: Sandbox, request: HttpRequest) -> KeptAnswer | None:
    """Return what the same request was answered before, under its idempotency key."""
    key = request.headers.get("idempotency-key")
    if key is None or request.method != "POST":
        return None
    if len(key) > _MOST_KEY:
        raise refused(f"The idempotency key has more than {_MOST_KEY} characters.")
    kept = sandbox.store.kept_answer(key)
    if kept is not None and kept.request != _digest(request):
        message = "Keys for idempotent requests can only be used with the same parameters they were first used with."
        raise StripeFault(message, kind="idempotency_error")
    return kept


def _keep(sandbox: Sandbox, request: HttpRequest, *, status: int, body: bytes) -> None:
    key = request.headers.get("idempotency-key")
    if key is not None and request.method == "POST":
        kept = KeptAnswer(request=_digest(request), status=status, body=body.decode())
        sandbox.store.keep_answer(key, kept, created=sandbox.now())


def _digest(request: HttpRequest) -> str:
    return hashlib.sha256(f"{request.method} {request.path}\n".encode() + request.body).hexdigest()
