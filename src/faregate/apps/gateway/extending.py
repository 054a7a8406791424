"""A running stream whose hold covers a part of what it may come to: more is held ahead of need.

From memory where units are idle, else from the ledger, in the background, so that no stream waits while there is
credit. Where nothing is left the route says what happens: the stream ends before its output reaches what is held, or it
goes on for a bounded number of tokens that nobody's credit covers.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Final

from faregate.apps.gateway.holding import Denied, Holding
from faregate.apps.gateway.pools import HeldUnits, Hold, Want
from faregate.wire.gateway_protocol import WhenCreditEnds

IN_FLIGHT_TOKENS: Final = 16
"""The least output that an upstream may have written and this process not yet read: it is held before it comes."""

_IN_FLIGHT_S: Final = 0.25
"""How long an upstream may write on: until what it wrote is here, and until it sees that nobody reads any more.

As long is waited for the ledger where nothing is left.
"""

_NEVER: Final = sys.maxsize


class Extension:
    """The hold of one stream, as it grows. All figures are output tokens, of all choices together.

    `ask_at`: from this output on `cover` must be asked before more is sent to the caller. `most_output`: what may be
    billed now. `overdrawn`: the stream goes on, or went on, without credit. `ended`: what was done when credit ended.
    `denied`: why there is no more.
    """

    __slots__ = (
        "_asking",
        "_begun_s",
        "_bound",
        "_holding",
        "_in_flight",
        "_needs",
        "_note",
        "_occurred_at",
        "_output",
        "_overdraft",
        "_slice",
        "ask_at",
        "denied",
        "ended",
        "hold",
        "overdrawn",
    )

    def __init__(
        self,
        hold: Hold,
        want: Want,
        *,
        bound: int,
        overdraft: int,
        holding: Holding,
        note: Callable[[list[HeldUnits]], None],
    ) -> None:
        self.hold = hold
        self.denied: Denied | None = None
        self.ended: WhenCreditEnds | None = None
        self.overdrawn = False
        self._slice = want.output
        # A price that only input uses is paid; parts of a choice may be held, so that the last tokens can be.
        self._needs = tuple(need for need in want.needs if need.per_output)
        self._occurred_at = want.occurred_at
        self._bound = bound
        self._overdraft = overdraft
        self._holding = holding
        self._note = note
        self._asking: asyncio.Task[Hold | Denied] | None = None
        self._output = 0
        self._begun_s = asyncio.get_running_loop().time()
        self._in_flight = IN_FLIGHT_TOKENS
        self.ask_at = 0
        self._look_ahead()

    @property
    def most_output(self) -> int:
        """Return the output that is held, and what goes beyond it where the stream is finished all the same."""
        return self.hold.output + self._overdraft if self.overdrawn else self.hold.output

    async def cover(self, output: int) -> bool:
        """Return whether a stream of that output may go on; waits for credit only where none is left.

        To be asked at `ask_at` and beyond.
        """
        self._output = output
        self._take_asked()
        if not self.overdrawn:
            self._measure()
            self._hold_ahead()
            if not self._is_covered():
                await self._wait()
            if self._is_covered():
                return True
            self.overdrawn = self._overdraft > 0
        may_go_on = self.overdrawn and output < self.most_output
        self.ended = WhenCreditEnds.FINISH if may_go_on else WhenCreditEnds.END
        self.ask_at = self.most_output
        return may_go_on

    def close(self) -> None:
        """Take in what was asked for, before the hold is settled; what comes later is given back as it comes."""
        self._take_asked()
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.add_done_callback(self._give_back)

    def _is_covered(self) -> bool:
        return self.hold.output >= self._bound or self._output < self._last_output()

    def _last_output(self) -> int:
        """Return the output at which the stream ends, unless more is held: the rest of its hold may be in flight."""
        return self.hold.output - self._in_flight

    def _measure(self) -> None:
        """Note how much may be in flight, by the stream's pace so far; never more than half a slice."""
        elapsed_s = asyncio.get_running_loop().time() - self._begun_s
        written = int(self._output * _IN_FLIGHT_S / elapsed_s) if elapsed_s > _IN_FLIGHT_S else 0
        self._in_flight = max(IN_FLIGHT_TOKENS, min(written, self._slice // 2))

    def _hold_ahead(self) -> None:
        """Hold more from memory, as often as is needed; else begin to ask the ledger."""
        while self._output >= self.ask_at and self._asking is None:
            want = self._next_want()
            subscription_id = self.hold.account.subscription_id
            more = self._holding.try_hold(subscription_id, want)
            if more is not None:
                self._absorb(more)
            elif self.denied is None or self._is_covered():
                # Nothing is waited for beyond the answer: what is out is, at the last, this stream's own.
                asking = self._holding.hold(subscription_id, want, wait_ms=0)
                self._asking = asyncio.get_running_loop().create_task(asking)
                self.ask_at = self._last_output()
            else:
                # Refused a moment ago. To ask again would let the upstream write on meanwhile.
                return

    async def _wait(self) -> None:
        """Wait a little for what is asked for. Meanwhile nothing is read, and the upstream may write on."""
        if self._asking is not None:
            await asyncio.wait([self._asking], timeout=_IN_FLIGHT_S)
            self._take_asked()
            if self._asking is not None:
                self.denied = Denied.UNAVAILABLE

    def _take_asked(self) -> None:
        asking = self._asking
        if asking is None or not asking.done():
            return
        self._asking = None
        outcome = _outcome(asking)
        if isinstance(outcome, Hold):
            self._absorb(outcome)
            return
        self.denied = outcome
        # Credit may come: ask again half-way to the end, and half-way from there.
        self.ask_at = self._output + max(0, self._last_output() - self._output) // 2

    def _absorb(self, more: Hold) -> None:
        parts = list(more.parts)
        self.hold.absorb(more)
        self.denied = None
        self._note(parts)
        self._look_ahead()

    def _look_ahead(self) -> None:
        """Ask again when less than half a slice is left."""
        held = self.hold.output
        self.ask_at = _NEVER if held >= self._bound else held - max(self._slice // 2, 2 * self._in_flight)

    def _next_want(self) -> Want:
        output = min(self._slice, self._bound - self.hold.output)
        return Want(
            needs=self._needs,
            input=0,
            output=output,
            least_output=min(output, IN_FLIGHT_TOKENS),
            choices=1,
            occurred_at=self._occurred_at,
        )

    def _give_back(self, asking: asyncio.Task[Hold | Denied]) -> None:
        outcome = _outcome(asking)
        if isinstance(outcome, Hold):
            self._holding.release(outcome)


def _outcome(asking: asyncio.Task[Hold | Denied]) -> Hold | Denied:
    """Return what was answered; credit that could not be asked for is unavailable."""
    return Denied.UNAVAILABLE if asking.cancelled() or asking.exception() else asking.result()
