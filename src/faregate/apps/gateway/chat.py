"""The path of an OpenAI chat completion: bound, hold, start, forward; then the answer's own path, whole or streamed."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from granian.rsgi import HTTPProtocol, ProtocolClosed, Scope

from faregate.apps.gateway import answers
from faregate.apps.gateway.bodies import read_body
from faregate.apps.gateway.caller import CallerWatch
from faregate.apps.gateway.headers import Headers, header, upstream_headers
from faregate.apps.gateway.holding import Denied, Holding
from faregate.apps.gateway.metrics import GatewayMetrics
from faregate.apps.gateway.plain import PlainCalls, target_url
from faregate.apps.gateway.pools import Want
from faregate.apps.gateway.relay import Relay
from faregate.apps.gateway.settlement import Call, Settlement
from faregate.apps.gateway.spool import SpoolUnavailable
from faregate.apps.gateway.upstream_client import (
    WHOLE_ANSWER_BYTES,
    UpstreamClients,
    UpstreamFailed,
    UpstreamTimedOut,
)
from faregate.base.errors import InvalidInput
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

    async def answer(self, call: Call, scope: Scope, protocol: HTTPProtocol, received: Headers, rest: str) -> None:
        """Answer one request of a chat route; raises `Refusal` for an answer of our own."""
        plan = call.plan
        if header(received, "upgrade") is not None:
            raise answers.NO_UPGRADES
        path = completion_path(rest)
        if call.verb != "POST" or path is None:
            if (plan.subscription_id or plan.unboundable) and call.verb not in _USES_NOTHING:
                raise answers.COMPLETIONS_ONLY
            await self._plain.answer(call, scope, protocol, received, rest)
            return
        try:
            body = await read_body(protocol, received, plan.route.state.max_request_bytes)
        except ProtocolClosed:
            return
        request = self._read(call, body)
        most = None
        if plan.subscription_id is not None and request is not None:
            most = await self._hold(call, request, body, protocol)
            if most is None:
                return
        elif plan.unboundable is not None:
            _log.error("hold.impossible", route=plan.route.state.name, reason=plan.unboundable)
            raise answers.MISCONFIGURED
        if request is not None:
            body = rewrite(request, body, most_output_per_choice=most or None)
        watch = CallerWatch(protocol) if plan.route.state.on_abort is OnAbort.CANCEL else None
        try:
            await self._forward(call, request, body, target_url(plan.route, path, scope), received, protocol, watch)
        finally:
            if watch is not None:
                watch.close()

    def _read(self, call: Call, body: bytes) -> ChatRequest | None:
        """Return the request; one that cannot be read is refused where it must be bounded, else the upstream judges it."""
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

    async def _hold(self, call: Call, request: ChatRequest, body: bytes, protocol: HTTPProtocol) -> int | None:
        """Hold the call's bound and record its start.

        Returns the most output tokens per choice, 0 where output costs nothing, or None where the caller was refused.
        """
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
            self._settlement.refuse(call, plan.no_credit, protocol)
            return None
        call.hold = outcome
        self._metrics.holds += 1
        try:
            self._settlement.start(call)
        except SpoolUnavailable:
            self._settlement.release(call)
            raise answers.UNRECORDED from None
        return outcome.output // want.choices if any(need.per_output for need in plan.needs) else 0

    async def _forward(
        self,
        call: Call,
        request: ChatRequest | None,
        body: bytes,
        url: str,
        received: Headers,
        protocol: HTTPProtocol,
        watch: CallerWatch | None,
    ) -> None:
        route = call.plan.route
        headers = upstream_headers(
            received, set_here=route.upstream_headers, names_set_here=route.upstream_header_names, metered=True
        )
        headers.append(("x-request-id", call.request_id))
        streamed = request is not None and request.stream is True
        try:
            answer = await self._clients.client_for(route.state, decode=True).send(
                call.verb, url, headers, body, buffer_bytes=0 if streamed else WHOLE_ANSWER_BYTES
            )
        except UpstreamFailed as error:
            refusal = answers.UPSTREAM_TIMEOUT if isinstance(error, UpstreamTimedOut) else answers.UPSTREAM_UNAVAILABLE
            self._settlement.settle(call, refusal.status)
            raise refusal from error
        except asyncio.CancelledError:
            # Nothing has come from the upstream: nothing is billed, whether the caller left or the gateway stops.
            self._settlement.settle(call, answers.UPSTREAM_UNAVAILABLE.status)
            raise answers.STOPPING from None
        try:
            if (header(answer.headers, "content-type") or "").startswith("text/event-stream"):
                strip = request is not None and not request.wants_usage
                await self._relay.pass_stream(call, answer, protocol, watch, strip_usage=strip)
            else:
                await self._relay.pass_whole(call, answer, protocol)
        finally:
            await answer.close()


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
