"""Checkout of subscriptions, and the customer portal: through the official SDK, and their pages without scripts."""

from typing import Any

import pytest
from stripe import InvalidRequestError, StripeClient

from tests.control.control_plane import Handle
from tests.sandbox.buyer import Buyer
from tests.sandbox.test_catalog import make_meter, refusal
from tests.sandbox.test_checkout import TOP_UP, buyer_of, check_out, kept
from tests.sandbox.test_payments import make_customer, told_of


def make_price(stripe: StripeClient, *, amount: int = 2_000, is_metered: bool = False) -> tuple[str, str]:
    """A monthly price, and its product."""
    product = stripe.v1.products.create({"name": f"Plan at {amount}"}).id
    recurring: Any = {"interval": "month"}
    if is_metered:
        recurring |= {"usage_type": "metered", "meter": make_meter(stripe)}
    price = {"product": product, "currency": "usd", "unit_amount": amount, "recurring": recurring}
    return stripe.v1.prices.create(price).id, product  # type: ignore[arg-type]


def test_a_subscription_with_metered_and_licensed_lines_begins_once_it_is_paid(
    stripe: StripeClient, control: Handle
) -> None:
    licensed, metered = make_price(stripe)[0], make_price(stripe, amount=1, is_metered=True)[0]
    session = check_out(
        stripe,
        mode="subscription",
        line_items=[{"price": licensed, "quantity": 2}, {"price": metered}, TOP_UP | {"quantity": 1}],
        subscription_data={"metadata": {"faregate_id": "sub_1"}},
    )
    assert (session.amount_total, session.payment_status) == (6_500, "unpaid")
    buyer = buyer_of(control, session)
    assert "by usage" in buyer.text()
    assert b"insufficient funds" in buyer.pay("4000 0000 0000 9995").body
    assert stripe.v1.subscriptions.list({"price": licensed}).data == []
    assert buyer.pay().headers["location"].startswith("https://shop.example/done")
    done = stripe.v1.checkout.sessions.retrieve(session.id, {"expand": ["subscription", "invoice"]})
    assert (done.status, done.payment_status, done.setup_intent) == ("complete", "paid", None)
    subscription, invoice = done.subscription, done.invoice
    assert subscription is not None
    assert invoice is not None
    assert not isinstance(subscription, str)
    assert not isinstance(invoice, str)
    assert (subscription.status, subscription.metadata.to_dict()) == ("active", {"faregate_id": "sub_1"})
    assert {item.price.id for item in subscription["items"].data} == {licensed, metered}
    assert (invoice.status, invoice.amount_paid) == ("paid", 6_500)
    card = stripe.v1.payment_methods.list({"customer": str(done.customer)}).data[0]
    assert subscription.default_payment_method == card.id
    assert told_of(stripe, session.id) == ["checkout.session.completed"]
    assert stripe.v1.checkout.sessions.list({"subscription": subscription.id}).data[0].id == session.id


@pytest.mark.parametrize("wished", [{}, {"trial_period_days": 7}])
def test_a_subscription_whose_holder_is_asked_begins_after_they_agreed(
    stripe: StripeClient, control: Handle, wished: dict[str, Any]
) -> None:
    session = check_out(
        stripe,
        mode="subscription",
        customer=stripe.v1.customers.create({"name": "Acme"}).id,
        line_items=[{"price": make_price(stripe)[0], "quantity": 1}],
        subscription_data=wished,
    )
    buyer = buyer_of(control, session)
    buyer.pay("4000 0027 6000 3184")
    assert buyer.send(answer="complete").headers["location"].startswith("https://shop.example/done")
    done = kept(stripe, session)
    subscription = stripe.v1.subscriptions.retrieve(str(done.subscription))
    assert (subscription.status, done.payment_status, done.amount_total) == (
        ("trialing", "no_payment_required", 0) if wished else ("active", "paid", 2_000)
    )


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"line_items": [TOP_UP]}, "line_items"),
        ({"payment_intent_data": {"description": "x"}}, "payment_intent_data"),
        ({"subscription_data": {"application_fee_percent": 1.0}}, "application_fee_percent"),
        ({"payment_method_collection": "if_required"}, "payment_method_collection"),
    ],
)
def test_what_stripe_refuses_of_a_subscriptions_session_is_refused_by_its_name(
    stripe: StripeClient, change: dict[str, Any], param: str
) -> None:
    lines = {"line_items": [{"price": make_price(stripe)[0], "quantity": 1}]}
    with pytest.raises(InvalidRequestError) as refused:
        check_out(stripe, **({"mode": "subscription"} | lines | change))
    assert refusal(refused)[0] == param


