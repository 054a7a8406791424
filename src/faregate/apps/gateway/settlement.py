"""The end of a call: its event and what it drew from its leases, in the spool before the last byte is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Raw

from faregate.apps.gateway import answers
from faregate.apps.gateway.answers import Refusal
from faregate.apps.gateway.call import Call
from faregate.apps.gateway.call_records import (
    ATTEMPT,
    NULL,
    PlanParts,
    drawn_rows,
    encode,
    event_of,
    event_tail,
    held_rows,
    hold_remarks,
    origin_of,
    request_record,
    start_record,
)
from faregate.apps.gateway.holding import Holding
from faregate.apps.gateway.meters import whole_units
from faregate.apps.gateway.metrics import GatewayMetrics
from faregate.apps.gateway.plan import RefusalAnswer
from faregate.apps.gateway.pools import HeldUnits, Hold, LeasedUnits
from faregate.apps.gateway.spool import Spool
from faregate.apps.gateway.spool_folder import OpenStart
from faregate.apps.gateway.spool_records import HeldMark, HeldRecord, Kind, PlanRecord
from faregate.apps.gateway.upstream_client import UpstreamFailed, UpstreamTimedOut
from faregate.base.clock import Clock
from faregate.base.failpoints import EVENT_WRITTEN, EXTENSION_WRITTEN, UPSTREAM_ANSWERED, reach
from faregate.domain.metering.event import Event
from faregate.wire.dialects.seam import AnswerRecord
from faregate.wire.dialects.tokens import Tokens, Usage
from faregate.wire.event import WireEvent, WireRequest, WireResponse, path_of
from faregate.wire.gateway_protocol import Drawn, GatewayFacts

_NO_USAGE: Final[Mapping[str, object]] = {}
_NOTHING_DRAWN: Final = b""
_NO_FACTS: Final = b""
_OK: Final = 200
_FIRST_ERROR_STATUS: Final = 400


class Settlement:
    """Settles calls; the epoch is 0 until one is open (no call is started before that on a strict route)."""

    def __init__(self, spool: Spool, holding: Holding, *, clock: Clock, metrics: GatewayMetrics) -> None:
        self._spool = spool
        self._holding = holding
        self._now = clock.now
        self._metrics = metrics
        self.open_epoch(0)

    def open_epoch(self, epoch: int) -> None:
        """Write this epoch on every record from now on."""
        self._epoch = epoch
        self._origin = origin_of(self._spool.gateway_id, epoch)

    def start(self, call: Call, hold: Hold, *, streams: bool) -> None:
        """Write the start of a call that streams ahead of it; raises `SpoolUnavailable`.

        An answer that is sent whole is settled first: until then its caller has nothing, and there is nothing to bill.
        """
        if not streams:
            self._spool.require_room()
            return
        plan = call.plan.parts
        call.request_json = request = _request(call, plan)
        start = start_record(
            call.request_id, request, epoch=self._epoch, input_estimate=call.input_estimate(), held=hold.parts
        )
        call.started = self._spool.start(plan, start)

    def extend(self, call: Call, parts: Sequence[HeldUnits]) -> None:
        """Write that a running stream holds more."""
        if call.started is not None:
            held = [HeldRecord(part.units.lease.lease_id, part.units.lease.price_id, part.count) for part in parts]
            self._spool.mark(Kind.EXTENDED, HeldMark(request_id=call.request_id, attempt=ATTEMPT, held=held))
            reach(EXTENSION_WRITTEN)

    def release(self, call: Call) -> None:
        """Let go of a hold whose call was never started."""
        if call.hold is not None:
            hold, call.hold = call.hold, None
            self._holding.release(hold)

    def refuse(self, call: Call, refusal: RefusalAnswer) -> Refusal:
        """Write that a rule refused the call; return the answer that the rule gives."""
        self.settle(call, refusal.fault.status, blocked_by=refusal.rule_id)
        return Refusal(refusal.reason, refusal.fault, refusal.headers, refusal.body)

    def fail(self, call: Call, error: UpstreamFailed | asyncio.CancelledError) -> Refusal:
        """Write that nothing came of the call; return the answer to it: nothing is billed.

        It is cancelled before anything was sent to the caller only where the gateway stops.
        """
        refusal = answers.UPSTREAM_TIMEOUT if isinstance(error, UpstreamTimedOut) else answers.UPSTREAM_UNAVAILABLE
        self.settle(call, refusal.status)
        return answers.STOPPING if isinstance(error, asyncio.CancelledError) else refusal

    def settle(
        self,
        call: Call,
        status: int,
        answer: AnswerRecord | None = None,
        *,
        estimated: bool = False,
        blocked_by: str | None = None,
    ) -> None:
        """Write the call's event and free what it did not use. A second settle of a call does nothing."""
        if call.settled:
            return
        call.settled = True
        reach(UPSTREAM_ANSWERED)
        plan, hold, spool = call.plan, call.hold, self._spool
        if call.extension is not None:
            call.extension.close()
        drawn, facts = _NOTHING_DRAWN, _NO_FACTS
        if hold is not None:
            parts, taken = hold.parts, self._draw(call, hold, status=status, answer=answer)
            is_bounded = answer is not None and answer.usage is not None and status < _FIRST_ERROR_STATUS
            drawn = held_rows(parts, taken) if is_bounded else drawn_rows(taken)
            if hold.clamped or hold.uncovered:
                facts = hold_remarks(hold)
        if call.attempts is not None or call.extension is not None:
            facts += _facts(call)
        sequence = spool.take_sequence()
        tail = event_tail(
            sequence,
            drawn=drawn,
            estimated=estimated,
            answered_at=self._now() + plan.route.offset,
            status=status,
            summary=answer,
            blocked_by=blocked_by,
            facts=facts,
        )
        if call.taken is not None:
            call.taken.settle(0 if answer is None or answer.tokens is None else answer.tokens.total)
        request = call.request_json or _request(call, plan.parts)
        event = event_of(plan.parts, call.request_id, request, origin=self._origin, tail=tail)
        spool.end(sequence, event, started=call.started, tail=tail)
        reach(EVENT_WRITTEN)
        metrics = self._metrics
        metrics.events_written += 1
        metrics.answered(plan.route.state.name, status)
        if estimated:
            metrics.estimated_calls += 1
        if hold is not None:
            self._holding.settled(hold)

    def recover(self, begun: OpenStart) -> None:
        """Write the event of a call that an earlier process started and never ended.

        Without a first byte nothing is billed; else the input's estimate and the output of the last checkpoint.
        """
        plan, start, spool = begun.plan, begun.start, self._spool
        answer: AnswerRecord | None = None
        drawn: list[Drawn] = []
        if begun.first_byte:
            answer = _estimated_answer(plan, start.input_estimate, begun.output)
            drawn = _draw_from_record(plan, begun, completion=begun.output)
        sequence = spool.take_sequence()
        request = msgspec.json.decode(start.request, type=WireRequest)
        event = WireEvent(
            request=request,
            response=WireResponse(
                time=request.time,
                status=_OK if begun.first_byte else 502,
                body=Raw(NULL if answer is None else encode(answer)),
            ),
            user_id=plan.user_id,
            company_id=plan.company_id,
            faregate=GatewayFacts(
                gateway_id=spool.gateway_id,
                epoch=start.epoch,
                sequence=sequence,
                request_id=start.request_id,
                attempt=plan.attempt,
                route_id=plan.route_id,
                key_id=plan.key_id,
                drawn=drawn,
                estimated=begun.first_byte,
                replay=plan.replay,
            ),
        )
        spool.end(sequence, encode(event), started=begun.started)
        self._metrics.events_written += 1

    def _draw(self, call: Call, hold: Hold, *, status: int, answer: AnswerRecord | None) -> Mapping[LeasedUnits, int]:
        used = _used_units(call, status, answer)
        drawn = hold.settle(used)
        if call.extension is not None and call.extension.overdrawn:
            self._metrics.streams_finished += 1
            self._metrics.finished_units += hold.uncovered
        elif hold.beyond:
            self._metrics.calls_above_hold += 1
            self._metrics.uncovered_units += hold.uncovered
        return drawn


