"""The periods of a subscription: months counted from an anchor, whose day 31 falls back and returns, in UTC."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime
from fractions import Fraction
from typing import Final

from faregate.base.periods import Cadence, CadenceUnit, PeriodCalendar
from faregate.providers.sandbox.faults import Json, refused

_MONTHS: Final = 12


def period_at(anchor: int, recurring: Json, instant: int) -> tuple[int, int]:
    """Return the period, [start, end) in seconds, that holds an instant."""
    period = _borders(anchor, recurring).period_containing(datetime.fromtimestamp(instant, UTC))
    return int(period.start.timestamp()), int(period.end.timestamp())


def share_left(anchor: int, recurring: Json, *, start: int, end: int) -> Fraction:
    """Return what [start, end) is of the whole period that ends with it, exactly; more than 1 where it is longer."""
    begin, _ = period_at(anchor, recurring, end - 1)
    return Fraction(end - start, end - begin)


def first_anchor(config: Json, now: int) -> int:
    """Return the next instant of a `billing_cycle_anchor_config`, after `now`; what it leaves open is as now."""
    start = datetime.fromtimestamp(now, UTC)
    clock = {name: config.get(name, getattr(start, name)) for name in ("hour", "minute", "second")}
    for ahead in range(2 * _MONTHS + 1):
        year, month = divmod(start.year * _MONTHS + start.month - 1 + ahead, _MONTHS)
        if config.get("month", month + 1) != month + 1:
            continue
        day = min(config["day_of_month"], calendar.monthrange(year, month + 1)[1])
        try:
            found = datetime(year, month + 1, day, **clock, tzinfo=UTC)
        except ValueError:
            break
        if found > start:
            return int(found.timestamp())
    raise refused("Invalid billing cycle anchor: no such day or hour.", param="billing_cycle_anchor_config")


def _borders(anchor: int, recurring: Json) -> PeriodCalendar:
    cadence = Cadence(unit=CadenceUnit(recurring["interval"]), count=recurring["interval_count"])
    return PeriodCalendar(anchor=datetime.fromtimestamp(anchor, UTC), cadence=cadence)
