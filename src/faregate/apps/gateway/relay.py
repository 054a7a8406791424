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
from faregate.wire.dialects.openai_chat_answer import AnswerReader, StreamReader, read_answer
from faregate.wire.gateway_protocol import OnAbort
from faregate.wire.sse import EventSplitter

_log = structlog.get_logger(__name__)

MOST_DRAINS: Final = 256
"""How many answers may be read on for callers who left, at a time."""

MOST_DRAINED_BYTES: Final = 16 << 20
_REST_WITHIN_S: Final = 1.0
_FIRST_ERROR_STATUS: Final = 400
_BROKEN: Final = b"data: " + answers.UPSTREAM_UNAVAILABLE.body + b"\n\n"


class Relay:
    """Passes answers on. `streams`: what is streaming now, with the output last checkpointed."""

    def __init__(self, *, settlement: Settlement, spool: Spool, metrics: GatewayMetrics) -> None:
        self._settlement = settlement
        self._spool = spool
        self._metrics = metrics
        self._streams: dict[Call, tuple[StreamReader, int]] = {}
        self._draining = 0

    def pass_whole(self, call: Call, answer: WholeAnswer) -> None:
        """Settle an answer that is here to its end, then send it."""
        status, body = answer.status, answer.body
        if body[:1] != b"{" and is_stream(answer.headers):
            reader = AnswerReader()
            _read_events(reader, body)
            self._settle(call, status, reader, broken=False)
        else:
            estimate = call.input_estimate if status < _FIRST_ERROR_STATUS else None
            summary, estimated = read_answer(body, input_estimate=estimate)
            self._settlement.settle(call, status, summary, estimated=estimated)
        headers = caller_headers(answer.headers, call.request_id)
        if body:
            call.protocol.response_bytes(status, headers, body)
        else:
            call.protocol.response_empty(status, headers)

    async def pass_stream(
        self, call: Call, answer: UpstreamAnswer, *, watch: CallerWatch | None, strip_usage: bool
    ) -> None:
        """Send server-sent events on as they come; at `[DONE]` or the end, settle and send the rest."""
        if call.started is not None:
            self._spool.mark(Kind.FIRST_BYTE, CallMark(request_id=call.request_id, attempt=ATTEMPT))
        reader = StreamReader(strip_usage=strip_usage)
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
        self._settle(call, answer.status, reader, broken=broken or not reader.finished)
        try:
            await transport.send_bytes(reader.end() + (_BROKEN if broken else b""))
            if reader.finished:
                await _read_rest(answer)
        except ProtocolClosed:
            pass

    def checkpoint(self) -> None:
        """Write how far each started stream has come since the last time; called about every second."""
        for call, (reader, written) in self._streams.items():
            output = _output_so_far(reader)
            if call.started is not None and output > written:
                self._streams[call] = (reader, output)
                mark = CallMark(request_id=call.request_id, attempt=ATTEMPT, output=output)
                self._spool.mark(Kind.CHECKPOINT, mark)

    async def _caller_gone(self, call: Call, answer: UpstreamAnswer, reader: StreamReader) -> None:
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
        self._settle(call, answer.status, reader, broken=not complete)

    def _settle(self, call: Call, status: int, reader: AnswerReader, *, broken: bool) -> None:
        """`broken`: the answer is not complete, so that what it used is an estimate unless the usage had come."""
        summary, estimated = reader.summary(
            input_estimate=call.input_estimate if status < _FIRST_ERROR_STATUS else None
        )
        self._settlement.settle(call, status, summary, estimated=estimated or (broken and not reader.has_usage()))


def is_stream(headers: Headers) -> bool:
    """Return whether an answer is a stream of server-sent events."""
    return (header(headers, "content-type") or "").startswith("text/event-stream")


def _read_events(reader: AnswerReader, body: bytes) -> None:
    """Read a stream that arrived whole, because nobody asked for a stream."""
    for _, data in EventSplitter().feed(body):
        if data is not None:
            reader.read_chunk(data)


async def _drain(answer: UpstreamAnswer, reader: StreamReader) -> bool:
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
    return reader.finished


async def _read_rest(answer: UpstreamAnswer) -> None:
    """Read what follows `[DONE]`, so that the connection can be used again; nothing of it is sent."""
    try:
        async with asyncio.timeout(_REST_WITHIN_S):
            while await answer.read():
                pass
    except (UpstreamFailed, TimeoutError):
        pass


def _output_so_far(reader: StreamReader) -> int:
    reported = reader.usage.get("completion_tokens")
    return max(0, reported) if type(reported) is int else reader.output_estimate
