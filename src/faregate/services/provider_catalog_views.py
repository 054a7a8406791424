"""The catalog at the billing provider, as it is shown."""

from __future__ import annotations

from collections.abc import Iterable

from faregate.domain.billing.expressible import NotExpressed, express
from faregate.domain.billing.provider_catalog import Difference
from faregate.domain.billing.provider_links import LinkKind, price_link_id
from faregate.domain.catalog.versions import PriceSeries
from faregate.storage.catalog import find_plan
from faregate.storage.catalog_sync import CatalogKind, SyncRow
from faregate.storage.database import Transaction
from faregate.storage.metered import find_series
from faregate.storage.provider_links import read_links
from faregate.wire.api.provider_catalog import (
    DifferenceView,
    ProviderCatalogView,
    ProviderObjectView,
    RatedView,
    SyncState,
)


def catalog_view(transaction: Transaction, row: SyncRow) -> ProviderCatalogView:
    """Return how a plan or price stands at the provider."""
    series = find_series(transaction, row.application_id, row.our_id) if row.kind is CatalogKind.PRICE else None
    plan_id = row.our_id if row.kind is CatalogKind.PLAN else "" if series is None else series.plan_id
    plan = find_plan(transaction, row.application_id, plan_id)
    name = "" if plan is None else plan.name if series is None else f"{plan.name} / {series.name}"
    kinds = (LinkKind.PRODUCT,) if row.kind is CatalogKind.PLAN else (LinkKind.METER, LinkKind.PRICE)
    our_ids = [row.our_id] if series is None else list(_linked_ids(series))
    links = read_links(transaction, application_id=row.application_id, account=row.account, our_ids=our_ids)
    return ProviderCatalogView(
        kind=row.kind.value,
        id=row.our_id,
        name=name,
        state=state_of(row),
        account=row.account,
        objects=[
            ProviderObjectView(kind=link.kind.value, our_id=link.our_id, provider_id=link.provider_id)
            for link in sorted(links, key=lambda link: (link.our_id, link.kind.value))
            if link.kind in kinds
        ],
        ratings=[] if series is None else _ratings(series),
        differences=[difference_view(difference) for difference in row.drift],
        synced_at=row.synced_at,
        looked_at=row.looked_at,
        retry_at=row.retry_at,
        last_error=row.last_error,
    )


def state_of(row: SyncRow) -> SyncState:
    """Return how a row stands, in one word."""
    if row.last_error is not None:
        return "failed"
    if row.synced_revision < row.revision:
        return "waiting"
    return "drifted" if row.drift else "in_step"


def difference_view(difference: Difference) -> DifferenceView:
    """Return a difference as it travels."""
    return DifferenceView(
        kind=difference.kind.value,
        our_id=difference.our_id,
        provider_id=difference.provider_id,
        field=difference.field,
        ours=difference.ours,
        theirs=difference.theirs,
    )


def _linked_ids(series: PriceSeries) -> Iterable[str]:
    for version in series.every_version:
        yield version.price_id
        for unit in version.terms:
            yield price_link_id(version.price_id, unit.code)


def _ratings(series: PriceSeries) -> list[RatedView]:
    found = []
    for version in series.every_version:
        for unit in version.terms:
            terms = express(series.price(version, unit))
            reason = terms.reason if isinstance(terms, NotExpressed) else None
            found.append(
                RatedView(
                    version_id=version.price_id,
                    currency=unit.code,
                    rated_by="provider" if reason is None else "faregate",
                    reason=reason,
                )
            )
    return found
