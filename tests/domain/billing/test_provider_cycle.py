"""Which subscriptions a provider can invoice by itself, in the very periods that are ours."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from faregate.base.money import currency
from faregate.base.periods import Alignment, Cadence, CadenceUnit
from faregate.domain.billing.provider_cycle import ProviderCycle, provider_cycle
from faregate.domain.customers.subscription import BillingCycle, Pays, Subscription

START = datetime(2026, 3, 10, 9, tzinfo=UTC)
NOW = datetime(2026, 3, 20, tzinfo=UTC)
MONTH_LATER = datetime(2026, 4, 10, 9, tzinfo=UTC)


def subscribed(cycle: BillingCycle, started_at: datetime = START) -> Subscription:
    return Subscription(
        subscription_id="sub_1",
        company_id="com_1",
        plan_id="pln_1",
        pays=Pays.POSTPAID,
        currency=currency("USD"),
        started_at=started_at,
        payment_terms=timedelta(days=14),
        cycle=cycle,
    )


def cadence(unit: CadenceUnit, count: int = 1) -> BillingCycle:
    return BillingCycle(cadence=Cadence(unit=unit, count=count))


@pytest.mark.parametrize(
    ("cycle", "interval", "count", "border"),
    [
        (BillingCycle(), "month", 1, MONTH_LATER),
        (BillingCycle(alignment=Alignment.CALENDAR), "month", 1, datetime(2026, 4, 1, tzinfo=UTC)),
        (BillingCycle(zone=ZoneInfo("UTC")), "month", 1, MONTH_LATER),
        (cadence(CadenceUnit.WEEK), "week", 1, datetime(2026, 3, 24, 9, tzinfo=UTC)),
        (cadence(CadenceUnit.DAY, 30), "day", 30, datetime(2026, 4, 9, 9, tzinfo=UTC)),
        (cadence(CadenceUnit.QUARTER), "month", 3, datetime(2026, 6, 10, 9, tzinfo=UTC)),
        (cadence(CadenceUnit.YEAR), "year", 1, datetime(2027, 3, 10, 9, tzinfo=UTC)),
        (BillingCycle(trial_ends_at=NOW + timedelta(days=4)), "month", 1, NOW + timedelta(days=4)),
        (BillingCycle(trial_ends_at=START + timedelta(days=1)), "month", 1, MONTH_LATER + timedelta(days=1)),
        (BillingCycle(ends_at=NOW + timedelta(days=1)), "month", 1, MONTH_LATER),
    ],
)
def test_a_cycle_is_told_by_its_interval_and_next_border(
    cycle: BillingCycle, interval: str, count: int, border: datetime
) -> None:
    told = ProviderCycle(interval=interval, interval_count=count, first_border=border, anchor_day=None)
    assert provider_cycle(subscribed(cycle), NOW) == told


def test_a_day_that_not_every_month_has_is_told_beside_the_border() -> None:
    told = provider_cycle(
        subscribed(BillingCycle(), datetime(2026, 1, 31, tzinfo=UTC)), datetime(2026, 2, 1, tzinfo=UTC)
    )
    assert told is not None
    assert (told.first_border, told.anchor_day) == (datetime(2026, 2, 28, tzinfo=UTC), 31)


@pytest.mark.parametrize(
    ("cycle", "started_at"),
    [
        (BillingCycle(zone=ZoneInfo("Europe/Berlin")), START),
        (cadence(CadenceUnit.DAY, 1_096), START),
        (cadence(CadenceUnit.QUARTER), datetime(2026, 1, 31, tzinfo=UTC)),
        (cadence(CadenceUnit.YEAR), datetime(2024, 2, 29, tzinfo=UTC)),
        (BillingCycle(ends_at=NOW), START),
        (BillingCycle(), NOW + timedelta(days=1)),
    ],
)
def test_what_the_provider_cannot_do_or_has_nothing_left_of_is_none(cycle: BillingCycle, started_at: datetime) -> None:
    assert provider_cycle(subscribed(cycle, started_at), NOW) is None