def portal_of(stripe: StripeClient, control: Handle, customer: str, **features: Any) -> Buyer:  # noqa: ANN401 - of a configuration
    """The portal's page of a customer, by a configuration of its own where features are given."""
    sent: dict[str, Any] = {"customer": customer, "return_url": "https://shop.example/account"}
    if features:
        sent["configuration"] = stripe.v1.billing_portal.configurations.create({"features": features}).id  # type: ignore[typeddict-item]
    return Buyer(control=control, url=stripe.v1.billing_portal.sessions.create(sent).url)  # type: ignore[arg-type]


def default_of(stripe: StripeClient, customer: str) -> object:
    settings = stripe.v1.customers.retrieve(customer).invoice_settings
    assert settings is not None
    return settings.default_payment_method


def test_a_customer_adds_a_card_and_chooses_the_default(stripe: StripeClient, control: Handle) -> None:
    customer = make_customer(stripe)
    first = default_of(stripe, customer)
    page = portal_of(stripe, control, customer)
    assert 'href="https://shop.example/account"' in page.text()
    declined = page.pay("4000 0000 0000 0002", do="add")
    assert (declined.status, b"declined" in declined.body) == (422, True)
    assert page.pay("5555 5555 5555 4444", do="add").status == 200
    added = stripe.v1.payment_methods.list({"customer": customer}).data[0]
    assert added.card is not None
    assert (added.card.brand, default_of(stripe, customer)) == ("mastercard", added.id)
    page.send(do="default", method=str(first))
    assert default_of(stripe, customer) == first
    home = page.url
    page.pay("4000 0027 6000 3184", do="add")
    page.send(answer="complete")
    assert page.url.startswith(home)
    asked = stripe.v1.payment_methods.list({"customer": customer}).data[0]
    assert (asked.card and asked.card.last4, default_of(stripe, customer)) == ("3184", asked.id)


def test_a_customer_cancels_at_the_periods_end_and_may_think_better_of_it(
    stripe: StripeClient, control: Handle
) -> None:
    customer = make_customer(stripe)
    subscription = stripe.v1.subscriptions.create(
        {"customer": customer, "items": [{"price": make_price(stripe)[0]}]}
    ).id
    page = portal_of(stripe, control, customer)
    assert "Plan at 2000: 20.00 USD a month" in page.text()
    for wish, ends in (("cancel", True), ("keep", False)):
        assert page.send(do=wish, subscription=subscription).status == 200
        assert stripe.v1.subscriptions.retrieve(subscription).cancel_at_period_end is ends
    refused = portal_of(stripe, control, make_customer(stripe)).send(do="cancel", subscription=subscription)
    assert (refused.status, b"not yours" in refused.body) == (422, True)


