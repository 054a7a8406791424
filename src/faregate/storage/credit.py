"""Grants: their terms, what is left of them, and the movements that say which entry took what of which grant."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import Row, bindparam, func, insert, select, tuple_, update

from faregate.base.clock import from_microseconds, to_microseconds
from faregate.base.periods import Alignment, Cadence, CadenceUnit, PeriodCalendar
from faregate.domain.ledger.burning import Grant, GrantKind
from faregate.domain.ledger.credit_account import GrantPhase, KeptGrant, Movement
from faregate.storage.billing_cycle import zone_name, zone_named
from faregate.storage.bulk import insert_rows
from faregate.storage.database import Transaction
from faregate.storage.tables import grant, grant_movement

_PAGE_ROWS: Final = 500
_MOVEMENT_COLUMNS: Final = ("grant_id", "entry_id", "place", "amount", "is_burn")
_UPDATE_GRANT: Final = update(grant).where(grant.c.grant_id == bindparam("updated"))


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantRow:
    """A grant given to a subscription; amounts in ledger units. `caller_id` is unique within the subscription."""

    application_id: str
    subscription_id: str
    caller_id: str
    created_at: datetime
    kept: KeptGrant

    @property
    def grant_id(self) -> str:
        """Return the grant's id."""
        return self.kept.grant.grant_id


def add_grant(transaction: Transaction, row: GrantRow) -> None:
    """Write a grant."""
    terms = row.kept.grant
    transaction.execute(
        insert(grant).values(
            grant_id=row.grant_id,
            application_id=row.application_id,
            subscription_id=row.subscription_id,
            amount=terms.amount,
            kind=terms.kind.value,
            description=row.kept.description,
            caller_id=row.caller_id,
            created_at=row.created_at,
            priority=terms.priority,
            effective_at=terms.effective_at,
            expires_at=terms.expires_at,
            recurrence=_recurrence_text(terms.recurs),
            rolls_over=terms.rolls_over,
            **_standing(row.kept),
        )
    )


def find_grant(transaction: Transaction, subscription_id: str, caller_id: str) -> GrantRow | None:
    """Return the grant that this caller id gave, if it did."""
    statement = select(grant).where(grant.c.subscription_id == subscription_id, grant.c.caller_id == caller_id)
    row = transaction.execute(statement).first()
    return None if row is None else _grant_from_row(row)


def read_grant(transaction: Transaction, subscription_id: str, grant_id: str) -> GrantRow | None:
    """Return a subscription's grant by its id."""
    statement = select(grant).where(grant.c.subscription_id == subscription_id, grant.c.grant_id == grant_id)
    row = transaction.execute(statement).first()
    return None if row is None else _grant_from_row(row)


def list_grants(transaction: Transaction, *subscription_ids: str) -> list[GrantRow]:
    """Return subscriptions' grants, oldest first."""
    statement = select(grant).where(grant.c.subscription_id.in_(subscription_ids)).order_by(grant.c.grant_id)
    return [_grant_from_row(row) for row in transaction.execute(statement)]


def count_live_grants(transaction: Transaction, subscription_id: str) -> int:
    """Return how many grants of a subscription usage or time can still take of."""
    statement = select(func.count()).where(grant.c.subscription_id == subscription_id, grant.c.is_live)
    return int(transaction.execute(statement).scalar_one())


def first_expiry(transaction: Transaction, subscription_id: str, *, after: datetime) -> datetime | None:
    """Return when the first of a subscription's grants that have credit left expires."""
    statement = select(func.min(grant.c.expires_at)).where(
        grant.c.subscription_id == subscription_id, grant.c.is_live, grant.c.remaining > 0, grant.c.expires_at > after
    )
    found: datetime | None = transaction.execute(statement).scalar()
    return found


def read_kept_grants(
    transaction: Transaction, subscription_ids: Collection[str], *, with_used_up: bool
) -> dict[str, list[KeptGrant]]:
    """Return grants by subscription that usage or time can still take of; also those that are used up, if need be."""
    wanted = grant.c.phase == GrantPhase.ACTIVE.value
    statement = select(grant).where(
        grant.c.subscription_id.in_(subscription_ids), (grant.c.is_live | wanted) if with_used_up else grant.c.is_live
    )
    found: dict[str, list[KeptGrant]] = {}
    for row in transaction.execute(statement):
        found.setdefault(row.subscription_id, []).append(_kept(row))
    return found


