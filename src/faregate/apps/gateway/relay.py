"""The answer's way to the caller: usage is read as it passes, and the call is settled before the last byte goes out."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from granian.rsgi import ProtocolClosed

from faregate.apps.gateway import answers
from faregate.apps.gateway.call import Call
from faregate.apps.gateway.call_records import ATTEMPT
from faregate.apps.gateway.caller import CallerWatch
from faregate.apps.gateway.headers import Headers, caller_headers, header
from faregate.apps.gateway.metrics import GatewayMetrics
from faregate.apps.gateway.settlement import Settlement
from faregate.apps.gateway.spool import Spool
from faregate.apps.gateway.spool_records import CallMark, Kind
from faregate.apps.gateway.upstream_client import UpstreamAnswer, UpstreamFailed, WholeAnswer
from faregate.base.failpoints import CHECKPOINT_WRITTEN, FIRST_BYTE_MARKED, reach
from faregate.wire.dialects.seam import MeteredDialect, StreamMeter
from faregate.wire.gateway_protocol import OnAbort

_log = structlog.get_logger(__name__)

MOST_DRAINS: Final = 256
"""How many answers may be read on for callers who left, at a time."""

MOST_DRAINED_BYTES: Final = 16 << 20
_REST_WITHIN_S: Final = 1.0
_FIRST_ERROR_STATUS: Final = 400


class Relay:
    """Passes answers on. `streams`: what is streaming now, with the output last checkpointed."""

    def __init__(self, *, settlement: Settlement, spool: Spool, metrics: GatewayMetrics) -> None:
        self._settlement = settlement
        self._spool = spool
        self._metrics = metrics
        self._streams: dict[Call, tuple[StreamMeter, int]] = {}
        self._draining = 0

    def pass_whole(self, call: Call, answer: WholeAnswer, dialect: MeteredDialect) -> None:
        """Settle an answer that is here to its end, then send it."""
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
        headers = caller_headers(answer.headers, call.request_id)
        if body:
            call.protocol.response_bytes(status, headers, body)
        else:
            call.protocol.response_empty(status, headers)

    async def pass_stream(
        self, call: Call, answer: UpstreamAnswer, dialect: MeteredDialect, *, watch: CallerWatch | None
    ) -> None:
        """Send server-sent events on as they come; at their last event, or the end, settle and send the rest."""
        if call.started is not None:
            self._spool.mark(Kind.FIRST_BYTE, CallMark(request_id=call.request_id, attempt=ATTEMPT))
            reach(FIRST_BYTE_MARKED)
        reader = dialect.stream(request=call.request, headers=answer.headers, most_output=call.most_output)
        self._streams[call] = (reader, 0)
        transport = call.protocol.response_stream(answer.status, caller_headers(answer.headers, call.request_id))
        broken = caller_gone = False
        try:
            while not reader.finished and (chunk := await answer.read()):
                passing = reader.feed(chunk)
                if passing:
                    await transport.send_bytes(passing)
        except ProtocolClosed:
            caller_gone = True
        except UpstreamFailed:
            broken = True
        except asyncio.CancelledError:
            caller_gone = watch is not None and watch.gone
            broken = True
        finally:
            del self._streams[call]
        if caller_gone:
            await self._caller_gone(call, answer, reader)
            return
        self._settle(call, answer.status, reader, complete=not broken)
        try:
            await transport.send_bytes(
                reader.close_with(answers.UPSTREAM_UNAVAILABLE.fault) if broken else reader.end()
            )
            if reader.finished:
                await _read_rest(answer)
        except ProtocolClosed:
            pass

    def checkpoint(self) -> None:
        """Write how far each started stream has come since the last time; called about every second."""
        for call, (reader, written) in self._streams.items():
            output = reader.output_so_far
            if call.started is not None and output > written:
                self._streams[call] = (reader, output)
                mark = CallMark(request_id=call.request_id, attempt=ATTEMPT, output=output)
                self._spool.mark(Kind.CHECKPOINT, mark)
                reach(CHECKPOINT_WRITTEN)

    async def _caller_gone(self, call: Call, answer: UpstreamAnswer, reader: StreamMeter) -> None:
        """Read on to the real usage where the route drains, else bill what was seen."""
        self._metrics.callers_gone += 1
        complete = False
        if call.plan.route.state.on_abort is OnAbort.DRAIN and self._draining < MOST_DRAINS:
            self._draining += 1
            self._streams[call] = (reader, 0)
            try:
                complete = await _drain(answer, reader)
            finally:
                self._draining -= 1
                del self._streams[call]
        if not complete:
            self._metrics.drains_cut += 1
        self._settle(call, answer.status, reader, complete=complete)

    def _settle(self, call: Call, status: int, reader: StreamMeter, *, complete: bool) -> None:
        """Settle what was read of a stream; `complete`: it came to its own end."""
        estimate = call.input_estimate if status < _FIRST_ERROR_STATUS else None
        record, estimated = reader.read(input_estimate=estimate, complete=complete)
        self._settlement.settle(call, status, record, estimated=estimated)


def is_stream(headers: Headers) -> bool:
    """Return whether an answer is a stream of server-sent events."""
    return (header(headers, "content-type") or "").startswith("text/event-stream")


async def _drain(answer: UpstreamAnswer, reader: StreamMeter) -> bool:
    """Read on within the byte cap (the client's timeouts bound the time); return whether the answer is complete."""
    total = 0
    try:
        while not reader.finished and (chunk := await answer.read()):
            reader.feed(chunk)
            total += len(chunk)
            if total > MOST_DRAINED_BYTES:
                return False
    except (UpstreamFailed, asyncio.CancelledError):
        return False
    return True


async def _read_rest(answer: UpstreamAnswer) -> None:
    """Read what follows the stream's end, so that the connection can be used again; nothing of it is sent."""
    try:
        async with asyncio.timeout(_REST_WITHIN_S):
            while await answer.read():
                pass
    except (UpstreamFailed, TimeoutError):
        pass
