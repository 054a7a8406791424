"""What a change of a subscription costs and gives back, through the official SDK."""

from typing import Any

import pytest
from stripe import CardError, InvalidRequestError, StripeClient, Subscription

from tests.sandbox.subscribing import Subscriber, at, period
from tests.sandbox.test_catalog import refusal

START = at(2026, 4)
HALF = at(2026, 4, 16)
END = at(2026, 5)
LATER = END + 3_600


@pytest.fixture
def acme(stripe: StripeClient) -> Subscriber:
    return Subscriber(stripe, start=START)


def changed(acme: Subscriber, subscription: Subscription, **sent: Any) -> Subscription:  # noqa: ANN401 - parameters
    return acme.stripe.v1.subscriptions.update(subscription.id, sent)  # type: ignore[arg-type]


def item_of(subscription: Subscription, place: int = 0) -> str:
    identifier: str = subscription["items"].data[place].id
    return identifier


def paid(acme: Subscriber, subscription: Subscription) -> list[int]:
    return [each.amount_paid for each in acme.invoices(subscription)]


def test_more_of_a_quantity_in_mid_period_costs_half_on_the_next_invoice(acme: Subscriber) -> None:
    subscription = acme.subscribe(acme.price(1001))
    acme.advance(HALF)
    changed(acme, subscription, items=[{"id": item_of(subscription), "quantity": 3}])
    acme.advance(LATER)
    # 1501.5 more and 500.5 less, each rounded; then three for the coming month.
    assert paid(acme, subscription) == [1001, 1502 - 501 + 3003]


def test_a_change_can_be_invoiced_at_once_or_not_be_charged_at_all(acme: Subscriber) -> None:
    price = acme.price(1000)
    at_once, free = acme.subscribe(price), acme.subscribe(price)
    acme.advance(HALF)
    dearer = {"price": acme.price(3000)}
    for subscription, behavior in ((at_once, "always_invoice"), (free, "none")):
        items = [{"id": item_of(subscription)} | dearer]
        changed(acme, subscription, items=items, proration_behavior=behavior)
    assert paid(acme, at_once) == [1000, 1000]
    assert acme.invoices(at_once)[-1].billing_reason == "subscription_update"
    acme.advance(LATER)
    assert (paid(acme, at_once), paid(acme, free)) == ([1000, 1000, 3000], [1000, 3000])


def test_a_proration_is_counted_to_the_second_of_its_date(acme: Subscriber) -> None:
    subscription = acme.subscribe(acme.price(3_000_000))
    acme.advance(HALF)
    changed(acme, subscription, items=[{"id": item_of(subscription), "quantity": 2}], proration_date=HALF - 1)
    pending = acme.stripe.v1.invoice_items.list({"customer": acme.customer, "pending": True}).data
    left = END - HALF + 1
    assert sorted(each.amount for each in pending) == [
        -round(3_000_000 * left / (END - START)),
        round(6_000_000 * left / (END - START)),
    ]
    with pytest.raises(InvalidRequestError) as refused:
        changed(acme, subscription, items=[{"id": item_of(subscription), "quantity": 1}], proration_date=START - 1)
    assert refusal(refused)[0] == "proration_date"


@pytest.mark.parametrize(("mode", "amounts"), [("flexible", [0, 200 + 1500]), ("classic", [0, 1500])])
def test_a_metered_price_that_goes_is_billed_in_flexible_mode_alone(
    acme: Subscriber, mode: str, amounts: list[int]
) -> None:
    meter, name = acme.meter()
    old, new = acme.price(2, meter=meter), acme.price(5, meter=meter)
    subscription = acme.subscribe(old, billing_mode={"type": mode})
    assert subscription.billing_mode.type == mode
    acme.use(name, 100, START + 60)
    acme.advance(HALF)
    changed(acme, subscription, items=[{"id": item_of(subscription), "price": new}])
    acme.use(name, 300, HALF)
    acme.advance(LATER)
    assert paid(acme, subscription) == amounts


