"""Trials, pauses, ends and other periods than UTC's months, lived through."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from sqlalchemy import update

from faregate.base.periods import Alignment, Cadence, CadenceUnit
from faregate.domain.catalog.adjustments import Adjustments
from faregate.domain.catalog.models import PerUnit
from faregate.domain.customers.subscription import BillingCycle, Pause
from faregate.storage import tables
from faregate.storage.billing_cycle import write_cycle
from faregate.wire.gateway_protocol import Refused
from tests.billing.desk import Desk
from tests.builders import priced
from tests.services.world import NOW, PERIOD_START, need

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
UNIT_PRICE = priced(PerUnit(amount=Decimal(1)))


def on_cycle(desk: Desk, cycle: BillingCycle) -> Desk:
    with desk.world.database.begin() as transaction:
        transaction.execute(update(tables.subscription).values(cycle=write_cycle(cycle)))
    desk.set_terms("prc_in", UNIT_PRICE)
    return desk


def lines(desk: Desk) -> list[tuple[str, int]]:
    """Of each invoice: the day on which its period begins, and its total."""
    return [(f"{invoice.period.start:%m-%d %H}", invoice.total) for invoice in desk.invoices()]


def test_a_trial_is_metered_and_free_and_the_paid_periods_begin_where_it_ends(postpaid: Desk) -> None:
    trial_ends_at = NOW + 2 * DAY
    desk = on_cycle(postpaid, BillingCycle(trial_ends_at=trial_ends_at))
    desk.use(5, 0, at=NOW)
    assert desk.balance() == 0
    desk.move(trial_ends_at + 2 * MINUTE)
    desk.tick()
    desk.use(7, 0, at=trial_ends_at)
    desk.use(9, 0, at=NOW)  # of the trial, and late
    desk.move(datetime(2026, 4, 12, 13, tzinfo=UTC))
    desk.tick()
    assert sorted(lines(desk)) == [("03-01 00", 0), ("03-12 12", 700)]
    assert [line.quantity for invoice in desk.invoices() for line in invoice.lines if line.amount] == [7]


def test_a_weekly_period_ends_every_week(postpaid: Desk) -> None:
    desk = on_cycle(postpaid, BillingCycle(cadence=Cadence(unit=CadenceUnit.WEEK)))
    desk.use(1, 0, at=PERIOD_START + DAY)
    desk.use(2, 0, at=PERIOD_START + 8 * DAY)
    desk.move(PERIOD_START + 14 * DAY + 2 * MINUTE)
    desk.tick()
    assert sorted(lines(desk)) == [("03-01 00", 100), ("03-08 00", 200)]


def test_a_calendar_month_ends_at_the_customers_midnight(postpaid: Desk) -> None:
    zone = ZoneInfo("America/New_York")
    desk = on_cycle(postpaid, BillingCycle(zone=zone, alignment=Alignment.CALENDAR))
    april = datetime(2026, 4, 1, tzinfo=zone).astimezone(UTC)
    desk.use(1, 0, at=april - timedelta(microseconds=1))
    desk.use(2, 0, at=april)
    desk.move(datetime(2026, 5, 1, 5, tzinfo=UTC))
    desk.tick()
    assert sorted(lines(desk)) == [("03-01 05", 100), ("04-01 04", 200)]


def test_a_first_part_of_a_calendar_month_owes_its_share_of_what_a_month_owes(postpaid: Desk) -> None:
    desk = on_cycle(postpaid, BillingCycle(alignment=Alignment.CALENDAR))
    begun = datetime(2026, 3, 9, 6, tzinfo=UTC)
    with desk.world.database.begin() as transaction:
        transaction.execute(update(tables.subscription).values(started_at=begun, billed_until=begun))
    desk.set_terms("prc_in", priced(PerUnit(amount=Decimal(1)), Adjustments(minimum_spend=Decimal(31))))
    desk.use(4, 0, at=NOW)
    desk.move(datetime(2026, 5, 1, 1, tzinfo=UTC))
    desk.tick()
    # 22.75 of 31 days at a dollar a day, and then a whole month.
    assert sorted(lines(desk)) == [("03-09 06", 2_275), ("04-01 00", 3_100)]


def test_a_cancelled_subscription_gets_a_last_invoice_and_no_more(postpaid: Desk) -> None:
    desk = on_cycle(postpaid, BillingCycle(ends_at=NOW + DAY))
    desk.set_terms("prc_in", priced(PerUnit(amount=Decimal(1)), Adjustments(minimum_spend=Decimal(10))))
    desk.use(4, 0, at=NOW)
    desk.use(4, 0, at=NOW + DAY)
    desk.move(NOW + 90 * DAY)
    desk.tick()
    assert lines(desk) == [("03-01 00", 1_000)]
    assert len(desk.world.rows("charge")) == 4
    assert {row["subscription_id"] for row in desk.world.rows("charge")} == {"sub_1", ""}


def test_a_late_event_of_no_units_makes_a_period_that_began_in_a_pause_owe_nothing(postpaid: Desk) -> None:
    desk = on_cycle(postpaid, BillingCycle(pauses=(Pause(start=PERIOD_START, end=NOW),)))
    desk.set_terms("prc_in", priced(PerUnit(amount=Decimal(1)), Adjustments(minimum_spend=Decimal(10))))
    desk.move(datetime(2026, 4, 1, 1, tzinfo=UTC))
    desk.tick()
    desk.use(0, 0, at=NOW + DAY)
    assert [row for row in desk.world.rows("adjustment") if row["amount"]] == []
    assert desk.balance() == 0


def test_what_is_used_in_a_pause_is_not_charged_and_no_lease_is_given(prepaid: Desk) -> None:
    prepaid.world.grant("10")
    desk = on_cycle(prepaid, BillingCycle(pauses=(Pause(start=NOW),)))
    desk.use(4, 0, at=NOW - DAY)
    desk.use(5, 0, at=NOW)
    assert [row["settled"] for row in desk.world.rows("price_total") if row["price_id"] == "prc_in"] == [Decimal(4)]
    desk.world.open_epoch()
    assert desk.world.ask(need("prc_in", 1)).refused is Refused.NO_SUBSCRIPTION
