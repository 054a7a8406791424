"""Find events by what people know of them: a request id, a transaction id, a company, a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from faregate.base.clock import from_microseconds, to_microseconds
from faregate.services.find_event import event_id_of, positions_of_call, readable_event
from faregate.storage.corrections import correction_of, find_admitted
from faregate.storage.database import Transaction
from faregate.storage.events import IngestedEvent, read_logged_event
from faregate.storage.found_events import find_events
from faregate.wire.api.common import CursorNumber, Page, decode_cursor, encode_cursor
from faregate.wire.api.corrections import EventSummaryView
from faregate.wire.event import as_utc

MOST_LOOKED_AT: Final = 5_000
"""Events that one request looks at for a transaction id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """Which events: from <= instant < to, and all that is given."""

    application_id: str
    request_id: str | None = None
    transaction_id: str | None = None
    company_id: str | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None


def list_events(
    transaction: Transaction, query: EventQuery, *, cursor: str | None, limit: int
) -> Page[EventSummaryView]:
    """Return events by time, corrected ones too. A call that is named by its request id is shown whatever became of it.

    A part may be short, or empty, where it looked for a transaction id: `next_cursor` says whether to go on.
    """
    if query.request_id is not None:
        return Page(data=_of_call(transaction, query, query.request_id), next_cursor=None)
    start = 0 if query.from_at is None else max(0, to_microseconds(query.from_at))
    place = (start, 0) if cursor is None else decode_cursor(cursor, tuple[CursorNumber, CursorNumber])
    most = limit if query.transaction_id is None else MOST_LOOKED_AT
    rows = find_events(
        transaction,
        query.application_id,
        company_id=query.company_id,
        after=place,
        to_at=query.to_at,
        limit=most,
    )
    data: list[EventSummaryView] = []
    for row in rows:
        if len(data) == limit:
            break
        place = row.occurred_at_us, row.position
        logged = IngestedEvent(row.position, query.application_id, from_microseconds(row.occurred_at_us), row.body)
        summary = _summary(logged, company_id=row.company_id, counts=row.counts)
        if query.transaction_id is None or summary.transaction_id == query.transaction_id:
            data.append(summary)
    is_end = len(rows) < most and (not rows or place == (rows[-1].occurred_at_us, rows[-1].position))
    return Page(data=data, next_cursor=None if is_end else encode_cursor(*place))


def _of_call(transaction: Transaction, query: EventQuery, request_id: str) -> list[EventSummaryView]:
    found = []
    for position in positions_of_call(transaction, query.application_id, request_id):
        logged = read_logged_event(transaction, position)
        if logged is None:
            continue
        admitted = find_admitted(transaction, query.application_id, position)
        corrected = correction_of(transaction, position)
        company_id = admitted.company_id if admitted else corrected.company_id if corrected else None
        found.append(_summary(logged, company_id=company_id, counts=admitted is not None))
    return [
        one
        for one in found
        if query.company_id in {None, one.company_id}
        and query.transaction_id in {None, one.transaction_id}
        and (query.from_at is None or (one.occurred_at is not None and query.from_at <= one.occurred_at))
        and (query.to_at is None or (one.occurred_at is not None and one.occurred_at < query.to_at))
    ]


def _summary(logged: IngestedEvent, *, company_id: str | None, counts: bool) -> EventSummaryView:
    wire = readable_event(logged)
    return EventSummaryView(
        event_id=event_id_of(logged.position),
        position=logged.position,
        occurred_at=as_utc(wire.request.time) if wire else None,
        company_id=company_id,
        user_id=wire.user_id if wire else None,
        request_id=wire.faregate.request_id if wire and wire.faregate else None,
        transaction_id=wire.transaction_id if wire else None,
        route=wire.request.route if wire else None,
        status=wire.response.status if wire and wire.response else None,
        counts=counts,
    )
