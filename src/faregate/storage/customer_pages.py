"""Companies as the pages list them: searched by name or id, each with the accounts of its subscriptions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import func, or_, select

from faregate.storage.customers import CompanyRow
from faregate.storage.database import Transaction
from faregate.storage.tables import account, company, plan, subscription


@dataclass(frozen=True, slots=True, kw_only=True)
class CompanyAccount:
    """One subscription of a company and its account; `balance` in ledger units of `currency`."""

    company_id: str
    plan_name: str
    pays: str
    currency: str
    balance: int
    exhausted: bool


def search_companies(
    transaction: Transaction, application_id: str, *, search: str, after: str, limit: int
) -> list[CompanyRow]:
    """Return companies whose name or id has the text, in id order, from the first one after `after`."""
    wanted = search.lower()
    statement = (
        select(company.c.company_id, company.c.name, company.c.created_at)
        .where(
            company.c.application_id == application_id,
            company.c.company_id > after,
            or_(
                func.lower(company.c.company_id).contains(wanted, autoescape=True),
                func.lower(company.c.name).contains(wanted, autoescape=True),
            ),
        )
        .order_by(company.c.company_id)
        .limit(limit)
    )
    return [CompanyRow(**row._asdict()) for row in transaction.execute(statement)]


def accounts_of_companies(
    transaction: Transaction, application_id: str, company_ids: Collection[str]
) -> dict[str, list[CompanyAccount]]:
    """Return the subscriptions' accounts by company, oldest subscription first."""
    statement = (
        select(
            subscription.c.company_id,
            plan.c.name.label("plan_name"),
            subscription.c.pays,
            subscription.c.currency,
            account.c.balance,
            account.c.exhausted,
        )
        .join(account, account.c.subscription_id == subscription.c.subscription_id)
        .join(plan, plan.c.plan_id == subscription.c.plan_id)
        .where(subscription.c.application_id == application_id, subscription.c.company_id.in_(company_ids))
        .order_by(subscription.c.subscription_id)
    )
    found: dict[str, list[CompanyAccount]] = {}
    for row in transaction.execute(statement):
        found.setdefault(row.company_id, []).append(CompanyAccount(**row._asdict()))
    return found


def plan_names(transaction: Transaction, plan_ids: Collection[str]) -> dict[str, str]:
    """Return the names of plans by id."""
    statement = select(plan.c.plan_id, plan.c.name).where(plan.c.plan_id.in_(plan_ids))
    return {row.plan_id: row.name for row in transaction.execute(statement)}
