"""One request of Stripe's API, from its bytes to its answer: who asks, which version, what, and is it a repeat."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, NamedTuple

from faregate.providers.sandbox import (
    charges,
    coupons,
    customers,
    disputes,
    events,
    meters,
    payment_intents,
    payment_methods,
    prices,
    products,
    refunds,
    setup_intents,
    test_clocks,
    webhook_endpoints,
)
from faregate.providers.sandbox.asking import Asked, Route, Sandbox
from faregate.providers.sandbox.due import work_due
from faregate.providers.sandbox.expanding import expanded
from faregate.providers.sandbox.faults import Declined, StripeFault, refused
from faregate.providers.sandbox.forms import decode_form
from faregate.providers.sandbox.parameters import check_parameters
from faregate.providers.sandbox.store import KeptAnswer
from faregate.providers.stripe_version import API_VERSION

_MODULES: Final = (
    charges,
    coupons,
    customers,
    disputes,
    events,
    meters,
    payment_intents,
    payment_methods,
    prices,
    products,
    refunds,
    setup_intents,
    test_clocks,
    webhook_endpoints,
)
_ROUTES: Final = [
    (route, re.compile(re.escape(route.path).replace(r"\{\}", "([^/]+)")))
    for module in _MODULES
    for route in module.ROUTES
]
_MOST_KEY: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A request as it came; header names are lower case."""

    method: str
    path: str
    query: bytes
    headers: Mapping[str, str]
    body: bytes


class HttpAnswer(NamedTuple):
    """An answer: status, further headers, and JSON."""

    status: int
    headers: dict[str, str]
    body: bytes


def answer(sandbox: Sandbox, request: HttpRequest) -> HttpAnswer:
    """Answer one request, in one transaction, after what is due by then; what is refused changes nothing."""
    request_id = sandbox.new_id("req")
    headers = {"content-type": "application/json", "request-id": request_id, "stripe-version": API_VERSION}
    try:
        _authorize(sandbox, request)
        route, ids = _route(request)
        work_due(sandbox)
        with sandbox.store.transaction():
            kept = _kept(sandbox, request)
            if kept is not None:
                return HttpAnswer(kept.status, headers | {"idempotent-replayed": "true"}, kept.body.encode())
            status, body = _answered(sandbox, request, route=route, ids=ids)
            _keep(sandbox, request, status=status, body=body)
    except StripeFault as fault:
        return HttpAnswer(fault.status, headers, json.dumps(fault.document()).encode())
    return HttpAnswer(status, headers, body)


def _answered(sandbox: Sandbox, request: HttpRequest, *, route: Route, ids: tuple[str, ...]) -> tuple[int, bytes]:
    sent = decode_form(request.query if request.method == "GET" else request.body)
    parameters = check_parameters(route.parameters, sent)
    expand = parameters.pop("expand", [])
    asked = Asked(url=request.path, ids=ids, parameters=parameters)
    try:
        body = route.answer(sandbox, asked)
    except Declined as declined:
        return declined.status, json.dumps(declined.document()).encode()
    return HTTPStatus.OK, json.dumps(expanded(sandbox.store, body, expand)).encode()


def _authorize(sandbox: Sandbox, request: HttpRequest) -> None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(key.strip().encode(), sandbox.key.encode()):
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
