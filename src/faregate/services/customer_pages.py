"""What the pages about customers show: companies with their credit, and one company whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from faregate.base.ids import IdSource
from faregate.base.money import currency, from_ledger_units
from faregate.domain.customers.subscription import Pays
from faregate.services import readings
from faregate.services.customers import find_company
from faregate.storage import customer_pages as stored
from faregate.storage.customers import CompanyRow
from faregate.storage.database import Transaction
from faregate.storage.subscriptions import list_subscriptions
from faregate.wire.api.common import plain
from faregate.wire.api.readings import BalanceView, LedgerEntryView

_LATEST_ENTRIES: Final = 20
_MOST_SUBSCRIPTIONS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSubscription:
    """A company's subscription in the list: how it pays, and its balance in major units as text."""

    plan: str
    pays: Pays
    balance: str
    currency: str
    exhausted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedCustomer:
    """A company in the list."""

    company_id: str
    name: str
    subscriptions: tuple[ListedSubscription, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerList:
    """A part of the list; `next_after` is where the next part begins, None at the end."""

    rows: tuple[ListedCustomer, ...]
    next_after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerSubscription:
    """A subscription with its credit and its latest movements, newest first. `once`: a form's grant is repeatable."""

    subscription_id: str
    plan: str
    pays: Pays
    started_at: datetime
    ends_at: datetime | None
    balance: BalanceView
    entries: tuple[LedgerEntryView, ...]
    once: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """A company and its subscriptions."""

    company: CompanyRow
    subscriptions: tuple[CustomerSubscription, ...]


def list_customers(
    transaction: Transaction, application_id: str, *, search: str, after: str, limit: int
) -> CustomerList:
    """Return companies whose name or id has the text `search`, in id order, from the first one after `after`."""
    found = stored.search_companies(transaction, application_id, search=search, after=after, limit=limit + 1)
    shown = found[:limit]
    accounts = stored.accounts_of_companies(transaction, application_id, [row.company_id for row in shown])
    return CustomerList(
        rows=tuple(
            ListedCustomer(
                company_id=row.company_id,
                name=row.name,
                subscriptions=tuple(_listed(account) for account in accounts.get(row.company_id, [])),
            )
            for row in shown
        ),
        next_after=shown[-1].company_id if len(found) > limit else None,
    )


def read_customer(
    transaction: Transaction, application_id: str, company_id: str, *, new_id: IdSource, now: datetime
) -> Customer:
    """Return a company with the credit of its subscriptions at the business time `now`; `NotFound` if there is none."""
    company = find_company(transaction, application_id, company_id)
    rows = list_subscriptions(transaction, application_id, company_id=company_id, after="", limit=_MOST_SUBSCRIPTIONS)
    plans = stored.plan_names(transaction, {row.subscription.plan_id for row in rows})
    return Customer(
        company=company,
        subscriptions=tuple(
            CustomerSubscription(
                subscription_id=row.subscription.subscription_id,
                plan=plans[row.subscription.plan_id],
                pays=row.subscription.pays,
                started_at=row.subscription.started_at,
                ends_at=row.subscription.cycle.ends_at,
                balance=readings.read_balance(transaction, application_id, row.subscription.subscription_id, now=now),
                entries=readings.read_latest_entries(
                    transaction, application_id, row.subscription.subscription_id, limit=_LATEST_ENTRIES
                ),
                once=new_id("frm"),
            )
            for row in rows
        ),
    )


def _listed(row: stored.CompanyAccount) -> ListedSubscription:
    unit = currency(row.currency)
    return ListedSubscription(
        plan=row.plan_name,
        pays=Pays(row.pays),
        balance=plain(from_ledger_units(row.balance, unit)),
        currency=unit.code,
        exhausted=row.exhausted,
    )
