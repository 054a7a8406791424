"""The provider for one thing of ours: with the links that are known of it, and what it makes kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from faregate.base.clock import Clock
from faregate.domain.billing.provider import BillingProvider
from faregate.domain.billing.provider_links import ProviderLinks
from faregate.services.provider_calls import ask_provider
from faregate.storage.database import Database
from faregate.storage.provider_links import keep_links, read_links


@asynccontextmanager
async def linked_provider(
    database: Database, provider: BillingProvider, clock: Clock, *, application_id: str, our_ids: Sequence[str]
) -> AsyncIterator[BillingProvider]:
    """Give the provider with the links of these ids; what its calls make is kept at the end, whatever that is."""
    account = await ask_provider(provider.account)
    links = ProviderLinks(
        await database.read(lambda tx: read_links(tx, application_id=application_id, account=account, our_ids=our_ids))
    )
    try:
        yield provider.linked(links)
    finally:
        if links.made:
            await database.write(
                lambda tx: keep_links(tx, links.made, application_id=application_id, account=account, now=clock.now())
            )
