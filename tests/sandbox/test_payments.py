"""Payments through the official SDK: test cards, their outcomes, refunds and disputes."""

from typing import Any

import pytest
from stripe import CardError, InvalidRequestError, PaymentIntent, StripeClient

from tests.sandbox.test_catalog import refusal


def make_customer(stripe: StripeClient, card: str = "pm_card_visa") -> str:
    """A customer who pays by a test card."""
    created = {"name": "Acme", "payment_method": card, "invoice_settings": {"default_payment_method": card}}
    return stripe.v1.customers.create(created).id  # type: ignore[arg-type]


def pay(stripe: StripeClient, card: str = "pm_card_visa", **more: Any) -> PaymentIntent:  # noqa: ANN401 - any parameter
    sent = {"amount": 2_000, "currency": "usd", "payment_method": card, "confirm": True} | more
    return stripe.v1.payment_intents.create(sent)  # type: ignore[arg-type]


def told_of(stripe: StripeClient, *ids: str | None) -> list[str]:
    """The kinds of events of some objects, oldest first."""
    listed = stripe.v1.events.list({"limit": 100}).data
    return [event.type for event in reversed(listed) if event.data.object["id"] in ids]


@pytest.mark.parametrize("token", ["tok_visa", "tok_mastercard", "tok_amex"])
def test_a_cards_token_becomes_a_payment_method_without_its_number(stripe: StripeClient, token: str) -> None:
    made = stripe.v1.payment_methods.create({"type": "card", "card": {"token": token}})
    assert made.card is not None
    assert made.card.brand == token.removeprefix("tok_")
    assert len(made.card.last4) == 4
    assert made.customer is None


def test_a_card_number_is_refused_as_stripe_refuses_it(stripe: StripeClient) -> None:
    card: Any = {"number": "4242424242424242", "exp_month": 1, "exp_year": 2030, "cvc": "123"}
    with pytest.raises(InvalidRequestError, match="test tokens"):
        stripe.v1.payment_methods.create({"type": "card", "card": card})


def test_a_customers_payment_methods_are_theirs_until_they_are_detached_for_good(stripe: StripeClient) -> None:
    customer = make_customer(stripe)
    other = stripe.v1.payment_methods.attach("pm_card_mastercard", {"customer": customer})
    listed = stripe.v1.customers.payment_methods.list(customer).data
    assert [one.card.brand for one in listed if one.card] == ["mastercard", "visa"]
    assert listed == stripe.v1.payment_methods.list({"customer": customer}).data
    renamed = stripe.v1.payment_methods.update(other.id, {"billing_details": {"name": "Ada"}})
    assert renamed.billing_details.name == "Ada"
    default = stripe.v1.customers.retrieve(customer).invoice_settings
    assert default is not None
    assert default.default_payment_method == listed[1].id
    stripe.v1.payment_methods.detach(listed[1].id)
    default = stripe.v1.customers.retrieve(customer).invoice_settings
    assert default is not None
    assert default.default_payment_method is None
    with pytest.raises(InvalidRequestError, match="may not be used again"):
        stripe.v1.payment_methods.attach(listed[1].id, {"customer": customer})


def test_what_is_not_the_customers_cannot_be_their_default(stripe: StripeClient) -> None:
    loose = stripe.v1.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}})
    with pytest.raises(InvalidRequestError) as refused:
        stripe.v1.customers.update(make_customer(stripe), {"invoice_settings": {"default_payment_method": loose.id}})
    assert refusal(refused) == ("invoice_settings[default_payment_method]", "resource_missing")


def test_a_payment_that_is_confirmed_is_taken_and_told_of_in_order(stripe: StripeClient) -> None:
    intent = pay(stripe, expand=["latest_charge"], metadata={"order": "6735"})
    charge = intent.latest_charge
    assert not isinstance(charge, str)
    assert charge is not None
    assert (intent.status, intent.amount_received, charge.paid, charge.captured) == ("succeeded", 2_000, True, True)
    assert charge.metadata.to_dict() == {"order": "6735"}
    assert told_of(stripe, intent.id, charge.id) == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
    ]
    assert [one.id for one in stripe.v1.charges.list({"payment_intent": intent.id}).data] == [charge.id]


@pytest.mark.parametrize(
    ("card", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", "processing_error"),
    ],
)
def test_a_declined_payment_stays_with_its_reason_and_can_be_paid_otherwise(
    stripe: StripeClient, card: str, code: str, decline_code: str
) -> None:
    with pytest.raises(CardError) as declined:
        pay(stripe, card)
    error = declined.value.error
    assert error is not None
    assert (declined.value.http_status, declined.value.code, error.decline_code) == (402, code, decline_code)
    assert error.payment_intent is not None
    kept = stripe.v1.payment_intents.retrieve(error.payment_intent.id)
    assert kept.last_payment_error is not None
    assert (kept.status, kept.last_payment_error.code) == ("requires_payment_method", code)
    failed = stripe.v1.charges.list({"payment_intent": kept.id}).data
    assert [(one.status, one.failure_code) for one in failed] == [("failed", code)]
    again = stripe.v1.payment_intents.confirm(kept.id, {"payment_method": "pm_card_visa"})
    assert (again.status, again.last_payment_error) == ("succeeded", None)


