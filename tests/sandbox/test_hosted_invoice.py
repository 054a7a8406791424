"""The page of an invoice, as a browser without scripts sees it."""

import pytest
from stripe import Invoice, StripeClient

from tests.control.control_plane import Handle
from tests.sandbox.buyer import Buyer
from tests.sandbox.test_payments import make_customer


def open_invoice(stripe: StripeClient, customer: str, *, due_days: int = 30) -> Invoice:
    """An invoice of 30.00 USD that waits to be paid."""
    for amount, name in ((2_500, "Setup"), (500, "Support")):
        stripe.v1.invoice_items.create({"customer": customer, "amount": amount, "currency": "usd", "description": name})
    draft = stripe.v1.invoices.create(
        {
            "customer": customer,
            "collection_method": "send_invoice",
            "days_until_due": due_days,
            "pending_invoice_items_behavior": "include",
        }
    )
    return stripe.v1.invoices.finalize_invoice(draft.id)


def page_of(control: Handle, invoice: Invoice) -> Buyer:
    return Buyer(control=control, url=str(invoice.hosted_invoice_url))


def status(stripe: StripeClient, invoice: Invoice) -> str | None:
    return stripe.v1.invoices.retrieve(invoice.id).status


def test_an_invoices_page_shows_its_lines_and_takes_its_payment(stripe: StripeClient, control: Handle) -> None:
    customer = make_customer(stripe)
    invoice = open_invoice(stripe, customer)
    page = page_of(control, invoice)
    text = page.text()
    for shown in (str(invoice.number), "Setup", "25.00 USD", "Support", "5.00 USD", "Pay 30.00 USD"):
        assert shown in text
    card = stripe.v1.payment_methods.list({"customer": customer}).data[0].id
    paid = page.send(saved=card)
    assert paid.status == 200
    assert b"Paid" in paid.body
    assert b"Card number" not in paid.body
    after = stripe.v1.invoices.retrieve(invoice.id)
    assert (after.status, after.amount_paid, after.amount_remaining) == ("paid", 3_000, 0)
    assert page.send(token="", saved=card).status == 422


def test_an_invoice_that_a_card_does_not_pay_says_why_and_stays_open(stripe: StripeClient, control: Handle) -> None:
    invoice = open_invoice(stripe, make_customer(stripe))
    page = page_of(control, invoice)
    declined = page.pay("4000 0000 0000 9995")
    assert (declined.status, b"insufficient funds" in declined.body) == (422, True)
    assert status(stripe, invoice) == "open"
    assert page.pay().status == 200
    assert status(stripe, invoice) == "paid"


@pytest.mark.parametrize(("answer", "ends"), [("complete", "paid"), ("fail", "open")])
def test_an_invoice_is_paid_once_the_cards_holder_has_agreed(
    stripe: StripeClient, control: Handle, answer: str, ends: str
) -> None:
    invoice = open_invoice(stripe, make_customer(stripe))
    page = page_of(control, invoice)
    page.pay("4000 0027 6000 3184")
    assert "/authentication/" in page.url
    back = page.send(answer=answer)
    assert (back.status, f"/invoices/{invoice.id}" in page.url) == (303, True)
    assert status(stripe, invoice) == ends


def test_another_customers_card_pays_no_invoice(stripe: StripeClient, control: Handle) -> None:
    invoice = open_invoice(stripe, make_customer(stripe))
    card = stripe.v1.payment_methods.list({"customer": make_customer(stripe)}).data[0].id
    refused = page_of(control, invoice).send(saved=card)
    assert (refused.status, b"not yours" in refused.body) == (422, True)
    assert status(stripe, invoice) == "open"
