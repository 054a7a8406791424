"""Which cohorts a company is in: recomputed from its accounts and invoices, written and pushed where it changed."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from faregate.domain.billing.invoice import is_overdue
from faregate.domain.governance.rule import Cohort
from faregate.storage.billing import due_invoices
from faregate.storage.database import Transaction
from faregate.storage.governance import exhausted_companies, read_memberships, write_membership
from faregate.storage.state_feed import membership_id, record_change


def refresh_membership(
    transaction: Transaction, *, application_id: str, company_ids: Collection[str], now: datetime
) -> None:
    """Put companies into the cohorts they belong to at the business time `now`, and take them out of the others.

    `no_available_credits`: a prepaid subscription of the company is exhausted. `unpaid_invoices`: an invoice of it is
    overdue.
    """
    current = read_memberships(transaction, application_id, company_ids)
    exhausted = exhausted_companies(transaction, application_id, company_ids)
    overdue = overdue_companies(transaction, application_id, now=now, company_ids=company_ids)
    for company_id in sorted(set(company_ids)):
        cohorts = frozenset(
            cohort
            for cohort, companies in ((Cohort.NO_AVAILABLE_CREDITS, exhausted), (Cohort.UNPAID_INVOICES, overdue))
            if company_id in companies
        )
        if cohorts != current.get(company_id, frozenset()):
            write_membership(transaction, application_id, company_id, cohorts=cohorts)
            record_change(transaction, "membership", membership_id(application_id, company_id))


def newly_overdue_companies(transaction: Transaction, application_id: str, *, now: datetime) -> set[str]:
    """Return the companies with an overdue invoice that are not in that cohort yet."""
    overdue = overdue_companies(transaction, application_id, now=now)
    if not overdue:
        return set()
    current = read_memberships(transaction, application_id, overdue)
    return {company for company in overdue if Cohort.UNPAID_INVOICES not in current.get(company, frozenset())}


def overdue_companies(
    transaction: Transaction, application_id: str, *, now: datetime, company_ids: Collection[str] | None = None
) -> set[str]:
    """Return the companies, of those named or of all, that have an overdue invoice at `now`."""
    invoices = due_invoices(transaction, application_id, now=now, company_ids=company_ids)
    return {invoice.company_id for invoice in invoices if is_overdue(invoice, now)}
