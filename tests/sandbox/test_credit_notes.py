"""Credit notes through the official SDK: they lower what is open and give back what was paid."""

import pytest
from stripe import InvalidRequestError, Invoice, StripeClient

from tests.sandbox.test_collecting import charged, with_card
from tests.sandbox.test_invoices import drafted, event_kinds
from tests.sandbox.test_taxes import make_rate


def opened(stripe: StripeClient, *amounts: int, **fields: object) -> Invoice:
    return stripe.v1.invoices.finalize_invoice(drafted(stripe, *amounts, **fields).id)  # type: ignore[arg-type]


def test_a_note_lowers_what_is_left_to_pay_and_a_void_one_does_not(stripe: StripeClient) -> None:
    invoice = opened(stripe, 500)
    note = stripe.v1.credit_notes.create({"invoice": invoice.id, "amount": 200, "memo": "Sorry"})
    assert (note.type, note.pre_payment_amount, note.number) == ("pre_payment", 200, f"{invoice.number}-CN-01")
    lowered = stripe.v1.invoices.retrieve(invoice.id)
    assert (lowered.amount_due, lowered.amount_remaining, lowered.total) == (300, 300, 500)
    assert lowered.pre_payment_credit_notes_amount == 200
    void = stripe.v1.credit_notes.void_credit_note(note.id)
    assert (void.status, void.voided_at is not None) == ("void", True)
    assert stripe.v1.invoices.retrieve(invoice.id).amount_remaining == 500
    with pytest.raises(InvalidRequestError, match="only void"):
        stripe.v1.credit_notes.void_credit_note(note.id)
    assert event_kinds(stripe, note.id) == ["credit_note.created", "credit_note.updated", "credit_note.voided"]


def test_an_invoice_that_is_credited_whole_is_paid(stripe: StripeClient) -> None:
    invoice = opened(stripe, 500)
    stripe.v1.credit_notes.create({"invoice": invoice.id, "amount": 500})
    credited = stripe.v1.invoices.retrieve(invoice.id)
    assert (credited.status, credited.amount_paid, credited.amount_remaining) == ("paid", 0, 0)


def test_what_was_paid_is_refunded_credited_or_given_back_elsewhere(stripe: StripeClient) -> None:
    invoice = stripe.v1.invoices.pay(charged(stripe, with_card(stripe, "pm_card_visa")))
    sent = {
        "invoice": invoice.id,
        "amount": 400,
        "refund_amount": 250,
        "credit_amount": 100,
        "out_of_band_amount": 50,
    }
    note = stripe.v1.credit_notes.create(sent)  # type: ignore[arg-type]
    assert (note.type, note.post_payment_amount) == ("post_payment", 400)
    refund = stripe.v1.refunds.retrieve(str(note.refunds[0].refund))
    assert (refund.amount, refund.status) == (250, "succeeded")
    assert stripe.v1.customers.retrieve(str(invoice.customer)).balance == -100
    after = stripe.v1.invoices.retrieve(invoice.id)
    assert (after.status, after.amount_due, after.post_payment_credit_notes_amount) == ("paid", 500, 400)
    with pytest.raises(InvalidRequestError, match="at most 100"):
        stripe.v1.credit_notes.create({"invoice": invoice.id, "amount": 101, "credit_amount": 101})
    with pytest.raises(InvalidRequestError, match="must be 100"):
        stripe.v1.credit_notes.create({"invoice": invoice.id, "amount": 100, "credit_amount": 99})


def test_a_line_is_credited_with_its_share_of_tax(stripe: StripeClient) -> None:
    rate = make_rate(stripe, "10", is_inclusive=False)
    invoice = opened(stripe, 1_000, default_tax_rates=[rate])
    line = invoice.lines.data[0].id
    lines = [
        {"type": "invoice_line_item", "invoice_line_item": line, "amount": 500},
        {"type": "custom_line_item", "unit_amount": 50, "quantity": 2, "description": "Sorry", "tax_rates": [rate]},
    ]
    sent = {"invoice": invoice.id, "lines": lines}
    previewed = stripe.v1.credit_notes.preview_lines.list(sent).data  # type: ignore[arg-type]
    preview = stripe.v1.credit_notes.preview(sent)  # type: ignore[arg-type]
    note = stripe.v1.credit_notes.create(sent)  # type: ignore[arg-type]
    assert (note.subtotal, note.total, note.total_excluding_tax) == (600, 660, 600)
    assert preview.total == note.total
    assert [one.amount for one in previewed] == [500, 100]
    assert [one.amount for one in stripe.v1.credit_notes.line_items.list(note.id).data] == [500, 100]
    listed = stripe.v1.credit_notes.list({"invoice": invoice.id}).data
    assert [one.id for one in listed] == [note.id]
    assert stripe.v1.credit_notes.update(note.id, {"memo": "Late"}).memo == "Late"
    assert stripe.v1.credit_notes.retrieve(note.id).memo == "Late"


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"amount": 0},
        {"amount": 501},
        {"amount": 100, "refund_amount": 100},
        {"lines": [{"type": "invoice_line_item", "invoice_line_item": "il_unknown", "amount": 1}]},
        {"lines": [{"type": "custom_line_item", "description": "No amount"}]},
    ],
)
def test_a_note_that_stripe_would_refuse_is_refused(stripe: StripeClient, sent: dict[str, object]) -> None:
    invoice = opened(stripe, 500)
    with pytest.raises(InvalidRequestError):
        stripe.v1.credit_notes.create({"invoice": invoice.id} | sent)  # type: ignore[arg-type]
    assert stripe.v1.invoices.retrieve(invoice.id).amount_remaining == 500


def test_a_draft_has_no_credit_notes(stripe: StripeClient) -> None:
    with pytest.raises(InvalidRequestError, match="open or paid"):
        stripe.v1.credit_notes.create({"invoice": drafted(stripe, 500).id, "amount": 1})
