"""Credit at a past moment, credit that came to nothing, and credit that is still to be delivered."""

from __future__ import annotations

from datetime import UTC, datetime

from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_BREAKAGE_RANGE
from faregate.base.money import currency, from_ledger_units
from faregate.base.periods import Alignment, PeriodCalendar
from faregate.domain.ledger.burning import GrantKind
from faregate.services.audit import AuditDifference, audit_accounts
from faregate.services.subscriptions import find_existing
from faregate.storage.audit import sum_entries_until, sum_movements_until
from faregate.storage.breakage import sum_ended_credit, sum_unburnt_credit
from faregate.storage.credit import list_grants
from faregate.storage.database import Transaction
from faregate.storage.ledger import EntryKind
from faregate.wire.api.common import encode_cursor, plain
from faregate.wire.api.credit_reports import (
    AuditDifferenceView,
    AuditView,
    BreakageReport,
    BreakageView,
    GrantLeftView,
    LiabilityReport,
    LiabilityView,
    PastBalanceView,
)

_MONTHS = PeriodCalendar(anchor=datetime(1970, 1, 1, tzinfo=UTC), alignment=Alignment.CALENDAR)


def read_past_balance(
    transaction: Transaction, application_id: str, subscription_id: str, *, at: datetime
) -> PastBalanceView:
    """Return a subscription's balance, and what was left of each grant, by the entries posted up to an instant."""
    unit = find_existing(transaction, application_id, subscription_id).subscription.currency
    left = sum_movements_until(transaction, subscription_id, at)
    balance = sum_entries_until(transaction, subscription_id, at)
    return PastBalanceView(
        subscription_id=subscription_id,
        currency=unit.code,
        at=at,
        balance=plain(from_ledger_units(balance, unit)),
        overage=plain(from_ledger_units(sum(left.values()) - balance, unit)),
        grants=[
            GrantLeftView(
                grant_id=row.grant_id,
                kind=row.kept.grant.kind,
                remaining=plain(from_ledger_units(left[row.grant_id], unit)),
            )
            for row in list_grants(transaction, subscription_id)
            if row.grant_id in left
        ],
    )


def read_breakage(
    transaction: Transaction, application_id: str, *, from_at: datetime, to_at: datetime
) -> BreakageReport:
    """Return what expired or was voided in [from_at, to_at), month by month of UTC.

    Raises `InvalidInput` on `to` where the time is empty, or longer than `MAX_BREAKAGE_RANGE`.
    """
    if not from_at < to_at <= from_at + MAX_BREAKAGE_RANGE:
        raise InvalidInput.of("to", f"must be after 'from', by {MAX_BREAKAGE_RANGE.days} days at most")
    rows = []
    start = from_at
    while start < to_at:
        month = _MONTHS.period_containing(start)
        end = min(month.end, to_at)
        amounts: dict[str, dict[tuple[EntryKind, GrantKind], int]] = {}
        for ended in sum_ended_credit(transaction, application_id, from_at=start, to_at=end):
            amounts.setdefault(ended.currency, {})[ended.ended_as, ended.kind] = ended.amount
        rows += [_breakage(month.start, code, found) for code, found in amounts.items()]
        start = end
    return BreakageReport(data=rows)


def read_liability(transaction: Transaction, application_id: str, *, at: datetime) -> LiabilityReport:
    """Return the credit that was given and not used at an instant, by currency."""
    amounts: dict[str, dict[GrantKind, int]] = {}
    for left in sum_unburnt_credit(transaction, application_id, at=at):
        amounts.setdefault(left.currency, {})[left.kind] = left.amount
    return LiabilityReport(
        at=at,
        data=[
            LiabilityView(
                currency=code,
                paid=_amount(code, found.get(GrantKind.PAID, 0)),
                promotional=_amount(code, found.get(GrantKind.PROMOTIONAL, 0)),
            )
            for code, found in amounts.items()
        ],
    )


def read_audit(transaction: Transaction, application_id: str, *, after: str, limit: int, now: datetime) -> AuditView:
    """Return what differs in up to `limit` accounts from what the ledger makes it."""
    found = audit_accounts(transaction, application_id, after=after, limit=limit, now=now)
    return AuditView(
        accounts=found.accounts,
        data=[_difference(difference) for difference in found.differences],
        next_cursor=encode_cursor(found.last) if found.accounts == limit else None,
    )


def _breakage(month: datetime, code: str, amounts: dict[tuple[EntryKind, GrantKind], int]) -> BreakageView:
    def of(way: EntryKind, kind: GrantKind) -> str:
        return _amount(code, amounts.get((way, kind), 0))

    return BreakageView(
        month=month.date(),
        currency=code,
        expired_paid=of(EntryKind.EXPIRE, GrantKind.PAID),
        voided_paid=of(EntryKind.VOID, GrantKind.PAID),
        expired_promotional=of(EntryKind.EXPIRE, GrantKind.PROMOTIONAL),
        voided_promotional=of(EntryKind.VOID, GrantKind.PROMOTIONAL),
    )


def _difference(found: AuditDifference) -> AuditDifferenceView:
    return AuditDifferenceView(
        subscription_id=found.subscription_id,
        figure=found.figure,
        of=found.of,
        kept=_text(found.kept),
        rebuilt=_text(found.rebuilt),
    )


def _text(figure: object) -> str:
    return figure.isoformat() if isinstance(figure, datetime) else str(figure).lower()


def _amount(code: str, units: int) -> str:
    return plain(from_ledger_units(units, currency(code)))
