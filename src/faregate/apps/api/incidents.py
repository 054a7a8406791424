"""Credits for incidents: a preview, what is given back, and taking it back."""

from __future__ import annotations

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from faregate.apps.api.call import Call
from faregate.apps.api.paging import Paging
from faregate.services.incident_views import incident_view, read_incident_calls, read_incident_lines
from faregate.services.incidents import (
    apply_incident,
    create_incident,
    draft_next,
    find_existing_incident,
    undo_incident,
)
from faregate.storage.database import Transaction
from faregate.storage.incidents import list_incidents
from faregate.wire.api.common import Page, encode_cursor
from faregate.wire.api.incidents import IncidentCallView, IncidentCreate, IncidentLineView, IncidentView


@post("/incident-credits", summary="Draft an incident credit", tags=["Incident credits"])
async def make_incident(call: NamedDependency[Call], data: JSONBody[IncidentCreate]) -> IncidentView:
    """Find the calls of an incident and what giving them back comes to. Nothing is given back yet.

    Repeated under its id it answers the same, and goes on where it was interrupted.
    """
    found = await call.change(lambda tx, change: create_incident(tx, change, data))
    while await call.change(lambda tx, _: draft_next(tx, call.application_id, found.incident_id)):
        pass
    return await _view(call, found.incident_id)


@get("/incident-credits", summary="List incident credits", tags=["Incident credits"])
async def list_all_incidents(call: NamedDependency[Call], paging: NamedDependency[Paging]) -> Page[IncidentView]:
    """Incident credits by id."""

    def read(transaction: Transaction) -> Page[IncidentView]:
        rows = list_incidents(transaction, call.application_id, after=paging.after, limit=paging.rows)
        shown = rows[: paging.limit]
        return Page(
            data=[incident_view(transaction, row) for row in shown],
            next_cursor=encode_cursor(shown[-1].incident_id) if len(rows) > paging.limit else None,
        )

    return await call.read(read)


@get("/incident-credits/{incident_id:str}", summary="Get an incident credit", tags=["Incident credits"])
async def get_incident(call: NamedDependency[Call], incident_id: FromPath[str]) -> IncidentView:
    """Return one incident credit with what it comes to."""
    return await _view(call, incident_id)


@get("/incident-credits/{incident_id:str}/customers", summary="Read what customers get", tags=["Incident credits"])
async def get_incident_lines(
    call: NamedDependency[Call], paging: NamedDependency[Paging], incident_id: FromPath[str]
) -> Page[IncidentLineView]:
    """What each customer gets back, by subscription, price and period."""
    return await call.read(
        lambda tx: read_incident_lines(
            tx,
            find_existing_incident(tx, call.application_id, incident_id),
            cursor=paging.cursor,
            limit=paging.limit,
        )
    )


@get("/incident-credits/{incident_id:str}/calls", summary="Read the calls it covers", tags=["Incident credits"])
async def get_incident_calls(
    call: NamedDependency[Call], paging: NamedDependency[Paging], incident_id: FromPath[str]
) -> Page[IncidentCallView]:
    """Every charge that the credit covers, in the order in which events were accepted."""
    return await call.read(
        lambda tx: read_incident_calls(
            tx,
            find_existing_incident(tx, call.application_id, incident_id),
            cursor=paging.cursor,
            limit=paging.limit,
        )
    )


@post(
    "/incident-credits/{incident_id:str}/apply",
    status_code=200,
    summary="Give the calls of an incident back",
    tags=["Incident credits"],
)
async def give_incident(call: NamedDependency[Call], incident_id: FromPath[str]) -> IncidentView:
    """Credit every account at once; the next invoice says so in a line. Safe to repeat."""
    await call.change(lambda tx, change: apply_incident(tx, change, incident_id))
    return await _view(call, incident_id)


@post(
    "/incident-credits/{incident_id:str}/undo",
    status_code=200,
    summary="Take an incident credit back",
    tags=["Incident credits"],
)
async def take_incident_back(call: NamedDependency[Call], incident_id: FromPath[str]) -> IncidentView:
    """Post the opposite of every entry; the calls can be credited by another incident then. Safe to repeat."""
    await call.change(lambda tx, change: undo_incident(tx, change, incident_id))
    return await _view(call, incident_id)


async def _view(call: Call, incident_id: str) -> IncidentView:
    return await call.read(lambda tx: incident_view(tx, find_existing_incident(tx, call.application_id, incident_id)))


HANDLERS = [
    make_incident,
    list_all_incidents,
    get_incident,
    get_incident_lines,
    get_incident_calls,
    give_incident,
    take_incident_back,
]
