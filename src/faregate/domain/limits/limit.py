"""A limit: who, of what, how much, in which time.

A *rate limit* is per minute, of requests or tokens, and is counted by the gateways themselves, at once. Every other
limit is a *cap* (of money) or a *quota* (of anything else): it is counted per period with the usage itself, exactly,
and its crossing is told to the gateways.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Final

from faregate.base.clock import EPOCH
from faregate.base.errors import FieldFault
from faregate.base.limits import MAX_ALERT_PERCENT, MAX_RATE_UNITS
from faregate.base.money import EXACT
from faregate.base.periods import Alignment, Cadence, CadenceUnit, Period, PeriodCalendar
from faregate.domain.customers.subscription import Subscription


class Subject(StrEnum):
    """Whose usage is counted."""

    KEY = "key"
    USER = "user"
    COMPANY = "company"


class Measure(StrEnum):
    """What is counted: calls, tokens, money at the rated price, or the quantity of a meter."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    SPEND = "spend"
    METER = "meter"


class Per(StrEnum):
    """The time in which it is counted; `TOTAL` never begins anew."""

    MINUTE = "minute"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    BILLING_PERIOD = "billing_period"
    TOTAL = "total"


_CALENDAR: Final = {Per.DAY: CadenceUnit.DAY, Per.WEEK: CadenceUnit.WEEK, Per.MONTH: CadenceUnit.MONTH}
_COUNTED_WHOLE: Final = frozenset({Measure.REQUESTS, Measure.TOKENS})


class Stage(IntEnum):
    """How far a subject is: gateways hurry to tell of its calls where it is near, and refuse them where it is over."""

    FREE = 0
    NEAR = 1
    USED_UP = 2


_NEAR_PERCENT: Final = 90
_HUNDRED: Final = 100

ALL_TIME: Final = Period(EPOCH, datetime.max.replace(tzinfo=UTC))
"""The one period of a total."""

Matcher = Callable[[str], bool]
"""Whether a compiled pattern is found in a text."""

MatcherFactory = Callable[[str], Matcher]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """`subject_id`: the one that is limited; None: each one for itself, of the companies on `plan_id`, or of all.

    `currency` is set for spend, which `amount` counts in major units; `meter_id` for a meter. `zone` is where days,
    weeks and months begin. One that is not `hard` refuses nothing. `routes`: patterns, of which one must be found in
    the route's name; without any, every route counts. `alert_at`: percentages of the amount.
    """

    limit_id: str
    name: str
    subject: Subject
    subject_id: str | None
    plan_id: str | None
    measure: Measure
    currency: str | None
    meter_id: str | None
    per: Per
    zone: tzinfo
    amount: Decimal
    hard: bool
    routes: tuple[str, ...]
    alert_at: tuple[int, ...]

    @property
    def is_rate(self) -> bool:
        """Return whether the gateways count it."""
        return self.per is Per.MINUTE

    def covers(self, route: str, compile_pattern: MatcherFactory) -> bool:
        """Return whether calls of a route count, and are refused."""
        return not self.routes or any(compile_pattern(pattern)(route) for pattern in self.routes)

    def holds(self, subject_id: str | None, plan_ids: frozenset[str]) -> bool:
        """Return whether it limits a subject of its kind, whose company is on the plans; None is nobody."""
        if subject_id is None:
            return False
        if self.subject_id is not None:
            return self.subject_id == subject_id
        return self.plan_id is None or self.plan_id in plan_ids

    def period_at(self, instant: datetime, subscription: Subscription | None) -> Period:
        """Return the period that an instant counts in.

        Billing periods are those of the subscription; without one, or outside its life, calendar months.
        """
        if self.per is Per.TOTAL:
            return ALL_TIME
        if self.per is Per.BILLING_PERIOD:
            found = None if subscription is None else subscription.period_at(instant)
            if found is not None:
                return found
        unit = _CALENDAR.get(self.per, CadenceUnit.MONTH)
        borders = PeriodCalendar(anchor=EPOCH, cadence=Cadence(unit=unit), zone=self.zone, alignment=Alignment.CALENDAR)
        return borders.period_containing(instant)

    def stage(self, used: Decimal) -> Stage:
        """Return how far a subject is that has used so much of it."""
        if used >= self.amount:
            return Stage.USED_UP
        is_near = EXACT.multiply(used, Decimal(_HUNDRED)) >= EXACT.multiply(self.amount, Decimal(_NEAR_PERCENT))
        return Stage.NEAR if is_near else Stage.FREE


def known_end(period_end: datetime) -> datetime | None:
    """Return the end of a limit's period as it is told; None where it does not end."""
    return None if period_end == ALL_TIME.end else period_end


def faults_of(limit: Limit) -> list[FieldFault]:
    """Return everything that is wrong with a limit by itself; empty where it can be kept."""
    return [FieldFault(field=field, message=message) for field, message in _faults(limit)]


def _faults(limit: Limit) -> Iterator[tuple[str, str]]:
    if limit.amount <= 0:
        yield "amount", "must be more than 0; to refuse every call, use a rule or revoke the key"
    if limit.measure in _COUNTED_WHOLE and limit.amount != limit.amount.to_integral_value():
        yield "amount", f"must be a whole number of {limit.measure.value}"
    if limit.plan_id is not None and limit.subject_id is not None:
        yield "plan_id", "goes with a limit for each subject; leave it out where 'subject_id' names one"
    yield from _measure_faults(limit)
    if limit.is_rate:
        yield from _rate_faults(limit)
    if str(limit.zone) != "UTC" and limit.per not in _CALENDAR:
        yield "time_zone", "is where days, weeks and months begin; leave it out here"
    if any(not 1 <= percent <= MAX_ALERT_PERCENT for percent in limit.alert_at):
        yield "alert_at", f"must be whole percentages from 1 to {MAX_ALERT_PERCENT}"


def _measure_faults(limit: Limit) -> Iterator[tuple[str, str]]:
    if (limit.measure is Measure.SPEND) != (limit.currency is not None):
        yield "currency", "is required for spend, for example 'USD', and goes with nothing else"
    if (limit.measure is Measure.METER) != (limit.meter_id is not None):
        yield "meter_id", "is required for a meter, and goes with nothing else"


def _rate_faults(limit: Limit) -> Iterator[tuple[str, str]]:
    if limit.measure not in _COUNTED_WHOLE:
        yield "measure", "must be 'requests' or 'tokens' where it is per minute"
    if limit.amount > MAX_RATE_UNITS:
        yield "amount", f"must be at most {MAX_RATE_UNITS} per minute"
    if not limit.hard:
        yield "hard", "must be true where it is per minute: nothing else comes of a rate limit"
    if limit.alert_at:
        yield "alert_at", "goes with periods of a day or more"
