"""Subscriptions through the official SDK, on test clocks: periods, bills, states."""

from typing import Any

import pytest
from stripe import CardError, InvalidRequestError, StripeClient

from tests.sandbox.subscribing import Subscriber, at, period
from tests.sandbox.test_catalog import refusal

START = at(2026, 1, 31, 12)


@pytest.fixture
def acme(stripe: StripeClient) -> Subscriber:
    return Subscriber(stripe, start=START)


@pytest.fixture
def broke(stripe: StripeClient) -> Subscriber:
    """A customer whose card can be attached but not charged."""
    return Subscriber(stripe, start=START, card="pm_card_chargeCustomerFail")


def test_day_31_falls_back_and_returns(acme: Subscriber) -> None:
    subscription = acme.subscribe(acme.price(1000))
    assert (subscription.status, period(subscription)) == ("active", (START, at(2026, 2, 28, 12)))
    acme.advance(at(2026, 3, 31, 14))
    assert period(acme.now(subscription)) == (at(2026, 3, 31, 12), at(2026, 4, 30, 12))
    invoices = acme.invoices(subscription)
    assert [(each.billing_reason, each.status, each.amount_paid) for each in invoices] == [
        ("subscription_create", "paid", 1000),
        ("subscription_cycle", "paid", 1000),
        ("subscription_cycle", "paid", 1000),
    ]
    assert [(each.period_start, each.period_end) for each in invoices[1:]] == [
        (START, at(2026, 2, 28, 12)),
        (at(2026, 2, 28, 12), at(2026, 3, 31, 12)),
    ]


def test_usage_is_billed_when_its_period_ends_by_a_draft_that_stands_an_hour(acme: Subscriber) -> None:
    meter, name = acme.meter()
    subscription = acme.subscribe(acme.price(3, meter=meter))
    assert [each.amount_due for each in acme.invoices(subscription)] == [0]
    end = at(2026, 2, 28, 12)
    acme.advance(end - 60)
    acme.use(name, 100, end - 120)
    acme.advance(end + 60)
    acme.use(name, 50, end - 1)
    acme.use(name, 70, end)
    draft = acme.invoices(subscription)[-1]
    assert (draft.status, draft.automatically_finalizes_at) == ("draft", end + 3600)
    acme.advance(end + 3600)
    assert [(each.status, each.amount_paid) for each in acme.invoices(subscription)] == [("paid", 0), ("paid", 450)]
    acme.advance(at(2026, 3, 31, 14))
    assert acme.invoices(subscription)[-1].amount_paid == 210


def test_a_first_payment_that_fails_leaves_the_subscription_incomplete_for_23_hours(broke: Subscriber) -> None:
    subscription = broke.subscribe(broke.price(1000))
    assert subscription.status == "incomplete"
    broke.advance(START + 23 * 3600 - 1)
    assert broke.now(subscription).status == "incomplete"
    broke.advance(START + 23 * 3600)
    assert broke.now(subscription).status == "incomplete_expired"
    assert [each.status for each in broke.invoices(subscription)] == ["void"]


def test_a_first_payment_made_later_begins_the_subscription(broke: Subscriber) -> None:
    subscription = broke.subscribe(broke.price(1000), payment_behavior="default_incomplete")
    assert subscription.status == "incomplete"
    broke.pay_by("pm_card_visa")
    invoice = subscription.latest_invoice
    assert isinstance(invoice, str)
    broke.stripe.v1.invoices.pay(invoice)
    assert broke.now(subscription).status == "active"


def test_a_subscription_that_must_be_paid_at_once_is_not_made_else(broke: Subscriber) -> None:
    with pytest.raises(CardError):
        broke.subscribe(broke.price(1000), payment_behavior="error_if_incomplete")
    assert broke.stripe.v1.subscriptions.list({"customer": broke.customer, "status": "all"}).data == []


def test_a_payment_that_goes_on_failing_leads_over_past_due_to_unpaid(acme: Subscriber) -> None:
    subscription = acme.subscribe(acme.price(1000))
    acme.pay_by("pm_card_chargeCustomerFail")
    acme.advance(at(2026, 2, 28, 14))
    assert acme.now(subscription).status == "past_due"
    acme.advance(at(2026, 3, 20))
    assert acme.now(subscription).status == "unpaid"
    acme.advance(at(2026, 4, 2))
    owed = acme.invoices(subscription)
    assert [each.status for each in owed] == ["paid", "open", "draft"]
    acme.pay_by("pm_card_visa")
    acme.stripe.v1.invoices.finalize_invoice(owed[-1].id)
    acme.stripe.v1.invoices.pay(owed[-1].id)
    assert acme.now(subscription).status == "active"


def test_a_payment_in_time_makes_a_past_due_subscription_active_again(acme: Subscriber) -> None:
    subscription = acme.subscribe(acme.price(1000))
    acme.pay_by("pm_card_chargeCustomerFail")
    acme.advance(at(2026, 2, 28, 14))
    assert acme.now(subscription).status == "past_due"
    acme.pay_by("pm_card_visa")
    acme.advance(at(2026, 3, 4))
    assert acme.now(subscription).status == "active"