def update_grants(transaction: Transaction, grants: Sequence[KeptGrant]) -> None:
    """Keep what became of grants."""
    if grants:
        transaction.execute(
            _UPDATE_GRANT,
            [{"updated": kept.grant.grant_id, **_standing(kept)} for kept in grants],
        )


def add_movements(transaction: Transaction, by_entry: Mapping[int, Sequence[Movement]]) -> None:
    """Write which entries moved which grants, in the order in which they did."""
    rows = [
        (movement.grant_id, entry_id, place, movement.amount, movement.is_burn)
        for entry_id, movements in by_entry.items()
        for place, movement in enumerate(movements)
    ]
    insert_rows(transaction, grant_movement, _MOVEMENT_COLUMNS, rows=rows)


def newest_movements(transaction: Transaction, grant_ids: Collection[str]) -> Iterator[Movement]:
    """Yield the movements of grants, the newest first, a page at a time."""
    columns = grant_movement.c
    key = tuple_(columns.entry_id, columns.place)
    before: tuple[int, int] | None = None
    while True:
        statement = select(grant_movement).where(columns.grant_id.in_(grant_ids))
        if before is not None:
            statement = statement.where(key < before)
        rows = transaction.execute(
            statement.order_by(columns.entry_id.desc(), columns.place.desc()).limit(_PAGE_ROWS)
        ).all()
        for row in rows:
            yield Movement(grant_id=row.grant_id, amount=row.amount, is_burn=row.is_burn)
        if len(rows) < _PAGE_ROWS:
            return
        before = (rows[-1].entry_id, rows[-1].place)


def movements_of_entries(
    transaction: Transaction, subscription_id: str, *, first: int, last: int
) -> dict[int, list[Movement]]:
    """Return the movements of a subscription's entries from one id to another, in order."""
    columns = grant_movement.c
    statement = (
        select(grant_movement)
        .where(
            columns.grant_id.in_(select(grant.c.grant_id).where(grant.c.subscription_id == subscription_id)),
            columns.entry_id.between(first, last),
        )
        .order_by(columns.entry_id, columns.place)
    )
    found: dict[int, list[Movement]] = {}
    for row in transaction.execute(statement):
        movement = Movement(grant_id=row.grant_id, amount=row.amount, is_burn=row.is_burn)
        found.setdefault(row.entry_id, []).append(movement)
    return found


def _standing(kept: KeptGrant) -> dict[str, object]:
    return {
        "voided_at": kept.grant.voided_at,
        "phase": kept.phase.value,
        "remaining": kept.remaining,
        "burnt": kept.burnt,
        "recurred_at": kept.recurred_at,
        "is_live": kept.is_live,
    }


def _grant_from_row(row: Row[tuple[object, ...]]) -> GrantRow:
    return GrantRow(
        application_id=row.application_id,
        subscription_id=row.subscription_id,
        caller_id=row.caller_id,
        created_at=row.created_at,
        kept=_kept(row),
    )


def _kept(row: Row[tuple[object, ...]]) -> KeptGrant:
    return KeptGrant(
        grant=Grant(
            grant_id=row.grant_id,
            amount=row.amount,
            kind=GrantKind(row.kind),
            effective_at=row.effective_at,
            sequence=to_microseconds(row.created_at),
            priority=row.priority,
            expires_at=row.expires_at,
            voided_at=row.voided_at,
            recurs=_recurrence(row.recurrence),
            rolls_over=row.rolls_over,
        ),
        description=row.description,
        phase=GrantPhase(row.phase),
        remaining=row.remaining,
        burnt=row.burnt,
        recurred_at=row.recurred_at,
    )


class _Recurrence(msgspec.Struct, frozen=True, kw_only=True):
    anchor: int
    unit: CadenceUnit
    count: int
    time_zone: str
    alignment: Alignment


def _recurrence_text(recurs: PeriodCalendar | None) -> str:
    if recurs is None:
        return ""
    kept = _Recurrence(
        anchor=to_microseconds(recurs.anchor),
        unit=recurs.cadence.unit,
        count=recurs.cadence.count,
        time_zone=zone_name(recurs.zone),
        alignment=recurs.alignment,
    )
    return msgspec.json.encode(kept).decode()


def _recurrence(text: str) -> PeriodCalendar | None:
    if not text:
        return None
    kept = msgspec.json.decode(text, type=_Recurrence)
    return PeriodCalendar(
        anchor=from_microseconds(kept.anchor),
        cadence=Cadence(unit=kept.unit, count=kept.count),
        zone=zone_named(kept.time_zone),
        alignment=kept.alignment,
    )
