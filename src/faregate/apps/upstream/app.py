"""The demo upstream's HTTP side: an RSGI application that reads a request and has it answered."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from itertools import count
from typing import Final

import msgspec
from granian.rsgi import HTTPProtocol, ProtocolClosed, Scope

from faregate.apps.upstream.call_log import CallLog
from faregate.apps.upstream.delivery import Delivery
from faregate.apps.upstream.directions import read_directions
from faregate.apps.upstream.reply import CallMark, Spoken
from faregate.apps.upstream.shapes import ErrorBody, ErrorDetail, Model, ModelList
from faregate.apps.upstream.speaking_chat import CHAT
from faregate.apps.upstream.speaking_messages import MESSAGES
from faregate.apps.upstream.speaking_responses import RESPONSES
from faregate.base.clock import Clock, to_microseconds
from faregate.base.errors import InvalidInput, TooLarge

MODEL: Final = "faregate-demo"
"""The one model that is listed; any other name is served alike."""

MAX_BODY_BYTES: Final = 32 << 20

_SPOKEN: Final = (CHAT, RESPONSES, MESSAGES)
_MICROSECONDS: Final = 1_000_000
_JSON: Final = [("content-type", "application/json")]
_ENCODE: Final = msgspec.json.Encoder().encode


class DemoUpstream:
    """The application; make it in the event loop that will run it."""

    def __init__(self, *, clock: Clock, log: CallLog, closing: asyncio.Future[None]) -> None:
        self._clock = clock
        self._log = log
        self._closing = closing
        self._call_numbers = count(1)
        self._started_at_s = self._now_s()

    async def __rsgi__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """Answer one HTTP request."""
        match scope.method, scope.path:
            case "POST", path if (spoken := _spoken_at(path)) is not None:
                await self._answer(spoken, scope, protocol)
            case "GET", "/v1/models":
                model = Model(id=MODEL, created=self._started_at_s, owned_by="faregate")
                protocol.response_bytes(HTTPStatus.OK, _JSON, _ENCODE(ModelList(data=[model])))
            case "GET", "/healthz":
                protocol.response_bytes(HTTPStatus.OK, _JSON, b'{"status":"ok"}')
            case _:
                detail = ErrorDetail(
                    message=f"There is no {scope.method} {scope.path}; "
                    "there is POST /v1/chat/completions, /v1/responses and /v1/messages.",
                    type="invalid_request_error",
                    param=None,
                    code="unknown_url",
                )
                protocol.response_bytes(HTTPStatus.NOT_FOUND, _JSON, _ENCODE(ErrorBody(error=detail)))

    async def _answer(self, spoken: Spoken, scope: Scope, protocol: HTTPProtocol) -> None:
        call_number = next(self._call_numbers)
        delivery = Delivery(
            protocol,
            request_id=scope.headers.get("x-request-id") or f"demo-{call_number}",
            peer=scope.client,
            log=self._log,
            closing=self._closing,
        )
        try:
            body = await _read_body(scope, protocol)
            directions = read_directions(scope.headers.get)
            if directions.fail_status is not None:
                failure = spoken.error(directions.fail_status, _failure(directions.fail_status))
                await delivery.send_error(directions.fail_status, failure, delay_ms=directions.first_token_ms)
                return
            whole, streamed = spoken.answer(body, directions, CallMark(number=call_number, created_at_s=self._now_s()))
        except ProtocolClosed:  # the caller left before it had said what it wants: nothing began
            return
        except TooLarge as error:
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            await delivery.send_error(status, spoken.error(status, _invalid(error.message, "body")))
            return
        except InvalidInput as error:
            status = HTTPStatus.BAD_REQUEST
            detail = _invalid(error.message, error.faults[0].field)
            await delivery.send_error(status, spoken.error(status, detail))
            return
        if streamed:
            await delivery.send_stream(whole, directions)
        else:
            await delivery.send_json(whole, directions)

    def _now_s(self) -> int:
        return to_microseconds(self._clock.now()) // _MICROSECONDS


async def _read_body(scope: Scope, protocol: HTTPProtocol) -> bytes:
    declared = scope.headers.get("content-length")
    if declared is not None:
        if int(declared) > MAX_BODY_BYTES:
            raise TooLarge(f"the body must have at most {MAX_BODY_BYTES} bytes")
        return await protocol()
    body = bytearray()
    async for part in protocol:
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge(f"the body must have at most {MAX_BODY_BYTES} bytes")
    return bytes(body)


def _spoken_at(path: str) -> Spoken | None:
    return next((spoken for spoken in _SPOKEN if path.endswith(spoken.path)), None)


def _failure(status: int) -> ErrorDetail:
    return ErrorDetail(
        message=f"This call was to fail with status {status}.",
        type="server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error",
        param=None,
        code="demo_failure",
    )


def _invalid(message: str, param: str) -> ErrorDetail:
    return ErrorDetail(message=message, type="invalid_request_error", param=param, code=None)
