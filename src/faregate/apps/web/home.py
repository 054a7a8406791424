"""The first page: what an operator looks at before anything else."""

from __future__ import annotations

from datetime import datetime

from litestar import Response, get
from litestar.di import NamedDependency

from faregate.apps.web.visit import Visit
from faregate.services.overview import read_overview
from faregate.storage.database import Transaction


@get("/")
async def show_home(visit: NamedDependency[Visit]) -> Response[str]:
    """Show how many customers there are, who has run out, who is overdue, and what was set aside."""

    def read(transaction: Transaction, now: datetime) -> object:
        return read_overview(transaction, visit.application_id, now=now)

    return visit.page("home.html", overview=await visit.read(read))


HANDLERS = [show_home]
