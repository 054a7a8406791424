"""What an incident credit looks like to whoever asks."""

from __future__ import annotations

from faregate.base.clock import from_microseconds, to_microseconds
from faregate.base.money import currency, from_ledger_units
from faregate.domain.metering.filter_text import filter_text
from faregate.services.find_event import event_id_of
from faregate.storage.database import Transaction
from faregate.storage.incident_calls import CallCharge, read_calls
from faregate.storage.incidents import Incident, IncidentLine, read_lines, read_lines_after
from faregate.storage.metered import read_subscriptions
from faregate.wire.api.common import CursorInstant, Page, decode_cursor, encode_cursor, plain
from faregate.wire.api.incidents import IncidentCallView, IncidentLineView, IncidentTotalView, IncidentView


def incident_view(transaction: Transaction, found: Incident) -> IncidentView:
    """Return an incident with what it comes to."""
    by_currency: dict[str, list[IncidentLine]] = {}
    for line in read_lines(transaction, found):
        by_currency.setdefault(line.currency, []).append(line)
    return IncidentView(
        id=found.incident_id,
        status=found.status.value,
        filter_text=filter_text(found.filter),
        from_at=found.kept.from_at,
        to_at=found.kept.to_at,
        percent=plain(found.percent),
        reason=found.reason,
        matched=found.matched,
        totals=[_total(code, lines) for code, lines in sorted(by_currency.items())],
        created_at=found.created_at,
        applied_at=found.applied_at,
        undone_at=found.undone_at,
    )


def read_incident_lines(
    transaction: Transaction, found: Incident, *, cursor: str | None, limit: int
) -> Page[IncidentLineView]:
    """Return what customers get back, by subscription, price and period."""
    after = None if cursor is None else decode_cursor(cursor, tuple[str, str, CursorInstant])
    place = None if after is None else (after[0], after[1], from_microseconds(after[2]))
    lines = read_lines_after(transaction, found, place, limit=limit + 1)
    last = lines[limit - 1].key if len(lines) > limit else None
    return Page(
        data=[_line(line) for line in lines[:limit]],
        next_cursor=None
        if last is None
        else encode_cursor(last.subscription_id, last.price_id, to_microseconds(last.period_start)),
    )


def read_incident_calls(
    transaction: Transaction, found: Incident, *, cursor: str | None, limit: int
) -> Page[IncidentCallView]:
    """Return the charges that an incident covers, in log order."""
    after = (0, "") if cursor is None else decode_cursor(cursor, tuple[int, str])
    rows = read_calls(transaction, found, after=after, limit=limit + 1)
    subscriptions = read_subscriptions(transaction, {row.subscription_id for row in rows})
    codes = {key: one.currency.code for key, one in subscriptions.items()}
    return Page(
        data=[_call(row, codes[row.subscription_id]) for row in rows[:limit]],
        next_cursor=encode_cursor(rows[limit - 1].position, rows[limit - 1].meter_id) if len(rows) > limit else None,
    )


def _total(code: str, lines: list[IncidentLine]) -> IncidentTotalView:
    return IncidentTotalView(
        currency=code,
        customers=len({line.company_id for line in lines if line.credit}),
        charged=_amount(sum(line.charged for line in lines), code),
        credit=_amount(sum(line.credit for line in lines), code),
    )


def _line(line: IncidentLine) -> IncidentLineView:
    return IncidentLineView(
        company_id=line.company_id,
        subscription_id=line.key.subscription_id,
        price_id=line.key.price_id,
        period_start=line.key.period_start,
        calls=line.calls,
        quantity=plain(line.quantity),
        charged=_amount(line.charged, line.currency),
        credit=_amount(line.credit, line.currency),
        currency=line.currency,
        already_credited=line.already_credited,
        entry_id=line.entry_id,
        undo_entry_id=line.undo_entry_id,
    )


def _call(row: CallCharge, code: str) -> IncidentCallView:
    return IncidentCallView(
        event_id=event_id_of(row.position),
        company_id=row.company_id,
        subscription_id=row.subscription_id,
        price_id=row.price_id,
        meter_id=row.meter_id,
        occurred_at=row.occurred_at,
        quantity=plain(row.quantity),
        charged=_amount(row.amount, code),
    )


def _amount(units: int, code: str) -> str:
    return plain(from_ledger_units(units, currency(code)))
