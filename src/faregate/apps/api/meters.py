"""Meters: making and changing them, and trying one on kept events before it bills."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
from litestar import delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.response import Stream

from faregate.apps.api.call import ApiRequest, Call
from faregate.apps.api.paging import Paging
from faregate.services.backfill import find_existing_backfill, start_backfill
from faregate.services.meter_trial import MeterTrial, read_draft
from faregate.services.meters import change_meter, create_meter, delete_meter, find_existing
from faregate.storage.backfills import Backfill
from faregate.storage.meters import list_meters
from faregate.wire.api.common import Page
from faregate.wire.api.meter_trials import BackfillCreate, BackfillView, MeterTest, MeterTrialView, TrialLine
from faregate.wire.api.meters import MeterChange, MeterCreate, MeterView, meter_view

LINES = "application/x-ndjson"


@get("/meters", summary="List meters", tags=["Meters"])
async def list_all_meters(call: NamedDependency[Call], paging: NamedDependency[Paging]) -> Page[MeterView]:
    """Billing meters, in the order in which they were made."""
    rows = await call.read(lambda tx: list_meters(tx, call.application_id, after=paging.after, limit=paging.rows))
    return paging.page(rows, lambda meter: meter.meter_id, meter_view)


@post("/meters", summary="Make a meter", tags=["Meters"])
async def make_meter(call: NamedDependency[Call], data: JSONBody[MeterCreate]) -> MeterView:
    """Make a billing meter: which events count, how much each counts for, and the price that it feeds."""
    return meter_view(await call.change(lambda tx, change: create_meter(tx, change, data)))


@get("/meters/{meter_id:str}", summary="Get a meter", tags=["Meters"])
async def get_meter(call: NamedDependency[Call], meter_id: FromPath[str]) -> MeterView:
    """Return one meter."""
    return meter_view(await call.read(lambda tx: find_existing(tx, call.application_id, meter_id)))


@patch("/meters/{meter_id:str}", summary="Change a meter", tags=["Meters"])
async def patch_meter(call: NamedDependency[Call], meter_id: FromPath[str], data: JSONBody[MeterChange]) -> MeterView:
    """Change a meter's name, filter or metric from now on."""
    return meter_view(await call.change(lambda tx, change: change_meter(tx, change, data, meter_id=meter_id)))


@delete("/meters/{meter_id:str}", summary="Delete a meter", tags=["Meters"])
async def remove_meter(call: NamedDependency[Call], meter_id: FromPath[str]) -> None:
    """Delete a meter that has counted nothing yet."""
    await call.change(lambda tx, change: delete_meter(tx, change, meter_id))


@post("/meters/test", status_code=200, summary="Test a meter before it bills", tags=["Meters"])
async def try_meter(request: ApiRequest, call: NamedDependency[Call], data: JSONBody[MeterTest]) -> MeterTrialView:
    """Try a draft on kept events: samples, quantities, what cannot be metered and why, what the price would charge.

    Nothing is billed or kept. With `Accept: application/x-ndjson` the answer is lines of JSON as the trial goes on:
    `progress` and `samples`, and at last the `result`, which is the whole answer otherwise.
    """
    trial = await call.read(lambda tx: MeterTrial(tx, read_draft(tx, call.application_id, data)))
    if LINES in request.headers.get("accept", ""):
        # The handler's type is what is documented; the framework sends any response as it is, but under the handler's
        # own media type, if no header names another.
        return Stream(_lines(call, trial), headers={"content-type": LINES})  # type: ignore[return-value]
    while await call.read(trial.step):
        pass
    return trial.result()


async def _lines(call: Call, trial: MeterTrial) -> AsyncIterator[bytes]:
    more = True
    shown = trial.samples
    while more:
        more = await call.read(trial.step)
        yield _line(trial.progress)
        if trial.samples != shown:
            shown = trial.samples
            yield _line(shown)
    yield _line(trial.result())


def _line(line: TrialLine) -> bytes:
    return msgspec.json.encode(line) + b"\n"


@post("/meters/{meter_id:str}/backfills", summary="Fill a meter from kept events", tags=["Meters"])
async def make_backfill(
    call: NamedDependency[Call], meter_id: FromPath[str], data: JSONBody[BackfillCreate]
) -> BackfillView:
    """Let a meter count events from before it was made. It is billed as late events are; no event counts twice.

    Test the meter first: what it counts so is charged.
    """
    return _backfill_view(await call.change(lambda tx, change: start_backfill(tx, change, data, meter_id=meter_id)))


@get("/backfills/{backfill_id:str}", summary="Get a backfill", tags=["Meters"])
async def get_backfill(call: NamedDependency[Call], backfill_id: FromPath[str]) -> BackfillView:
    """Return how far a backfill has come."""
    found = await call.read(lambda tx: find_existing_backfill(tx, call.application_id, backfill_id))
    return _backfill_view(found)


def _backfill_view(backfill: Backfill) -> BackfillView:
    return BackfillView(
        backfill_id=backfill.backfill_id,
        meter_id=backfill.meter_id,
        from_at=backfill.kept.from_at,
        to_at=backfill.kept.to_at,
        total=backfill.total,
        read=backfill.read,
        counted=backfill.counted,
        created_at=backfill.created_at,
        ended_at=backfill.ended_at,
    )


HANDLERS = [list_all_meters, make_meter, get_meter, patch_meter, remove_meter, try_meter, make_backfill, get_backfill]