def test_an_invoice_that_is_sent_makes_its_subscription_past_due_when_it_falls_due(acme: Subscriber) -> None:
    subscription = acme.subscribe(acme.price(1000), collection_method="send_invoice", days_until_due=10)
    assert (subscription.status, acme.invoices(subscription)[0].status) == ("active", "draft")
    acme.advance(START + 3600)
    invoice = acme.invoices(subscription)[0]
    assert (invoice.status, invoice.due_date) == ("open", START + 3600 + 10 * 86_400)
    acme.advance(START + 3600 + 10 * 86_400)
    assert acme.now(subscription).status == "past_due"
    acme.stripe.v1.invoices.pay(invoice.id, {"paid_out_of_band": True})
    assert acme.now(subscription).status == "active"


def test_a_trial_costs_nothing_and_its_end_begins_the_first_period(acme: Subscriber) -> None:
    meter, name = acme.meter()
    subscription = acme.subscribe(acme.price(1000), acme.price(1, meter=meter), trial_period_days=14)
    end = START + 14 * 86_400
    assert (subscription.status, subscription.trial_end, period(subscription)) == ("trialing", end, (START, end))
    acme.use(name, 500, START)
    acme.advance(end + 3600)
    after = acme.now(subscription)
    assert (after.status, period(after), after.billing_cycle_anchor) == ("active", (end, at(2026, 3, 14, 12)), end)
    assert [each.amount_paid for each in acme.invoices(subscription)] == [0, 1000]
    told = acme.stripe.v1.events.list({"type": "customer.subscription.trial_will_end", "limit": 1}).data[0]
    assert (told.data.object["id"], told.created) == (subscription.id, end - 3 * 86_400)


@pytest.mark.parametrize("days", [0, 733, 10**12])
def test_a_trial_of_no_day_or_of_more_than_two_years_is_refused(acme: Subscriber, days: int) -> None:
    with pytest.raises(InvalidRequestError):
        acme.subscribe(acme.price(1000), trial_period_days=days)


@pytest.mark.parametrize(("behavior", "status"), [("cancel", "canceled"), ("pause", "paused")])
def test_a_trial_that_ends_without_a_payment_method(stripe: StripeClient, behavior: str, status: str) -> None:
    acme = Subscriber(stripe, start=START, card=None)
    settings = {"end_behavior": {"missing_payment_method": behavior}}
    subscription = acme.subscribe(acme.price(1000), trial_period_days=7, trial_settings=settings)
    acme.advance(START + 8 * 86_400)
    assert acme.now(subscription).status == status
    if status == "paused":
        acme.pay_by("pm_card_visa")
        resumed = stripe.v1.subscriptions.resume(subscription.id, {"billing_cycle_anchor": {"type": "now"}})
        assert (resumed.status, period(resumed)[0]) == ("active", START + 8 * 86_400)
        assert [each.amount_paid for each in acme.invoices(subscription)] == [0, 1000]


def test_a_cancellation_at_the_periods_end_bills_what_was_used(acme: Subscriber) -> None:
    meter, name = acme.meter()
    subscription = acme.subscribe(acme.price(1000), acme.price(2, meter=meter))
    acme.use(name, 100, START)
    end = at(2026, 2, 28, 12)
    changed = acme.stripe.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    assert (changed.status, changed.cancel_at) == ("active", end)
    acme.advance(end + 3600)
    after = acme.now(subscription)
    assert (after.status, after.ended_at, after.canceled_at) == ("canceled", end, START)
    assert [each.amount_paid for each in acme.invoices(subscription)] == [1000, 200]


def test_what_is_owed_of_a_cancelled_subscription_is_tried_no_more(acme: Subscriber) -> None:
    subscription = acme.subscribe(acme.price(1000))
    acme.pay_by("pm_card_chargeCustomerFail")
    acme.advance(at(2026, 2, 28, 14))
    acme.stripe.v1.subscriptions.cancel(subscription.id)
    acme.advance(at(2026, 3, 20))
    owed = acme.invoices(subscription)[-1]
    assert (owed.status, owed.attempt_count, owed.auto_advance) == ("open", 1, False)
    assert acme.now(subscription).status == "canceled"


def test_a_cancellation_can_be_taken_back(acme: Subscriber) -> None:
    subscription = acme.subscribe(acme.price(1000))
    acme.stripe.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    acme.stripe.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": False})
    acme.advance(at(2026, 2, 28, 14))
    assert acme.now(subscription).status == "active"


def test_a_subscription_that_is_cancelled_now_bills_its_usage_only_if_told_to(acme: Subscriber) -> None:
    meter, name = acme.meter()
    price = acme.price(2, meter=meter)
    billed, dropped = acme.subscribe(price), acme.subscribe(price)
    acme.use(name, 100, START)
    acme.advance(START + 60)
    assert acme.stripe.v1.subscriptions.cancel(billed.id, {"invoice_now": True}).status == "canceled"
    assert acme.stripe.v1.subscriptions.cancel(dropped.id).status == "canceled"
    acme.advance(START + 2 * 3600)
    assert [each.amount_due for each in acme.invoices(billed)] == [0, 200]
    assert [each.amount_due for each in acme.invoices(dropped)] == [0]
    with pytest.raises(InvalidRequestError):
        acme.stripe.v1.subscriptions.cancel(billed.id)


