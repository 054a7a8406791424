"""The gateway's RSGI application: routes, identifies, decides; then hands the call to its dialect's path."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Final

import structlog
from granian.rsgi import HTTPProtocol, Scope

from faregate.apps.gateway import answers
from faregate.apps.gateway.admin import Admin
from faregate.apps.gateway.answers import Refusal
from faregate.apps.gateway.chat import ChatCalls
from faregate.apps.gateway.exchange import Exchange
from faregate.apps.gateway.headers import CREDENTIALS, OCCURRED_AT, Headers
from faregate.apps.gateway.metrics import GatewayMetrics
from faregate.apps.gateway.plain import PlainCalls
from faregate.apps.gateway.plan import CallPlan, RoutePlan
from faregate.apps.gateway.settlement import Call, Settlement
from faregate.apps.gateway.state import GatewayState
from faregate.base.clock import Clock
from faregate.base.ids import IdSource
from faregate.wire.event import as_utc
from faregate.wire.gateway_protocol import Dialect

_log = structlog.get_logger(__name__)

_MOST_REMEMBERED_CREDENTIALS: Final = 10_000
_MOST_URI_CHARACTERS: Final = 2_048
_DOTS: Final = frozenset((".", ".."))


class GatewayApp:
    """Takes every request. `open_calls`: the tasks of those in flight; `stopping` refuses new ones."""

    def __init__(
        self,
        *,
        state: GatewayState,
        settlement: Settlement,
        chat: ChatCalls,
        plain: PlainCalls,
        admin: Admin,
        clock: Clock,
        new_id: IdSource,
        metrics: GatewayMetrics,
    ) -> None:
        self._state = state
        self._settlement = settlement
        self._chat = chat
        self._plain = plain
        self._admin = admin
        self._clock = clock
        self._new_id = new_id
        self._metrics = metrics
        self._key_hashes: dict[str, str] = {}
        self.open_calls: set[asyncio.Task[object]] = set()
        self.stopping = False
        self.on_idle: Callable[[], None] = _nothing

    async def __rsgi__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """Answer one request; never raises for what a caller or an upstream does."""
        path = scope.path
        if self._admin.answers(path):
            self._admin.answer(path, protocol)
            return
        request_id = self._new_id("req")
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - the server runs every request in a task
        self.open_calls.add(task)
        try:
            await self._answer(scope, protocol, request_id)
        except Refusal as refusal:
            self._metrics.refused(refusal.reason)
            protocol.response_bytes(refusal.status, refusal.headers_for(request_id), refusal.body)
        except Exception:  # noqa: BLE001 - one call's fault must not show to its caller as a broken connection
            _log.exception("call.failed", request_id=request_id)
            failed = answers.INTERNAL
            protocol.response_bytes(failed.status, failed.headers_for(request_id), failed.body)
        finally:
            self.open_calls.discard(task)
            if self.stopping and not self.open_calls:
                self.on_idle()

    async def _answer(self, scope: Scope, protocol: HTTPProtocol, request_id: str) -> None:
        if self.stopping:
            raise answers.STOPPING
        if not self._state.ready:
            raise answers.NO_STATE
        path = scope.path
        found = self._state.route_for(path)
        if found is None or ("." in found[1] and not _DOTS.isdisjoint(found[1].split("/"))):
            raise answers.UNKNOWN_ROUTE
        route, rest = found
        received: Headers = scope.headers.items()
        named = dict(received)
        plan = self._identify(route, named)
        if route.missing_environment:
            raise answers.MISCONFIGURED
        call = Call(
            plan=plan,
            request_id=request_id,
            occurred_at=self._occurred_at(plan, named),
            verb=scope.method,
            uri=_uri(scope, named),
            ip_address=scope.client.rpartition(":")[0],
            replay=plan.key.replay,
        )
        if plan.refusal is not None:
            raise self._settlement.refuse(call, plan.refusal)
        if route.state.dialect is Dialect.NONE:
            await self._plain.answer(call, Exchange(scope, protocol, received, named, rest))
        else:
            await self._chat.answer(call, Exchange(scope, protocol, received, named, rest))

    def _identify(self, route: RoutePlan, named: dict[str, str]) -> CallPlan:
        """Return the plan of the caller's key on the route; raises the answer to an unknown key."""
        for name in CREDENTIALS:
            value = named.get(name)
            if value is not None:
                key_hash = self._key_hashes.get(value) or self._hash(name, value)
                plan = self._state.plan_for(route, key_hash)
                if plan is None:
                    raise answers.INVALID_KEY
                return plan
        raise answers.INVALID_KEY

    def _hash(self, name: str, value: str) -> str:
        """Hash a credential once; `Bearer` is a scheme only in `Authorization`."""
        key = value
        if name == "authorization":
            scheme, _, token = value.partition(" ")
            key = token.strip() if scheme.lower() == "bearer" else value
        if len(self._key_hashes) >= _MOST_REMEMBERED_CREDENTIALS:
            self._key_hashes.clear()
        key_hash = self._key_hashes[value] = hashlib.sha256(key.encode()).hexdigest()
        return key_hash

    def _occurred_at(self, plan: CallPlan, named: dict[str, str]) -> datetime:
        """Return the call's business time: the application's clock, or what a replay key says."""
        if plan.key.replay:
            said = named.get(OCCURRED_AT)
            if said is not None:
                return _read_instant(said)
        return self._clock.now() + plan.route.offset


def _uri(scope: Scope, named: dict[str, str]) -> str:
    """Return the URI called, without its query: that may hold secrets."""
    host = scope.authority or named.get("host") or scope.server
    return f"{scope.scheme}://{host}{scope.path}"[:_MOST_URI_CHARACTERS]


def _read_instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise answers.invalid_header(OCCURRED_AT, "must be an RFC 3339 instant such as 2026-01-31T09:30:00.000000Z")
    return as_utc(instant)


def _nothing() -> None:
    return
