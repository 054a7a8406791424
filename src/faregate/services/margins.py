"""The report of revenue, cost and margin."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from faregate.base.clock import from_microseconds
from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_MARGIN_RANGE
from faregate.base.money import currency, from_ledger_units
from faregate.base.periods import window_containing
from faregate.domain.costing.margin import Margin
from faregate.storage.database import Transaction
from faregate.storage.margins import (
    DAY,
    Dimension,
    EntrySum,
    MarginRow,
    MarginSum,
    count_behind,
    count_redo,
    margin_position,
    read_entries_beside_usage,
    read_margin_totals,
    read_margins,
)
from faregate.wire.api.common import decode_cursor, encode_cursor, plain
from faregate.wire.api.costs import BesideUsageView, MarginBy, MarginReport, MarginView

_COLUMNS: Final = {
    MarginBy.COMPANY: Dimension("company_id"),
    MarginBy.MODEL: Dimension("model"),
    MarginBy.KEY: Dimension("key_id"),
    MarginBy.ROUTE: Dimension("route"),
    MarginBy.DAY: Dimension("day_at"),
}
_NOT_EARNED: Final = frozenset({"grant", "invoiced"})
"""Kinds of entries that move what is owed, and earn nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginQuery:
    """Which days, and what they are told apart by."""

    application_id: str
    from_at: datetime
    to_at: datetime
    by: MarginBy


def read_margin_report(transaction: Transaction, query: MarginQuery, *, cursor: str | None, limit: int) -> MarginReport:
    """Return a part of the report; `InvalidInput` for what is not whole days in UTC."""
    for field, instant in (("from", query.from_at), ("to", query.to_at)):
        if window_containing(instant, DAY).start != instant:
            raise InvalidInput.of(field, "must be the start of a day in UTC, for example 2026-03-01T00:00:00Z")
    if not query.from_at < query.to_at <= query.from_at + MAX_MARGIN_RANGE:
        raise InvalidInput.of("to", f"must be after 'from', by at most {MAX_MARGIN_RANGE.days} days")
    after = None if cursor is None else decode_cursor(cursor, tuple[str, str])
    span = {"from_at": query.from_at, "to_at": query.to_at}
    rows = read_margins(transaction, query.application_id, by=_COLUMNS[query.by], after=after, limit=limit + 1, **span)
    shown = rows[:limit]
    is_whole = after is None and len(rows) == len(shown)
    totals = _totals(rows) if is_whole else read_margin_totals(transaction, query.application_id, **span)
    position = margin_position(transaction)
    entries = read_entries_beside_usage(transaction, query.application_id, **span)
    return MarginReport(
        data=[_view(query.by, row) for row in shown],
        next_cursor=encode_cursor(shown[-1].value, shown[-1].currency) if len(rows) > limit else None,
        totals=[_view(None, row) for row in totals],
        not_attributable=[_beside(entry) for entry in entries if entry.kind not in _NOT_EARNED],
        behind_events=count_behind(transaction, query.application_id, position or 0),
        days_recounted=count_redo(transaction, query.application_id),
    )


def _totals(rows: list[MarginRow]) -> list[MarginRow]:
    """Return the sums of rows by currency."""
    totals: dict[str, MarginSum] = {}
    for row in rows:
        totals.setdefault(row.currency, MarginSum()).add(row.total)
    return [MarginRow("", code, total) for code, total in sorted(totals.items())]


def _view(by: MarginBy | None, row: MarginRow) -> MarginView:
    total = row.total
    margin = Margin(
        currency=currency(row.currency or "USD"),
        event_count=total.event_count,
        uncosted_count=total.uncosted_count,
        revenue=total.revenue,
        uncosted_revenue=total.uncosted_revenue,
        cost=total.cost,
    )
    return MarginView(
        value=_value(by, row.value),
        currency=row.currency or None,
        events=margin.event_count,
        uncosted_events=margin.uncosted_count,
        revenue=plain(from_ledger_units(margin.revenue, margin.currency)),
        uncosted_revenue=plain(from_ledger_units(margin.uncosted_revenue, margin.currency)),
        cost=plain(margin.cost_amount),
        margin=plain(margin.amount),
        margin_percent=None if margin.percent is None else plain(margin.percent),
        below_cost=margin.is_below_cost,
    )


def _value(by: MarginBy | None, value: str) -> str | None:
    if by is MarginBy.DAY:
        return from_microseconds(int(value)).date().isoformat()
    return value or None


def _beside(entry: EntrySum) -> BesideUsageView:
    return BesideUsageView(
        kind=entry.kind,
        currency=entry.currency,
        amount=plain(from_ledger_units(-entry.amount, currency(entry.currency))),
    )
