"""Checkout through the official SDK, and its hosted page as a browser without scripts sees it."""

from typing import Any

import pytest
from stripe import InvalidRequestError, StripeClient
from stripe.checkout import Session

from tests.control.control_plane import Handle
from tests.sandbox.buyer import Buyer
from tests.sandbox.test_catalog import make_meter, refusal
from tests.sandbox.test_payments import make_customer, told_of

SUCCESS = "https://shop.example/done?session={CHECKOUT_SESSION_ID}"
TOP_UP = {"price_data": {"currency": "usd", "product_data": {"name": "Credit"}, "unit_amount": 2_500}, "quantity": 2}


def check_out(stripe: StripeClient, **more: Any) -> Session:  # noqa: ANN401 - any parameter
    sent = {
        "mode": "payment",
        "line_items": [TOP_UP],
        "success_url": SUCCESS,
        "cancel_url": "https://shop.example/back",
    } | more
    return stripe.v1.checkout.sessions.create({name: value for name, value in sent.items() if value is not None})  # type: ignore[arg-type]


def buyer_of(control: Handle, session: Session) -> Buyer:
    assert session.url is not None
    return Buyer(control=control, url=session.url)


def kept(stripe: StripeClient, session: Session) -> Session:
    return stripe.v1.checkout.sessions.retrieve(session.id)


def test_a_payment_ends_the_session_makes_what_was_asked_for_and_leads_back(
    stripe: StripeClient, control: Handle
) -> None:
    session = check_out(
        stripe,
        client_reference_id="order-1",
        customer_creation="always",
        metadata={"order": "1"},
        payment_intent_data={"metadata": {"top_up": "yes"}, "setup_future_usage": "off_session"},
    )
    assert (session.status, session.payment_status, session.amount_total) == ("open", "unpaid", 5_000)
    buyer = buyer_of(control, session)
    shown = buyer.text()
    assert "Credit \u00d7 2" in shown
    assert "50.00 USD" in shown
    assert 'href="https://shop.example/back"' in shown
    paid = buyer.pay()
    assert (paid.status, paid.headers["location"]) == (303, f"https://shop.example/done?session={session.id}")
    done = kept(stripe, session)
    assert (done.status, done.payment_status, done.url) == ("complete", "paid", None)
    assert done.customer_details is not None
    assert done.customer_details.email == "ada@example.com"
    intent = stripe.v1.payment_intents.retrieve(str(done.payment_intent))
    assert (intent.status, intent.customer, intent.metadata.to_dict()) == (
        "succeeded",
        done.customer,
        {"top_up": "yes"},
    )
    assert stripe.v1.payment_methods.list({"customer": str(done.customer)}).data[0].id == intent.payment_method
    assert told_of(stripe, session.id) == ["checkout.session.completed"]
    assert stripe.v1.checkout.sessions.list({"payment_intent": intent.id}).data[0].id == session.id
    assert buyer.open().headers["location"].startswith("https://shop.example/done")


def test_a_form_that_is_sent_twice_pays_once(stripe: StripeClient, control: Handle) -> None:
    customer = make_customer(stripe)
    buyer = buyer_of(control, check_out(stripe, customer=customer))
    token = buyer.token()
    first = buyer.pay("4000 0000 0000 0002", form_token=token)
    assert b"Your card was declined." in first.body
    again = buyer.pay("4000 0000 0000 0002", form_token=token)
    assert (again.status, b"sent already" in again.body) == (422, True)
    assert len(stripe.v1.charges.list({"customer": customer}).data) == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"number": "4000000000009995"}, "Your card has insufficient funds."),
        ({"number": "4111111111111111"}, "used a non test card"),
        ({"number": "42"}, "Your card number is incomplete."),
        ({"number": "4242424242424242", "expiry": "12 / 20"}, "Your card has expired."),
        ({"number": "4242424242424242", "expiry": "soon"}, "expiration date is incomplete"),
        ({"number": "4242424242424242", "cvc": ""}, "security code is incomplete"),
        ({"number": "4242424242424242", "email": ""}, "Enter your email address."),
        ({"number": "4242424242424242", "saved": "pm_none"}, "No such payment_method"),
        ({"number": "", "account": "1"}, "Must use a test bank account number"),
    ],
)
def test_what_cannot_be_paid_says_why_and_can_be_paid_otherwise(
    stripe: StripeClient, control: Handle, fields: dict[str, str], said: str
) -> None:
    session = check_out(stripe)
    buyer = buyer_of(control, session)
    refused = buyer.pay(**fields)
    assert refused.status == 422
    assert said in refused.body.decode().replace("&#39;", "'")
    assert kept(stripe, session).status == "open"
    assert buyer.pay().status == 303
    assert kept(stripe, session).payment_status == "paid"


