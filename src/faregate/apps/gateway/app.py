"""The gateway's RSGI application: routes, identifies, decides; then hands the call to its path."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog
from granian.rsgi import HTTPProtocol, Scope

from faregate.apps.gateway import answers
from faregate.apps.gateway.admin import Admin
from faregate.apps.gateway.answers import Refusal
from faregate.apps.gateway.call import Call
from faregate.apps.gateway.caller_paths import CallerPaths
from faregate.apps.gateway.headers import CREDENTIALS, OCCURRED_AT, Headers
from faregate.apps.gateway.limiting import Limiting
from faregate.apps.gateway.limits import PlanLimits
from faregate.apps.gateway.metered import MeteredCalls
from faregate.apps.gateway.metrics import GatewayMetrics
from faregate.apps.gateway.plain import PlainCalls, url_below
from faregate.apps.gateway.plan import CallPlan, RoutePlan
from faregate.apps.gateway.state import GatewayState
from faregate.base.clock import Clock
from faregate.base.ids import IdSource
from faregate.wire.event import as_utc
from faregate.wire.gateway_protocol import KeyState

_log = structlog.get_logger(__name__)

_MOST_KNOWN: Final = 10_000
"""How many calls (path, credential and host) are remembered."""

_MOST_URI_CHARACTERS: Final = 2_048
_DOTS: Final = frozenset((".", ".."))


class Known:
    """What a path, a credential and a host come to, while the state does not change."""

    __slots__ = ("metered_url", "plan", "reads_usage", "rest", "uri")

    def __init__(self, *, plan: CallPlan, rest: str, metered_url: str | None, uri: str, reads_usage: bool) -> None:
        self.plan = plan
        self.rest = rest
        self.metered_url = metered_url
        self.uri = uri
        self.reads_usage = reads_usage


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPaths:
    """What answers on the gateway's own paths, which stand before all routes."""

    admin: Admin
    callers: CallerPaths


