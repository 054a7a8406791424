"""The catalog at the billing provider: how each plan and price stands, and what was changed there."""

from __future__ import annotations

from typing import Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.status_codes import HTTP_303_SEE_OTHER

from faregate.apps.web.visit import Visit, read_form
from faregate.services.catalog_drift import take_ours, take_theirs, to_catalog_kind
from faregate.services.provider_catalog_views import catalog_view
from faregate.storage.catalog_sync import list_rows
from faregate.storage.database import Transaction
from faregate.wire.api.provider_catalog import DriftSettle, ProviderCatalogView

_ROWS: Final = 50


@get("/catalog")
async def show_catalog(visit: NamedDependency[Visit]) -> Response[str]:
    """List plans and prices, a part at a time: who rates them, and how they stand at the provider."""
    kind, _, our_id = visit.request.query_params.get("after", "").partition("/")
    after = (kind, our_id) if our_id else None

    def read(transaction: Transaction) -> list[ProviderCatalogView]:
        rows = list_rows(transaction, visit.application_id, after=after, limit=_ROWS + 1)
        return [catalog_view(transaction, row) for row in rows]

    found = await visit.read(read)
    last = found[_ROWS - 1] if len(found) > _ROWS else None
    return visit.page("catalog.html", rows=found[:_ROWS], next_after=None if last is None else f"{last.kind}/{last.id}")


@post("/catalog/{kind:str}/{our_id:str}/settle")
async def settle(visit: NamedDependency[Visit], kind: FromPath[str], our_id: FromPath[str]) -> Redirect:
    """Send ours again, or take theirs for ours, and show the catalog as it is then."""
    form = read_form(await visit.form(), DriftSettle)
    wanted, take = to_catalog_kind(kind), take_ours if form.take == "ours" else take_theirs
    await visit.change(lambda tx, change: take(tx, change, wanted, our_id=our_id))
    return Redirect("/catalog", status_code=HTTP_303_SEE_OTHER)


HANDLERS = [show_catalog, settle]