def test_a_metered_price_that_goes_unbilled_is_asked_for(acme: Subscriber) -> None:
    meter, name = acme.meter()
    subscription = acme.subscribe(acme.price(2, meter=meter), acme.price(1000))
    acme.use(name, 100, START)
    deleted = [{"id": item_of(subscription), "deleted": True, "clear_usage": True}]
    changed(acme, subscription, items=deleted, proration_behavior="none")
    acme.advance(LATER)
    assert paid(acme, subscription) == [1000, 1000]


def test_items_are_added_changed_and_taken_away(acme: Subscriber) -> None:
    meter, name = acme.meter()
    subscription = acme.subscribe(acme.price(1000))
    acme.use(name, 1000, START)
    acme.advance(HALF)
    items = acme.stripe.v1.subscription_items
    added = items.create({"subscription": subscription.id, "price": acme.price(1, meter=meter), "metadata": {"a": "b"}})
    assert (added.current_period_end, added.metadata.to_dict()) == (END, {"a": "b"})
    acme.use(name, 200, HALF)
    assert items.retrieve(added.id).price.id == added.price.id
    assert [each.id for each in items.list({"subscription": subscription.id}).data] == [item_of(subscription), added.id]
    items.update(item_of(subscription), {"quantity": 2, "proration_behavior": "none"})
    acme.advance(LATER)
    assert paid(acme, subscription) == [1000, 2000 + 200]
    assert items.delete(added.id).deleted
    with pytest.raises(InvalidRequestError, match="at least one active plan"):
        items.delete(item_of(subscription))
    with pytest.raises(InvalidRequestError):
        items.retrieve(added.id)


def test_another_interval_begins_a_period_at_once(acme: Subscriber) -> None:
    subscription = acme.subscribe(acme.price(1000))
    acme.advance(HALF)
    items = [{"id": item_of(subscription), "price": acme.price(12_000, interval="year")}]
    after = changed(acme, subscription, items=items)
    assert (period(after), after.billing_cycle_anchor) == ((HALF, at(2027, 4, 16)), HALF)
    assert paid(acme, subscription) == [1000, 12_000 - 500]


def test_an_anchor_that_is_set_anew_bills_usage_and_gives_time_back(acme: Subscriber) -> None:
    meter, name = acme.meter()
    subscription = acme.subscribe(acme.price(1000), acme.price(1, meter=meter))
    acme.use(name, 300, START)
    acme.advance(HALF)
    after = changed(acme, subscription, billing_cycle_anchor={"type": "now"})
    assert period(after) == (HALF, at(2026, 5, 16))
    assert paid(acme, subscription) == [1000, 1000 - 500 + 300]


def test_a_period_cut_short_by_its_anchor_costs_its_part(acme: Subscriber) -> None:
    whole, none = acme.price(3000), acme.price(2000)
    anchored = acme.subscribe(whole, billing_cycle_anchor=HALF)
    free = acme.subscribe(none, billing_cycle_anchor_config={"day_of_month": 16}, proration_behavior="none")
    assert period(anchored) == period(free) == (START, HALF)
    # March 16 to April 16 is 31 days, of which 15 are left.
    assert (paid(acme, anchored), paid(acme, free)) == ([round(3000 * 15 / 31)], [0])
    acme.advance(HALF + 3_600)
    assert (paid(acme, anchored)[1:], paid(acme, free)[1:]) == ([3000], [2000])


def test_a_subscription_dated_back_is_billed_for_the_time_before(acme: Subscriber) -> None:
    meter, name = acme.meter()
    acme.use(name, 400, START - 86_400)
    subscription = acme.subscribe(acme.price(3100), acme.price(1, meter=meter), backdate_start_date=at(2026, 3, 22))
    assert subscription.start_date == at(2026, 3, 22)
    assert paid(acme, subscription) == [3100 + 1000]
    acme.advance(LATER)
    assert paid(acme, subscription)[1:] == [3100 + 400]


def test_a_trial_can_be_given_moved_and_ended(acme: Subscriber) -> None:
    subscription = acme.subscribe(acme.price(1000), trial_end=at(2026, 4, 8))
    after = changed(acme, subscription, trial_end=at(2026, 4, 10))
    assert (after.status, period(after)[1]) == ("trialing", at(2026, 4, 10))
    acme.advance(at(2026, 4, 9))
    ended = changed(acme, subscription, trial_end="now")
    assert (ended.status, period(ended)) == ("active", (at(2026, 4, 9), at(2026, 5, 9)))
    assert paid(acme, subscription)[-1] == 1000


