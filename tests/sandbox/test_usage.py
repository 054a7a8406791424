"""Meter events through the official SDK: counted once, refused where Stripe refuses, summed as Stripe sums."""

import time

import pytest
from stripe import InvalidRequestError, StripeClient

from tests.sandbox.test_catalog import make_meter, refusal

DAY_S = 86_400


class Reporter:
    """A meter and a customer of it."""

    def __init__(self, stripe: StripeClient, *, formula: str = "sum") -> None:
        self.stripe = stripe
        self.meter = stripe.v1.billing.meters.retrieve(make_meter(stripe, formula=formula))
        self.customer = stripe.v1.customers.create({"name": "Acme"}).id

    def report(self, value: str, *, identifier: str | None = None, at: int | None = None, customer: str = "") -> None:
        sent: dict[str, object] = {
            "event_name": self.meter.event_name,
            "payload": {"stripe_customer_id": customer or self.customer, "value": value},
            "timestamp": int(time.time()) if at is None else at,
        }
        if identifier is not None:
            sent["identifier"] = f"{self.meter.id}:{identifier}"
        self.stripe.v1.billing.meter_events.create(sent)  # type: ignore[arg-type]

    def total(self, *, start: int | None = None, end: int | None = None) -> list[float]:
        minute = int(time.time()) // 60 * 60
        listed = self.stripe.v1.billing.meters.event_summaries.list(
            self.meter.id,
            {
                "customer": self.customer,
                "start_time": minute - DAY_S if start is None else start,
                "end_time": minute + 3_600 if end is None else end,
            },
        )
        return [summary.aggregated_value for summary in listed.data]


@pytest.fixture
def reporter(stripe: StripeClient) -> Reporter:
    return Reporter(stripe)


def test_usage_is_summed_raw(reporter: Reporter) -> None:
    for value in ("600000", "399999", "-5"):
        reporter.report(value)
    assert reporter.total() == [999_994]


@pytest.mark.parametrize(("formula", "total"), [("sum", 6), ("count", 3), ("last", 1)])
def test_a_meters_formula_says_what_events_come_to(stripe: StripeClient, formula: str, total: int) -> None:
    reporter = Reporter(stripe, formula=formula)
    now = int(time.time())
    for age, value in enumerate(("1", "2", "3")):
        reporter.report(value, at=now - age)
    assert reporter.total() == [total]


def test_an_identifier_counts_once_and_its_repeat_is_told_so(reporter: Reporter) -> None:
    reporter.report("10", identifier="window-1")
    with pytest.raises(InvalidRequestError, match="An event already exists with identifier") as repeated:
        reporter.report("10", identifier="window-1")
    assert repeated.value.http_status == 400
    assert reporter.total() == [10]


def test_a_cancelled_event_counts_no_more_and_is_cancelled_once(reporter: Reporter) -> None:
    reporter.report("10", identifier="wrong")
    reporter.report("7", identifier="wrong:r1")
    sent = {
        "type": "cancel",
        "event_name": reporter.meter.event_name,
        "cancel": {"identifier": f"{reporter.meter.id}:wrong"},
    }
    reporter.stripe.v1.billing.meter_event_adjustments.create(sent)  # type: ignore[arg-type]
    assert reporter.total() == [7]
    with pytest.raises(InvalidRequestError):
        reporter.stripe.v1.billing.meter_event_adjustments.create(sent)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("age_s", "taken"),
    [(35 * DAY_S - 60, True), (35 * DAY_S + 60, False), (-240, True), (-360, False)],
)
def test_usage_is_taken_35_days_back_and_5_minutes_ahead(reporter: Reporter, age_s: int, *, taken: bool) -> None:
    at = int(time.time()) - age_s
    if taken:
        reporter.report("1", at=at)
    else:
        with pytest.raises(InvalidRequestError, match="within the past 35 calendar days") as refused:
            reporter.report("1", at=at)
        assert refusal(refused) == ("timestamp", None)


def test_usage_of_nobody_of_no_number_and_of_no_meter_is_refused(reporter: Reporter) -> None:
    with pytest.raises(InvalidRequestError) as nobody:
        reporter.report("1", customer="cus_nobody")
    assert refusal(nobody) == ("payload", "resource_missing")
    with pytest.raises(InvalidRequestError, match="must be a whole number"):
        reporter.report("1.5")
    reporter.stripe.v1.billing.meters.deactivate(reporter.meter.id)
    with pytest.raises(InvalidRequestError) as inactive:
        reporter.report("1")
    assert refusal(inactive) == ("event_name", "resource_missing")
    reporter.stripe.v1.billing.meters.reactivate(reporter.meter.id)
    reporter.report("1")
    assert reporter.total() == [1]


def test_a_range_is_half_open_and_its_borders_are_minutes(reporter: Reporter) -> None:
    minute = int(time.time()) // 60 * 60 - 3_600
    for at in (minute - 1, minute, minute + 59, minute + 60):
        reporter.report("1", at=at)
    assert reporter.total(start=minute, end=minute + 60) == [2]
    with pytest.raises(InvalidRequestError) as refused:
        reporter.total(start=minute + 1, end=minute + 60)
    assert refusal(refused) == ("start_time", None)


def test_a_deleted_customer_takes_no_more_usage(reporter: Reporter) -> None:
    reporter.stripe.v1.customers.delete(reporter.customer)
    with pytest.raises(InvalidRequestError):
        reporter.report("1")
    assert reporter.stripe.v1.customers.retrieve(reporter.customer).deleted


def test_one_event_name_is_of_one_active_meter(reporter: Reporter) -> None:
    sent = {
        "display_name": "The same",
        "event_name": reporter.meter.event_name,
        "default_aggregation": {"formula": "sum"},
    }
    with pytest.raises(InvalidRequestError, match="active meter already exists"):
        reporter.stripe.v1.billing.meters.create(sent)  # type: ignore[arg-type]