class GatewayApp:
    """Takes every request. `open_calls`: the tasks of those in flight; `stopping` refuses new ones."""

    def __init__(
        self,
        *,
        state: GatewayState,
        metered: MeteredCalls,
        plain: PlainCalls,
        limiting: Limiting,
        own: OwnPaths,
        clock: Clock,
        new_id: IdSource,
        metrics: GatewayMetrics,
    ) -> None:
        self._state = state
        self._metered = metered
        self._plain = plain
        self._limiting = limiting
        self._admin = own.admin
        self._callers = own.callers
        self._now = clock.now
        self._new_id = new_id
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._known: dict[tuple[str, str | None, str | None], Known] = {}
        self._known_changes = 0
        self.open_calls: set[asyncio.Task[object]] = set()
        self.stopping = False

    async def __rsgi__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """Answer one request; never raises for what a caller or an upstream does."""
        path = scope.path
        received: Headers = scope.headers.items()
        named = dict(received)
        known = self._known.get((path, named.get("authorization"), named.get("host")))
        if known is None and self._admin.answers(path):
            self._admin.answer(path, protocol)
            return
        request_id = self._new_id("req")
        # Asked without the loop, Python 3.11 looks for it with a system call.
        task = asyncio.current_task(self._loop)
        assert task is not None  # noqa: S101 - the server runs every request in a task
        self.open_calls.add(task)
        try:
            if known is None or self._known_changes != self._state.changes or self.stopping:
                if self._callers.answers(path):
                    await self._callers.answer(self._key(named), scope, protocol, request_id=request_id)
                    return
                known = self._recognise(path, named)
            plan = known.plan
            call = Call(
                plan,
                request_id,
                self._occurred_at(plan, named),
                scope.method,
                known.uri,
                known.rest,
                known.metered_url,
                scope,
                protocol,
                received,
                named,
            )
            if plan.refusal is not None:
                self._limiting.turn_away(call, plan.refusal)
            if plan.limits is not None:
                await self._limiting.admit(call, plan.limits)
            calls = self._metered if known.reads_usage else self._plain
            await calls.answer(call)
        except Refusal as refusal:
            limits = None if known is None else known.plan.limits
            self._refuse(protocol, path, refusal, request_id=request_id, limits=limits)
            refusal.forget()
        except Exception:  # noqa: BLE001 - one call's fault must not show to its caller as a broken connection
            _log.exception("call.failed", request_id=request_id)
            self._refuse(protocol, path, answers.INTERNAL, request_id=request_id, limits=None)
        finally:
            self.open_calls.discard(task)

    def _refuse(
        self, protocol: HTTPProtocol, path: str, refusal: Refusal, *, request_id: str, limits: PlanLimits | None
    ) -> None:
        """Give an answer of our own, in the shape of the path's route."""
        self._metrics.refused(refusal.reason)
        found = self._state.route_for(path)
        body = refusal.body_for(None if found is None else found[0].dialect)
        headers = refusal.headers_for(request_id)
        protocol.response_bytes(refusal.status, headers if limits is None else headers + limits.headers(), body)

    def _recognise(self, path: str, named: dict[str, str]) -> Known:
        """Find route, key and plan, and remember them; raises the answer where there is no such call."""
        self._require_ready()
        found = self._state.route_for(path)
        if found is None or ("." in found[1] and not _DOTS.isdisjoint(found[1].split("/"))):
            raise answers.UNKNOWN_ROUTE
        route, rest = found
        host = named.get("host")
        dialect = route.dialect
        target = None if dialect is None else dialect.upstream_path(rest)
        known = Known(
            plan=self._identify(route, named),
            rest=rest,
            # Without its query: that may hold secrets. The server speaks plain HTTP/1.1.
            uri=f"http://{host or 'localhost'}{path}"[:_MOST_URI_CHARACTERS],
            metered_url=None if target is None else url_below(route, target),
            reads_usage=dialect is not None,
        )
        credential = named.get("authorization")
        if credential is not None:
            if self._known_changes != self._state.changes or len(self._known) >= _MOST_KNOWN:
                self._known.clear()
                self._known_changes = self._state.changes
            self._known[path, credential, host] = known
        return known

    def _require_ready(self) -> None:
        if self.stopping:
            raise answers.STOPPING
        if not self._state.ready:
            raise answers.NO_STATE

    def _key(self, named: dict[str, str]) -> KeyState:
        """Return the caller's key; raises the answer to an unknown one."""
        self._require_ready()
        key = self._state.key_of(_key_hash(named))
        if key is None:
            raise answers.INVALID_KEY
        return key

    def _identify(self, route: RoutePlan, named: dict[str, str]) -> CallPlan:
        """Return the plan of the caller's key on the route; raises the answer to an unknown key."""
        plan = self._state.plan_for(route, _key_hash(named))
        if plan is None:
            raise answers.INVALID_KEY
        if route.missing_environment:
            raise answers.MISCONFIGURED
        return plan

    def _occurred_at(self, plan: CallPlan, named: dict[str, str]) -> datetime:
        """Return the call's business time: the application's clock, or what a replay key says."""
        if plan.key.replay:
            said = named.get(OCCURRED_AT)
            if said is not None:
                return _read_instant(said)
        return self._now() + plan.route.offset


def _key_hash(named: dict[str, str]) -> str:
    """Return the hash of the key in the first credential; raises the answer to a call without one."""
    for name in CREDENTIALS:
        value = named.get(name)
        if value is not None:
            return _hash(name, value)
    raise answers.INVALID_KEY


def _hash(name: str, value: str) -> str:
    """Return the hash of the key in a credential; `Bearer` is a scheme only in `Authorization`."""
    key = value
    if name == "authorization":
        scheme, _, token = value.partition(" ")
        key = token.strip() if scheme.lower() == "bearer" else value
    return hashlib.sha256(key.encode()).hexdigest()


def _read_instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise answers.invalid_header(OCCURRED_AT, "must be an RFC 3339 instant such as 2026-01-31T09:30:00.000000Z")
    return as_utc(instant)
