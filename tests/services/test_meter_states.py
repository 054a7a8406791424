"""Meters that are not additive, grouped or in other units: windows, totals and debits, on both databases."""

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from itertools import permutations
from pathlib import Path

import pytest
from sqlalchemy import update

from faregate.domain.metering.definition import write_definition
from faregate.domain.metering.event import FieldPath
from faregate.domain.metering.metric import Average, Count, Latest, Max, Metric, Min, Sum, Unique, WeightedSum
from faregate.domain.metering.units import UNCHANGED, UnitRounding, Units
from faregate.storage import tables
from faregate.storage.database import Database
from faregate.storage.state_feed import record_change
from tests.builders import a_meter
from tests.services.world import NOW, Call, World, make_world

FIELD = FieldPath("response.body.usage.prompt_tokens")
NUMBERS = (7, 3, 9, 3)


def set_meter(
    world: World, metric: Metric, *, group_by: tuple[str, ...] = (), units: Units = UNCHANGED, period: str = "5m"
) -> None:
    """Make the input meter another one, before any event came."""
    definition = write_definition(a_meter(metric=metric, group_by=group_by, units=units).definition)
    with world.database.begin() as transaction:
        transaction.execute(
            update(tables.meter)
            .where(tables.meter.c.meter_id == "mtr_in")
            .values(definition=definition, reporting_period=period)
        )
        record_change(transaction, "meter", "mtr_in")


def calls(numbers: tuple[int, ...] = NUMBERS, *, minutes_apart: int = 0) -> list[Call]:
    return [
        Call(
            request_id=f"req_{number}",
            prompt_tokens=tokens,
            sequence=number + 1,
            occurred_at=NOW - timedelta(minutes=30 - number * minutes_apart),
        )
        for number, tokens in enumerate(numbers)
    ]


def windows(world: World) -> list[dict[str, object]]:
    return [row for row in world.rows("usage_window") if row["meter_id"] == "mtr_in"]


@pytest.fixture
def postpaid(database: Database) -> World:
    return make_world(database, pays="postpaid", input_size=1)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (Count(), "4"),
        (Sum(path=FIELD), "22"),
        (Unique(path=FIELD), "3"),
        (Min(path=FIELD), "3"),
        (Max(path=FIELD), "9"),
        (Average(path=FIELD), "5.5"),
    ],
)
def test_the_total_is_the_metric_over_all_of_the_periods_events(postpaid: World, metric: Metric, expected: str) -> None:
    set_meter(postpaid, metric)
    postpaid.take(*calls()[:2])
    postpaid.take(*calls()[2:])
    assert postpaid.total("prc_in").settled == Decimal(expected)
    assert sum(Decimal(str(row["billed_quantity"])) for row in windows(postpaid)) == Decimal(expected)
    (day,) = [row for row in postpaid.rows("usage_day") if row["meter_id"] == "mtr_in"]
    assert day["quantity"] == Decimal(expected)
    assert day["event_count"] == 4


@pytest.mark.parametrize(
    "metric", [Latest(path=FIELD), WeightedSum(path=FIELD), Unique(path=FIELD), Average(path=FIELD)]
)
def test_neither_order_nor_repetition_of_events_changes_a_total(tmp_path: Path, metric: Metric) -> None:
    settled, debits = set(), set()
    for number, order in enumerate(permutations(calls((5, 8, 2), minutes_apart=7))):
        database = Database(f"sqlite:///{tmp_path / str(number)}.sqlite3")
        world = make_world(database, pays="postpaid", input_size=1)
        set_meter(world, metric)
        for call in order:
            world.take(call, call)
        world.take(*order)
        settled.add(world.total("prc_in").settled)
        debits.add(world.debits())
        database.close()
    assert len(settled) == 1
    assert len(debits) == 1


