"""Gateways as operators see them: when each was last heard, and what its leases still hold."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Row, bindparam, select, update

from faregate.storage.database import Transaction
from faregate.storage.leases import LeaseRow, lease_from_row
from faregate.storage.tables import gateway, lease

_SEEN: Final = update(gateway).where(gateway.c.gateway_id == bindparam("heard"))


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRow:
    """A gateway that has ever opened an epoch. `seen_at` on the wall clock."""

    gateway_id: str
    epoch: int
    seen_at: datetime
    applied_sequence: int
    release_through: int | None


def list_gateways(transaction: Transaction, gateway_ids: Collection[str] | None = None) -> list[GatewayRow]:
    """Return all gateways, or some, by id."""
    statement = select(gateway).order_by(gateway.c.gateway_id)
    if gateway_ids is not None:
        statement = statement.where(gateway.c.gateway_id.in_(gateway_ids))
    return [_gateway(row) for row in transaction.execute(statement)]


def note_heard(transaction: Transaction, gateway_ids: Collection[str], *, at: datetime) -> None:
    """Keep that gateways are there."""
    if gateway_ids:
        transaction.execute(_SEEN, [{"heard": gateway_id, "seen_at": at} for gateway_id in sorted(gateway_ids)])


def open_leases(transaction: Transaction, gateway_ids: Collection[str]) -> list[LeaseRow]:
    """Return the leases of gateways that have units out, in the order in which they were granted."""
    statement = (
        select(lease)
        .where(lease.c.gateway_id.in_(gateway_ids), lease.c.is_open)
        .order_by(lease.c.created_at, lease.c.lease_id)
    )
    return [lease_from_row(row) for row in transaction.execute(statement)]


def _gateway(row: Row[tuple[object, ...]]) -> GatewayRow:
    return GatewayRow(
        gateway_id=row.gateway_id,
        epoch=row.epoch,
        seen_at=row.seen_at,
        applied_sequence=row.applied_sequence,
        release_through=row.release_through,
    )