def test_a_repeat_of_a_declined_payment_under_one_key_is_declined_the_same_and_tries_once(
    stripe: StripeClient,
) -> None:
    customer = make_customer(stripe)
    sent = {"amount": 500, "currency": "usd", "payment_method": "pm_card_chargeDeclined", "confirm": True}
    intents = set()
    for _ in range(2):
        with pytest.raises(CardError) as declined:
            stripe.v1.payment_intents.create(
                sent | {"customer": customer},  # type: ignore[arg-type]
                {"idempotency_key": "declined-once"},
            )
        assert declined.value.error is not None
        assert declined.value.error.payment_intent is not None
        intents.add(declined.value.error.payment_intent.id)
    assert len(intents) == 1
    assert len(stripe.v1.charges.list({"customer": customer}).data) == 1


def test_a_card_that_is_declined_is_not_attached_but_one_that_fails_later_is(stripe: StripeClient) -> None:
    customer = stripe.v1.customers.create({"name": "Acme"}).id
    with pytest.raises(CardError):
        stripe.v1.payment_methods.attach("pm_card_chargeDeclined", {"customer": customer})
    attached = stripe.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": customer})
    with pytest.raises(CardError):
        pay(stripe, attached.id, customer=customer, off_session=True)


def test_a_card_that_asks_its_holder_is_declined_when_nobody_is_there(stripe: StripeClient) -> None:
    customer = make_customer(stripe, "pm_card_authenticationRequired")
    card = stripe.v1.payment_methods.list({"customer": customer}).data[0].id
    asked = pay(stripe, card, customer=customer, return_url="https://shop.example/done")
    assert asked.status == "requires_action"
    assert asked.next_action is not None
    assert asked.next_action.redirect_to_url is not None
    assert asked.next_action.redirect_to_url.return_url == "https://shop.example/done"
    with pytest.raises(CardError) as declined:
        pay(stripe, card, customer=customer, off_session=True)
    assert declined.value.code == "authentication_required"


def test_a_card_that_was_set_up_pays_when_nobody_is_there(stripe: StripeClient) -> None:
    customer = make_customer(stripe, "pm_card_authenticationRequiredSetupForOffSession")
    card = stripe.v1.payment_methods.list({"customer": customer}).data[0].id
    assert pay(stripe, card, customer=customer, off_session=True).status == "succeeded"


