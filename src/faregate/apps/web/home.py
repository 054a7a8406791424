"""The first page: what an operator looks at before anything else."""

from __future__ import annotations

from litestar import Response, get
from litestar.di import NamedDependency

from faregate.apps.web.visit import Visit
from faregate.services.overview import read_overview


@get("/")
async def show_home(visit: NamedDependency[Visit]) -> Response[str]:
    """Show how many customers there are, who has run out, who is overdue, and what was set aside."""
    overview = await visit.read(lambda tx: read_overview(tx, visit.application_id, now=visit.now(tx)))
    return visit.page("home.html", overview=overview)


HANDLERS = [show_home]
