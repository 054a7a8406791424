"""The control plane as a gateway reaches it: one method a path of `wire/gateway_protocol.py`, with timeouts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Final, TypeVar

import msgspec
from msgspec import Struct
from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import RequestError

from faregate.base.errors import FieldFault, InvalidInput, NotFound, Unauthorized, Unavailable
from faregate.base.failpoints import LEASE_ANSWERED, RETURNS_SENT, reach
from faregate.wire.gateway_epochs import EpochOpened, OpenEpoch, ReleaseEarlierEpochs
from faregate.wire.gateway_protocol import Dialect, EventsAccepted, LeaseAnswer, LeaseRequest, StateMessage, StateSeen
from faregate.wire.limit_protocol import RateReport, RateShares
from faregate.wire.problem import Problem

_DIALECTS: Final = ",".join(Dialect)
_CONNECT_WITHIN: Final = timedelta(seconds=2)
_ANSWER_WITHIN: Final = timedelta(seconds=5)
_SILENT_AT_MOST: Final = timedelta(seconds=15)
_MOST_STATE_LINE_BYTES: Final = 8 << 20
_BAD_REQUEST: Final = 400
_NOT_FOUND: Final = 404

_Answer = TypeVar("_Answer", bound=Struct)


class ControlPlane:
    """Raises `Unavailable` where the control plane did not answer well, `Unauthorized` where the token is wrong.

    Nothing is retried here: every message is repeatable, and its sender knows how long repeating makes sense.
    """

    def __init__(self, url: str, token: str) -> None:
        self._base = url.rstrip("/") + "/gateway/v1"
        self._headers = {"authorization": f"Bearer {token}"}
        self._client = _builder().timeout(_ANSWER_WITHIN).build()
        self._stream_client = _builder().read_timeout(_SILENT_AT_MOST).build()
        self._state_decoder: msgspec.json.Decoder[StateMessage] = msgspec.json.Decoder(StateMessage)

    async def open_epoch(self, gateway_id: str, epoch: int) -> EpochOpened:
        """Fence earlier processes of this gateway and get the epoch of this one."""
        return await self._post(
            "/epochs", msgspec.json.encode(OpenEpoch(gateway_id=gateway_id, epoch=epoch)), EpochOpened
        )

    async def lease(self, request: LeaseRequest) -> LeaseAnswer:
        """Give back and ask for units; repeatable with the same `lease_request_id`."""
        answer = await self._post("/leases", msgspec.json.encode(request), LeaseAnswer)
        if request.returns:
            reach(RETURNS_SENT)
        if answer.leases:
            reach(LEASE_ANSWERED)
        return answer

    async def rates(self, report: RateReport) -> RateShares:
        """Say what is used of limits per minute, and get the shares of them."""
        return await self._post("/rates", msgspec.json.encode(report), RateShares)

    async def ship(self, events: Sequence[bytes], *, urgent: bool) -> EventsAccepted:
        """Hand over encoded events; they are durable over there when this returns. `urgent`: applied without delay."""
        path = "/events?urgent" if urgent else "/events"
        return await self._post(path, b"[" + b",".join(events) + b"]", EventsAccepted)

    async def release(self, release: ReleaseEarlierEpochs) -> None:
        """Say that nothing of earlier epochs is unsettled."""
        await self._send("/release", msgspec.json.encode(release))

    async def seen(self, seen: StateSeen) -> None:
        """Say by which version of the state this gateway decides."""
        await self._send("/seen", msgspec.json.encode(seen))

    async def ask(self, path: str, question: Struct, shape: type[_Answer]) -> _Answer:
        """Ask for a caller (`wire/caller_questions.py`).

        Raises `InvalidInput` naming the field that cannot be, `NotFound` where there is nothing of that name.
        """
        status, answer = await self._exchange(path, msgspec.json.encode(question))
        if status == _BAD_REQUEST:
            _raise_faults(answer)
        if status == _NOT_FOUND:
            raise NotFound("answer", path)
        _require_success(status)
        return _decoded(path, answer, shape)

    async def state(self, after: int | None, gateway_id: str, *, generation: int) -> AsyncIterator[StateMessage | None]:
        """Yield state messages after a version (None: all) until the stream ends; None for a line nobody knows."""
        query = f"?after={after or 0}&gateway_id={gateway_id}&generation={generation}&dialects={_DIALECTS}"
        request = self._stream_client.get(f"{self._base}/state{query}").headers(self._headers)
        try:
            async with request.streamed_read_buffer_limit(0).build_streamed() as response:
                _require_success(response.status)
                pending = b""
                while (chunk := await response.body_reader.read_chunk()) is not None:
                    *lines, pending = (pending + bytes(chunk)).split(b"\n")
                    if len(pending) > _MOST_STATE_LINE_BYTES:
                        raise Unavailable("the control plane sent a line of state without an end")
                    for line in lines:
                        if line:
                            yield self._state_message(line)
        except RequestError as error:
            raise Unavailable(f"the control plane's state stream ended: {type(error).__name__}") from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
        await self._stream_client.close()

    def _state_message(self, line: bytes) -> StateMessage | None:
        try:
            return self._state_decoder.decode(line)
        except msgspec.DecodeError:
            return None

    async def _post(self, path: str, body: bytes, shape: type[_Answer]) -> _Answer:
        return _decoded(path, await self._send(path, body), shape)

    async def _send(self, path: str, body: bytes) -> bytes:
        status, answer = await self._exchange(path, body)
        _require_success(status)
        return answer

    async def _exchange(self, path: str, body: bytes) -> tuple[int, bytes]:
        request = self._client.post(self._base + path).headers(self._headers).header("content-type", "application/json")
        try:
            response = await request.body_bytes(body).build().send()
            return response.status, bytes(await response.bytes())
        except RequestError as error:
            raise Unavailable(f"the control plane did not answer {path}: {type(error).__name__}") from error


def _builder() -> ClientBuilder:
    return ClientBuilder().follow_redirects(enable=False).no_proxy().connect_timeout(_CONNECT_WITHIN)


def _decoded(path: str, answer: bytes, shape: type[_Answer]) -> _Answer:
    try:
        return msgspec.json.decode(answer, type=shape)
    except msgspec.DecodeError as error:
        raise Unavailable(f"the control plane's answer to {path} cannot be read: {error}") from error


def _raise_faults(document: bytes) -> None:
    """Raise what a problem document says is wrong with a question; nothing where it names no field."""
    try:
        faults = msgspec.json.decode(document, type=Problem).errors
    except msgspec.DecodeError:
        return
    if faults:
        raise InvalidInput(*(FieldFault(field=fault.field, message=fault.message) for fault in faults))


def _require_success(status: int) -> None:
    if status in {401, 403}:
        raise Unauthorized("the control plane does not accept this gateway's token")
    if not 200 <= status < 300:  # noqa: PLR2004 - HTTP's class of success
        raise Unavailable(f"the control plane answered {status}")
