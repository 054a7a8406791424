"""Payment methods and setup intents through the official SDK, beyond the way in which all goes well."""

from typing import Any

import pytest
from stripe import InvalidRequestError, StripeClient

from tests.sandbox.test_catalog import refusal
from tests.sandbox.test_payments import make_customer, pay

_ACCOUNT: Any = {"routing_number": "110000000", "account_number": "000123456789"}


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        ({}, "type"),
        ({"type": "sepa_debit"}, "type"),
        ({"type": "card", "card": {}}, "card[token]"),
        ({"type": "card", "card": {"token": "tok_none"}}, "card[token]"),
        ({"type": "card", "card": {"token": "tok_visa"}, "customer": "cus_1"}, "customer"),
        ({"type": "us_bank_account", "us_bank_account": {}}, "us_bank_account[routing_number]"),
        (
            {"type": "us_bank_account", "us_bank_account": _ACCOUNT | {"account_number": "1"}},
            "us_bank_account[account_number]",
        ),
    ],
)
def test_what_is_no_test_card_or_account_is_refused_by_its_name(
    stripe: StripeClient, sent: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        stripe.v1.payment_methods.create(sent)  # type: ignore[arg-type]
    assert refusal(refused)[0] == param


def test_a_bank_account_is_kept_and_its_payments_are_on_their_way(stripe: StripeClient) -> None:
    customer = make_customer(stripe)
    made = stripe.v1.payment_methods.create({"type": "us_bank_account", "us_bank_account": _ACCOUNT})
    stripe.v1.payment_methods.attach(made.id, {"customer": customer})
    listed = stripe.v1.payment_methods.list({"customer": customer, "type": "us_bank_account"}).data
    assert [one.id for one in listed] == [made.id]
    assert pay(stripe, made.id, customer=customer).status == "processing"
    assert pay(stripe, "pm_usBankAccount_success").status == "processing"


def test_a_payment_method_is_found_by_its_owner_alone(stripe: StripeClient) -> None:
    owner, other = make_customer(stripe), make_customer(stripe)
    card = stripe.v1.payment_methods.list({"customer": owner}).data[0].id
    assert stripe.v1.customers.payment_methods.retrieve(owner, card).id == card
    with pytest.raises(InvalidRequestError) as missing:
        stripe.v1.customers.payment_methods.retrieve(other, card)
    assert missing.value.code == "resource_missing"
    with pytest.raises(InvalidRequestError, match="already been attached"):
        stripe.v1.payment_methods.attach(card, {"customer": other})
    assert stripe.v1.payment_methods.list().data == []


def test_what_is_nobodys_is_neither_changed_nor_detached(stripe: StripeClient) -> None:
    loose = stripe.v1.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}}).id
    with pytest.raises(InvalidRequestError, match="must save this PaymentMethod"):
        stripe.v1.payment_methods.update(loose, {"metadata": {"a": "b"}})
    with pytest.raises(InvalidRequestError, match="detachment is impossible"):
        stripe.v1.payment_methods.detach(loose)
    with pytest.raises(InvalidRequestError) as refused:
        stripe.v1.payment_methods.attach(loose, {})
    assert refusal(refused)[0] == "customer"


def test_a_card_that_has_expired_pays_no_more(stripe: StripeClient) -> None:
    customer = make_customer(stripe)
    card = stripe.v1.payment_methods.list({"customer": customer}).data[0].id
    stripe.v1.payment_methods.update(card, {"card": {"exp_year": 2020, "exp_month": 1}})
    with pytest.raises(Exception, match="has expired"):
        pay(stripe, card, customer=customer)


