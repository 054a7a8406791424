"""The provider's ids of things of ours, for each application and account of the provider's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from faregate.domain.billing.provider_links import LinkKind, ProviderLink
from faregate.storage.database import Transaction
from faregate.storage.tables import provider_link
from faregate.storage.upsert import chunks, upsert


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedThing:
    """A thing of ours that an object of the provider's stands for."""

    application_id: str
    our_id: str


def keep_links(
    transaction: Transaction, links: Iterable[ProviderLink], *, application_id: str, account: str, now: datetime
) -> None:
    """Keep links; one whose thing was linked already takes the earlier one's place."""
    last = {(link.kind, link.our_id): link for link in links}
    rows = [
        {
            "application_id": application_id,
            "account": account,
            "kind": link.kind.value,
            "our_id": link.our_id,
            "provider_id": link.provider_id,
            "linked_at": now,
        }
        for link in last.values()
    ]
    upsert(transaction, provider_link, rows)


def read_links(
    transaction: Transaction, *, application_id: str, account: str, our_ids: Sequence[str]
) -> list[ProviderLink]:
    """Return the links of things of ours, of every kind."""
    found = []
    for ids in chunks(our_ids):
        statement = select(provider_link).where(
            provider_link.c.application_id == application_id,
            provider_link.c.account == account,
            provider_link.c.kind.in_([kind.value for kind in LinkKind]),
            provider_link.c.our_id.in_(ids),
        )
        found += [
            ProviderLink(kind=LinkKind(row.kind), our_id=row.our_id, provider_id=row.provider_id)
            for row in transaction.execute(statement)
        ]
    return found


def find_linked(transaction: Transaction, *, account: str, kind: LinkKind, provider_id: str) -> list[LinkedThing]:
    """Return what an object of the provider's stands for: one thing an application, as a rule of one application."""
    statement = select(provider_link.c.application_id, provider_link.c.our_id).where(
        provider_link.c.account == account,
        provider_link.c.kind == kind.value,
        provider_link.c.provider_id == provider_id,
    )
    found = transaction.execute(statement.order_by(provider_link.c.application_id))
    return [LinkedThing(application_id=row.application_id, our_id=row.our_id) for row in found]
