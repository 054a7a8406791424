from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.base.errors import Conflict
from faregate.base.money import currency
from faregate.base.periods import Alignment, Cadence, CadenceUnit, Period
from faregate.domain.catalog.models import Flat, PerUnit
from faregate.domain.catalog.price import BillingPeriod, TaxBehavior
from faregate.domain.catalog.versions import AppliesTo, PriceSeries, PriceVersion, Terms
from faregate.domain.customers.subscription import BillingCycle, Subscription
from faregate.domain.pricing.rating import rate_period, whole
from tests.builders import NOON, a_subscription

DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
days = st.integers(min_value=1, max_value=400)

cycles = st.builds(
    BillingCycle,
    cadence=st.builds(Cadence, unit=st.sampled_from(CadenceUnit), count=st.integers(1, 3)),
    zone=st.sampled_from(["UTC", "America/New_York", "Asia/Kathmandu"]).map(ZoneInfo),
    alignment=st.sampled_from(Alignment),
    trial_ends_at=st.none() | days.map(lambda count: NOON + count * DAY),
    ends_at=st.none() | days.map(lambda count: NOON + count * DAY),
)


def subscribed(cycle: BillingCycle) -> Subscription:
    return a_subscription(started_at=NOON, cycle=cycle)


def start_of(subscription: Subscription, instant: datetime) -> datetime:
    period = subscription.period_at(instant)
    assert period is not None
    return period.start


@given(cycles, st.timedeltas(timedelta(0), timedelta(days=900)))
def test_periods_tile_the_time_from_the_start_to_the_end(cycle: BillingCycle, since: timedelta) -> None:
    subscription, instant = subscribed(cycle), NOON + since
    period = subscription.period_at(instant)
    if cycle.ends_at is not None and cycle.ends_at <= instant:
        assert period is None
        return
    assert period is not None
    assert instant in period
    assert subscription.period_at(period.start) == period
    assert subscription.period_at(period.end - MICROSECOND) == period
    if period.end == cycle.ends_at:
        assert subscription.period_at(period.end) is None
    else:
        assert start_of(subscription, period.end) == period.end
    if period.start > NOON:
        before = subscription.period_at(period.start - MICROSECOND)
        assert before is not None
        assert before.end == period.start
    else:
        assert period.start == NOON


def test_a_trial_is_a_period_of_its_own_and_anchors_the_paid_ones() -> None:
    subscription = subscribed(BillingCycle(trial_ends_at=NOON + 14 * DAY))
    assert subscription.period_at(NOON) == Period(NOON, NOON + 14 * DAY)
    assert start_of(subscription, NOON + 20 * DAY) == NOON + 14 * DAY


def test_calendar_periods_begin_with_the_customers_month_and_the_first_is_a_part() -> None:
    zone = ZoneInfo("America/New_York")
    subscription = subscribed(BillingCycle(zone=zone, alignment=Alignment.CALENDAR))
    assert subscription.period_at(NOON) == Period(NOON, datetime(2026, 4, 1, tzinfo=zone).astimezone(UTC))


@pytest.mark.parametrize("at_period_end", [False, True])
def test_a_cancelled_subscription_ends_at_once_or_with_its_period(at_period_end: bool) -> None:  # noqa: FBT001
    now = NOON + 5 * DAY
    whole_period = subscribed(BillingCycle()).period_at(now)
    assert whole_period is not None
    ended = subscribed(BillingCycle()).cancelled(now, at_period_end=at_period_end)
    end = whole_period.end if at_period_end else now
    assert ended.period_at(end - MICROSECOND) == Period(NOON, end)
    assert ended.period_at(end) is None
    assert not ended.can_use(end)
    with pytest.raises(Conflict, match="ended"):
        ended.cancelled(end, at_period_end=False)


