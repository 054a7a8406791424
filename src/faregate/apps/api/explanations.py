"""Why an amount is what it is: invoice lines, their windows and events, and single events."""

from __future__ import annotations

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath

from faregate.apps.api.call import Call
from faregate.apps.api.paging import Paging
from faregate.services.explain_event import explain_event
from faregate.services.explain_line import LineRef, explain_line, line_windows, window_events
from faregate.wire.api.common import Page
from faregate.wire.api.explanations import (
    EventExplanationView,
    LineExplanationView,
    LineWindowView,
    WindowEventView,
)

_LINE = "/invoices/{invoice_id:str}/lines/{line:int}"


@get(f"{_LINE}/explanation", summary="Explain an invoice line", tags=["Explanations"])
async def explain_invoice_line(
    call: NamedDependency[Call], invoice_id: FromPath[str], line: FromPath[int]
) -> LineExplanationView:
    """Return how a line (the first is 1) comes to its amount, step by step, and what moved the account for it."""
    ref = LineRef(call.application_id, invoice_id, line)
    return await call.read(lambda tx: explain_line(tx, ref))


@get(f"{_LINE}/windows", summary="List the windows of an invoice line", tags=["Explanations"])
async def list_line_windows(
    *, call: NamedDependency[Call], paging: NamedDependency[Paging], invoice_id: FromPath[str], line: FromPath[int]
) -> Page[LineWindowView]:
    """The usage windows that a line is made of, by meter, start and group, each with what its events were charged."""
    ref = LineRef(call.application_id, invoice_id, line)
    return await call.read(lambda tx: line_windows(tx, ref, cursor=paging.cursor, limit=paging.limit))


@get(f"{_LINE}/windows/{{window:str}}/events", summary="List the events of a window", tags=["Explanations"])
async def list_window_events(
    *,
    call: NamedDependency[Call],
    paging: NamedDependency[Paging],
    invoice_id: FromPath[str],
    line: FromPath[int],
    window: FromPath[str],
) -> Page[WindowEventView]:
    """The events of a line's window by time, each with what it was charged; `window` is as the list of windows says."""
    ref = LineRef(call.application_id, invoice_id, line)
    return await call.read(lambda tx: window_events(tx, ref, window=window, cursor=paging.cursor, limit=paging.limit))


@get("/events/{event_id:str}/explanation", summary="Explain an event", tags=["Explanations"])
async def explain_one_event(call: NamedDependency[Call], event_id: FromPath[str]) -> EventExplanationView:
    """Return what became of an event, by its id (`evt_1204`) or its `x-request-id`.

    Whether it was admitted, a repeat or set aside, and why; which meters it matched, and why not the others; the
    window, price, charge, ledger entry and invoice line of each, and the leases that the call drew from.
    """
    return await call.read(lambda tx: explain_event(tx, call.application_id, event_id))


HANDLERS = [explain_invoice_line, list_line_windows, list_window_events, explain_one_event]
