"""Alerts: what was crossed, newest first, and how its deliveries stand."""

from __future__ import annotations

from typing import Final

from litestar import Response, get
from litestar.di import NamedDependency

from faregate.apps.web.visit import Visit
from faregate.services.alerts import newest_alerts

_ROWS: Final = 50


@get("/alerts")
async def show_alerts(visit: NamedDependency[Visit]) -> Response[str]:
    """List alerts, a part at a time."""
    before = visit.request.query_params.get("before", "")
    listed = await visit.read(lambda tx: newest_alerts(tx, visit.application_id, before=before, limit=_ROWS))
    return visit.page("alerts.html", listed=listed)


HANDLERS = [show_alerts]
