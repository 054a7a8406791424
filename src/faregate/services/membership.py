"""Which cohorts a company is in: recomputed from its accounts and invoices, written and pushed where it changed."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from faregate.domain.governance.rule import Cohort
from faregate.storage.database import Transaction
from faregate.storage.governance import exhausted_companies, read_memberships, write_membership
from faregate.storage.provider_standings import overdue_companies
from faregate.storage.state_feed import membership_id, record_change


def refresh_membership(
    transaction: Transaction, *, application_id: str, company_ids: Collection[str], now: datetime
) -> None:
    """Put companies into the cohorts they belong to at the business time `now`, and take them out of the others.

    `no_available_credits`: a prepaid subscription of the company is exhausted. `unpaid_invoices`: an invoice or a
    subscription of it is overdue (domain/billing/overdue.py).
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


def newly_due_companies(transaction: Transaction, application_id: str, *, now: datetime) -> set[str]:
    """Return the companies that owe money too long and are not in the overdue cohort: to be refreshed."""
    due = overdue_companies(transaction, application_id, now=now)
    if not due:
        return set()
    current = read_memberships(transaction, application_id, due)
    return {company for company in due if Cohort.UNPAID_INVOICES not in current.get(company, frozenset())}
