"""Usage, charges, and single events with all that came of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from faregate.apps.api.call import Call
from faregate.apps.api.customers import OfCompany
from faregate.apps.api.paging import Cursor, Paging
from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_USAGE_ROWS, PAGE_ROWS
from faregate.services import readings
from faregate.services.usage_readings import UsageQuery, read_usage
from faregate.storage.readings import Selection
from faregate.wire.api.common import Page, to_utc
from faregate.wire.api.readings import (
    ChargeView,
    EventView,
    Granularity,
    SetAsideView,
    UnmeterableView,
    UsageView,
)

OfMeter = Annotated[str | None, QueryParameter(name="meter_id", description="Only of this meter.")]
From = Annotated[datetime | None, QueryParameter(name="from", description="Not before this instant (RFC 3339).")]
To = Annotated[datetime | None, QueryParameter(name="to", description="Before this instant (RFC 3339).")]
UsageLimit = Annotated[
    int, QueryParameter(name="limit", ge=1, le=MAX_USAGE_ROWS, description="How many rows to answer with at most.")
]
Zone = Annotated[
    str | None,
    QueryParameter(
        name="time_zone", max_length=100, description="Where days begin and end: Europe/Paris; UTC if left out."
    ),
]
By = Annotated[Granularity, QueryParameter(name="granularity", description="How usage is added up.")]


async def read_selection(
    *,
    call: NamedDependency[Call],
    company_id: OfCompany = None,
    meter_id: OfMeter = None,
    from_at: From = None,
    to_at: To = None,
) -> Selection:
    """Return which usage or charges the query asks for."""
    start, end = (None if instant is None else to_utc(instant) for instant in (from_at, to_at))
    if start is not None and end is not None and start >= end:
        raise InvalidInput.of("to", "must be after 'from'")
    return Selection(
        application_id=call.application_id, company_id=company_id, meter_id=meter_id, from_at=start, to_at=end
    )


@get("/usage", summary="Read usage", tags=["Usage"])
async def get_usage(
    *,
    call: NamedDependency[Call],
    selection: NamedDependency[Selection],
    limit: UsageLimit = PAGE_ROWS,
    cursor: Cursor = None,
    granularity: By = Granularity.WINDOW,
    time_zone: Zone = None,
) -> Page[UsageView]:
    """Usage by company, meter, time and group. A window belongs to the time asked for if it starts in it."""
    query = UsageQuery(selection=selection, granularity=granularity, zone=_zone(time_zone))
    return await call.read(lambda tx: read_usage(tx, query, cursor=cursor, limit=limit))


def _zone(name: str | None) -> ZoneInfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError) as error:
        raise InvalidInput.of(
            "time_zone", f"there is no time zone {name!r}; use a name such as 'Europe/Paris'"
        ) from error


@get("/charges", summary="Read charges", tags=["Usage"])
async def get_charges(
    call: NamedDependency[Call], selection: NamedDependency[Selection], paging: NamedDependency[Paging]
) -> Page[ChargeView]:
    """What each event used and cost, in the order in which events were metered."""
    return await call.read(lambda tx: readings.read_charges(tx, selection, cursor=paging.cursor, limit=paging.limit))


@get("/events/{event_id:str}", summary="Get an event", tags=["Usage"])
async def get_event(call: NamedDependency[Call], event_id: FromPath[str]) -> EventView:
    """Return an event by its id (`evt_1204`), or the call whose answer bore this `x-request-id`.

    With its facts, what each meter counted, what it cost.
    """
    return await call.read(lambda tx: readings.read_event(tx, call.application_id, event_id))


@get("/set-aside-events", summary="List events that were set aside", tags=["Usage"])
async def list_set_aside(call: NamedDependency[Call], paging: NamedDependency[Paging]) -> Page[SetAsideView]:
    """Events that were kept and not metered, each with the reason; nothing is dropped in silence."""
    return await call.read(
        lambda tx: readings.read_set_aside(tx, call.application_id, cursor=paging.cursor, limit=paging.limit)
    )


@get("/unmeterable", summary="Count what could not be metered", tags=["Usage"])
async def count_unmeterable(call: NamedDependency[Call], paging: NamedDependency[Paging]) -> Page[UnmeterableView]:
    """How many events matched a meter but gave it no quantity, by reason, the commonest first, in one part."""
    return await call.read(lambda tx: readings.read_unmeterable(tx, call.application_id, limit=paging.limit))


HANDLERS = [get_usage, get_charges, get_event, list_set_aside, count_unmeterable]
