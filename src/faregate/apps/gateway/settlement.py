"""The end of a call: its event and what it drew from its leases, in the spool before the last byte is sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Raw, Struct

from faregate.apps.gateway.answers import Refusal
from faregate.apps.gateway.holding import Holding
from faregate.apps.gateway.meters import whole_number
from faregate.apps.gateway.metrics import GatewayMetrics
from faregate.apps.gateway.plan import CallPlan, RefusalAnswer
from faregate.apps.gateway.pools import Hold
from faregate.apps.gateway.spool import Spool
from faregate.apps.gateway.spool_folder import OpenStart, Segment
from faregate.apps.gateway.spool_records import HeldRecord, StartRecord
from faregate.base.clock import Clock
from faregate.domain.metering.event import Event
from faregate.wire.dialects.openai_chat import RequestSummary
from faregate.wire.dialects.openai_chat_answer import AnswerSummary
from faregate.wire.event import WireRequest, WireResponse
from faregate.wire.gateway_protocol import Drawn, GatewayFacts

ATTEMPT: Final = 1
"""The gateway does not repeat a call, so each has one attempt."""

_ENCODER: Final = msgspec.json.Encoder()
_PYTHON_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)
_NOTHING: Final = Raw(b"null")
_NO_USAGE: Final[dict[str, Raw]] = {}
_OK: Final = 200


class Call(Struct, eq=False, kw_only=True):
    """A call in flight: who, where, when, and what is held for it.

    `input_estimate` is None where the dialect reads no usage. `started_in`: the spool segment of its start record.
    """

    plan: CallPlan
    request_id: str
    occurred_at: datetime
    verb: str
    uri: str
    ip_address: str | None
    replay: bool
    summary: RequestSummary | None = None
    input_estimate: int | None = None
    hold: Hold | None = None
    started_in: Segment | None = None
    settled: bool = False
    _request: Raw | None = None

    def request(self) -> Raw:
        """Return the request as the event keeps it, encoded once for the start and the event."""
        if self._request is None:
            shape = WireRequest(
                time=self.occurred_at,
                uri=self.uri,
                verb=self.verb,
                route=self.plan.route.state.name,
                body=_NOTHING if self.summary is None else Raw(_ENCODER.encode(self.summary)),
                ip_address=self.ip_address,
            )
            self._request = Raw(_ENCODER.encode(shape))
        return self._request


class EventRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A `WireEvent` to be encoded, its request encoded already; what a gateway does not fill is left out."""

    request: Raw
    response: WireResponse
    user_id: str | None = None
    company_id: str | None = None
    blocked_by: str | None = None
    faregate: GatewayFacts


