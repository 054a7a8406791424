"""Limits on the wire."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from faregate.base.limits import MAX_ALERT_PERCENT, MAX_ALERT_PERCENTS, MAX_LIMIT_ROUTES
from faregate.domain.limits.limit import Limit, Measure, Per, Stage, Subject, known_end
from faregate.wire.api.catalog import CurrencyCode
from faregate.wire.api.common import DecimalText, Identifier, Instant, Name, plain
from faregate.wire.api.customers import TimeZone
from faregate.wire.api.rules import Pattern

LimitRoutes = Annotated[list[Pattern], Meta(max_length=MAX_LIMIT_ROUTES)]
"""Regular expressions (RE2's syntax), of which one must be found in the route's name; none: every route counts."""

AlertAt = Annotated[list[Annotated[int, Meta(ge=1, le=MAX_ALERT_PERCENT)]], Meta(max_length=MAX_ALERT_PERCENTS)]
"""Percentages of the amount at which an alert is raised, once a period each."""

_DEFAULT_ALERTS = (80, 100)


class LimitTerms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much a subject may use: requests or tokens `per` minute, or anything per longer periods."""

    name: Name
    subject: Subject
    subject_id: Identifier | None = None
    measure: Measure
    currency: CurrencyCode | None = None
    per: Per
    time_zone: TimeZone = "UTC"
    amount: Decimal
    hard: bool = True
    routes: LimitRoutes = []
    alert_at: AlertAt | UnsetType = UNSET


class LimitCreate(LimitTerms, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much a subject may use: requests or tokens `per` minute, or anything per longer periods.

    Without `subject_id`, each key, user or company has the limit for itself; `plan_id` makes that each of the
    companies on a plan. `spend` is money at the rated price and needs a `currency`; `meter` needs a `meter_id`. Days,
    weeks and months are the calendar's in `time_zone`; a `billing_period` is the subscription's. A limit that is not
    `hard` refuses nothing; its alerts are raised all the same, at 80 and 100 percent unless you say otherwise.
    """

    plan_id: Identifier | None = None
    meter_id: Identifier | None = None


class LimitChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a limit; what is left out stays. Whose it is, of what and per what never changes."""

    name: Name | UnsetType = UNSET
    amount: Decimal | UnsetType = UNSET
    hard: bool | UnsetType = UNSET
    alert_at: AlertAt | UnsetType = UNSET


class LimitView(Struct, frozen=True, kw_only=True):
    """A limit. What is used of one that is not per minute counts from `created_at` on."""

    limit_id: str
    name: str
    subject: Subject
    subject_id: str | None
    plan_id: str | None
    measure: Measure
    currency: str | None
    meter_id: str | None
    per: Per
    time_zone: str
    amount: DecimalText
    hard: bool
    routes: list[str]
    alert_at: list[int]
    created_at: Instant


class LimitUseView(Struct, frozen=True, kw_only=True):
    """What a subject has used of a limit in a period; null for `period_end` is a period that does not end.

    `used` and `remaining` are in the limit's own units. `reached`: a hard limit refuses calls until the period ends.
    """

    limit_id: str
    subject_id: str
    company_id: str
    period_start: Instant
    period_end: Instant | None
    used: DecimalText
    amount: DecimalText
    remaining: DecimalText
    reached: bool


def wanted_alerts(request: LimitCreate) -> tuple[int, ...]:
    """Return the percentages asked for, in order: the default's, where none are named and they make sense."""
    if request.alert_at is UNSET:
        return () if request.per is Per.MINUTE else _DEFAULT_ALERTS
    return tuple(sorted(set(request.alert_at)))


def limit_view(limit: Limit, created_at: datetime) -> LimitView:
    """Return a limit as it travels."""
    return LimitView(
        limit_id=limit.limit_id,
        name=limit.name,
        subject=limit.subject,
        subject_id=limit.subject_id,
        plan_id=limit.plan_id,
        measure=limit.measure,
        currency=limit.currency,
        meter_id=limit.meter_id,
        per=limit.per,
        time_zone=str(limit.zone),
        amount=plain(limit.amount),
        hard=limit.hard,
        routes=list(limit.routes),
        alert_at=list(limit.alert_at),
        created_at=created_at,
    )


def limit_use_view(
    limit: Limit, *, subject_id: str, company_id: str, start: datetime, end: datetime, used: Decimal
) -> LimitUseView:
    """Return what was used as it travels."""
    return LimitUseView(
        limit_id=limit.limit_id,
        subject_id=subject_id,
        company_id=company_id,
        period_start=start,
        period_end=known_end(end),
        used=plain(used),
        amount=plain(limit.amount),
        remaining=plain(max(limit.amount - used, Decimal(0))),
        reached=limit.stage(used) is Stage.USED_UP,
    )
