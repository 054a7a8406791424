"""The catalog as code."""

from __future__ import annotations

from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.status_codes import HTTP_200_OK

from faregate.apps.api.call import Call
from faregate.services.apply_catalog import NothingKept, apply_catalog
from faregate.wire.api.catalog_document import CatalogApplied, CatalogApply


@post("/catalog/apply", summary="Apply a catalog file", tags=["Catalog"], status_code=HTTP_200_OK)
async def apply_file(call: NamedDependency[Call], data: JSONBody[CatalogApply]) -> CatalogApplied:
    """Make the application as the file says, in one transaction or not at all, and tell the difference.

    What the application has beyond the file is left alone.
    """
    try:
        applied = await call.change(lambda tx, change: apply_catalog(tx, change, data.catalog, dry_run=data.dry_run))
    except NothingKept as dry:
        applied = dry.applied
    return CatalogApplied(dry_run=data.dry_run, differences=applied.differences, warnings=applied.warnings)


HANDLERS = [apply_file]