class Settlement:
    """Settles calls; `epoch` is 0 until one is open (no call is started before that on a strict route)."""

    def __init__(self, spool: Spool, holding: Holding, *, clock: Clock, metrics: GatewayMetrics) -> None:
        self._spool = spool
        self._holding = holding
        self._clock = clock
        self._metrics = metrics
        self.epoch = 0

    def start(self, call: Call) -> None:
        """Write the call's start ahead of it; raises `SpoolUnavailable`."""
        hold, plan = call.hold, call.plan
        if hold is None or plan.subscription_id is None:
            return
        held = [
            HeldRecord(
                lease_id=part.units.lease.lease_id,
                price_id=part.need.price_id,
                units=part.count,
                per_input=part.need.per_input,
                per_output=part.need.per_output,
            )
            for part in hold.parts
        ]
        call.started_in = self._spool.start(
            StartRecord(
                request_id=call.request_id,
                attempt=ATTEMPT,
                epoch=self.epoch,
                route_id=plan.route.state.route_id,
                key_id=plan.key.key_id,
                user_id=plan.key.user_id,
                company_id=plan.key.company_id,
                replay=call.replay,
                subscription_id=plan.subscription_id,
                occurred_at=call.occurred_at,
                request=call.request(),
                input_estimate=call.input_estimate or 0,
                held=held,
            )
        )

    def release(self, call: Call) -> None:
        """Let go of a hold whose call was never started."""
        if call.hold is not None:
            hold, call.hold = call.hold, None
            hold.settle({})
            self._holding.settled(hold)

    def refuse(self, call: Call, refusal: RefusalAnswer) -> Refusal:
        """Write that a rule refused the call; return the answer that the rule gives."""
        self.settle(call, refusal.status, blocked_by=refusal.rule_id)
        return Refusal(refusal.reason, refusal.status, refusal.body, refusal.headers)

    def settle(
        self,
        call: Call,
        status: int,
        answer: AnswerSummary | None = None,
        *,
        estimated: bool = False,
        blocked_by: str | None = None,
    ) -> None:
        """Write the call's event and free what it did not use. A second settle of a call does nothing."""
        if call.settled:
            return
        call.settled = True
        plan, spool = call.plan, self._spool
        drawn: list[Drawn] = []
        if call.hold is not None:
            drawn = self._draw(call, call.hold, status=status, answer=answer)
        sequence = spool.take_sequence()
        event = EventRecord(
            request=call.request(),
            response=WireResponse(
                time=self._clock.now() + plan.route.offset,
                status=status,
                body=_NOTHING if answer is None else Raw(_ENCODER.encode(answer)),
            ),
            user_id=plan.key.user_id,
            company_id=plan.key.company_id,
            blocked_by=blocked_by,
            faregate=GatewayFacts(
                gateway_id=spool.gateway_id,
                epoch=self.epoch,
                sequence=sequence,
                request_id=call.request_id,
                attempt=ATTEMPT,
                route_id=plan.route.state.route_id,
                key_id=plan.key.key_id,
                drawn=drawn,
                estimated=estimated,
                replay=call.replay,
            ),
        )
        spool.end(sequence, _ENCODER.encode(event), call.started_in)
        self._metrics.events_written += 1
        self._metrics.answered(plan.route.state.name, status)
        if estimated:
            self._metrics.estimated_calls += 1
        if call.hold is not None:
            self._holding.settled(call.hold)

    def recover(self, begun: OpenStart) -> None:
        """Write the event of a call that an earlier process started and never ended.

        Without a first byte nothing is billed; else the input's estimate and the output of the last checkpoint.
        """
        start, spool = begun.start, self._spool
        usage = None
        drawn: list[Drawn] = []
        if begun.first_byte:
            counts = {
                "prompt_tokens": start.input_estimate,
                "completion_tokens": begun.output,
                "total_tokens": start.input_estimate + begun.output,
            }
            usage = {name: Raw(b"%d" % count) for name, count in counts.items()}
            drawn = _draw_from_record(start.held, start.input_estimate, begun.output)
        sequence = spool.take_sequence()
        event = EventRecord(
            request=start.request,
            response=WireResponse(
                time=start.occurred_at,
                status=_OK if begun.first_byte else 502,
                body=_NOTHING if usage is None else Raw(_ENCODER.encode(AnswerSummary(usage=usage))),
            ),
            user_id=start.user_id,
            company_id=start.company_id,
            faregate=GatewayFacts(
                gateway_id=spool.gateway_id,
                epoch=start.epoch,
                sequence=sequence,
                request_id=start.request_id,
                attempt=start.attempt,
                route_id=start.route_id,
                key_id=start.key_id,
                drawn=drawn,
                estimated=begun.first_byte,
                replay=start.replay,
            ),
        )
        spool.end(sequence, _ENCODER.encode(event), begun.segment)
        self._metrics.events_written += 1

    def _draw(self, call: Call, hold: Hold, *, status: int, answer: AnswerSummary | None) -> list[Drawn]:
        used = _used_units(call, status, answer)
        drawn = hold.settle(used)
        if hold.beyond:
            self._metrics.calls_above_hold += 1
            self._metrics.uncovered_units += hold.uncovered
        return drawn


def _used_units(call: Call, status: int, answer: AnswerSummary | None) -> dict[str, int]:
    """Return the units each price counts for the call, as its meters read the very event that is written."""
    used: dict[str, int] = {}
    event = None
    usage = answer.usage if answer is not None and answer.usage is not None else _NO_USAGE
    for meter in call.plan.meters:
        numeral = usage.get(meter.usage_field) if meter.usage_field is not None else None
        units = None if numeral is None else whole_number(bytes(numeral))
        if units is None:
            event = event or _event(call, status, answer)
            units = meter.units(event)
        elif not meter.counts(status):
            continue
        used[meter.price_id] = used.get(meter.price_id, 0) + units
    return used


def _event(call: Call, status: int, answer: AnswerSummary | None) -> Event:
    key = call.plan.key
    path = call.uri.partition("://")[2].partition("/")[2]
    return Event(
        occurred_at=call.occurred_at,
        company_id=key.company_id,
        user_id=key.user_id,
        blocked_by=None,
        fields={
            "request": {
                "route": call.plan.route.state.name,
                "path": f"/{path}",
                "uri": call.uri,
                "verb": call.verb,
                "headers": None,
                "ip_address": call.ip_address,
                "body": None if call.summary is None else msgspec.to_builtins(call.summary),
            },
            "response": {"status": status, "headers": None, "body": None if answer is None else _plain(answer)},
            "user_id": key.user_id,
            "company_id": key.company_id,
            "metadata": None,
        },
    )


def _plain(answer: AnswerSummary) -> dict[str, object]:
    usage = None
    if answer.usage is not None:
        usage = {name: _PYTHON_DECODER.decode(value) for name, value in answer.usage.items()}
    return {"id": answer.id, "model": answer.model, "usage": usage}


def _draw_from_record(held: Sequence[HeldRecord], prompt: int, completion: int) -> list[Drawn]:
    """Return what a recovered call draws: its tokens at each price, never more than was held."""
    left: dict[str, int] = {}
    drawn = []
    for part in held:
        want = left.setdefault(part.price_id, part.per_input * prompt + part.per_output * completion)
        taken = min(want, part.units)
        left[part.price_id] = want - taken
        if taken:
            drawn.append(Drawn(lease_id=part.lease_id, units=taken))
    return drawn