def test_a_total_that_falls_gives_back_what_was_debited(postpaid: World) -> None:
    set_meter(postpaid, Min(path=FIELD))
    postpaid.take(*calls((9,)))
    before = postpaid.account().balance
    postpaid.take(*calls((9, 2))[1:])
    # Seven units of a price of $0.50 a unit come back; the one output package was paid with the first call.
    assert postpaid.account().balance - before == 7 * 500_000_000
    charges = [row["quantity"] for row in postpaid.rows("charge") if row["meter_id"] == "mtr_in"]
    assert charges == [Decimal(9), Decimal(-7)]


def test_the_sum_of_the_debits_is_the_rated_total(postpaid: World) -> None:
    set_meter(postpaid, Average(path=FIELD), units=Units(rounding=UnitRounding.UP))
    postpaid.take(*calls((9, 2, 2, 4, 4)))
    assert postpaid.total("prc_in").settled == Decimal(5)
    assert postpaid.debits() == 5 * 500_000_000 + 1_500_000_000


def test_units_are_rounded_on_the_total_and_never_on_an_event(postpaid: World) -> None:
    units = Units(multiply=Decimal("0.1"), rounding=UnitRounding.UP)
    set_meter(postpaid, Sum(path=FIELD), units=units)
    for call in calls((4, 4, 4)):
        postpaid.take(call)
    assert postpaid.total("prc_in").settled == Decimal(2)
    (window,) = windows(postpaid)
    assert (window["quantity"], window["billed_quantity"]) == (Decimal(2), Decimal(2))


def test_windows_merge_to_the_total_of_a_unique_count(postpaid: World) -> None:
    set_meter(postpaid, Unique(path=FIELD))
    postpaid.take(*calls((1, 2, 1, 3), minutes_apart=6))
    assert [row["quantity"] for row in windows(postpaid)] == [1, 1, 1, 1]
    assert sorted(str(row["billed_quantity"]) for row in windows(postpaid)) == ["0", "1", "1", "1"]
    assert postpaid.total("prc_in").settled == Decimal(3)


def test_usage_is_kept_by_group(postpaid: World) -> None:
    set_meter(postpaid, Unique(path=FIELD), group_by=("request.route", "request.verb"))
    postpaid.take(*calls((1, 1)), Call(request_id="x", route="/ai/images", prompt_tokens=1, sequence=9))
    found = {
        str(row["group_key"]): row["quantity"] for row in postpaid.rows("usage_day") if row["meter_id"] == "mtr_in"
    }
    assert {tuple(json.loads(key)): value for key, value in found.items()} == {
        ("/ai/chat", "POST"): Decimal(1),
        ("/ai/images", "POST"): Decimal(1),
    }
    assert len(postpaid.rows("meter_total")) == 2


def test_usage_of_a_company_without_a_subscription_is_shown_and_moves_no_total(postpaid: World) -> None:
    set_meter(postpaid, Max(path=FIELD))
    postpaid.take(Call(prompt_tokens=5, company_id="other"))
    (window,) = windows(postpaid)
    assert (window["quantity"], window["billed_quantity"]) == (Decimal(5), Decimal(0))
    assert postpaid.rows("meter_total") == []


def test_a_month_is_one_window(postpaid: World) -> None:
    set_meter(postpaid, Sum(path=FIELD), period="1mo")
    postpaid.take(*calls((1, 2), minutes_apart=20))
    (window,) = windows(postpaid)
    assert window["quantity"] == Decimal(3)


@pytest.fixture
def few_unique_values(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("faregate.services.meter_totals.MAX_UNIQUE_VALUES", 2)
    yield
    monkeypatch.undo()


def test_a_unique_count_keeps_as_many_values_as_the_limit_and_sets_one_more_aside(
    postpaid: World, few_unique_values: None
) -> None:
    set_meter(postpaid, Unique(path=FIELD))
    postpaid.take(*calls((1, 2, 3, 1)))
    assert postpaid.total("prc_in").settled == Decimal(2)
    (row,) = postpaid.rows("set_aside")
    assert "at most 2 different values" in str(row["detail"])