def test_a_paused_subscription_cannot_use_anything_until_it_is_resumed() -> None:
    paused = subscribed(BillingCycle()).paused(NOON + DAY)
    assert [paused.can_use(NOON + count * DAY) for count in (0, 1, 9)] == [True, False, False]
    resumed = paused.resumed(NOON + 3 * DAY)
    assert [resumed.can_use(NOON + count * DAY) for count in (0, 1, 2, 3)] == [True, False, False, True]
    assert resumed.period_at(NOON + 2 * DAY) == subscribed(BillingCycle()).period_at(NOON)
    again = resumed.paused(NOON + 4 * DAY)
    assert [again.can_use(NOON + count * DAY) for count in (2, 3, 4)] == [False, True, False]
    assert again.resumed(NOON + 5 * DAY).cycle.pauses[0].end == NOON + 3 * DAY


def test_pausing_twice_and_resuming_what_is_not_paused_are_conflicts() -> None:
    paused = subscribed(BillingCycle()).paused(NOON)
    with pytest.raises(Conflict, match="is paused already"):
        paused.paused(NOON + DAY)
    with pytest.raises(Conflict, match="is not paused"):
        subscribed(BillingCycle()).resumed(NOON)
    with pytest.raises(Conflict, match="not begun"):
        subscribed(BillingCycle()).paused(NOON - DAY)


def test_everything_is_free_in_the_trial_and_only_there() -> None:
    usd = currency("USD")
    version = PriceVersion(
        price_id="prc_1",
        number=1,
        effective_at=NOON,
        applies_to=AppliesTo.ALL,
        terms={usd: Terms(model=PerUnit(amount=Decimal(2)))},
    )
    series = PriceSeries(
        series_id="prc_1",
        plan_id="pln_1",
        name="Tokens",
        period=BillingPeriod.MONTH,
        tax_behavior=TaxBehavior.AUTO,
        versions=(version,),
    )
    subscription = subscribed(BillingCycle(trial_ends_at=NOON + DAY))
    for at, amount in ((NOON, 0), (NOON + DAY, 20)):
        period = subscription.period_at(at)
        assert period is not None
        price = subscription.price_of(series, at=at, period=period)
        assert rate_period(price, whole(Decimal(10))) == amount
    flat = series.price(
        PriceVersion(
            price_id="prc_2",
            number=2,
            effective_at=NOON,
            applies_to=AppliesTo.ALL,
            terms={usd: Terms(model=Flat(amount=Decimal(9)))},
        ),
        usd,
    )
    assert rate_period(subscription.as_paid(flat, period_start=NOON), {}) == 0


def test_a_first_part_of_a_calendar_period_owes_its_share_and_later_ones_all() -> None:
    usd = currency("USD")
    version = PriceVersion(
        price_id="prc_1",
        number=1,
        effective_at=NOON,
        applies_to=AppliesTo.ALL,
        terms={usd: Terms(model=Flat(amount=Decimal(31)))},
    )
    series = PriceSeries(
        series_id="prc_1",
        plan_id="pln_1",
        name="Seat",
        period=BillingPeriod.MONTH,
        tax_behavior=TaxBehavior.AUTO,
        versions=(version,),
    )
    price = series.price(version, usd)
    begun = datetime(2026, 3, 9, 6, tzinfo=UTC)
    calendar = a_subscription(started_at=begun, cycle=BillingCycle(alignment=Alignment.CALENDAR))
    anniversary = a_subscription(started_at=begun, cycle=BillingCycle())
    on_a_border = a_subscription(
        started_at=datetime(2026, 3, 1, tzinfo=UTC), cycle=BillingCycle(alignment=Alignment.CALENDAR)
    )
    after_a_trial = a_subscription(
        started_at=NOON, cycle=BillingCycle(alignment=Alignment.CALENDAR, trial_ends_at=begun)
    )
    for subscription, period_start, amount in (
        (calendar, begun, "22.75"),
        (calendar, datetime(2026, 4, 1, tzinfo=UTC), "31"),
        (anniversary, begun, "31"),
        (on_a_border, on_a_border.started_at, "31"),
        (after_a_trial, begun, "22.75"),
    ):
        assert rate_period(subscription.as_paid(price, period_start=period_start), {}) == Decimal(amount)


def test_an_end_can_be_moved_and_taken_back() -> None:
    end = NOON + 5 * DAY
    ending = subscribed(BillingCycle()).ending(end)
    assert not ending.lives_at(end)
    assert ending.ending(None) == subscribed(BillingCycle())