def test_a_setup_is_made_changed_confirmed_and_ended_step_by_step(stripe: StripeClient) -> None:
    customer = stripe.v1.customers.create({"name": "Acme"}).id
    setup = stripe.v1.setup_intents.create({"customer": customer})
    assert setup.status == "requires_payment_method"
    with pytest.raises(InvalidRequestError, match="missing a payment method"):
        stripe.v1.setup_intents.confirm(setup.id)
    changed = stripe.v1.setup_intents.update(
        setup.id, {"payment_method": "pm_card_visa", "metadata": {"a": "b"}, "description": "Kept"}
    )
    assert (changed.status, changed.description) == ("requires_confirmation", "Kept")
    done = stripe.v1.setup_intents.confirm(setup.id)
    assert (done.status, stripe.v1.setup_intents.retrieve(setup.id).metadata) == ("succeeded", changed.metadata)
    with pytest.raises(InvalidRequestError):
        stripe.v1.setup_intents.update(setup.id, {"description": "Late"})
    given_up = stripe.v1.setup_intents.create({"customer": customer})
    ended = stripe.v1.setup_intents.cancel(given_up.id, {"cancellation_reason": "abandoned"})
    assert (ended.status, ended.cancellation_reason) == ("canceled", "abandoned")
    card = stripe.v1.payment_methods.list({"customer": customer}).data[0].id
    with pytest.raises(InvalidRequestError, match="belongs to another customer"):
        stripe.v1.setup_intents.create({"customer": make_customer(stripe), "payment_method": card})


def test_a_card_is_asked_once_when_it_is_set_up_and_then_pays_alone(stripe: StripeClient) -> None:
    customer = stripe.v1.customers.create({"name": "Acme"}).id
    card = stripe.v1.payment_methods.attach("pm_card_authenticationRequiredOnSetup", {"customer": customer}).id
    asked = stripe.v1.setup_intents.confirm(
        stripe.v1.setup_intents.create({"customer": customer}).id, {"payment_method": card}
    )
    assert asked.status == "requires_action"
    with pytest.raises(Exception, match="requires authentication"):
        pay(stripe, card, customer=customer, off_session=True)


def test_a_charge_and_a_refund_bear_notes(stripe: StripeClient) -> None:
    intent = pay(stripe)
    noted = stripe.v1.charges.update(str(intent.latest_charge), {"description": "Credit", "metadata": {"a": "b"}})
    assert (noted.description, noted.metadata.to_dict()) == ("Credit", {"a": "b"})
    refund = stripe.v1.refunds.create({"payment_intent": intent.id, "amount": 1})
    after = stripe.v1.refunds.update(refund.id, {"metadata": {"c": "d"}})
    assert after.metadata is not None
    assert after.metadata.to_dict() == {"c": "d"}


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({}, "One of the following params"),
        ({"charge": "ch_1", "payment_intent": "pi_1"}, "only specify one"),
        ({"charge": "ch_1"}, "No such charge"),
        ({"payment_intent": "pi_1"}, "No such payment_intent"),
    ],
)
def test_a_refund_of_nothing_is_refused(stripe: StripeClient, sent: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        stripe.v1.refunds.create(sent)  # type: ignore[arg-type]


def test_a_payment_that_failed_has_nothing_to_refund(stripe: StripeClient) -> None:
    open_one = stripe.v1.payment_intents.create({"amount": 1_000, "currency": "usd"})
    with pytest.raises(InvalidRequestError, match="does not have a successful charge"):
        stripe.v1.refunds.create({"payment_intent": open_one.id})
    paid = pay(stripe)
    with pytest.raises(InvalidRequestError) as refused:
        stripe.v1.refunds.create({"payment_intent": paid.id, "amount": 0})
    assert refusal(refused)[0] == "amount"


def test_a_dispute_waits_until_its_evidence_is_handed_in(stripe: StripeClient) -> None:
    intent = pay(stripe, "pm_card_createDisputeInquiry")
    (inquiry,) = stripe.v1.disputes.list({"payment_intent": intent.id}).data
    assert (inquiry.status, inquiry.is_charge_refundable) == ("warning_needs_response", True)
    noted = stripe.v1.disputes.update(inquiry.id, {"metadata": {"seen": "yes"}})
    assert noted.metadata.to_dict() == {"seen": "yes"}
    kept = stripe.v1.disputes.update(inquiry.id, {"evidence": {"customer_name": "Ada"}, "submit": False})
    assert (kept.status, kept.evidence_details.has_evidence) == ("warning_needs_response", True)
    sent = stripe.v1.disputes.update(inquiry.id, {"evidence": {"customer_email_address": "ada@example.com"}})
    assert (sent.status, sent.evidence_details.submission_count) == ("warning_under_review", 1)
    with pytest.raises(InvalidRequestError, match="under review"):
        stripe.v1.disputes.close(inquiry.id)
    assert stripe.v1.disputes.retrieve(inquiry.id).evidence.customer_name == "Ada"
    assert stripe.v1.refunds.create({"payment_intent": intent.id}).status == "succeeded"
