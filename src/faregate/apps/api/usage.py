"""Usage, charges, and single events with all that came of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from faregate.apps.api.call import Call
from faregate.apps.api.customers import OfCompany
from faregate.apps.api.paging import Cursor, Paging
from faregate.apps.api.subscriptions import IdempotencyKey
from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_USAGE_ROWS, PAGE_ROWS
from faregate.services import readings
from faregate.services.corrections import cancel_event, correct_event, correction_view
from faregate.services.list_events import EventQuery, list_events
from faregate.services.usage_readings import UsageQuery, read_usage
from faregate.storage.readings import Selection
from faregate.wire.api.common import Page, to_utc
from faregate.wire.api.corrections import CorrectionView, EventCancel, EventCorrect, EventSummaryView
from faregate.wire.api.readings import (
    ChargeView,
    EventView,
    Granularity,
    SetAsideView,
    UnmeterableView,
    UsageView,
)
from faregate.wire.event import decode_patch

OfMeter = Annotated[str | None, QueryParameter(name="meter_id", description="Only of this meter.")]
From = Annotated[datetime | None, QueryParameter(name="from", description="Not before this instant (RFC 3339).")]
To = Annotated[datetime | None, QueryParameter(name="to", description="Before this instant (RFC 3339).")]
UsageLimit = Annotated[
    int, QueryParameter(name="limit", ge=1, le=MAX_USAGE_ROWS, description="How many rows to answer with at most.")
]
OfRequest = Annotated[
    str | None, QueryParameter(description="The call whose answer bore this `x-request-id`, all attempts of it.")
]
OfTransaction = Annotated[str | None, QueryParameter(description="Only with this `transaction_id`, as agents send it.")]
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
    start, end = _span(from_at, to_at)
    return Selection(
        application_id=call.application_id, company_id=company_id, meter_id=meter_id, from_at=start, to_at=end
    )


def _span(from_at: datetime | None, to_at: datetime | None) -> tuple[datetime | None, datetime | None]:
    start, end = (None if instant is None else to_utc(instant) for instant in (from_at, to_at))
    if start is not None and end is not None and start >= end:
        raise InvalidInput.of("to", "must be after 'from'")
    return start, end


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


@get("/events", summary="Find events", tags=["Events"])
async def find_all_events(
    *,
    call: NamedDependency[Call],
    paging: NamedDependency[Paging],
    request_id: OfRequest = None,
    transaction_id: OfTransaction = None,
    company_id: OfCompany = None,
    from_at: From = None,
    to_at: To = None,
) -> Page[EventSummaryView]:
    """Events by the time at which they happened, corrected ones too. By request id: every attempt of the call.

    By transaction id, a part looks at some thousand events: go on while there is a `next_cursor`, and give a time.
    """
    start, end = _span(from_at, to_at)
    query = EventQuery(
        application_id=call.application_id,
        request_id=request_id,
        transaction_id=transaction_id,
        company_id=company_id,
        from_at=start,
        to_at=end,
    )
    return await call.read(lambda tx: list_events(tx, query, cursor=paging.cursor, limit=paging.limit))


@get("/events/{event_id:str}", summary="Get an event", tags=["Usage"])
async def get_event(call: NamedDependency[Call], event_id: FromPath[str]) -> EventView:
    """Return an event by its id (`evt_1204`), or the call whose answer bore this `x-request-id`.

    With its facts, what each meter counted, what it cost.
    """
    return await call.read(lambda tx: readings.read_event(tx, call.application_id, event_id))


@post("/events/{event_id:str}/cancel", summary="Cancel an event", tags=["Events"])
async def cancel_one_event(
    *,
    call: NamedDependency[Call],
    event_id: FromPath[str],
    data: JSONBody[EventCancel],
    idempotency_key: IdempotencyKey,
) -> CorrectionView:
    """Let an event no longer count: its charges are taken back by charges that compensate them, within moments.

    Of an invoiced period, it becomes an adjustment of the next invoice. A repeat with the same Idempotency-Key, which
    names the correction, answers with the first.
    """
    return await call.append(
        lambda tx, change: correction_view(
            cancel_event(tx, change, event_id, correction_id=idempotency_key, reason=data.reason)
        )
    )


@post("/events/{event_id:str}/correct", summary="Correct an event", tags=["Events"])
async def correct_one_event(
    *,
    call: NamedDependency[Call],
    event_id: FromPath[str],
    data: JSONBody[EventCorrect],
    idempotency_key: IdempotencyKey,
) -> CorrectionView:
    """Let another event count in an event's place, with some fields changed, at the time at which that happened."""
    fields = decode_patch("event", data.event)
    return await call.append(
        lambda tx, change: correction_view(
            correct_event(tx, change, event_id, correction_id=idempotency_key, reason=data.reason, fields=fields)
        )
    )


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


HANDLERS = [
    get_usage,
    get_charges,
    find_all_events,
    get_event,
    cancel_one_event,
    correct_one_event,
    list_set_aside,
    count_unmeterable,
]
