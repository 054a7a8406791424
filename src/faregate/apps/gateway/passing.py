"""A stream's way from the upstream to its caller, as a task that raises nothing.

An error that a task raises stays with the task, and keeps what the task had in hand: the caller's stream, which the
server ends when it is let go. A compiled caller holds on to its tasks until it returns, so the stream would stay open.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum, auto

from granian.rsgi import ProtocolClosed

from faregate.apps.gateway.upstream_client import Meter, UpstreamAnswer, UpstreamFailed


class Passed(Enum):
    """How the passing of a stream ended."""

    TO_ITS_END = auto()
    CALLER_GONE = auto()
    BROKEN_OFF = auto()


async def pass_on(answer: UpstreamAnswer, meter: Meter, send: Callable[[bytes], Awaitable[None]]) -> Passed:
    """Feed all that comes to a meter and send what it returns, until it has finished or the answer has ended."""
    try:
        await answer.pass_on(meter, send)
    except ProtocolClosed:
        return Passed.CALLER_GONE
    except UpstreamFailed:
        return Passed.BROKEN_OFF
    return Passed.TO_ITS_END
