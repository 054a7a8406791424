"""Gateways, their epochs, and the leases they were granted."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Row, bindparam, insert, select, update

from faregate.base.periods import Period
from faregate.storage.database import Transaction
from faregate.storage.tables import gateway, lease

_UPDATE_LEASE: Final = update(lease).where(lease.c.lease_id == bindparam("updated"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A gateway by its spool folder's id. `seen_at`: when it was last heard, on the wall clock.

    `release_through`: earlier epochs' leases are free once this sequence is applied.
    """

    gateway_id: str
    epoch: int
    seen_at: datetime
    applied_sequence: int
    release_through: int | None


@dataclass(slots=True, kw_only=True)
class LeaseRow:
    """A lease and what became of its units; what is neither drawn nor returned is outstanding."""

    lease_id: str
    lease_request_id: str
    gateway_id: str
    epoch: int
    subscription_id: str
    price_id: str
    period: Period
    granted_units: int
    drawn_units: int
    returned_units: int
    duration_ms: int
    created_at: datetime

    @property
    def outstanding_units(self) -> int:
        """Return the units that are still the gateway's."""
        return self.granted_units - self.drawn_units - self.returned_units


def read_gateway(transaction: Transaction, gateway_id: str) -> Gateway | None:
    """Return a gateway, locked where the database has row locks."""
    statement = select(gateway).where(gateway.c.gateway_id == gateway_id).with_for_update()
    row = transaction.execute(statement).first()
    return None if row is None else gateway_from_row(row)


def has_applied(transaction: Transaction, gateway_id: str, sequence: int) -> bool:
    """Return whether a gateway's events up to a sequence number are applied; without a lock."""
    statement = select(gateway.c.applied_sequence).where(gateway.c.gateway_id == gateway_id)
    return (transaction.execute(statement).scalar() or 0) >= sequence


def raise_epoch(transaction: Transaction, gateway_id: str, now: datetime, *, above: int = 0) -> int:
    """Return the gateway's next epoch, above the given one: every earlier process of it is fenced from now on."""
    known = read_gateway(transaction, gateway_id)
    if known is None:
        transaction.execute(
            insert(gateway).values(gateway_id=gateway_id, epoch=above + 1, applied_sequence=0, seen_at=now)
        )
        return above + 1
    epoch = max(known.epoch, above) + 1
    transaction.execute(
        update(gateway).where(gateway.c.gateway_id == gateway_id).values(epoch=epoch, release_through=None, seen_at=now)
    )
    return epoch


def set_release_through(transaction: Transaction, gateway_id: str, sequence: int | None) -> None:
    """Keep, or forget, the sequence after which earlier epochs' leases are free."""
    transaction.execute(update(gateway).where(gateway.c.gateway_id == gateway_id).values(release_through=sequence))


def set_applied_sequence(transaction: Transaction, gateway_id: str, sequence: int) -> None:
    """Keep the newest sequence whose event is applied."""
    transaction.execute(update(gateway).where(gateway.c.gateway_id == gateway_id).values(applied_sequence=sequence))


def read_leases(transaction: Transaction, lease_ids: Collection[str]) -> dict[str, LeaseRow]:
    """Return leases by id, open or not."""
    if not lease_ids:
        return {}
    return {
        row.lease_id: lease_from_row(row)
        for row in transaction.execute(select(lease).where(lease.c.lease_id.in_(lease_ids)))
    }


def read_leases_of_request(transaction: Transaction, lease_request_id: str) -> list[LeaseRow]:
    """Return what a lease request was granted before."""
    statement = select(lease).where(lease.c.lease_request_id == lease_request_id).order_by(lease.c.lease_id)
    return [lease_from_row(row) for row in transaction.execute(statement)]


def read_earlier_leases(transaction: Transaction, gateway_id: str, before_epoch: int) -> list[LeaseRow]:
    """Return a gateway's open leases of earlier epochs."""
    statement = select(lease).where(lease.c.gateway_id == gateway_id, lease.c.is_open, lease.c.epoch < before_epoch)
    return [lease_from_row(row) for row in transaction.execute(statement)]


def outstanding_before(
    transaction: Transaction, subscription_id: str, before: datetime
) -> dict[tuple[str, Period], int]:
    """Return the units still out in leases that were granted to an account before an instant, by price and period."""
    statement = select(lease).where(
        lease.c.subscription_id == subscription_id, lease.c.is_open, lease.c.created_at < before
    )
    units: dict[tuple[str, Period], int] = {}
    for row in map(lease_from_row, transaction.execute(statement)):
        key = (row.price_id, row.period)
        units[key] = units.get(key, 0) + row.outstanding_units
    return units


def add_leases(transaction: Transaction, leases: Collection[LeaseRow]) -> None:
    """Write new leases."""
    transaction.execute(
        insert(lease),
        [
            {
                "lease_id": row.lease_id,
                "lease_request_id": row.lease_request_id,
                "gateway_id": row.gateway_id,
                "epoch": row.epoch,
                "subscription_id": row.subscription_id,
                "price_id": row.price_id,
                "period_start": row.period.start,
                "period_end": row.period.end,
                "granted_units": row.granted_units,
                "drawn_units": row.drawn_units,
                "returned_units": row.returned_units,
                "duration_ms": row.duration_ms,
                "is_open": row.outstanding_units > 0,
                "created_at": row.created_at,
            }
            for row in leases
        ],
    )


def update_leases(transaction: Transaction, rows: Collection[LeaseRow]) -> None:
    """Keep what was drawn and returned; a lease without outstanding units is closed."""
    if rows:
        transaction.execute(
            _UPDATE_LEASE,
            [
                {
                    "updated": row.lease_id,
                    "drawn_units": row.drawn_units,
                    "returned_units": row.returned_units,
                    "is_open": row.outstanding_units > 0,
                }
                for row in rows
            ],
        )


def gateway_from_row(row: Row[tuple[object, ...]]) -> Gateway:
    """Return a row of `gateway`."""
    return Gateway(
        gateway_id=row.gateway_id,
        epoch=row.epoch,
        seen_at=row.seen_at,
        applied_sequence=row.applied_sequence,
        release_through=row.release_through,
    )


def lease_from_row(row: Row[tuple[object, ...]]) -> LeaseRow:
    """Return a row of `lease`."""
    return LeaseRow(
        lease_id=row.lease_id,
        lease_request_id=row.lease_request_id,
        gateway_id=row.gateway_id,
        epoch=row.epoch,
        subscription_id=row.subscription_id,
        price_id=row.price_id,
        period=Period(row.period_start, row.period_end),
        granted_units=row.granted_units,
        drawn_units=row.drawn_units,
        returned_units=row.returned_units,
        duration_ms=row.duration_ms,
        created_at=row.created_at,
    )