@pytest.mark.parametrize("mode", ["payment", "setup"])
def test_a_holder_who_is_asked_completes_or_fails(stripe: StripeClient, control: Handle, mode: str) -> None:
    asked_for = {"line_items": None, "currency": "usd"} if mode == "setup" else {}
    customer = stripe.v1.customers.create({"name": "Acme"}).id
    session = check_out(stripe, mode=mode, customer=customer, **asked_for)
    buyer = buyer_of(control, session)
    buyer.pay("4000 0027 6000 3184")
    assert "/authentication/" in buyer.url
    asking = Buyer(control=control, url=buyer.url)
    assert "ending in 3184" in asking.text()
    failed = asking.send(answer="fail")
    assert failed.status == 422
    assert b"authentication" in failed.body
    again = buyer_of(control, session)
    again.pay("4000 0027 6000 3184")
    confirmed = again.send(answer="complete")
    assert confirmed.headers["location"].startswith("https://shop.example/done")
    done = kept(stripe, session)
    assert (done.status, done.payment_status) == (
        "complete",
        "paid" if mode == "payment" else "no_payment_required",
    )
    if mode == "setup":
        assert stripe.v1.setup_intents.retrieve(str(done.setup_intent)).status == "succeeded"
        assert len(stripe.v1.payment_methods.list({"customer": customer}).data) == 1


def test_a_payment_of_the_api_that_asks_its_holder_leads_back_with_its_outcome(
    stripe: StripeClient, control: Handle
) -> None:
    intent = stripe.v1.payment_intents.create(
        {
            "amount": 1_000,
            "currency": "usd",
            "payment_method": "pm_card_authenticationRequired",
            "confirm": True,
            "return_url": "https://shop.example/back?a=1",
        }
    )
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None
    asking = Buyer(control=control, url=str(intent.next_action.redirect_to_url.url))
    location = asking.send(answer="complete").headers["location"]
    assert location.startswith(f"https://shop.example/back?a=1&payment_intent={intent.id}&")
    assert location.endswith("redirect_status=succeeded")
    assert stripe.v1.payment_intents.retrieve(intent.id).status == "succeeded"


@pytest.mark.parametrize(("account", "outcome"), [("000123456789", "succeeded"), ("000222222227", "failed")])
def test_a_payment_from_a_bank_account_ends_the_session_unpaid_and_later_arrives_or_fails(
    stripe: StripeClient, control: Handle, account: str, outcome: str
) -> None:
    clock = stripe.v1.test_helpers.test_clocks.create({"frozen_time": 1_790_000_000})
    customer = stripe.v1.customers.create({"name": "Acme", "test_clock": clock.id}).id
    session = check_out(stripe, customer=customer)
    assert buyer_of(control, session).send(account=account).status == 303
    done = kept(stripe, session)
    assert (done.status, done.payment_status) == ("complete", "unpaid")
    stripe.v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": 1_790_000_000 + 120})
    stripe.v1.test_helpers.test_clocks.retrieve(clock.id)
    intent = stripe.v1.payment_intents.retrieve(str(done.payment_intent), {"expand": ["latest_charge"]})
    assert intent.status == ("succeeded" if outcome == "succeeded" else "requires_payment_method")
    assert kept(stripe, session).payment_status == ("paid" if outcome == "succeeded" else "unpaid")
    assert told_of(stripe, session.id) == [
        "checkout.session.completed",
        f"checkout.session.async_payment_{outcome}",
    ]


def test_a_session_expires_when_it_is_told_to_or_when_its_time_is_up(stripe: StripeClient, control: Handle) -> None:
    clock = stripe.v1.test_helpers.test_clocks.create({"frozen_time": 1_790_000_000})
    customer = stripe.v1.customers.create({"name": "Acme", "test_clock": clock.id}).id
    told, timed, paid = (check_out(stripe, customer=customer) for _ in range(3))
    assert timed.expires_at == 1_790_000_000 + 86_400
    buyer_of(control, paid).pay()
    assert stripe.v1.checkout.sessions.expire(told.id).status == "expired"
    for ended in (told, paid):
        with pytest.raises(InvalidRequestError, match="can be expired"):
            stripe.v1.checkout.sessions.expire(ended.id)
    stripe.v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": timed.expires_at})
    stripe.v1.test_helpers.test_clocks.retrieve(clock.id)
    assert [kept(stripe, one).status for one in (told, timed, paid)] == ["expired", "expired", "complete"]
    assert told_of(stripe, timed.id) == ["checkout.session.expired"]
    assert "This page has expired" in buyer_of(control, timed).text()
    expired = stripe.v1.checkout.sessions.list({"customer": customer, "status": "expired"}).data
    assert {one.id for one in expired} == {told.id, timed.id}