def test_a_payment_by_another_customers_card_is_refused(stripe: StripeClient) -> None:
    card = stripe.v1.payment_methods.list({"customer": make_customer(stripe)}).data[0].id
    with pytest.raises(InvalidRequestError) as refused:
        pay(stripe, card)
    assert refusal(refused) == ("payment_method", None)


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"amount": 49}, "amount", "amount_too_small"),
        ({"amount": 0}, "amount", "parameter_invalid_integer"),
        ({"amount": 100_000_000}, "amount", "amount_too_large"),
        ({"currency": "xxx"}, "currency", None),
        ({"capture_method": "manual"}, "capture_method", None),
        ({"customer": "cus_none"}, "customer", "resource_missing"),
        ({"payment_method": "pm_none"}, "payment_method", "resource_missing"),
        ({"confirm": False, "off_session": True}, "off_session", None),
        ({"application_fee_amount": 1}, "application_fee_amount", None),
    ],
)
def test_what_stripe_refuses_of_a_payment_is_refused_by_its_name(
    stripe: StripeClient, change: dict[str, Any], param: str, code: str | None
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        pay(stripe, **change)
    assert refusal(refused) == (param, code)


def test_a_payment_is_changed_confirmed_and_cancelled_only_while_it_is_open(stripe: StripeClient) -> None:
    intent = stripe.v1.payment_intents.create({"amount": 1_000, "currency": "usd"})
    assert intent.status == "requires_payment_method"
    with pytest.raises(InvalidRequestError, match="missing a payment method"):
        stripe.v1.payment_intents.confirm(intent.id)
    changed = stripe.v1.payment_intents.update(intent.id, {"amount": 1_500, "payment_method": "pm_card_visa"})
    assert (changed.amount, changed.status) == (1_500, "requires_confirmation")
    paid = stripe.v1.payment_intents.confirm(intent.id)
    assert (paid.status, paid.amount_received) == ("succeeded", 1_500)
    for verb, sent in (("update", {"amount": 1}), ("confirm", {}), ("cancel", {})):
        with pytest.raises(InvalidRequestError) as refused:
            getattr(stripe.v1.payment_intents, verb)(intent.id, sent)
        assert refused.value.code == "payment_intent_unexpected_state"
    noted = stripe.v1.payment_intents.update(intent.id, {"metadata": {"seen": "yes"}})
    assert noted.metadata.to_dict() == {"seen": "yes"}
    other = stripe.v1.payment_intents.create({"amount": 1_000, "currency": "usd"})
    gone = stripe.v1.payment_intents.cancel(other.id, {"cancellation_reason": "abandoned"})
    assert (gone.status, gone.cancellation_reason) == ("canceled", "abandoned")
    assert [one.id for one in stripe.v1.payment_intents.list({"limit": 2}).data] == [other.id, intent.id]


def test_a_setup_makes_a_card_the_customers(stripe: StripeClient) -> None:
    customer = stripe.v1.customers.create({"name": "Acme"}).id
    setup = stripe.v1.setup_intents.create(
        {"customer": customer, "payment_method": "pm_card_visa", "confirm": True, "metadata": {"for": "top-ups"}}
    )
    assert setup.status == "succeeded"
    assert [one.id for one in stripe.v1.payment_methods.list({"customer": customer}).data] == [setup.payment_method]
    with pytest.raises(CardError) as declined:
        stripe.v1.setup_intents.create(
            {"customer": customer, "payment_method": "pm_card_chargeDeclined", "confirm": True}
        )
    assert declined.value.error is not None
    assert declined.value.error.setup_intent is not None
    assert declined.value.error.setup_intent.status == "requires_payment_method"
    with pytest.raises(InvalidRequestError) as refused:
        stripe.v1.setup_intents.cancel(setup.id)
    assert refused.value.code == "setup_intent_unexpected_state"
    assert [one.status for one in stripe.v1.setup_intents.list({"customer": customer}).data] == [
        "requires_payment_method",
        "succeeded",
    ]


def test_refunds_give_back_what_is_left_and_no_more(stripe: StripeClient) -> None:
    intent = pay(stripe)
    part = stripe.v1.refunds.create({"payment_intent": intent.id, "amount": 500, "reason": "requested_by_customer"})
    assert (part.status, part.amount, part.charge) == ("succeeded", 500, intent.latest_charge)
    with pytest.raises(InvalidRequestError, match="greater than unrefunded amount"):
        stripe.v1.refunds.create({"payment_intent": intent.id, "amount": 1_501})
    charge = str(intent.latest_charge)
    assert stripe.v1.refunds.create({"charge": charge}).amount == 1_500
    after = stripe.v1.charges.retrieve(charge)
    assert (after.refunded, after.amount_refunded, after.status) == (True, 2_000, "succeeded")
    with pytest.raises(InvalidRequestError) as refused:
        stripe.v1.refunds.create({"charge": charge})
    assert refused.value.code == "charge_already_refunded"
    with pytest.raises(InvalidRequestError):
        stripe.v1.refunds.cancel(part.id)
    assert [one.amount for one in stripe.v1.refunds.list({"charge": charge}).data] == [1_500, 500]
    assert told_of(stripe, charge) == ["charge.succeeded", "charge.refunded", "charge.refunded"]


def test_a_disputed_payment_is_won_by_winning_evidence(stripe: StripeClient) -> None:
    intent = pay(stripe, "pm_card_createDispute")
    (dispute,) = stripe.v1.disputes.list({"payment_intent": intent.id}).data
    assert (dispute.status, dispute.amount, dispute.reason) == ("needs_response", 2_000, "fraudulent")
    assert stripe.v1.charges.retrieve(str(intent.latest_charge)).disputed
    with pytest.raises(InvalidRequestError) as refused:
        stripe.v1.refunds.create({"payment_intent": intent.id})
    assert refused.value.code == "charge_disputed"
    won = stripe.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": "winning_evidence"}})
    assert won.status == "won"
    assert stripe.v1.refunds.create({"payment_intent": intent.id}).amount == 2_000
    assert told_of(stripe, dispute.id) == [
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.updated",
        "charge.dispute.closed",
        "charge.dispute.funds_reinstated",
    ]


def test_a_dispute_that_is_closed_is_lost(stripe: StripeClient) -> None:
    intent = pay(stripe, "pm_card_createDisputeProductNotReceived")
    (dispute,) = stripe.v1.disputes.list({"charge": str(intent.latest_charge)}).data
    assert stripe.v1.disputes.close(dispute.id).status == "lost"
    with pytest.raises(InvalidRequestError):
        stripe.v1.disputes.close(dispute.id)
