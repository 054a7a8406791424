"""An answer in the protocol it is asked for in, ready to be sent: what the protocols of the demo upstream share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Final

import msgspec

from faregate.apps.upstream.answering import Completion, StreamEvent, complete
from faregate.apps.upstream.directions import Directions
from faregate.apps.upstream.shapes import ErrorDetail

_ENCODE: Final = msgspec.json.Encoder().encode
_SEED_BYTES: Final = 8


STREAM_FAILURE: Final = ErrorDetail(
    message="This stream was to fail.", type="server_error", param=None, code="demo_failure"
)
"""What a stream that is to fail says."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent: the JSON `body`, or the `events` of the stream and the one that ends it, `last`, or else `failure`.

    Each is made when it is asked for. Tokens are those the call log gets.
    """

    prompt_tokens: int
    completion_tokens: int
    body: Callable[[], bytes]
    events: Callable[[], Iterator[StreamEvent]]
    last: Callable[[], bytes]
    failure: Callable[[], bytes]


class CallMark(msgspec.Struct, frozen=True, kw_only=True):
    """What makes an answer's id and instant its own: the call's number, and seconds since the epoch."""

    number: int
    created_at_s: int


class Spoken(msgspec.Struct, frozen=True, kw_only=True):
    """A protocol: where it is asked for (a path's end), how it is answered, and how it says what went wrong.

    `answer` returns the reply to a body and whether it is to be streamed; it raises `InvalidInput`. `error` gets the
    status and what went wrong.
    """

    path: str
    answer: Callable[[bytes, Directions, CallMark], tuple[Reply, bool]]
    error: Callable[[int, ErrorDetail], bytes]


def compose_text(asked: object, directions: Directions, *, bound: int | None) -> tuple[int, Completion]:
    """Return the seed of what is asked and the text that it alone decides, as long as directions and bound allow."""
    seed = int.from_bytes(blake2b(_ENCODE(asked), digest_size=_SEED_BYTES).digest(), "big")
    return seed, complete(seed, wanted=directions.completion_tokens, bound=bound)


def typed_event(members: dict[str, object], *, tokens: int = 0) -> StreamEvent:
    """Return an event that is named by its `type`."""
    kind = str(members["type"]).encode()
    return StreamEvent(text=b"event: %b\ndata: %b\n\n" % (kind, _ENCODE(members)), tokens=tokens)
