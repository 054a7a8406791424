"""The path of a metered call, whatever its dialect: bound, hold, start, forward; then the answer's own path."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

import structlog
from granian.rsgi import ProtocolClosed

from faregate.apps.gateway import answers
from faregate.apps.gateway.attempts import RepeatingClient
from faregate.apps.gateway.bodies import read_body
from faregate.apps.gateway.call import Call, request_headers
from faregate.apps.gateway.caller import CallerWatch
from faregate.apps.gateway.extending import Extension
from faregate.apps.gateway.headers import Headers
from faregate.apps.gateway.holding import Denied, Holding
from faregate.apps.gateway.limiting import Limiting
from faregate.apps.gateway.metrics import GatewayMetrics
from faregate.apps.gateway.plain import PlainCalls
from faregate.apps.gateway.plan import want_of
from faregate.apps.gateway.pools import Hold, Want
from faregate.apps.gateway.relay import Relay, is_stream
from faregate.apps.gateway.settlement import Settlement
from faregate.apps.gateway.spool import SpoolUnavailable
from faregate.apps.gateway.upstream_client import UpstreamClient, UpstreamClients, UpstreamFailed, WholeAnswer
from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_USAGE_EVENT_BYTES
from faregate.wire.dialects.seam import MeteredDialect, MeteredRequest
from faregate.wire.gateway_protocol import RouteState, WhenCreditEnds

_log = structlog.get_logger(__name__)

_USES_NOTHING: Final = frozenset(("GET", "HEAD", "OPTIONS", "DELETE"))


class MeteredCalls:
    """Calls of all routes whose usage is read."""

    def __init__(
        self,
        *,
        settlement: Settlement,
        holding: Holding,
        clients: UpstreamClients,
        relay: Relay,
        plain: PlainCalls,
        limiting: Limiting,
        metrics: GatewayMetrics,
        now: Callable[[], datetime],
    ) -> None:
        self._settlement = settlement
        self._holding = holding
        self._clients = clients
        self._relay = relay
        self._plain = plain
        self._limiting = limiting
        self._metrics = metrics
        self._now = now

    async def answer(self, call: Call) -> None:
        """Answer one request of a metered route; raises `Refusal` for an answer of our own."""
        plan = call.plan
        route = plan.route
        dialect, url = route.dialect, _metered_url(call)
        if url is None or dialect is None:
            await self._plain.answer(call)
            return
        try:
            body = await read_body(call.protocol, call.named, route.state.max_request_bytes)
        except ProtocolClosed:
            return
        request, added = self._read(call, dialect, body)
        if plan.limits is not None and plan.limits.tokens:
            await self._limiting.admit_tokens(call, plan.limits, request)
        streams = False
        if request is not None:
            streams = request.streams
            most = None
            if plan.subscription_id is not None:
                bound = want_of(plan, request, parts=added, occurred_at=call.occurred_at)
                want = _first_slice(bound, route.state) if streams and plan.limits_output else bound
                hold = self._holding.try_hold(plan.subscription_id, want) or await self._wait(call, want)
                most = self._start(call, want, hold=hold, streams=streams, bound=bound.output)
            body = request.rewrite(most_output_per_choice=most)
        headers = request_headers(call, route.dropped_headers, route.upstream_headers)
        try:
            client = self._client(call, dialect)
            answer: WholeAnswer | None
            if streams:
                answer = await self._stream(call, client, dialect, url=url, headers=headers, body=body)
            else:
                answer = await client.fetch(call.verb, url, headers=headers, body=body)
            if answer is None:
                return
            if route.state.answer_cost:
                await self._relay.pass_with_cost(call, answer, dialect)
            else:
                self._relay.pass_whole(call, answer, dialect)
        except (UpstreamFailed, asyncio.CancelledError) as error:
            raise self._settlement.fail(call, error) from error

    def _read(self, call: Call, dialect: MeteredDialect, body: bytes) -> tuple[MeteredRequest | None, int]:
        """Return the request, and what its parts add to the input's bound.

        One that cannot be read is refused only where it must be bounded, or its model known.
        """
        plan, added = call.plan, 0
        models = plan.route.models
        try:
            request = dialect.read_request(body)
            if plan.subscription_id is not None:
                added = request.require_bounded(plan.route.state.parts)
        except InvalidInput as error:
            if plan.subscription_id is not None or models is not None:
                raise answers.invalid_request(error) from None
            call.body_bytes = len(body)
            return None, 0
        if models is not None and request.model not in models:
            raise answers.MODEL_NOT_ALLOWED
        call.request = request
        return request, added

    def _client(self, call: Call, dialect: MeteredDialect) -> UpstreamClient | RepeatingClient:
        """Return what sends the call, as often as its route allows."""
        route = call.plan.route
        client = route.client
        if client is None:
            client = route.client = self._clients.client_for(route.state, decode=True)
        if route.retries is None:
            return client
        return RepeatingClient(client, call, route.retries, dialect=dialect, now=self._now, metrics=self._metrics)

    async def _wait(self, call: Call, want: Want) -> Hold:
        """Wait for a hold that the memory alone cannot give; raises the answer where there is none."""
        plan = call.plan
        assert plan.subscription_id is not None  # noqa: S101 - the caller checked it
        outcome = await self._holding.hold(plan.subscription_id, want, wait_ms=plan.route.state.hold_wait_ms)
        if outcome is Denied.UNAVAILABLE:
            call.give_back()
            raise answers.CREDIT_UNKNOWN
        if outcome is Denied.NO_CREDIT:
            assert plan.no_credit is not None  # noqa: S101 - holds are made only where such a rule covers the route
            raise self._settlement.refuse(call, plan.no_credit)
        return outcome

    def _start(self, call: Call, want: Want, *, hold: Hold, streams: bool, bound: int) -> int | None:
        """Record the start of a held call that streams; return the most output a choice, None where output is free."""
        call.hold = hold
        self._metrics.holds += 1
        try:
            self._settlement.start(call, hold, streams=streams)
        except SpoolUnavailable:
            self._settlement.release(call)
            call.give_back()
            raise answers.UNRECORDED from None
        most = hold.output
        if want.output < bound:
            call.extension = self._extension(call, want, hold=hold, bound=bound)
            most = bound
        call.most_output = most
        if not call.plan.limits_output:
            return None
        if most < bound:
            call.clamped_output = most // want.choices
        return most // want.choices

    def _extension(self, call: Call, want: Want, *, hold: Hold, bound: int) -> Extension:
        """Return what holds more while the call's stream runs."""
        route = call.plan.route.state
        return Extension(
            hold,
            want,
            bound=bound,
            overdraft=route.overdraft_output_tokens if route.when_credit_ends is WhenCreditEnds.FINISH else 0,
            holding=self._holding,
            note=partial(self._settlement.extend, call),
        )

    async def _stream(
        self,
        call: Call,
        client: UpstreamClient | RepeatingClient,
        dialect: MeteredDialect,
        *,
        url: str,
        headers: Headers,
        body: bytes,
    ) -> WholeAnswer | None:
        """Forward a call that asks for a stream, and pass that on; return an answer that is none."""
        watch = CallerWatch(call.protocol) if call.plan.route.cancels else None
        try:
            answer = await client.stream(call.verb, url, headers=headers, body=body)
            try:
                if is_stream(answer.headers):
                    if watch is not None:
                        # Not before: a request without an answer cannot be taken back, and the upstream works on it.
                        watch.cancel_when_gone()
                    await self._relay.pass_stream(call, answer, dialect, watch=watch)
                    return None
                whole = await answer.read_whole(MAX_USAGE_EVENT_BYTES)
                return WholeAnswer(answer.status, answer.headers, whole)
            finally:
                await answer.close()
        finally:
            if watch is not None:
                watch.close()


def _metered_url(call: Call) -> str | None:
    """Return where a call whose usage is read goes, with its query as it came; None for one that passes as it is.

    Raises the answer to what cannot be let through unmetered.
    """
    plan, url = call.plan, call.metered_url
    if "upgrade" in call.named:
        raise answers.NO_UPGRADES
    if url is not None and call.verb in plan.route.metered_methods:
        if plan.unboundable is None:
            query = call.scope.query_string
            return f"{url}?{query}" if query else url
        _log.error("hold.impossible", route=plan.route.state.name, reason=plan.unboundable)
        raise answers.MISCONFIGURED
    if (plan.subscription_id or plan.unboundable) and call.verb not in _USES_NOTHING:
        raise answers.METERED_ONLY
    return None


def _first_slice(bound: Want, route: RouteState) -> Want:
    """Return what a stream holds before it starts: a part of its bound where the route lets it hold as it goes."""
    if route.hold_output_tokens is None:
        return bound
    output = route.hold_output_tokens * bound.choices
    if output >= bound.output:
        return bound
    return Want(
        needs=bound.needs,
        input=bound.input,
        output=output,
        least_output=min(output, bound.least_output),
        choices=bound.choices,
        occurred_at=bound.occurred_at,
    )
