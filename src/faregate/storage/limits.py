"""Limits, and what was used of caps and quotas."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Row, and_, delete, exists, insert, select, tuple_, update

from faregate.domain.limits.limit import Limit, Measure, Per, Subject
from faregate.storage.billing_cycle import zone_name, zone_named
from faregate.storage.database import Transaction
from faregate.storage.tables import gateway, limit_use, usage_limit
from faregate.storage.upsert import chunks, upsert


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedLimit:
    """A limit and the application it belongs to; it counts what happens from `created_at` on."""

    application_id: str
    limit: Limit
    created_at: datetime


class UseKey(NamedTuple):
    """Whose use of a limit, in the period that begins so."""

    limit_id: str
    subject_id: str
    period_start: datetime


@dataclass(slots=True, kw_only=True)
class LimitUse:
    """What a subject has used in a period, in the limit's own units; `reached`: so much that gateways are told."""

    key: UseKey
    period_end: datetime
    company_id: str
    used: Decimal
    reached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachedLimit:
    """A hard limit that a subject has used up, or is near to, in its newest period."""

    owned: OwnedLimit
    use: LimitUse


def insert_limit(transaction: Transaction, owned: OwnedLimit) -> None:
    """Keep a new limit."""
    limit = owned.limit
    transaction.execute(
        insert(usage_limit).values(
            limit_id=limit.limit_id,
            application_id=owned.application_id,
            subject=limit.subject.value,
            subject_id=limit.subject_id,
            plan_id=limit.plan_id,
            measure=limit.measure.value,
            currency=limit.currency,
            meter_id=limit.meter_id,
            per=limit.per.value,
            time_zone=zone_name(limit.zone),
            routes=msgspec.json.encode(limit.routes).decode(),
            created_at=owned.created_at,
            **_changeable(limit),
        )
    )


def update_limit(transaction: Transaction, limit: Limit) -> None:
    """Replace what may change of a limit: its name, amount, hardness and alerts."""
    transaction.execute(
        update(usage_limit).where(usage_limit.c.limit_id == limit.limit_id).values(**_changeable(limit))
    )


def delete_limit(transaction: Transaction, limit_id: str) -> None:
    """Forget a limit and what was used of it."""
    transaction.execute(delete(limit_use).where(limit_use.c.limit_id == limit_id))
    transaction.execute(delete(usage_limit).where(usage_limit.c.limit_id == limit_id))


def find_limit(transaction: Transaction, application_id: str, limit_id: str) -> OwnedLimit | None:
    """Return the limit with the id."""
    return next(iter(_limits(transaction, _of(application_id), usage_limit.c.limit_id == limit_id)), None)


def find_limit_by_name(transaction: Transaction, application_id: str, name: str) -> OwnedLimit | None:
    """Return the limit with the name."""
    return next(iter(_limits(transaction, _of(application_id), usage_limit.c.name == name)), None)


def list_limits(transaction: Transaction, application_id: str, *, after: str, limit: int) -> list[OwnedLimit]:
    """Return limits in id order, from the first one after `after`."""
    return _limits(transaction, _of(application_id), usage_limit.c.limit_id > after, limit=limit)


def counted_limits(transaction: Transaction, application_id: str) -> list[OwnedLimit]:
    """Return the caps and quotas of an application: all of its limits that are not per minute."""
    return _limits(transaction, _of(application_id), usage_limit.c.per != Per.MINUTE.value)


def rate_limits(transaction: Transaction, ids: Collection[str] | None) -> list[OwnedLimit]:
    """Return limits per minute, of every application; all of them for None."""
    conditions = [usage_limit.c.per == Per.MINUTE.value]
    if ids is not None:
        conditions.append(usage_limit.c.limit_id.in_(ids))
    return _limits(transaction, *conditions)


def reached_limits(transaction: Transaction, subjects: Collection[tuple[str, str]] | None) -> list[ReachedLimit]:
    """Return hard limits that gateways are told of, in the newest period counted, by (limit_id, subject_id)."""
    columns, newer = limit_use.c, limit_use.alias()
    has_newer = exists().where(
        newer.c.limit_id == columns.limit_id,
        newer.c.subject_id == columns.subject_id,
        newer.c.period_start > columns.period_start,
    )
    statement = (
        select(usage_limit, limit_use)
        .join_from(usage_limit, limit_use, usage_limit.c.limit_id == columns.limit_id)
        .where(columns.reached, usage_limit.c.hard, ~has_newer)
    )
    statements = [statement]
    if subjects is not None:
        of = tuple_(columns.limit_id, columns.subject_id)
        statements = [statement.where(of.in_(some)) for some in chunks(list(subjects))]
    return [
        ReachedLimit(owned=_limit(row), use=_use(row._mapping, columns))  # noqa: SLF001 - a public name of SQLAlchemy
        for one in statements
        for row in transaction.execute(one)
    ]