@pytest.mark.parametrize(
    ("behavior", "status"), [("keep_as_draft", "draft"), ("void", "void"), ("mark_uncollectible", "uncollectible")]
)
def test_a_pause_of_collection_sets_invoices_aside_until_it_ends(acme: Subscriber, behavior: str, status: str) -> None:
    subscription = acme.subscribe(acme.price(1000))
    paused: dict[str, Any] = {"pause_collection": {"behavior": behavior, "resumes_at": at(2026, 3, 15)}}
    acme.stripe.v1.subscriptions.update(subscription.id, paused)  # type: ignore[arg-type]
    acme.advance(at(2026, 3, 31, 14))
    assert [each.status for each in acme.invoices(subscription)] == ["paid", status, "paid"]
    after = acme.now(subscription)
    assert (after.status, after.pause_collection) == ("active", None)


def test_a_subscription_takes_what_belongs_to_it_and_nothing_else(acme: Subscriber) -> None:
    meter, _ = acme.meter()
    licensed, metered, yearly = acme.price(1), acme.price(1, meter=meter), acme.price(1, interval="year")
    archived = acme.price(1)
    acme.stripe.v1.prices.update(archived, {"active": False})
    once = acme.stripe.v1.prices.create({"product": acme.product, "currency": "usd", "unit_amount": 1}).id
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"items": []}, "items"),
        ({"items": [{"price": licensed}, {"price": licensed}]}, "items"),
        ({"items": [{"price": licensed}, {"price": yearly}]}, "items"),
        ({"items": [{"price": metered, "quantity": 2}]}, "items[0][quantity]"),
        ({"items": [{"price": licensed}], "days_until_due": 3}, "days_until_due"),
        ({"items": [{"price": licensed}], "collection_method": "send_invoice"}, "days_until_due"),
        ({"items": [{"price": licensed}], "billing_cycle_anchor": START - 1}, "billing_cycle_anchor"),
        ({"items": [{"price": licensed}], "cancel_at": START}, "cancel_at"),
        ({"items": [{"price": licensed}], "trial_end": START - 1}, "trial_end"),
        ({"items": [{"price": licensed}], "backdate_start_date": START + 1}, "backdate_start_date"),
        ({"items": [{"price": licensed}], "payment_behavior": "pending_if_incomplete"}, "payment_behavior"),
        ({"items": [{"price": archived}]}, "items[0][price]"),
        ({"items": [{"price": once}]}, "items[0][price]"),
        ({"items": [{"quantity": 2}]}, "items[0][price]"),
        ({"items": [{"price": licensed}], "currency": "eur"}, "currency"),
        ({"items": [{"price": licensed}], "billing_cycle_anchor": at(2026, 3, 1)}, "billing_cycle_anchor"),
        ({"items": [{"price": licensed}], "transfer_data": {"destination": "acct_1"}}, "transfer_data"),
    ]
    for sent, param in wrong:
        with pytest.raises(InvalidRequestError) as refused:
            acme.subscribe(**sent)
        assert refusal(refused)[0] == param


def test_subscriptions_are_found_by_customer_status_price_and_period(acme: Subscriber) -> None:
    price = acme.price(1000)
    gone, running = acme.subscribe(price), acme.subscribe(acme.price(500))
    acme.stripe.v1.subscriptions.cancel(gone.id)
    listed = acme.stripe.v1.subscriptions.list
    of: dict[str, Any] = {"customer": acme.customer}
    assert [each.id for each in listed(of).data] == [running.id]  # type: ignore[arg-type]
    assert [each.id for each in listed(of | {"status": "all"}).data] == [running.id, gone.id]  # type: ignore[arg-type]
    assert [each.id for each in listed(of | {"status": "ended"}).data] == [gone.id]  # type: ignore[arg-type]
    assert [each.id for each in listed(of | {"price": price}).data] == []  # type: ignore[arg-type]
    ends = {"current_period_end": {"lte": at(2026, 2, 28, 12)}}
    assert [each.id for each in listed(of | ends).data] == [running.id]  # type: ignore[arg-type]


def test_a_customer_on_a_clock_has_three_subscriptions_that_end_with_it(acme: Subscriber) -> None:
    price = acme.price(1)
    made = [acme.subscribe(price) for _ in range(3)]
    with pytest.raises(InvalidRequestError) as refused:
        acme.subscribe(price)
    assert refusal(refused) == ("customer", "test_clock_limit_exceeded")
    with pytest.raises(InvalidRequestError):
        acme.stripe.v1.test_helpers.test_clocks.advance(acme.clock, {"frozen_time": at(2026, 4, 20)})
    acme.stripe.v1.customers.delete(acme.customer)
    assert {acme.now(each).status for each in made} == {"canceled"}
