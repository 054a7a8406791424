"""What a price comes to in a period, and what invoices have billed of it: the difference is an adjustment.

As everywhere, totals are rounded and differences never are: a line of an adjustment is the whole, rounded to the minor
unit once, less what was billed before. Small adjustments therefore never get lost, however many there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar

from faregate.base.money import Currency, from_ledger_units, minor_to_ledger_units, to_minor_units

K = TypeVar("K")


class AdjustmentSource(StrEnum):
    """What moved the amount of a period that is invoiced."""

    LATE_EVENT = "late_event"
    CORRECTION = "correction"
    RERATING = "rerating"
    INCIDENT_CREDIT = "incident_credit"


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBill:
    """`owed`: what the period comes to, in ledger units. `billed`: its lines on invoices so far, in minor units.

    `rounding`: the ledger units that rounding entries have added to `owed`; once all is billed, both are `billed`.
    """

    owed: int = 0
    billed: int = 0
    rounding: int = 0

    def plus(self, amount: int) -> PriceBill:
        """Return the bill after the period came to `amount` ledger units more."""
        return replace(self, owed=self.owed + amount)

    def with_line(self, line: int, *, rounding: int, unit: Currency) -> PriceBill:
        """Return the bill with the line of the period's own usage, which came to the line less its rounding."""
        return PriceBill(
            owed=self.owed + minor_to_ledger_units(line, unit) - rounding,
            billed=self.billed + line,
            rounding=self.rounding + rounding,
        )

    def unbilled(self, unit: Currency) -> int:
        """Return the minor units that a line must say so that all is billed; below zero for what is given back."""
        return to_minor_units(from_ledger_units(self.owed, unit), unit) - self.billed


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingStep:
    """A line in minor units, the rounding entry it brings, in ledger units that are owed more, and the bill after it.

    `is_whole`: nothing is left for a later invoice.
    """

    line: int
    rounding: int
    after: PriceBill
    is_whole: bool


def bill_line(bill: PriceBill, unit: Currency, *, room: int) -> BillingStep:
    """Bill what is not billed. Of what is given back, at most `room` minor units; the rest waits."""
    unbilled = bill.unbilled(unit)
    line = max(unbilled, -room)
    billed = bill.billed + line
    if line != unbilled:
        return BillingStep(line=line, rounding=0, after=replace(bill, billed=billed), is_whole=False)
    rounding = minor_to_ledger_units(billed, unit) - bill.owed
    after = PriceBill(owed=bill.owed, billed=billed, rounding=rounding)
    return BillingStep(line=line, rounding=rounding - bill.rounding, after=after, is_whole=True)


def bill_adjustments(bills: Sequence[tuple[K, PriceBill]], unit: Currency, *, room: int) -> list[tuple[K, BillingStep]]:
    """Bill adjustments on an invoice whose other lines come to `room`, in the order given; its total stays above zero.

    What is owed more makes room for what is given back. What there is no room for is left out.
    """
    steps = {}
    for place, (_, bill) in sorted(enumerate(bills), key=lambda entry: entry[1][1].unbilled(unit) < 0):
        step = bill_line(bill, unit, room=room)
        room += step.line
        steps[place] = step
    return [(key, steps[place]) for place, (key, _) in enumerate(bills) if steps[place].is_whole or steps[place].line]
