"""What a limit is, and when it begins anew."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from faregate.base.limits import MAX_ALERT_PERCENT, MAX_RATE_UNITS
from faregate.base.money import currency
from faregate.base.periods import Period
from faregate.domain.customers.subscription import Pays, Subscription
from faregate.domain.limits.limit import ALL_TIME, Limit, Matcher, Measure, Per, Stage, Subject, faults_of

LIMIT = Limit(
    limit_id="lim_1",
    name="Requests",
    subject=Subject.KEY,
    subject_id=None,
    plan_id=None,
    measure=Measure.REQUESTS,
    currency=None,
    meter_id=None,
    per=Per.DAY,
    zone=UTC,
    amount=Decimal(100),
    hard=True,
    routes=(),
    alert_at=(80, 100),
)
NOW = datetime(2026, 3, 18, 12, tzinfo=UTC)


def fields(limit: Limit) -> list[str]:
    return [fault.field for fault in faults_of(limit)]


def matcher(pattern: str) -> Matcher:
    return lambda text: re.search(pattern, text) is not None


def test_a_good_limit_has_no_faults() -> None:
    assert faults_of(LIMIT) == []
    assert faults_of(replace(LIMIT, per=Per.MINUTE, alert_at=(), amount=Decimal(MAX_RATE_UNITS))) == []
    assert faults_of(replace(LIMIT, measure=Measure.SPEND, currency="USD", amount=Decimal("0.5"))) == []
    assert faults_of(replace(LIMIT, measure=Measure.METER, meter_id="mtr_1", amount=Decimal("0.5"))) == []


@pytest.mark.parametrize(
    ("limit", "field"),
    [
        (replace(LIMIT, amount=Decimal(0)), "amount"),
        (replace(LIMIT, amount=Decimal("1.5")), "amount"),
        (replace(LIMIT, plan_id="pln_1", subject_id="key_1"), "plan_id"),
        (replace(LIMIT, currency="USD"), "currency"),
        (replace(LIMIT, measure=Measure.SPEND), "currency"),
        (replace(LIMIT, meter_id="mtr_1"), "meter_id"),
        (replace(LIMIT, measure=Measure.METER), "meter_id"),
        (replace(LIMIT, per=Per.MINUTE, alert_at=(), measure=Measure.SPEND, currency="USD"), "measure"),
        (replace(LIMIT, per=Per.MINUTE, alert_at=(), amount=Decimal(MAX_RATE_UNITS + 1)), "amount"),
        (replace(LIMIT, per=Per.MINUTE, alert_at=(), hard=False), "hard"),
        (replace(LIMIT, per=Per.MINUTE), "alert_at"),
        (replace(LIMIT, per=Per.TOTAL, zone=ZoneInfo("Europe/Berlin")), "time_zone"),
        (replace(LIMIT, alert_at=(0,)), "alert_at"),
        (replace(LIMIT, alert_at=(MAX_ALERT_PERCENT + 1,)), "alert_at"),
    ],
)
def test_a_fault_names_its_field(limit: Limit, field: str) -> None:
    assert fields(limit) == [field]


def test_it_covers_every_route_or_those_that_a_pattern_is_found_in() -> None:
    assert LIMIT.covers("/anything", matcher)
    some = replace(LIMIT, routes=("^/ai/chat$", "embed"))
    assert some.covers("/ai/chat", matcher)
    assert some.covers("/ai/embeddings", matcher)
    assert not some.covers("/ai/chat/more", matcher)


def test_it_holds_one_subject_or_each_of_those_on_a_plan() -> None:
    one = replace(LIMIT, subject_id="key_1")
    assert one.holds("key_1", frozenset())
    assert not one.holds("key_2", frozenset())
    assert not one.holds(None, frozenset())
    assert LIMIT.holds("key_2", frozenset())
    on_plan = replace(LIMIT, plan_id="pln_1")
    assert on_plan.holds("key_2", frozenset({"pln_1", "pln_2"}))
    assert not on_plan.holds("key_2", frozenset({"pln_2"}))


def test_days_weeks_and_months_are_the_calendars_of_its_zone() -> None:
    berlin = replace(LIMIT, zone=ZoneInfo("Europe/Berlin"))
    day = berlin.period_at(NOW, None)
    assert day == Period(datetime(2026, 3, 17, 23, tzinfo=UTC), datetime(2026, 3, 18, 23, tzinfo=UTC))
    assert replace(LIMIT, per=Per.WEEK).period_at(NOW, None).start == datetime(2026, 3, 16, tzinfo=UTC)
    assert replace(LIMIT, per=Per.MONTH).period_at(NOW, None).end == datetime(2026, 4, 1, tzinfo=UTC)


def test_a_total_has_one_period() -> None:
    assert replace(LIMIT, per=Per.TOTAL).period_at(NOW, None) is ALL_TIME


def test_billing_periods_are_the_subscriptions_and_calendar_months_without_one() -> None:
    limit = replace(LIMIT, per=Per.BILLING_PERIOD)
    subscription = Subscription(
        subscription_id="sub_1",
        company_id="acme",
        plan_id="pln_1",
        pays=Pays.PREPAID,
        currency=currency("USD"),
        started_at=datetime(2026, 1, 10, tzinfo=UTC),
        payment_terms=timedelta(days=30),
    )
    assert limit.period_at(NOW, subscription).start == datetime(2026, 3, 10, tzinfo=UTC)
    march = Period(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
    assert limit.period_at(NOW, None) == march
    assert limit.period_at(NOW, replace(subscription, started_at=NOW + timedelta(days=1))) == march


def test_a_subject_is_near_from_nine_tenths_on_until_nothing_is_left() -> None:
    used = ("89.9", "90", "99.9", "100", "101")
    stages = [LIMIT.stage(Decimal(some)) for some in used]
    assert stages == [Stage.FREE, Stage.NEAR, Stage.NEAR, Stage.USED_UP, Stage.USED_UP]


def test_only_one_per_minute_is_a_rate() -> None:
    assert replace(LIMIT, per=Per.MINUTE).is_rate
    assert not LIMIT.is_rate
