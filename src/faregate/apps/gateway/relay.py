"""The answer's way to the caller: usage is read as it passes, and the call is settled before the last byte goes out."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog
from granian.rsgi import ProtocolClosed

from faregate.apps.gateway import answers
from faregate.apps.gateway.call import Call, answer_headers
from faregate.apps.gateway.call_costs import NAMES as COST_NAMES
from faregate.apps.gateway.call_costs import CallCosts
from faregate.apps.gateway.call_records import ATTEMPT
from faregate.apps.gateway.caller import CallerWatch
from faregate.apps.gateway.extending import Extension
from faregate.apps.gateway.headers import CLAMPED_OUTPUT, Headers, header
from faregate.apps.gateway.holding import Denied
from faregate.apps.gateway.metrics import GatewayMetrics
from faregate.apps.gateway.passing import Passed, pass_on
from faregate.apps.gateway.settlement import Settlement
from faregate.apps.gateway.spool import Spool
from faregate.apps.gateway.spool_records import CallMark, Kind
from faregate.apps.gateway.upstream_client import UpstreamAnswer, UpstreamFailed, WholeAnswer
from faregate.base.failpoints import CHECKPOINT_WRITTEN, FIRST_BYTE_MARKED, reach
from faregate.wire.dialects.seam import Fault, MeteredDialect, StreamMeter
from faregate.wire.gateway_protocol import OnAbort

if TYPE_CHECKING:
    from granian._granian import RSGIHTTPStreamTransport

_log = structlog.get_logger(__name__)

MOST_DRAINS: Final = 256
"""How many answers may be read on for callers who left, at a time."""

MOST_DRAINED_BYTES: Final = 16 << 20
_REST_WITHIN_S: Final = 1.0
_FIRST_ERROR_STATUS: Final = 400


class Relay:
    """Passes answers on. `streams`: what is streaming now, with the output last checkpointed."""

    def __init__(self, *, settlement: Settlement, spool: Spool, metrics: GatewayMetrics, costs: CallCosts) -> None:
        self._settlement = settlement
        self._spool = spool
        self._metrics = metrics
        self._costs = costs
        self._streams: dict[Call, tuple[StreamMeter, int]] = {}
        self._draining = 0

    def pass_whole(self, call: Call, answer: WholeAnswer, dialect: MeteredDialect) -> None:
        """Settle an answer that is here to its end, then send it."""
        self._settle_whole(call, answer, dialect)
        _send(call, answer, _headers(call, answer.headers))

    async def pass_with_cost(self, call: Call, answer: WholeAnswer, dialect: MeteredDialect) -> None:
        """Do the same, and say in headers what the call cost: of an answer that the upstream gave, no error."""
        self._settle_whole(call, answer, dialect)
        headers = [pair for pair in _headers(call, answer.headers) if pair[0] not in COST_NAMES]
        if answer.status < _FIRST_ERROR_STATUS:
            headers += await self._costs.headers(call.request_id, call.plan.key)
        _send(call, answer, headers)

    def _settle_whole(self, call: Call, answer: WholeAnswer, dialect: MeteredDialect) -> None:
        status, body = answer.status, answer.body
        if body[:1] != b"{" and is_stream(answer.headers):
            # A stream that nobody asked for.
            reader = dialect.stream(request=call.request, headers=answer.headers, most_output=call.most_output)
            reader.feed(body)
            self._settle(call, status, reader, complete=True)
        else:
            record, estimated = dialect.read_answer(
                body,
                request=call.request,
                headers=answer.headers,
                input_estimate=call.input_estimate if status < _FIRST_ERROR_STATUS else None,
                most_output=call.most_output,
            )
            self._settlement.settle(call, status, record, estimated=estimated)

    async def pass_stream(
        self, call: Call, answer: UpstreamAnswer, dialect: MeteredDialect, *, watch: CallerWatch | None
    ) -> None:
        """Send server-sent events on as they come; at their last event, or the end, settle and send the rest."""
        reader = self._begin(call, answer, dialect)
        transport = call.protocol.response_stream(answer.status, _headers(call, answer.headers))
        fault = None
        caller_gone = False
        try:
            if call.extension is None:
                # In a task of its own: a chunk does not wake all that waits for the stream's end.
                passed = await asyncio.create_task(pass_on(answer, reader, transport.send_bytes))
                caller_gone = passed is Passed.CALLER_GONE
                if passed is Passed.BROKEN_OFF:
                    fault = answers.UPSTREAM_UNAVAILABLE.fault
            elif not await _pass_covered(answer, reader, transport, extension=call.extension):
                fault = self._credit_ended(call, call.extension, reader)
        except ProtocolClosed:
            caller_gone = True
        except UpstreamFailed:
            fault = answers.UPSTREAM_UNAVAILABLE.fault
        except asyncio.CancelledError:
            caller_gone = watch is not None and watch.gone
            fault = answers.UPSTREAM_UNAVAILABLE.fault
        finally:
            del self._streams[call]
            if watch is not None:
                watch.heed()
        if caller_gone:
            await self._caller_gone(call, answer, reader)
            return
        self._settle(call, answer.status, reader, complete=fault is None)
        with suppress(ProtocolClosed):
            await transport.send_bytes(reader.end() if fault is None else reader.close_with(fault))
            if reader.finished:
                await _read_rest(answer)

    def _begin(self, call: Call, answer: UpstreamAnswer, dialect: MeteredDialect) -> StreamMeter:
        """Mark the first byte of a stream that was recorded, and return what reads it."""
        if call.started is not None:
            self._spool.mark(Kind.FIRST_BYTE, CallMark(request_id=call.request_id, attempt=ATTEMPT))
            reach(FIRST_BYTE_MARKED)
        reader = dialect.stream(request=call.request, headers=answer.headers, most_output=call.most_output)
        self._streams[call] = (reader, 0)
        return reader

    def checkpoint(self) -> None:
        """Write how far each started stream has come since the last time; called about every second."""
        for call, (reader, written) in self._streams.items():
            output = reader.output_so_far
            if call.started is not None and output > written:
                self._streams[call] = (reader, output)
                mark = CallMark(request_id=call.request_id, attempt=ATTEMPT, output=output)
                self._spool.mark(Kind.CHECKPOINT, mark)
                reach(CHECKPOINT_WRITTEN)

    def _credit_ended(self, call: Call, extension: Extension, reader: StreamMeter) -> Fault:
        """Note that a stream ends for want of credit; return what its caller is told."""
        reader.limit_output(extension.most_output)
        self._metrics.streams_ended += 1
        no_credit = call.plan.no_credit
        if no_credit is None or extension.denied is Denied.UNAVAILABLE:
            return answers.CREDIT_UNKNOWN.fault
        return no_credit.fault

    async def _caller_gone(self, call: Call, answer: UpstreamAnswer, reader: StreamMeter) -> None:
        """Read on to the real usage where the route drains, else bill what was seen."""
        self._metrics.callers_gone += 1
        complete = False
        if call.plan.route.state.on_abort is OnAbort.DRAIN and self._draining < MOST_DRAINS:
            self._draining += 1
            self._streams[call] = (reader, 0)
            try:
                complete = await self._drain(call, answer, reader)
            finally:
                self._draining -= 1
                del self._streams[call]
        if not complete:
            self._metrics.drains_cut += 1
        self._settle(call, answer.status, reader, complete=complete)

    async def _drain(self, call: Call, answer: UpstreamAnswer, reader: StreamMeter) -> bool:
        """Read on within the byte cap (the client's timeouts bound the time); return whether the answer is complete."""
        total = 0
        try:
            while not reader.finished and (chunk := await answer.read()):
                reader.feed(chunk)
                total += len(chunk)
                if total > MOST_DRAINED_BYTES:
                    return False
                if call.extension is not None and await _is_uncovered(reader, call.extension):
                    self._credit_ended(call, call.extension, reader)
                    return False
        except (UpstreamFailed, asyncio.CancelledError):
            return False
        return True

    def _settle(self, call: Call, status: int, reader: StreamMeter, *, complete: bool) -> None:
        """Settle what was read of a stream; `complete`: it came to its own end."""
        estimate = call.input_estimate if status < _FIRST_ERROR_STATUS else None
        record, estimated = reader.read(input_estimate=estimate, complete=complete)
        self._settlement.settle(call, status, record, estimated=estimated)


def is_stream(headers: Headers) -> bool:
    """Return whether an answer is a stream of server-sent events."""
    return (header(headers, "content-type") or "").startswith("text/event-stream")


def _send(call: Call, answer: WholeAnswer, headers: Headers) -> None:
    if answer.body:
        call.protocol.response_bytes(answer.status, headers, answer.body)
    else:
        call.protocol.response_empty(answer.status, headers)


def _headers(call: Call, answered: Headers) -> Headers:
    headers = answer_headers(call, answered)
    if call.clamped_output is not None:
        headers.append((CLAMPED_OUTPUT, str(call.clamped_output)))
    return headers


async def _pass_covered(
    answer: UpstreamAnswer, reader: StreamMeter, transport: RSGIHTTPStreamTransport, *, extension: Extension
) -> bool:
    """Send events on as long as credit covers them; return False where it ended before the stream."""
    while not reader.finished and (chunk := await answer.read()):
        passing = reader.feed(chunk)
        if await _is_uncovered(reader, extension):
            return False
        if passing:
            await transport.send_bytes(passing)
    return True


async def _is_uncovered(reader: StreamMeter, extension: Extension) -> bool:
    """Return whether a stream has to end before what it has just written; one that has ended by itself has not."""
    if reader.finished:
        return False
    output = reader.output_so_far
    return output >= extension.ask_at and not await extension.cover(output)


async def _read_rest(answer: UpstreamAnswer) -> None:
    """Read what follows the stream's end, so that the connection can be used again; nothing of it is sent."""
    try:
        async with asyncio.timeout(_REST_WITHIN_S):
            while await answer.read():
                pass
    except (UpstreamFailed, TimeoutError):
        pass
