"""Rebuild what is kept beside the ledger from entries, movements, charges and leases, and compare: nothing is written.

An account's figures are all read in one snapshot, some accounts at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from faregate.domain.catalog.versions import PriceList
from faregate.domain.customers.subscription import Pays, Subscription
from faregate.domain.ledger.credit_account import CreditAccount, GrantPhase
from faregate.domain.ledger.reserve import PriceUse, is_exhausted, reserved_amount
from faregate.domain.metering.metric import added_up
from faregate.domain.pricing.rating import debit_total
from faregate.services.accounts import price_uses
from faregate.storage import audit as stored
from faregate.storage.audit import ChargeSum, MovementSum
from faregate.storage.closing import open_periods
from faregate.storage.credit import GrantRow, list_grants
from faregate.storage.database import Transaction
from faregate.storage.ledger import Account, EntryKind, PriceTotal, TotalKey
from faregate.storage.metered import metered_series_of_plans, read_all_prices

Figure = int | bool | Decimal | datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditDifference:
    """A figure that is kept, and what it is when it is rebuilt; amounts in ledger units.

    `of`: the grant, or the price and period, that it is about; empty where it is the account itself.
    """

    subscription_id: str
    figure: str
    of: str
    kept: Figure
    rebuilt: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """How many accounts were looked at, up to which one (empty where there was none), and what differs."""

    accounts: int
    last: str
    differences: list[AuditDifference]


def audit_accounts(transaction: Transaction, application_id: str, *, after: str, limit: int, now: datetime) -> Audited:
    """Rebuild and compare the figures of up to `limit` accounts, from the first one after `after`."""
    accounts = stored.accounts_after(transaction, application_id, after=after, limit=limit)
    if not accounts:
        return Audited(accounts=0, last="", differences=[])
    audit = _Audit(transaction, application_id, accounts, now=now)
    differences = [difference for account in accounts for difference in audit.differences(account)]
    return Audited(accounts=len(accounts), last=accounts[-1].subscription_id, differences=differences)


class _Audit:
    """Everything that the figures of some accounts are rebuilt from."""

    def __init__(
        self, transaction: Transaction, application_id: str, accounts: list[Account], *, now: datetime
    ) -> None:
        ids = [account.subscription_id for account in accounts]
        self._prices: PriceList = read_all_prices(transaction)
        self._periods = open_periods(transaction, ids)
        self._entries = stored.sum_entries(transaction, ids)
        self._movements = stored.sum_movements(transaction, ids)
        self._debits = stored.sum_price_entries(transaction, ids, EntryKind.DEBIT)
        self._reratings = stored.sum_price_entries(transaction, ids, EntryKind.RERATING)
        self._charges = stored.sum_charges(transaction, ids)
        self._units_out = stored.sum_units_out(transaction, ids)
        self._put_right = stored.prices_put_right(transaction, application_id)
        self._grants: dict[str, list[GrantRow]] = {}
        for row in list_grants(transaction, *ids):
            self._grants.setdefault(row.subscription_id, []).append(row)
        self._totals: dict[str, list[PriceTotal]] = {}
        for total in stored.totals_of(transaction, ids):
            self._totals.setdefault(total.key.subscription_id, []).append(total)
        # Of what is due, `exhausted` is as it was before.
        settled = [
            self._periods[account.subscription_id].subscription for account in accounts if not account.is_due(now)
        ]
        prepaid = [found for found in settled if found.pays is Pays.PREPAID]
        series = metered_series_of_plans(transaction, {found.plan_id for found in prepaid})
        self._uses = price_uses(transaction, prepaid, series, now=now)

    def differences(self, account: Account) -> Iterator[AuditDifference]:
        """Yield what differs of an account."""
        of = account.subscription_id
        totals, grants = self._totals.get(of, []), self._grants.get(of, [])
        subscription = self._periods[of].subscription
        found = _Figures(of)
        found.compare("balance", kept=account.balance, rebuilt=self._entries.get(of, 0))
        self._compare_grants(found, account, grants)
        found.compare("reserved", kept=account.reserved, rebuilt=sum(total.reserved for total in totals))
        for total in totals:
            self._compare_total(found, total, subscription)
        self._compare_charges(found, of, totals)
        if of in self._uses:
            exhausted = is_exhausted(self._uses[of], available=account.available)
            found.compare("exhausted", kept=account.exhausted, rebuilt=exhausted)
        yield from found.differences

    def _compare_grants(self, found: _Figures, account: Account, grants: list[GrantRow]) -> None:
        for row in grants:
            kept, moved = row.kept, self._movements.get(row.grant_id, MovementSum(0, 0))
            found.compare("grant remaining", row.grant_id, kept=kept.remaining, rebuilt=moved.remaining)
            found.compare("grant burnt", row.grant_id, kept=kept.burnt, rebuilt=moved.burnt)
        credit = CreditAccount(account.balance, [row.kept for row in grants if row.kept.is_live])
        active = sum(row.kept.remaining for row in grants if row.kept.phase is GrantPhase.ACTIVE)
        if active and credit.overage > 0:
            # What is left of grants and what no grant has paid exclude each other.
            found.compare("overage", kept=credit.overage, rebuilt=0)
        found.compare("next border", kept=account.next_border_at, rebuilt=credit.next_border_at)

    def _compare_total(self, found: _Figures, total: PriceTotal, subscription: Subscription) -> None:
        key = total.key
        of = f"{key.price_id} from {key.period_start.isoformat()}"
        price = subscription.version_paid(self._prices, key.price_id, period_start=key.period_start)
        use = PriceUse(price=price, totals=total.totals, outstanding=total.outstanding)
        found.compare("units out", of, kept=total.outstanding, rebuilt=self._units_out.get(key, 0))
        found.compare("reserved", of, kept=total.reserved, rebuilt=reserved_amount(use))
        found.compare("debited", of, kept=total.debited, rebuilt=debit_total(price, total.totals))
        rerated = self._reratings.get(key, 0)
        if not rerated or not self._is_billed(key):
            # A re-rating of an invoiced period posts what its invoice's line differs by, which is rounded.
            debited = self._debits.get(key, 0) + rerated
            found.compare("entries", of, kept=debited, rebuilt=total.debited)

    def _compare_charges(self, found: _Figures, subscription_id: str, totals: list[PriceTotal]) -> None:
        for price_id in sorted({total.key.price_id for total in totals} - self._put_right):
            charged = self._charges.get((subscription_id, price_id), ChargeSum())
            own = [total for total in totals if total.key.price_id == price_id]
            debits = sum(self._debits.get(total.key, 0) for total in own)
            settled = added_up(total.settled for total in own)
            found.compare("charges", price_id, kept=charged.amount, rebuilt=debits)
            found.compare("quantity", price_id, kept=settled, rebuilt=charged.quantity)

    def _is_billed(self, key: TotalKey) -> bool:
        return key.period_start < self._periods[key.subscription_id].billed_until


class _Figures:
    """What differs of one account."""

    def __init__(self, subscription_id: str) -> None:
        self._subscription_id = subscription_id
        self.differences: list[AuditDifference] = []

    def compare(self, figure: str, of: str = "", *, kept: Figure, rebuilt: Figure) -> None:
        """Note a figure that is not what it is rebuilt as."""
        if kept != rebuilt:
            self.differences.append(
                AuditDifference(subscription_id=self._subscription_id, figure=figure, of=of, kept=kept, rebuilt=rebuilt)
            )