def read_uses(transaction: Transaction, keys: Sequence[UseKey]) -> dict[UseKey, LimitUse]:
    """Return what was used, of those keys of which anything was."""
    columns = limit_use.c
    found = {}
    for some in chunks(keys):
        statement = select(limit_use).where(tuple_(columns.limit_id, columns.subject_id).in_({key[:2] for key in some}))
        for row in transaction.execute(statement.where(columns.period_start.in_({key.period_start for key in some}))):
            use = _use(row._mapping, columns)  # noqa: SLF001 - as above
            found[use.key] = use
    return found


def write_uses(transaction: Transaction, uses: Collection[LimitUse]) -> None:
    """Write what was used, in place of what stood there."""
    rows = [
        {
            "limit_id": use.key.limit_id,
            "subject_id": use.key.subject_id,
            "period_start": use.key.period_start,
            "period_end": use.period_end,
            "company_id": use.company_id,
            "used": use.used,
            "reached": use.reached,
        }
        for use in uses
    ]
    upsert(transaction, limit_use, rows)


def uses_after(transaction: Transaction, limit_id: str, instant: datetime) -> list[LimitUse]:
    """Return what was used of a limit in periods that end after an instant."""
    statement = select(limit_use).where(limit_use.c.limit_id == limit_id, limit_use.c.period_end > instant)
    return [_use(row._mapping, limit_use.c) for row in transaction.execute(statement)]  # noqa: SLF001 - as above


def list_uses(
    transaction: Transaction,
    limit_id: str,
    *,
    subject_id: str | None,
    at: datetime | None,
    after: tuple[str, datetime] | None,
    limit: int,
) -> list[LimitUse]:
    """Return what was used, by subject and period; of one subject and of the periods that hold `at`, if given."""
    columns = limit_use.c
    conditions: list[ColumnElement[bool]] = [columns.limit_id == limit_id]
    if subject_id is not None:
        conditions.append(columns.subject_id == subject_id)
    if at is not None:
        conditions += [columns.period_start <= at, columns.period_end > at]
    if after is not None:
        subject, start = after
        conditions.append(
            (columns.subject_id > subject) | and_(columns.subject_id == subject, columns.period_start > start)
        )
    statement = select(limit_use).where(*conditions).order_by(columns.subject_id, columns.period_start).limit(limit)
    return [_use(row._mapping, columns) for row in transaction.execute(statement)]  # noqa: SLF001 - as above


def gateways_seen_since(transaction: Transaction, instant: datetime) -> set[str]:
    """Return the gateways that were heard of since an instant."""
    return set(transaction.execute(select(gateway.c.gateway_id).where(gateway.c.seen_at >= instant)).scalars())


def _of(application_id: str) -> ColumnElement[bool]:
    return usage_limit.c.application_id == application_id


def _limits(transaction: Transaction, *conditions: ColumnElement[bool], limit: int | None = None) -> list[OwnedLimit]:
    statement = select(usage_limit).where(*conditions).order_by(usage_limit.c.limit_id).limit(limit)
    return [_limit(row) for row in transaction.execute(statement)]


def _limit(row: Row[Any]) -> OwnedLimit:
    return OwnedLimit(
        application_id=row.application_id,
        limit=Limit(
            limit_id=row.limit_id,
            name=row.name,
            subject=Subject(row.subject),
            subject_id=row.subject_id,
            plan_id=row.plan_id,
            measure=Measure(row.measure),
            currency=row.currency,
            meter_id=row.meter_id,
            per=Per(row.per),
            zone=zone_named(row.time_zone),
            amount=row.amount,
            hard=row.hard,
            routes=msgspec.json.decode(row.routes, type=tuple[str, ...]),
            alert_at=msgspec.json.decode(row.alert_at, type=tuple[int, ...]),
        ),
        created_at=row.created_at,
    )


def _use(values: Any, columns: Any) -> LimitUse:  # noqa: ANN401 - SQLAlchemy's own types say no more
    return LimitUse(
        key=UseKey(values[columns.limit_id], values[columns.subject_id], values[columns.period_start]),
        period_end=values[columns.period_end],
        company_id=values[columns.company_id],
        used=values[columns.used],
        reached=values[columns.reached],
    )


def _changeable(limit: Limit) -> dict[str, Any]:
    return {
        "name": limit.name,
        "amount": limit.amount,
        "hard": limit.hard,
        "alert_at": msgspec.json.encode(limit.alert_at).decode(),
    }