def test_a_sessions_lines_are_listed_and_shown_when_they_are_asked_for(stripe: StripeClient) -> None:
    session = check_out(stripe)
    assert "line_items" not in session
    lines = stripe.v1.checkout.sessions.line_items.list(session.id).data
    assert [(line.description, line.quantity, line.amount_total) for line in lines] == [("Credit", 2, 5_000)]
    whole = stripe.v1.checkout.sessions.retrieve(session.id, {"expand": ["line_items"]})
    assert whole.line_items is not None
    assert whole.line_items.data[0].id == lines[0].id
    changed = stripe.v1.checkout.sessions.update(session.id, {"metadata": {"seen": "yes"}})
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"seen": "yes"}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"mode": None}, "mode"),
        ({"success_url": None}, "success_url"),
        ({"line_items": None}, "line_items"),
        ({"line_items": [{"quantity": 1}]}, "line_items[0]"),
        ({"line_items": [{"price": "price_none", "quantity": 1}]}, "line_items[0][price]"),
        ({"line_items": [{"price_data": TOP_UP["price_data"]}]}, "line_items[0][quantity]"),
        ({"line_items": [TOP_UP | {"quantity": 0}]}, "line_items[0][quantity]"),
        ({"customer_email": "a@b.example", "customer": "cus_1"}, "customer_email"),
        ({"customer_update": {"name": "auto"}}, "customer_update"),
        ({"allow_promotion_codes": True}, "allow_promotion_codes"),
        ({"subscription_data": {"trial_period_days": 3}}, "subscription_data"),
        ({"setup_intent_data": {"description": "x"}}, "setup_intent_data"),
        ({"payment_intent_data": {"capture_method": "manual"}}, "payment_intent_data[capture_method]"),
        ({"invoice_creation": {"enabled": True}}, "invoice_creation[enabled]"),
        ({"expires_at": 1}, "expires_at"),
        ({"ui_mode": "elements"}, "ui_mode"),
        ({"mode": "setup", "line_items": None}, "currency"),
        ({"mode": "setup", "currency": "usd"}, "line_items"),
    ],
)
def test_what_stripe_refuses_of_a_session_is_refused_by_its_name(
    stripe: StripeClient, change: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        check_out(stripe, **change)
    assert refusal(refused)[0] == param


def test_a_recurring_price_is_refused_in_payment_mode(stripe: StripeClient) -> None:
    product = stripe.v1.products.create({"name": "Plan"})
    price = stripe.v1.prices.create(
        {
            "product": product.id,
            "currency": "usd",
            "unit_amount": 5,
            "recurring": {"interval": "month", "usage_type": "metered", "meter": make_meter(stripe)},
        }
    )
    with pytest.raises(InvalidRequestError, match="passed a recurring price"):
        check_out(stripe, line_items=[{"price": price.id}])
    with pytest.raises(InvalidRequestError, match="Remove quantity") as refused:
        check_out(stripe, line_items=[{"price": price.id, "quantity": 1}])
    assert refusal(refused)[0] == "line_items[0][quantity]"


def test_a_page_that_is_not_there_is_not_found(control: Handle) -> None:
    for path in ("checkout/cs_test_none", "authentication/pi_none", "nothing/cs_test_none"):
        assert control.ask("GET", f"/sandbox/pay/{path}", accept="text/html").status == 404


def test_what_a_seller_wrote_is_shown_as_text(stripe: StripeClient, control: Handle) -> None:
    named = TOP_UP["price_data"] | {"product_data": {"name": "<script>alert(1)</script>"}}  # type: ignore[operator]
    session = check_out(stripe, line_items=[{"price_data": named, "quantity": 1}])
    assert b"<script>alert" not in buyer_of(control, session).open().body


def test_a_refund_on_its_way_arrives_and_one_that_fails_leaves_the_payment_whole(stripe: StripeClient) -> None:
    clock = stripe.v1.test_helpers.test_clocks.create({"frozen_time": 1_790_000_000})
    refunds = []
    for card in ("pm_card_pendingRefund", "pm_card_refundFail"):
        customer = stripe.v1.customers.create({"name": "Acme", "test_clock": clock.id}).id
        intent = stripe.v1.payment_intents.create(
            {"amount": 1_000, "currency": "usd", "customer": customer, "payment_method": card, "confirm": True}
        )
        refunds.append(stripe.v1.refunds.create({"payment_intent": intent.id}))
    assert [one.status for one in refunds] == ["pending", "succeeded"]
    stripe.v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": 1_790_000_000 + 120})
    stripe.v1.test_helpers.test_clocks.retrieve(clock.id)
    ended = [stripe.v1.refunds.retrieve(one.id) for one in refunds]
    assert [(one.status, one.failure_reason if "failure_reason" in one else None) for one in ended] == [
        ("succeeded", None),
        ("failed", "declined"),
    ]
    charge = stripe.v1.charges.retrieve(str(ended[1].charge))
    assert (charge.amount_refunded, charge.refunded) == (0, False)
    assert told_of(stripe, ended[1].id) == ["refund.created", "refund.updated", "refund.failed"]
