"""What calls held and used, by route, price and day."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec
from sqlalchemy import ColumnElement, select, tuple_

from faregate.domain.ledger.bound_quality import BoundQuality
from faregate.storage.database import Transaction
from faregate.storage.tables import bound_quality
from faregate.storage.upsert import chunks, upsert


class BoundKey(NamedTuple):
    """Held calls of one route and price on one day in UTC."""

    application_id: str
    route_id: str
    price_id: str
    day_at: datetime


def read_bounds(transaction: Transaction, keys: Collection[BoundKey]) -> dict[BoundKey, BoundQuality]:
    """Return those of the sums that exist."""
    columns = bound_quality.c
    identity = tuple_(columns.application_id, columns.route_id, columns.price_id, columns.day_at)
    found: dict[BoundKey, BoundQuality] = {}
    for chunk in chunks([tuple(key) for key in keys]):
        found |= _read(transaction, identity.in_(chunk))
    return found


def bounds_of_route(
    transaction: Transaction, application_id: str, route_id: str, *, from_at: datetime, to_at: datetime
) -> Iterable[tuple[BoundKey, BoundQuality]]:
    """Return the sums of a route's days: from <= day < to."""
    columns = bound_quality.c
    return _read(
        transaction,
        columns.application_id == application_id,
        columns.route_id == route_id,
        columns.day_at >= from_at,
        columns.day_at < to_at,
    ).items()


def write_bounds(transaction: Transaction, bounds: Mapping[BoundKey, BoundQuality]) -> None:
    """Insert or replace sums."""
    upsert(
        transaction,
        bound_quality,
        [
            key._asdict()
            | {
                "calls": quality.calls,
                "held": Decimal(quality.held),
                "used": Decimal(quality.used),
                "overshoots": quality.overshoots,
                "clamped": quality.clamped,
                "estimated": quality.estimated,
                "by_step": msgspec.json.encode(quality.by_step).decode(),
            }
            for key, quality in bounds.items()
        ],
    )


def _read(transaction: Transaction, *conditions: ColumnElement[bool]) -> dict[BoundKey, BoundQuality]:
    return {
        BoundKey(row.application_id, row.route_id, row.price_id, row.day_at): BoundQuality(
            calls=row.calls,
            held=int(row.held),
            used=int(row.used),
            overshoots=row.overshoots,
            clamped=row.clamped,
            estimated=row.estimated,
            by_step=msgspec.json.decode(row.by_step, type=list[int]),
        )
        for row in transaction.execute(select(bound_quality).where(*conditions))
    }
