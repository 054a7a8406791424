"""Alerts, where they go, and what watches balances."""

from __future__ import annotations

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from faregate.apps.api.call import Call
from faregate.apps.api.customers import OfCompany
from faregate.apps.api.paging import Paging
from faregate.services import alerts
from faregate.storage import alerts as stored
from faregate.wire.api.alerts import (
    AlertDetails,
    AlertView,
    BalanceAlertCreate,
    BalanceAlertView,
    DestinationCreate,
    DestinationView,
    NewDestination,
    balance_alert_view,
)
from faregate.wire.api.common import Page


@get("/alerts", summary="List alerts", tags=["Alerts"])
async def list_all_alerts(
    call: NamedDependency[Call], paging: NamedDependency[Paging], of_company: OfCompany = None
) -> Page[AlertView]:
    """Alerts that were raised, newest first."""
    rows = await call.read(
        lambda tx: stored.list_alerts(
            tx, call.application_id, company_id=of_company, before=paging.after, limit=paging.rows
        )
    )
    return paging.page(rows, lambda row: row.alert_id, alerts.alert_view)


@get("/alerts/{alert_id:str}", summary="Get an alert", tags=["Alerts"])
async def get_alert(call: NamedDependency[Call], alert_id: FromPath[str]) -> AlertDetails:
    """Return one alert and how its deliveries stand."""
    return await call.read(lambda tx: alerts.find_alert(tx, call.application_id, alert_id))


@get("/alert-destinations", summary="List alert destinations", tags=["Alerts"])
async def list_all_destinations(call: NamedDependency[Call], paging: NamedDependency[Paging]) -> Page[DestinationView]:
    """Where alerts are sent, without the secrets."""
    rows = await call.read(
        lambda tx: stored.list_destinations(tx, call.application_id, after=paging.after, limit=paging.rows)
    )
    return paging.page(rows, lambda row: row.destination_id, alerts.destination_view)


@post("/alert-destinations", summary="Make an alert destination", tags=["Alerts"])
async def make_destination(call: NamedDependency[Call], data: JSONBody[DestinationCreate]) -> NewDestination:
    """Send alerts that are raised from now on to a URL or an e-mail address. The signing secret is shown once."""
    made = await call.change(lambda tx, change: alerts.create_destination(tx, change, data))
    view = alerts.destination_view(made)
    return NewDestination(
        destination_id=view.destination_id,
        kind=view.kind,
        address=view.address,
        created_at=view.created_at,
        secret=made.secret or None,
    )


@delete("/alert-destinations/{destination_id:str}", summary="Delete an alert destination", tags=["Alerts"])
async def remove_destination(call: NamedDependency[Call], destination_id: FromPath[str]) -> None:
    """Send nothing there from now on, what still waits included."""
    await call.change(lambda tx, change: alerts.delete_destination(tx, change, destination_id))


@get("/balance-alerts", summary="List balance alerts", tags=["Alerts"])
async def list_all_balance_alerts(
    call: NamedDependency[Call], paging: NamedDependency[Paging]
) -> Page[BalanceAlertView]:
    """What watches balances."""
    rows = await call.read(
        lambda tx: stored.list_balance_alerts(tx, call.application_id, after=paging.after, limit=paging.rows)
    )
    return paging.page(rows, lambda row: row.balance_alert_id, balance_alert_view)


@post("/balance-alerts", summary="Make a balance alert", tags=["Alerts"])
async def make_balance_alert(call: NamedDependency[Call], data: JSONBody[BalanceAlertCreate]) -> BalanceAlertView:
    """Say when credit runs low: once each time that a balance falls below, at once where it is below already."""
    return balance_alert_view(await call.change(lambda tx, change: alerts.create_balance_alert(tx, change, data)))


@delete("/balance-alerts/{balance_alert_id:str}", summary="Delete a balance alert", tags=["Alerts"])
async def remove_balance_alert(call: NamedDependency[Call], balance_alert_id: FromPath[str]) -> None:
    """Watch no more."""
    await call.change(lambda tx, change: alerts.delete_balance_alert(tx, change, balance_alert_id))


HANDLERS = [
    list_all_alerts,
    get_alert,
    list_all_destinations,
    make_destination,
    remove_destination,
    list_all_balance_alerts,
    make_balance_alert,
    remove_balance_alert,
]
