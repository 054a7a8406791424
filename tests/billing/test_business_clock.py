from datetime import datetime, timedelta

import pytest

from faregate.base.errors import InvalidInput, NotFound
from faregate.base.limits import MAX_CLOCK_AHEAD
from faregate.services.business_clock import BusinessTime, advance_clock, business_now, read_clock
from tests.billing.desk import Desk
from tests.services.world import APP, NOW


def advance(desk: Desk, step: datetime | timedelta) -> BusinessTime:
    with desk.world.database.begin() as transaction:
        return advance_clock(transaction, APP, desk.world.clock, step=step)


def read(desk: Desk) -> BusinessTime:
    with desk.world.database.snapshot() as transaction:
        return read_clock(transaction, APP, desk.world.clock)


def test_business_time_is_the_wall_clock_until_it_is_advanced(postpaid: Desk) -> None:
    assert read(postpaid) == BusinessTime(now=NOW, offset=timedelta(0))


def test_an_advance_by_a_duration_or_to_an_instant_adds_up_and_runs_on(postpaid: Desk) -> None:
    assert advance(postpaid, timedelta(days=2)).now == NOW + timedelta(days=2)
    advanced = advance(postpaid, NOW + timedelta(days=30, microseconds=1))
    assert advanced.offset == timedelta(days=30, microseconds=1)
    postpaid.move(NOW + timedelta(hours=1))
    assert read(postpaid).now == NOW + timedelta(days=30, hours=1, microseconds=1)


def test_business_time_only_moves_forward(postpaid: Desk) -> None:
    with pytest.raises(InvalidInput, match="to: business time only moves forward"):
        advance(postpaid, NOW)
    with pytest.raises(InvalidInput, match="by_seconds: business time only moves forward"):
        advance(postpaid, timedelta(0))


def test_business_time_may_run_ten_years_ahead_and_not_a_microsecond_more(postpaid: Desk) -> None:
    with pytest.raises(InvalidInput, match="at most 3660 days ahead"):
        advance(postpaid, MAX_CLOCK_AHEAD + timedelta(microseconds=1))
    assert advance(postpaid, MAX_CLOCK_AHEAD).offset == MAX_CLOCK_AHEAD


def test_gateways_hear_of_an_advance(postpaid: Desk) -> None:
    advance(postpaid, timedelta(days=1))
    assert ("clock", APP) in {(row["kind"], row["entity_id"]) for row in postpaid.world.rows("state_change")}


def test_an_unknown_application_has_no_clock(postpaid: Desk) -> None:
    with postpaid.world.database.snapshot() as transaction, pytest.raises(NotFound, match="application"):
        business_now(transaction, "app_2", postpaid.world.clock)


def test_a_month_that_was_advanced_over_is_invoiced_and_then_overdue(postpaid: Desk) -> None:
    postpaid.use(1_200_000, 300_000)
    advance(postpaid, datetime(2026, 4, 1, 0, 2, tzinfo=NOW.tzinfo))
    postpaid.tick()
    (invoice,) = postpaid.invoices()
    assert (invoice.total, invoice.issued_at.month) == (250, 4)
    advance(postpaid, timedelta(days=14))
    postpaid.tick()
    assert postpaid.cohorts() == {"unpaid_invoices"}