def _facts(call: Call) -> bytes:
    """Return what the event says of attempts, and of credit that ended, as members that follow others."""
    facts = b""
    if call.attempts is not None and len(call.attempts) > 1:
        facts = b',"attempts":%b' % encode(call.attempts)
    if call.extension is not None and call.extension.ended is not None:
        facts += b',"credit_ended":%b' % encode(call.extension.ended)
    return facts


def _request(call: Call, parts: PlanParts) -> bytes:
    return request_record(
        parts,
        occurred_at=call.occurred_at,
        uri=call.uri,
        verb=call.verb,
        ip_address=call.ip_address,
        summary=None if call.request is None else call.request.summary(),
    )


def _used_units(call: Call, status: int, answer: AnswerRecord | None) -> dict[str, int]:
    """Return the units each price counts for the call, as its meters read the very event that is written."""
    used: dict[str, int] = {}
    event = None
    usage = (answer.usage if answer is not None else None) or _NO_USAGE
    for meter in call.plan.meters:
        units = None if meter.usage_field is None else whole_units(usage.get(meter.usage_field))
        if units is None:
            event = event or _event(call, status, answer)
            units = meter.units(event)
        elif not meter.counts(status):
            continue
        price_id = meter.price_id
        used[price_id] = used[price_id] + units if price_id in used else units
    return used


def _event(call: Call, status: int, answer: AnswerRecord | None) -> Event:
    key = call.plan.key
    return Event(
        occurred_at=call.occurred_at,
        company_id=key.company_id,
        user_id=key.user_id,
        blocked_by=None,
        fields={
            "request": {
                "route": call.plan.route.state.name,
                "path": path_of(call.uri),
                "uri": call.uri,
                "verb": call.verb,
                "headers": None,
                "ip_address": call.ip_address,
                "body": None if call.request is None else msgspec.to_builtins(call.request.summary()),
            },
            "response": {"status": status, "headers": None, "body": _body(answer)},
            "user_id": key.user_id,
            "company_id": key.company_id,
            "metadata": None,
        },
    )


def _body(answer: AnswerRecord | None) -> dict[str, object] | None:
    """Return the body as the event has it, its numbers as they are."""
    return None if answer is None else msgspec.to_builtins(answer, builtin_types=(Decimal,))


def _estimated_answer(plan: PlanRecord, read: int, written: int) -> AnswerRecord:
    """Return what is known of an answer that nobody finished, in its dialect's names."""
    counts = (read, written, read + written)
    usage: Usage = {name: count for name, count in zip(plan.usage_names, counts, strict=False) if name}
    tokens = Tokens(input=read, output=written, total=read + written)
    return AnswerRecord(usage=usage or None, tokens=tokens if usage else None)


def _draw_from_record(plan: PlanRecord, begun: OpenStart, *, completion: int) -> list[Drawn]:
    """Return what a recovered call draws: its tokens at each price, never more than was held."""
    estimate = begun.start.input_estimate
    left = {need.price_id: need.per_input * estimate + need.per_output * completion for need in plan.needs}
    drawn = []
    for part in begun.held:
        taken = min(left[part.price_id], part.units)
        left[part.price_id] -= taken
        if taken:
            drawn.append(Drawn(lease_id=part.lease_id, units=taken))
    return drawn