def test_a_customer_switches_to_the_prices_that_the_configuration_allows(stripe: StripeClient, control: Handle) -> None:
    customer = make_customer(stripe)
    (small, small_plan), (large, large_plan) = make_price(stripe), make_price(stripe, amount=5_000)
    subscription = stripe.v1.subscriptions.create({"customer": customer, "items": [{"price": small}]})
    item = subscription["items"].data[0].id
    update = {
        "enabled": True,
        "default_allowed_updates": ["price"],
        "products": [{"product": small_plan, "prices": [small]}, {"product": large_plan, "prices": [large]}],
    }
    cancelling = {"enabled": True, "mode": "immediately"}
    page = portal_of(stripe, control, customer, subscription_update=update, subscription_cancel=cancelling)
    assert "Plan at 5000" in page.text()
    other = make_price(stripe, amount=9_000)[0]
    assert page.send(do="switch", subscription=subscription.id, item=item, price=other).status == 422
    assert page.send(do="switch", subscription=subscription.id, item=item, price=large).status == 200
    after = stripe.v1.subscriptions.retrieve(subscription.id)
    assert [one.price.id for one in after["items"].data] == [large]
    assert page.pay(do="add").status == 422
    page.send(do="cancel", subscription=subscription.id)
    assert stripe.v1.subscriptions.retrieve(subscription.id).status == "canceled"


def test_a_customer_sees_their_invoices_and_where_to_pay_them(stripe: StripeClient, control: Handle) -> None:
    customer = make_customer(stripe)
    stripe.v1.subscriptions.create({"customer": customer, "items": [{"price": make_price(stripe)[0]}]})
    (invoice,) = stripe.v1.invoices.list({"customer": customer}).data
    text = portal_of(stripe, control, customer).text()
    assert str(invoice.number) in text
    assert f"/sandbox/pay/invoices/{invoice.id}" in text


def test_a_portal_session_is_over_after_an_hour(stripe: StripeClient, control: Handle) -> None:
    clock = stripe.v1.test_helpers.test_clocks.create({"frozen_time": 1_790_000_000})
    customer = stripe.v1.customers.create({"name": "Acme", "test_clock": clock.id}).id
    page = portal_of(stripe, control, customer)
    token = page.token()
    stripe.v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": 1_790_000_000 + 3_600})
    stripe.v1.test_helpers.test_clocks.retrieve(clock.id)
    assert "This page has expired" in page.text()
    assert page.send(token=token, do="cancel").status == 422


def test_configurations_are_made_changed_and_listed(stripe: StripeClient) -> None:
    made = stripe.v1.billing_portal.configurations.create(
        {"features": {"invoice_history": {"enabled": True}}, "default_return_url": "https://shop.example"}
    )
    assert (made.features.invoice_history.enabled, made.features.subscription_cancel.enabled) == (True, False)
    customer = stripe.v1.customers.create({"name": "Acme"}).id
    session = stripe.v1.billing_portal.sessions.create({"customer": customer, "configuration": made.id})
    assert session.return_url == "https://shop.example"
    changed = stripe.v1.billing_portal.configurations.update(made.id, {"active": False, "name": "Old"})
    assert (changed.active, changed.name) == (False, "Old")
    listed = stripe.v1.billing_portal.configurations.list({"active": False}).data
    assert [one.id for one in listed] == [made.id]
    assert stripe.v1.billing_portal.configurations.retrieve(made.id).name == "Old"
    with pytest.raises(InvalidRequestError) as refused:
        stripe.v1.billing_portal.sessions.create({"customer": customer, "configuration": made.id})
    assert refusal(refused)[0] == "configuration"


@pytest.mark.parametrize(
    ("features", "param"),
    [
        ({"subscription_pause": {"enabled": True}}, "features[subscription_pause]"),
        (
            {"subscription_update": {"enabled": True, "default_allowed_updates": ["quantity"]}},
            "features[subscription_update][default_allowed_updates]",
        ),
        (
            {"subscription_update": {"enabled": True, "products": [{"product": "prod_1", "prices": ["price_1"]}]}},
            "features[subscription_update][products]",
        ),
    ],
)
def test_what_the_portal_does_not_do_is_refused_by_its_name(
    stripe: StripeClient, features: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        stripe.v1.billing_portal.configurations.create({"features": features})  # type: ignore[typeddict-item]
    assert refusal(refused)[0] == param
