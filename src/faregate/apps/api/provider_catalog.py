"""The catalog at the billing provider: how it stands, and what was changed there."""

from __future__ import annotations

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_200_OK

from faregate.apps.api.call import Call
from faregate.apps.api.paging import Paging
from faregate.services.catalog_drift import find_drifted, take_ours, take_theirs, to_catalog_kind
from faregate.services.change import Change
from faregate.services.provider_catalog_views import catalog_view
from faregate.storage.catalog_sync import list_rows
from faregate.storage.database import Transaction
from faregate.wire.api.common import Page
from faregate.wire.api.provider_catalog import DriftSettle, ProviderCatalogView

_TAGS = ["Billing provider"]
_PLACE = "{kind:str}/{id:str}"


@get("/provider/catalog", summary="List the catalog at the provider", tags=_TAGS)
async def list_provider_catalog(
    call: NamedDependency[Call], paging: NamedDependency[Paging]
) -> Page[ProviderCatalogView]:
    """Plans, then prices: who rates them and why, what stands at the provider for them, and whether it is in step."""
    return await _listed(call, paging, only_drifted=False)


@get("/provider/drift", summary="List what was changed at the provider", tags=_TAGS)
async def list_drift(call: NamedDependency[Call], paging: NamedDependency[Paging]) -> Page[ProviderCatalogView]:
    """Plans and prices of which something was changed at the provider, field by field: ours beside theirs."""
    return await _listed(call, paging, only_drifted=True)


@get(f"/provider/catalog/{_PLACE}", summary="Get a plan or price at the provider", tags=_TAGS)
async def get_provider_catalog(
    call: NamedDependency[Call],
    kind: FromPath[str],
    id: FromPath[str],  # noqa: A002 - its name in the path
) -> ProviderCatalogView:
    """Return how one plan or price stands at the provider; `kind` is `plan` or `price`."""
    wanted = to_catalog_kind(kind)
    return await call.read(lambda tx: catalog_view(tx, find_drifted(tx, call.application_id, wanted, our_id=id)))


@post(f"/provider/drift/{_PLACE}", summary="Settle a change at the provider", tags=_TAGS, status_code=HTTP_200_OK)
async def settle_drift(
    *,
    call: NamedDependency[Call],
    kind: FromPath[str],
    id: FromPath[str],  # noqa: A002 - its name in the path
    data: JSONBody[DriftSettle],
) -> ProviderCatalogView:
    """Send `ours` again, within seconds, or take `theirs` for ours where that can be: a plan's name, or archived."""
    wanted = to_catalog_kind(kind)
    take = take_ours if data.take == "ours" else take_theirs

    def settle(transaction: Transaction, change: Change) -> ProviderCatalogView:
        return catalog_view(transaction, take(transaction, change, wanted, our_id=id))

    return await call.change(settle)


async def _listed(call: Call, paging: Paging, *, only_drifted: bool) -> Page[ProviderCatalogView]:
    after = paging.place(tuple[str, str])

    def read(transaction: Transaction) -> list[ProviderCatalogView]:
        rows = list_rows(transaction, call.application_id, only_drifted=only_drifted, after=after, limit=paging.rows)
        return [catalog_view(transaction, row) for row in rows]

    return paging.page(await call.read(read), lambda view: (view.kind, view.id), lambda view: view)


HANDLERS = [list_provider_catalog, list_drift, get_provider_catalog, settle_drift]
