"""Gateways as operators see them: when each was last heard, and what its leases still hold."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, select, update

from faregate.storage.database import Transaction
from faregate.storage.leases import Gateway, LeaseRow, gateway_from_row, lease_from_row
from faregate.storage.tables import gateway, lease

_SEEN: Final = update(gateway).where(gateway.c.gateway_id == bindparam("heard"))


def list_gateways(transaction: Transaction, gateway_ids: Collection[str] | None = None) -> list[Gateway]:
    """Return all gateways, or some, by id."""
    statement = select(gateway).order_by(gateway.c.gateway_id)
    if gateway_ids is not None:
        statement = statement.where(gateway.c.gateway_id.in_(gateway_ids))
    return [gateway_from_row(row) for row in transaction.execute(statement)]


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
