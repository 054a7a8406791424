"""The path of an OpenAI chat completion: bound, hold, start, forward; then the answer's own path, whole or streamed."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from granian.rsgi import ProtocolClosed
from msgspec import Struct

from faregate.apps.gateway import answers
from faregate.apps.gateway.bodies import read_body
from faregate.apps.gateway.caller import CallerWatch
from faregate.apps.gateway.exchange import Exchange
from faregate.apps.gateway.headers import upstream_headers
from faregate.apps.gateway.holding import Denied, Holding
from faregate.apps.gateway.metrics import GatewayMetrics
from faregate.apps.gateway.plain import PlainCalls, target_url
from faregate.apps.gateway.pools import Want
from faregate.apps.gateway.relay import Relay, is_stream
from faregate.apps.gateway.settlement import Call, Settlement
from faregate.apps.gateway.spool import SpoolUnavailable
from faregate.apps.gateway.upstream_client import UpstreamClients, UpstreamFailed, UpstreamTimedOut, WholeAnswer
from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_USAGE_EVENT_BYTES
from faregate.wire.dialects.openai_chat import (
    ChatRequest,
    completion_path,
    estimate_input,
    input_bound,
    read_request,
    require_bounded,
    rewrite,
    summarise,
)
from faregate.wire.gateway_protocol import OnAbort

_log = structlog.get_logger(__name__)

_USES_NOTHING: Final = frozenset(("GET", "HEAD", "OPTIONS", "DELETE"))
_BYTES_PER_TOKEN: Final = 4


class Outgoing(Struct, frozen=True):
    """What goes upstream; `request` is None where the body could not be read. `watch`: on routes that cancel."""

    request: ChatRequest | None
    body: bytes
    watch: CallerWatch | None


class ChatCalls:
    """Chat completions of all routes."""

    def __init__(
        self,
        *,
        settlement: Settlement,
        holding: Holding,
        clients: UpstreamClients,
        relay: Relay,
        plain: PlainCalls,
        metrics: GatewayMetrics,
    ) -> None:
        self._settlement = settlement
        self._holding = holding
        self._clients = clients
        self._relay = relay
        self._plain = plain
        self._metrics = metrics

    async def answer(self, call: Call, exchange: Exchange) -> None:
        """Answer one request of a chat route; raises `Refusal` for an answer of our own."""
        plan = call.plan
        if exchange.named.get("upgrade") is not None:
            raise answers.NO_UPGRADES
        path = completion_path(exchange.rest)
        if call.verb != "POST" or path is None:
            if (plan.subscription_id or plan.unboundable) and call.verb not in _USES_NOTHING:
                raise answers.COMPLETIONS_ONLY
            await self._plain.answer(call, exchange)
            return
        if plan.unboundable is not None:
            _log.error("hold.impossible", route=plan.route.state.name, reason=plan.unboundable)
            raise answers.MISCONFIGURED
        try:
            body = await read_body(exchange.protocol, exchange.named, plan.route.state.max_request_bytes)
        except ProtocolClosed:
            return
        request = self._read(call, body)
        most = None
        if plan.subscription_id is not None and request is not None:
            most = await self._hold(call, request, body)
        exchange.rest = path
        if request is not None:
            body = rewrite(request, body, most_output_per_choice=most)
        watch = CallerWatch(exchange.protocol) if plan.route.state.on_abort is OnAbort.CANCEL else None
        try:
            await self._forward(call, exchange, Outgoing(request, body, watch))
        finally:
            if watch is not None:
                watch.close()

    def _read(self, call: Call, body: bytes) -> ChatRequest | None:
        """Return the request; one that cannot be read is refused only where it must be bounded."""
        try:
            request = read_request(body)
            if call.plan.subscription_id is not None:
                require_bounded(request)
        except InvalidInput as error:
            if call.plan.subscription_id is not None:
                raise answers.invalid_request(error) from None
            call.input_estimate = max(1, len(body) // _BYTES_PER_TOKEN)
            return None
        call.summary = summarise(request)
        call.input_estimate = estimate_input(request)
        return request

    async def _hold(self, call: Call, request: ChatRequest, body: bytes) -> int | None:
        """Hold the call's bound and record its start; return the most output per choice, None where output is free."""
        plan = call.plan
        subscription_id = plan.subscription_id
        assert subscription_id is not None  # noqa: S101 - the caller checked it
        want = _want(call, request, body)
        outcome = self._holding.try_hold(subscription_id, want) or await self._holding.hold(
            subscription_id, want, wait_ms=plan.route.state.hold_wait_ms
        )
        if outcome is Denied.UNAVAILABLE:
            raise answers.CREDIT_UNKNOWN
        if outcome is Denied.NO_CREDIT:
            assert plan.no_credit is not None  # noqa: S101 - holds are made only where such a rule covers the route
            raise self._settlement.refuse(call, plan.no_credit)
        call.hold = outcome
        self._metrics.holds += 1
        try:
            self._settlement.start(call)
        except SpoolUnavailable:
            self._settlement.release(call)
            raise answers.UNRECORDED from None
        return outcome.output // want.choices if any(need.per_output for need in plan.needs) else None

    async def _forward(self, call: Call, exchange: Exchange, outgoing: Outgoing) -> None:
        route, request = call.plan.route, outgoing.request
        headers = upstream_headers(
            exchange.received, set_here=route.upstream_headers, names_set_here=route.upstream_header_names, metered=True
        )
        headers.append(("x-request-id", call.request_id))
        client = self._clients.client_for(route.state, decode=True)
        url = target_url(route, exchange.rest, exchange.scope)
        try:
            if request is None or request.stream is not True:
                whole = await client.fetch("POST", url, headers=headers, body=outgoing.body)
                self._relay.pass_whole(call, whole, exchange.protocol)
                return
            answer = await client.stream("POST", url, headers=headers, body=outgoing.body)
            try:
                if is_stream(answer.headers):
                    strip = not request.wants_usage
                    await self._relay.pass_stream(
                        call, answer, exchange.protocol, watch=outgoing.watch, strip_usage=strip
                    )
                else:
                    body = await answer.read_whole(MAX_USAGE_EVENT_BYTES)
                    self._relay.pass_whole(call, WholeAnswer(answer.status, answer.headers, body), exchange.protocol)
            finally:
                await answer.close()
        except UpstreamFailed as error:
            refusal = answers.UPSTREAM_TIMEOUT if isinstance(error, UpstreamTimedOut) else answers.UPSTREAM_UNAVAILABLE
            self._settlement.settle(call, refusal.status)
            raise refusal from error
        except asyncio.CancelledError:
            # Nothing was sent to the caller: nothing is billed, whether the caller left or the gateway stops.
            self._settlement.settle(call, answers.UPSTREAM_UNAVAILABLE.status)
            raise answers.STOPPING from None


def _want(call: Call, request: ChatRequest, body: bytes) -> Want:
    route, choices = call.plan.route.state, request.choices
    per_choice = request.most_output_per_choice or route.default_output_tokens
    return Want(
        needs=call.plan.needs,
        input=input_bound(request, body),
        output=per_choice * choices,
        least_output=min(per_choice, route.least_output_tokens) * choices,
        choices=choices,
        occurred_at=call.occurred_at,
    )
