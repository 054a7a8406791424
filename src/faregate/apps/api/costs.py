"""What calls cost upstream, what is left of their revenue, and where something is sold below its cost."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from faregate.apps.api.call import Call
from faregate.apps.api.paging import Paging
from faregate.services.below_cost import read_warnings
from faregate.services.business_clock import business_now
from faregate.services.costs import archive_cost, create_cost, find_existing_cost
from faregate.services.margins import MarginQuery, read_margin_report
from faregate.storage.costs import list_costs
from faregate.storage.database import Transaction
from faregate.wire.api.common import Page, to_utc
from faregate.wire.api.costs import (
    CostArchive,
    CostCreate,
    CostView,
    MarginBy,
    MarginReport,
    Warnings,
    WarningView,
    cost_view,
)

From = Annotated[datetime, QueryParameter(name="from", description="The first day's start in UTC (RFC 3339).")]
To = Annotated[datetime, QueryParameter(name="to", description="The last day's end in UTC (RFC 3339).")]
By = Annotated[MarginBy, QueryParameter(name="by", description="What calls are told apart by.")]


@get("/costs", summary="List cost prices", tags=["Cost and margin"])
async def list_all_costs(call: NamedDependency[Call], paging: NamedDependency[Paging]) -> Page[CostView]:
    """Cost prices, every version of them, in the order in which they were made."""
    rows = await call.read(lambda tx: list_costs(tx, call.application_id, after=paging.after, limit=paging.rows))
    return paging.page(rows, lambda cost: cost.cost_id, cost_view)


@post("/costs", summary="Make a cost price", tags=["Cost and margin"])
async def make_cost(call: NamedDependency[Call], data: JSONBody[CostCreate]) -> CostView:
    """Say what calls cost upstream from a moment on; under a name that there is, as a new version of it.

    The moment may be in the past: margins since then are counted again.
    """
    return cost_view(await call.change(lambda tx, change: create_cost(tx, change, data)))


@get("/costs/{cost_id:str}", summary="Get a cost price", tags=["Cost and margin"])
async def get_cost(call: NamedDependency[Call], cost_id: FromPath[str]) -> CostView:
    """Return one version of a cost price."""
    return cost_view(await call.read(lambda tx: find_existing_cost(tx, call.application_id, cost_id)))


@post("/costs/{cost_id:str}/archive", status_code=200, summary="End a cost price", tags=["Cost and margin"])
async def end_cost(call: NamedDependency[Call], cost_id: FromPath[str], data: JSONBody[CostArchive]) -> CostView:
    """Let a version hold no longer, from now or another moment on; calls after it are uncosted, unless others match."""
    return cost_view(await call.change(lambda tx, change: archive_cost(tx, change, data, cost_id=cost_id)))


@get("/margin", summary="Read margins", tags=["Cost and margin"])
async def get_margin(
    *, call: NamedDependency[Call], paging: NamedDependency[Paging], from_at: From, to_at: To, by: By = MarginBy.COMPANY
) -> MarginReport:
    """Revenue, cost and margin of whole days in UTC, by company, model, key, route or day.

    Revenue is what calls were debited. Calls that no cost price matches are uncosted: shown, and in no margin.
    """
    query = MarginQuery(application_id=call.application_id, from_at=to_utc(from_at), to_at=to_utc(to_at), by=by)
    return await call.read(lambda tx: read_margin_report(tx, query, cursor=paging.cursor, limit=paging.limit))


@get("/warnings", summary="Read warnings", tags=["Cost and margin"])
async def get_warnings(call: NamedDependency[Call]) -> Warnings:
    """What is possible and probably not meant: prices that lie below what their units cost, now or later."""

    def read(transaction: Transaction) -> list[WarningView]:
        now = business_now(transaction, call.application_id, call.backend.clock)
        return read_warnings(transaction, call.application_id, at=now)

    return Warnings(data=await call.read(read))


HANDLERS = [list_all_costs, make_cost, get_cost, end_cost, get_margin, get_warnings]
