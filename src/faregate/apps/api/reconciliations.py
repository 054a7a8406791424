"""Comparisons of usage: the ledger, the reports, the billing provider."""

from __future__ import annotations

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.status_codes import HTTP_200_OK

from faregate.apps.api.call import Call
from faregate.services.reconcile import read_last, reconcile
from faregate.wire.api.common import to_utc
from faregate.wire.api.reconciliations import ReconciliationRequest, ReconciliationView


@get("/reconciliation", summary="Get the last reconciliation", tags=["Billing"])
async def get_reconciliation(call: NamedDependency[Call]) -> ReconciliationView:
    """What the last comparison of usage came to; 404 before the first."""
    return await call.read(lambda tx: read_last(tx, call.application_id))


@post("/reconciliation", summary="Reconcile usage", tags=["Billing"], status_code=HTTP_200_OK)
async def run_reconciliation(call: NamedDependency[Call], data: JSONBody[ReconciliationRequest]) -> ReconciliationView:
    """Compare usage of closed windows in the ledger, in what was reported, and at the billing provider.

    By company, price and day, up to an hour ago. A difference names its windows, reports and events.
    """
    backend = call.backend
    return await reconcile(
        backend.database,
        backend.provider,
        backend.clock,
        application_id=call.application_id,
        from_at=None if data.from_at is None else to_utc(data.from_at),
        to_at=None if data.to_at is None else to_utc(data.to_at),
        new_id=backend.new_id,
    )


HANDLERS = [get_reconciliation, run_reconciliation]