def test_a_change_that_must_be_paid_at_once_is_not_made_else(acme: Subscriber) -> None:
    subscription = acme.subscribe(acme.price(1000))
    acme.pay_by("pm_card_chargeCustomerFail")
    with pytest.raises(CardError):
        changed(
            acme,
            subscription,
            items=[{"id": item_of(subscription), "quantity": 9}],
            proration_behavior="always_invoice",
            payment_behavior="error_if_incomplete",
        )
    assert acme.now(subscription)["items"].data[0].quantity == 1


def test_a_cancellation_before_the_periods_end_gives_time_back(acme: Subscriber) -> None:
    subscription = acme.subscribe(acme.price(1000))
    changed(acme, subscription, cancel_at=HALF)
    acme.advance(HALF + 7_200)
    assert acme.now(subscription).ended_at == HALF
    assert [each.total for each in acme.invoices(subscription)] == [1000, -500]
    assert acme.stripe.v1.customers.retrieve(acme.customer).balance == -500


def test_a_coupon_takes_off_each_invoice_as_long_as_it_lasts(acme: Subscriber) -> None:
    coupons = acme.stripe.v1.coupons
    once = coupons.create({"percent_off": 50, "duration": "once"}).id
    months = coupons.create({"amount_off": 100, "currency": "usd", "duration": "repeating", "duration_in_months": 2}).id
    subscription = acme.subscribe(acme.price(1000), discounts=[{"coupon": once}, {"coupon": months}])
    assert len(subscription.discounts) == 1
    for month in (5, 6):
        acme.advance(at(2026, month, 1, 2))
    assert paid(acme, subscription) == [400, 900, 1000]
    assert acme.now(subscription).discounts == []
    assert coupons.retrieve(once).times_redeemed == 1


def test_discounts_are_taken_away_and_a_coupon_is_redeemed_as_often_as_it_says(acme: Subscriber) -> None:
    coupon = acme.stripe.v1.coupons.create({"percent_off": 10, "duration": "forever", "max_redemptions": 1}).id
    subscription = acme.subscribe(acme.price(1000), discounts=[{"coupon": coupon}])
    with pytest.raises(InvalidRequestError) as refused:
        changed(acme, subscription, discounts=[{"coupon": coupon}])
    assert refusal(refused) == ("discounts[0][coupon]", "coupon_expired")
    assert changed(acme, subscription, discounts="").discounts == []
    acme.advance(LATER)
    assert paid(acme, subscription) == [900, 1000]


def test_a_coupon_of_another_currency_is_refused_and_one_that_was_deleted_goes_on(acme: Subscriber) -> None:
    coupons = acme.stripe.v1.coupons
    euros = coupons.create({"amount_off": 100, "currency": "eur"}).id
    with pytest.raises(InvalidRequestError) as refused:
        acme.subscribe(acme.price(1000), discounts=[{"coupon": euros}])
    assert refusal(refused)[0] == "discounts[0][coupon]"
    half = coupons.create({"percent_off": 50, "duration": "forever"}).id
    subscription = acme.subscribe(acme.price(1000), discounts=[{"coupon": half}])
    coupons.delete(half)
    acme.advance(LATER)
    assert paid(acme, subscription) == [500, 500]


def test_usage_is_cleared_of_metered_items_alone(acme: Subscriber) -> None:
    subscription = acme.subscribe(acme.price(1000), acme.price(500))
    with pytest.raises(InvalidRequestError) as refused:
        acme.stripe.v1.subscription_items.delete(item_of(subscription), {"clear_usage": True})
    assert refusal(refused)[0] == "clear_usage"


def test_an_ended_subscription_changes_no_more(acme: Subscriber) -> None:
    subscription = acme.subscribe(acme.price(1000))
    acme.stripe.v1.subscriptions.cancel(subscription.id, {"prorate": True})
    with pytest.raises(InvalidRequestError) as refused:
        changed(acme, subscription, description="Gone")
    assert refusal(refused)[0] == "description"
    assert changed(acme, subscription, metadata={"left": "yes"}).metadata.to_dict() == {"left": "yes"}
