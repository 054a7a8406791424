"""Plans and prices."""

from __future__ import annotations

from typing import Annotated

from litestar import get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from faregate.apps.api.call import Call
from faregate.apps.api.paging import Paging
from faregate.base.errors import NotFound
from faregate.domain.catalog.price import Plan
from faregate.domain.catalog.versions import PriceSeries
from faregate.services.catalog import change_plan, create_plan, create_price, create_version
from faregate.storage import catalog as stored
from faregate.storage.metered import find_series
from faregate.wire.api.catalog import (
    PlanChange,
    PlanCreate,
    PlanView,
    PriceCreate,
    PriceVersionCreate,
    PriceView,
    plan_view,
    price_view,
)
from faregate.wire.api.common import Page

OfPlan = Annotated[str | None, QueryParameter(name="plan_id", description="Only prices of this plan.")]


@get("/plans", summary="List plans", tags=["Catalog"])
async def list_plans(call: NamedDependency[Call], paging: NamedDependency[Paging]) -> Page[PlanView]:
    """Plans, in the order in which they were made."""
    rows = await call.read(lambda tx: stored.list_plans(tx, call.application_id, after=paging.after, limit=paging.rows))
    return paging.page(rows, lambda plan: plan.plan_id, plan_view)


@post("/plans", summary="Make a plan", tags=["Catalog"])
async def make_plan(call: NamedDependency[Call], data: JSONBody[PlanCreate]) -> PlanView:
    """Make a plan, to which prices are then added."""
    return plan_view(await call.change(lambda tx, change: create_plan(tx, change, data)))


@get("/plans/{plan_id:str}", summary="Get a plan", tags=["Catalog"])
async def get_plan(call: NamedDependency[Call], plan_id: FromPath[str]) -> PlanView:
    """Return one plan."""
    plan: Plan | None = await call.read(lambda tx: stored.find_plan(tx, call.application_id, plan_id))
    if plan is None:
        raise NotFound("plan", plan_id)
    return plan_view(plan)


@patch("/plans/{plan_id:str}", summary="Rename or archive a plan", tags=["Catalog"])
async def patch_plan(call: NamedDependency[Call], plan_id: FromPath[str], data: JSONBody[PlanChange]) -> PlanView:
    """Give a plan another name, archive it, or sell it again. The billing provider follows within seconds."""
    return plan_view(await call.change(lambda tx, change: change_plan(tx, change, data, plan_id=plan_id)))


@get("/prices", summary="List prices", tags=["Catalog"])
async def list_prices(
    call: NamedDependency[Call], paging: NamedDependency[Paging], plan_id: OfPlan = None
) -> Page[PriceView]:
    """Prices, in the order in which they were made."""
    rows = await call.read(
        lambda tx: stored.list_series(tx, call.application_id, plan_id=plan_id, after=paging.after, limit=paging.rows)
    )
    return paging.page(rows, lambda series: series.series_id, price_view)


@post("/prices", summary="Make a price", tags=["Catalog"])
async def make_price(call: NamedDependency[Call], data: JSONBody[PriceCreate]) -> PriceView:
    """Make a price in a plan. Prices never change: for other terms, make a version."""
    return price_view(await call.change(lambda tx, change: create_price(tx, change, data)))


@get("/prices/{price_id:str}", summary="Get a price", tags=["Catalog"])
async def get_price(call: NamedDependency[Call], price_id: FromPath[str]) -> PriceView:
    """Return one price."""
    price: PriceSeries | None = await call.read(lambda tx: find_series(tx, call.application_id, price_id))
    if price is None:
        raise NotFound("price", price_id)
    return price_view(price)


@post("/prices/{price_id:str}/versions", summary="Change a price from a moment on", tags=["Catalog"])
async def make_price_version(
    call: NamedDependency[Call], price_id: FromPath[str], data: JSONBody[PriceVersionCreate]
) -> PriceView:
    """Give a price new terms from a chosen moment on, for all subscriptions or for new ones; return all its versions.

    Per-unit terms hold from that very moment; packages, tiers, included units and amounts of a whole period from the
    first period that begins then or later.
    """
    return price_view(await call.change(lambda tx, change: create_version(tx, change, data, price_id=price_id)))


HANDLERS = [list_plans, make_plan, get_plan, patch_plan, list_prices, make_price, get_price, make_price_version]
