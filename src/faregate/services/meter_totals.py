"""How far the totals of meters move that are not additive: unique counts, extremes, means, latest values and levels.

Such a meter's part of an account's total is the value of all of a period's events together, in units. An event moves it
by the value with it less the value without it: the parts add up to the value whatever the order. A mean, a minimum, a
corrected or rounded value can fall: then the event gives back what earlier ones were debited.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal

from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_UNIQUE_VALUES
from faregate.base.money import EXACT
from faregate.base.periods import Period
from faregate.domain.metering.aggregate import Aggregate, Distinct, merge, value_of
from faregate.domain.metering.meter import GroupKey, Meter
from faregate.domain.metering.units import to_units
from faregate.storage.database import Transaction
from faregate.storage.usage_states import MeterTotalKey, read_meter_totals, write_meter_totals

_NOTHING = Decimal(0)


class MeterTotals:
    """The states that one transaction moves: loaded once, changed in memory, written once."""

    def __init__(self, transaction: Transaction, periods: Mapping[MeterTotalKey, Period]) -> None:
        self._transaction = transaction
        self._periods = periods
        self._states: dict[MeterTotalKey, Aggregate] = read_meter_totals(transaction, periods) if periods else {}

    def add(self, key: MeterTotalKey, meter: Meter, state: Aggregate) -> Decimal:
        """Add an event's state; return by how many units the total moves, which may be below zero.

        Raises `InvalidInput`, and changes nothing, where a unique count has more values than can be kept.
        """
        self._states[key], moved = moved_by(self._states.get(key), state, meter, period=self._periods[key])
        return moved

    def save(self) -> None:
        """Write the states."""
        write_meter_totals(self._transaction, self._states)


def moved_by(before: Aggregate | None, state: Aggregate, meter: Meter, *, period: Period) -> tuple[Aggregate, Decimal]:
    """Return the state with an event's in it, and by how many units the total moves. `InvalidInput` as `combined`."""
    after = combined(before, state)
    return after, EXACT.subtract(
        units_of(meter, after, period), _NOTHING if before is None else units_of(meter, before, period)
    )


def combined(before: Aggregate | None, state: Aggregate) -> Aggregate:
    """Return both states merged; `InvalidInput` on `metric` where that keeps too many unique values."""
    after = state if before is None else merge(before, state)
    if isinstance(after, Distinct) and len(after.values) > MAX_UNIQUE_VALUES:
        raise InvalidInput.of("metric", f"a unique count keeps at most {MAX_UNIQUE_VALUES} different values")
    return after


def units_of(meter: Meter, state: Aggregate, period: Period) -> Decimal:
    """Return a state's value over a period, in the meter's units."""
    return to_units(meter.units, value_of(state, period))


def group_text(group: GroupKey) -> str:
    """Return a group as rows keep it: empty for none."""
    return json.dumps(group, ensure_ascii=False, separators=(",", ":")) if group else ""
