"""Filling a new meter from kept events: exactly once, on both databases."""

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import insert

from faregate.base.errors import Conflict, InvalidInput, NotFound
from faregate.domain.metering.definition import write_definition
from faregate.domain.metering.event import FieldPath
from faregate.domain.metering.metric import Metric, Sum, Unique
from faregate.services.backfill import backfill_next, find_existing_backfill, start_backfill
from faregate.services.change import Change
from faregate.storage import tables
from faregate.storage.backfills import Backfill
from faregate.storage.database import Database
from faregate.storage.state_feed import record_change
from faregate.wire.api.meter_trials import BackfillCreate
from tests.builders import a_filter, a_meter
from tests.services.world import APP, NOW, PERIOD_START, Call, World, make_world

FIELD = FieldPath("response.body.usage.completion_tokens")
MARCH = BackfillCreate(from_at=PERIOD_START, to_at=PERIOD_START + timedelta(days=31))


@pytest.fixture
def postpaid(database: Database) -> World:
    return make_world(database, pays="postpaid", input_size=1)


def add_meter(world: World, metric: Metric | None = None) -> None:
    meter = a_meter(a_filter(response__status=200), metric=metric or Sum(path=FIELD))
    with world.database.begin() as transaction:
        transaction.execute(
            insert(tables.meter).values(
                meter_id="mtr_new",
                application_id=APP,
                name="New Meter",
                price_id="prc_in",
                definition=write_definition(meter.definition),
                reporting_period="5m",
                created_at=NOW,
            )
        )
        record_change(transaction, "meter", "mtr_new")


def start(world: World, request: BackfillCreate = MARCH) -> Backfill:
    with world.database.begin() as transaction:
        change = Change(application_id=APP, now=NOW, new_id=world.new_id)
        return start_backfill(transaction, change, request, meter_id="mtr_new")


def run(world: World, *, most: int = 1_000) -> None:
    more = True
    while more:
        with world.database.begin() as transaction:
            more = backfill_next(transaction, world.clock, most=most)


def crash_in(world: World) -> None:
    with world.database.begin() as transaction:
        backfill_next(transaction, world.clock, most=2)
        raise RuntimeError("crash")


def calls(count: int) -> list[Call]:
    return [Call(request_id=f"r{number}", completion_tokens=number, sequence=number) for number in range(1, count + 1)]


def progress(world: World, started: Backfill) -> Backfill:
    with world.database.snapshot() as transaction:
        return find_existing_backfill(transaction, APP, started.backfill_id)


@pytest.mark.parametrize("most", [1, 3, 1_000])
def test_a_new_meter_counts_kept_events_as_if_it_had_always_been_there(postpaid: World, most: int) -> None:
    postpaid.take(*calls(5), *calls(5), Call(request_id="failed", status=500, sequence=9))
    before, debited = postpaid.total("prc_in").settled, postpaid.debits()
    add_meter(postpaid)
    started = start(postpaid)
    run(postpaid, most=most)
    ended = progress(postpaid, started)
    assert (ended.total, ended.read, ended.counted, ended.ended_at) == (6, 6, 5, NOW)
    assert postpaid.total("prc_in").settled - before == Decimal(15)
    assert postpaid.debits() - debited == 15 * 500_000_000
    (window,) = [row for row in postpaid.rows("usage_window") if row["meter_id"] == "mtr_new"]
    assert (window["quantity"], window["event_count"]) == (Decimal(15), 5)


def test_no_event_counts_twice_however_often_a_meter_is_filled(postpaid: World) -> None:
    postpaid.take(*calls(3))
    add_meter(postpaid)
    postpaid.take(*calls(5)[3:])
    for _ in range(2):
        start(postpaid)
        run(postpaid)
    (window,) = [row for row in postpaid.rows("usage_window") if row["meter_id"] == "mtr_new"]
    assert window["quantity"] == Decimal(15)


def test_a_crash_repeats_work_and_never_effects(postpaid: World) -> None:
    postpaid.take(*calls(4))
    add_meter(postpaid)
    started = start(postpaid)
    with postpaid.database.begin() as transaction:
        backfill_next(transaction, postpaid.clock, most=2)
    with pytest.raises(RuntimeError, match="crash"):
        crash_in(postpaid)
    assert progress(postpaid, started).read == 2
    run(postpaid, most=2)
    (window,) = [row for row in postpaid.rows("usage_window") if row["meter_id"] == "mtr_new"]
    assert window["quantity"] == Decimal(10)


def test_events_that_come_while_a_backfill_runs_are_counted_by_the_meter_itself(postpaid: World) -> None:
    postpaid.take(*calls(2))
    add_meter(postpaid, Unique(path=FIELD))
    started = start(postpaid)
    postpaid.take(*calls(4)[2:])
    run(postpaid)
    assert progress(postpaid, started).total == 2
    (window,) = [row for row in postpaid.rows("usage_window") if row["meter_id"] == "mtr_new"]
    assert (window["quantity"], window["event_count"]) == (Decimal(4), 4)


def test_an_event_that_cannot_be_counted_is_shown_and_stops_no_other(
    postpaid: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    postpaid.take(*calls(4))
    add_meter(postpaid, Unique(path=FIELD))
    monkeypatch.setattr("faregate.services.meter_totals.MAX_UNIQUE_VALUES", 3)
    started = start(postpaid)
    run(postpaid)
    assert progress(postpaid, started).counted == 3
    (row,) = postpaid.rows("unmeterable")
    assert "at most 3 different values" in str(row["reason"])


def test_a_backfill_that_cannot_be_is_refused(postpaid: World) -> None:
    with pytest.raises(NotFound):
        start(postpaid)
    add_meter(postpaid)
    start(postpaid)
    with pytest.raises(Conflict, match="another backfill"):
        start(postpaid)
    with pytest.raises(InvalidInput, match="after 'from'"):
        start(postpaid, BackfillCreate(from_at=MARCH.to_at, to_at=MARCH.from_at))
    with pytest.raises(NotFound), postpaid.database.snapshot() as transaction:
        find_existing_backfill(transaction, APP, "bkf_none")
