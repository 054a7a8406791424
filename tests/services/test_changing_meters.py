"""A meter that bills is not changed under the usage that it has counted."""

from datetime import UTC, datetime

import msgspec
import pytest
from sqlalchemy import update

from faregate.base.errors import Conflict
from faregate.domain.metering.meter import Meter
from faregate.services.change import Change
from faregate.services.meters import change_meter, find_existing
from faregate.storage import tables
from faregate.wire.api.meters import MeterChange
from tests.services.world import APP, NOW, Call, World

APRIL = datetime(2026, 4, 1, tzinfo=UTC)
METER = "mtr_in"
COUNTS = {
    "filter": {"filter_text": "response.status == 201"},
    "metric": {"metric": {"type": "count"}},
    "units": {"units": {"multiply": 10}},
}
KEPT_BY = {"group_by": {"group_by": ["user_id"]}, "reporting_period": {"reporting_period": "1h"}}


def change(world: World, request: object) -> Meter:
    with world.database.begin() as transaction:
        asked = Change(application_id=APP, now=NOW, new_id=world.new_id)
        return change_meter(transaction, asked, msgspec.convert(request, type=MeterChange), meter_id=METER)


def meter(world: World) -> Meter:
    with world.database.snapshot() as transaction:
        return find_existing(transaction, APP, METER)


def bill_march(world: World) -> None:
    with world.database.begin() as transaction:
        transaction.execute(update(tables.subscription).values(billed_until=APRIL))


@pytest.mark.parametrize("field", COUNTS)
def test_what_a_meter_counts_is_not_changed_while_an_open_period_has_its_usage(world: World, field: str) -> None:
    world.take(Call())
    before = meter(world)
    with pytest.raises(Conflict, match="by a re-rating, which shows the difference first, or make another") as refused:
        change(world, COUNTS[field])
    assert refused.value.field == field
    assert meter(world) == before


@pytest.mark.parametrize("field", COUNTS)
def test_what_a_meter_counts_changes_once_the_periods_that_it_counted_in_are_billed(world: World, field: str) -> None:
    world.take(Call())
    bill_march(world)
    assert change(world, COUNTS[field]) == meter(world)
    world.take(Call(request_id="req_2", sequence=2, status=201, prompt_tokens=7, occurred_at=APRIL, replay=True))
    counted = {str(row["quantity"]) for row in world.rows("charge") if row["meter_id"] == METER}
    assert counted == {"10"} | {"filter": {"7"}, "metric": set[str](), "units": set[str]()}[field]
    world.take(Call(request_id="req_3", sequence=3, prompt_tokens=7, occurred_at=APRIL, replay=True))
    counted = {str(row["quantity"]) for row in world.rows("charge") if row["meter_id"] == METER}
    assert counted == {"filter": {"10", "7"}, "metric": {"10", "1"}, "units": {"10", "70"}}[field]


@pytest.mark.parametrize("field", KEPT_BY)
def test_what_windows_are_kept_by_never_changes_once_a_meter_has_counted(world: World, field: str) -> None:
    world.take(Call())
    bill_march(world)
    with pytest.raises(Conflict, match="never changes once a meter has counted") as refused:
        change(world, KEPT_BY[field])
    assert refused.value.field == field


@pytest.mark.parametrize("field", COUNTS | KEPT_BY)
def test_everything_but_the_price_changes_before_a_meter_has_counted(world: World, field: str) -> None:
    before = meter(world)
    after = change(world, (COUNTS | KEPT_BY)[field])
    assert getattr(after, field) != getattr(before, field)
    assert meter(world) == after


def test_a_name_changes_at_any_time_and_what_is_written_otherwise_is_no_change(world: World) -> None:
    world.take(Call())
    before = meter(world)
    written = {"filter_text": '(request.route is "/ai/chat") and (response.status is 200)', "reporting_period": "5m"}
    assert change(world, written) == before
    assert change(world, written | {"name": "Tokens in"}).name == "Tokens in"


def test_usage_that_nobody_pays_for_holds_no_meter(world: World) -> None:
    world.take(Call(company_id="nobody"))
    assert change(world, COUNTS["metric"]) == meter(world)
