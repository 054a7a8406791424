"""The cohorts that companies are in now."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from sqlalchemy import delete, select

from faregate.domain.customers.subscription import Pays
from faregate.domain.governance.rule import Cohort
from faregate.storage.database import Transaction
from faregate.storage.tables import account, membership, subscription
from faregate.storage.upsert import upsert


def read_memberships(
    transaction: Transaction, application_id: str, company_ids: Collection[str]
) -> dict[str, frozenset[Cohort]]:
    """Return the cohorts of those companies that are in any."""
    statement = select(membership.c.company_id, membership.c.cohorts).where(
        membership.c.application_id == application_id, membership.c.company_id.in_(company_ids)
    )
    return {
        row.company_id: msgspec.json.decode(row.cohorts, type=frozenset[Cohort])
        for row in transaction.execute(statement)
    }


def write_membership(
    transaction: Transaction, application_id: str, company_id: str, *, cohorts: frozenset[Cohort]
) -> None:
    """Keep the cohorts of a company; one that is in none has no row."""
    if cohorts:
        text = msgspec.json.encode(sorted(cohorts)).decode()
        row = {"application_id": application_id, "company_id": company_id, "cohorts": text}
        upsert(transaction, membership, [row])
        return
    transaction.execute(
        delete(membership).where(membership.c.application_id == application_id, membership.c.company_id == company_id)
    )


def exhausted_companies(transaction: Transaction, application_id: str, company_ids: Collection[str]) -> set[str]:
    """Return those of the companies that have an exhausted prepaid subscription."""
    statement = (
        select(subscription.c.company_id)
        .join(account, account.c.subscription_id == subscription.c.subscription_id)
        .where(
            subscription.c.application_id == application_id,
            subscription.c.company_id.in_(company_ids),
            subscription.c.pays == Pays.PREPAID.value,
            account.c.exhausted,
        )
    )
    return set(transaction.execute(statement).scalars())
