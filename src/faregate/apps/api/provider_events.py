"""What the billing provider told of, and what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from litestar.status_codes import HTTP_200_OK

from faregate.apps.api.call import Call
from faregate.apps.api.paging import Paging
from faregate.base.clock import from_microseconds, to_microseconds
from faregate.domain.billing.provider_events import EventStatus
from faregate.services import take_webhook
from faregate.storage.provider_events import EventRow, list_event_rows
from faregate.wire.api.common import Page
from faregate.wire.api.provider_events import ProviderEventView

_TAGS = ["Billing provider"]

OfStatus = Annotated[EventStatus | None, QueryParameter(name="status", description="Only those that stand so.")]


@get("/provider/events", summary="List events of the provider", tags=_TAGS)
async def list_provider_events(
    call: NamedDependency[Call], paging: NamedDependency[Paging], of_status: OfStatus = None
) -> Page[ProviderEventView]:
    """What the billing provider told of, by webhook or in its list of events, newest first."""
    rows = await call.read(
        lambda tx: list_event_rows(tx, call.application_id, status=of_status, before=_before(paging), limit=paging.rows)
    )
    return paging.page(rows, lambda row: (to_microseconds(row.received_at), row.event.event_id), event_view)


@get("/provider/events/{event_id:str}", summary="Get an event of the provider", tags=_TAGS)
async def get_provider_event(call: NamedDependency[Call], event_id: FromPath[str]) -> ProviderEventView:
    """Return one event and what came of it."""
    return event_view(await call.read(lambda tx: take_webhook.find_event(tx, call.application_id, event_id)))


@post(
    "/provider/events/{event_id:str}/replay",
    summary="Replay an event of the provider",
    tags=_TAGS,
    status_code=HTTP_200_OK,
)
async def replay_provider_event(call: NamedDependency[Call], event_id: FromPath[str]) -> ProviderEventView:
    """Work on an event again: its object is read from the provider again. What is done already is not done twice."""
    return event_view(
        await call.change(lambda tx, change: take_webhook.replay_event(tx, change.application_id, event_id))
    )


def event_view(row: EventRow) -> ProviderEventView:
    """Return an event as the API shows it."""
    return ProviderEventView(
        event_id=row.event.event_id,
        kind=row.event.kind,
        object_id=row.event.object_id,
        created_at=row.event.created_at,
        source=row.source,
        received_at=row.received_at,
        status=row.status,
        outcome=row.outcome,
        attempts=row.attempts,
        retry_at=row.retry_at,
        worked_at=row.worked_at,
        last_error=row.last_error,
    )


def _before(paging: Paging) -> tuple[datetime, str] | None:
    place = paging.place(tuple[int, str])
    return None if place is None else (from_microseconds(place[0]), place[1])


HANDLERS = [list_provider_events, get_provider_event, replay_provider_event]
