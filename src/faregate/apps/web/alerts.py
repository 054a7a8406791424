"""Alerts: what was crossed, newest first, and how its deliveries stand."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from litestar import Response, get
from litestar.di import NamedDependency

from faregate.apps.web.visit import Visit
from faregate.services.alerts import AlertList, newest_alerts
from faregate.storage.database import Transaction

_ROWS: Final = 50


@get("/alerts")
async def show_alerts(visit: NamedDependency[Visit]) -> Response[str]:
    """List alerts, a part at a time."""
    before = visit.request.query_params.get("before", "")

    def read(transaction: Transaction, now: datetime) -> AlertList:
        del now
        return newest_alerts(transaction, visit.application_id, before=before, limit=_ROWS)

    return visit.page("alerts.html", listed=await visit.read(read))


HANDLERS = [show_alerts]
