"""What a call would hold and cost, and the longest answer that a balance pays for, before the call is made.

A hold is granted where what its units can cost, all prices together, is at most what is available (`share_out`). Units
that lie idle in the asking gateway's leases are reserved already, and the call may use them: so they count as free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_LEASE_UNITS
from faregate.domain.ledger.reserve import PriceUse, further_cost, reserved_amount


@dataclass(frozen=True, slots=True, kw_only=True)
class CallNeed:
    """How a call uses one price: units per input and per output token. `idle`: of those outstanding, what it may use.

    The least that is idle is taken: no more than is outstanding.
    """

    use: PriceUse
    per_input: int
    per_output: int
    idle: int = 0

    def units(self, *, input_tokens: int, output_tokens: int) -> int:
        """Return the units that a call of these tokens comes to."""
        return self.per_input * input_tokens + self.per_output * output_tokens

    @property
    def busy(self) -> PriceUse:
        """Return the use with only those units outstanding that the call may not use."""
        return replace(self.use, outstanding=max(0, self.use.outstanding - self.idle))


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotedLine:
    """One price of a quote, in ledger units.

    `amount`: the most that the units cost on top of what the period came to so far. `hold`: by how much they raise what
    is reserved; less where they fit into a package that other calls in flight have opened.
    """

    units: int
    amount: int
    hold: int


def quote_lines(needs: Sequence[CallNeed], *, input_tokens: int, output_tokens: int) -> list[QuotedLine]:
    """Return what a call of at most these tokens comes to, price by price in the order of `needs`.

    Raises `InvalidInput` where an amount does not fit the ledger.
    """
    lines = []
    for need in needs:
        units = need.units(input_tokens=input_tokens, output_tokens=output_tokens)
        alone = replace(need.use, outstanding=units)
        lines.append(QuotedLine(units=units, amount=reserved_amount(alone), hold=further_cost(need.busy, units)))
    return lines


def free_credit(needs: Sequence[CallNeed], *, available: int) -> int:
    """Return what a hold may cost: the available credit and what is reserved for units that the call may use."""
    return available + sum(reserved_amount(need.use) - reserved_amount(need.busy) for need in needs)


def affordable_output(needs: Sequence[CallNeed], *, input_tokens: int, free: int) -> int | None:
    """Return the most output tokens that can be held with `free` ledger units after the input; -1: not the input alone.

    None where no output is too much: it costs nothing.
    """
    most = min((_most_output(need, input_tokens) for need in needs if need.per_output), default=None)
    if not _can_hold(needs, input_tokens=input_tokens, output_tokens=0, free=free):
        return -1
    if most is None or _can_hold(needs, input_tokens=input_tokens, output_tokens=most, free=free):
        return None
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        if _can_hold(needs, input_tokens=input_tokens, output_tokens=middle, free=free):
            low = middle
        else:
            high = middle
    return low


def _most_output(need: CallNeed, input_tokens: int) -> int:
    return max(0, MAX_LEASE_UNITS - need.per_input * input_tokens) // need.per_output


def _can_hold(needs: Sequence[CallNeed], *, input_tokens: int, output_tokens: int, free: int) -> bool:
    try:
        lines = quote_lines(needs, input_tokens=input_tokens, output_tokens=output_tokens)
    except InvalidInput:
        return False
    return sum(line.hold for line in lines) <= max(free, 0)
