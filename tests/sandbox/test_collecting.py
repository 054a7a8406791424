"""How invoices are paid: by a card at once, again after days, or not; on test clocks, through the official SDK."""

import pytest
from stripe import CardError, InvalidRequestError, StripeClient

from tests.sandbox.test_invoices import add, event_kinds, make_customer

START = 1_772_323_200
HOUR_S, DAY_S = 3_600, 86_400


def with_card(stripe: StripeClient, card: str, **fields: object) -> str:
    customer = make_customer(stripe, **fields)
    method = stripe.v1.payment_methods.attach(card, {"customer": customer}).id
    stripe.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": method}})
    return customer


def charged(stripe: StripeClient, customer: str, **fields: object) -> str:
    add(stripe, customer, 500)
    sent = {"customer": customer, "currency": "usd", "pending_invoice_items_behavior": "include"} | fields
    return stripe.v1.invoices.create(sent).id  # type: ignore[arg-type]


def test_a_card_pays_an_invoice_and_what_it_paid_is_kept(stripe: StripeClient) -> None:
    invoice = stripe.v1.invoices.pay(charged(stripe, with_card(stripe, "pm_card_visa")), {"expand": ["payments"]})
    assert (invoice.status, invoice.amount_paid, invoice.attempt_count, invoice.attempted) == ("paid", 500, 1, True)
    assert invoice.payments is not None
    (payment,) = stripe.v1.invoice_payments.list({"invoice": invoice.id}).data
    assert [one.id for one in invoice.payments.data] == [payment.id]
    intent = stripe.v1.payment_intents.retrieve(str(payment.payment.payment_intent))
    assert (intent.amount_received, intent.status, payment.amount_paid) == (500, "succeeded", 500)
    assert stripe.v1.invoice_payments.retrieve(payment.id).status == "paid"


def test_a_declined_payment_is_an_attempt_and_the_invoice_stays_open(stripe: StripeClient) -> None:
    identifier = charged(stripe, with_card(stripe, "pm_card_chargeCustomerFail"))
    with pytest.raises(CardError) as declined:
        stripe.v1.invoices.pay(identifier)
    assert declined.value.code == "card_declined"
    invoice = stripe.v1.invoices.retrieve(identifier)
    assert (invoice.status, invoice.attempted, invoice.attempt_count) == ("open", True, 1)
    assert (invoice.amount_remaining, invoice.next_payment_attempt) == (500, None)
    assert event_kinds(stripe, identifier)[-1] == "invoice.payment_failed"
    customer = stripe.v1.invoices.retrieve(identifier).customer
    good = stripe.v1.payment_methods.attach("pm_card_visa", {"customer": str(customer)}).id
    assert stripe.v1.invoices.pay(identifier, {"payment_method": good}).status == "paid"


def test_without_anything_to_pay_with_there_is_no_attempt(stripe: StripeClient) -> None:
    identifier = charged(stripe, make_customer(stripe))
    with pytest.raises(InvalidRequestError, match="default_payment_method"):
        stripe.v1.invoices.pay(identifier)
    assert stripe.v1.invoices.retrieve(identifier).status == "draft"


def test_a_draft_that_advances_is_finalized_an_hour_later_and_collected_at_once(stripe: StripeClient) -> None:
    clock = stripe.v1.test_helpers.test_clocks.create({"frozen_time": START}).id
    identifier = charged(stripe, with_card(stripe, "pm_card_visa", test_clock=clock), auto_advance=True)
    draft = stripe.v1.invoices.retrieve(identifier)
    assert (draft.created, draft.automatically_finalizes_at) == (START, START + HOUR_S)
    stripe.v1.test_helpers.test_clocks.advance(clock, {"frozen_time": START + HOUR_S})
    invoice = stripe.v1.invoices.retrieve(identifier)
    assert (invoice.status, invoice.status_transitions.finalized_at) == ("paid", START + HOUR_S)
    assert invoice.status_transitions.paid_at == START + HOUR_S


def test_a_draft_that_is_told_to_wait_waits(stripe: StripeClient) -> None:
    clock = stripe.v1.test_helpers.test_clocks.create({"frozen_time": START}).id
    identifier = charged(stripe, with_card(stripe, "pm_card_visa", test_clock=clock), auto_advance=True)
    stripe.v1.invoices.update(identifier, {"auto_advance": False})
    stripe.v1.test_helpers.test_clocks.advance(clock, {"frozen_time": START + DAY_S})
    assert stripe.v1.invoices.retrieve(identifier).status == "draft"


def test_what_fails_is_tried_again_after_three_five_and_seven_days(stripe: StripeClient) -> None:
    clock = stripe.v1.test_helpers.test_clocks.create({"frozen_time": START}).id
    customer = with_card(stripe, "pm_card_chargeCustomerFail", test_clock=clock)
    identifier = charged(stripe, customer, auto_advance=True)
    at = START + HOUR_S
    for attempt, days in enumerate((3, 5, 7), start=1):
        stripe.v1.test_helpers.test_clocks.advance(clock, {"frozen_time": at})
        invoice = stripe.v1.invoices.retrieve(identifier)
        assert (invoice.attempt_count, invoice.next_payment_attempt) == (attempt, at + days * DAY_S)
        at += days * DAY_S
    stripe.v1.test_helpers.test_clocks.advance(clock, {"frozen_time": at})
    invoice = stripe.v1.invoices.retrieve(identifier)
    assert (invoice.status, invoice.attempt_count, invoice.next_payment_attempt) == ("open", 4, None)
