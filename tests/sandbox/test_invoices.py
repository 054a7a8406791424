"""Invoices through the official SDK: what is on them, their sums, and what can be done in which state."""

import pytest
from stripe import InvalidRequestError, Invoice, StripeClient


def make_customer(stripe: StripeClient, **fields: object) -> str:
    return stripe.v1.customers.create({"name": "Acme"} | fields).id  # type: ignore[arg-type]


def add(stripe: StripeClient, customer: str, amount: int, **fields: object) -> str:
    sent = {"customer": customer, "amount": amount, "currency": "usd"} | fields
    return stripe.v1.invoice_items.create(sent).id  # type: ignore[arg-type]


def drafted(stripe: StripeClient, *amounts: int, customer: str = "", **fields: object) -> Invoice:
    """A draft by hand, to be sent, with an item of each amount."""
    customer = customer or make_customer(stripe)
    for amount in amounts:
        add(stripe, customer, amount)
    sent = {
        "customer": customer,
        "currency": "usd",
        "collection_method": "send_invoice",
        "days_until_due": 14,
        "pending_invoice_items_behavior": "include",
    }
    return stripe.v1.invoices.create(sent | fields)  # type: ignore[arg-type]


def event_kinds(stripe: StripeClient, identifier: str) -> list[str]:
    """The kinds of the events about an object, oldest first."""
    events = stripe.v1.events.list({"limit": 100}).data
    return [event.type for event in reversed(events) if event.data.object["id"] == identifier]


def test_a_finalized_invoice_has_its_number_its_due_date_and_its_sums(stripe: StripeClient) -> None:
    draft = drafted(stripe, 500, 250, -100)
    assert (draft.status, draft.number, draft.due_date, draft.subtotal) == ("draft", None, None, 650)
    invoice = stripe.v1.invoices.finalize_invoice(draft.id)
    assert (invoice.status, invoice.total, invoice.amount_due, invoice.amount_remaining) == ("open", 650, 650, 650)
    finalized_at = invoice.status_transitions.finalized_at
    assert finalized_at is not None
    assert invoice.due_date == finalized_at + 14 * 86_400
    assert [line.amount for line in invoice.lines.data] == [500, 250, -100]
    assert [line.id for line in invoice.lines.data] == [line.id for line in draft.lines.data]
    assert event_kinds(stripe, draft.id) == ["invoice.created", "invoice.finalized"]


def test_numbers_of_a_customer_have_no_gap(stripe: StripeClient) -> None:
    customer = make_customer(stripe)
    deleted = drafted(stripe, 100, customer=customer)
    stripe.v1.invoices.delete(deleted.id)
    numbers = []
    for _ in range(2):
        draft = drafted(stripe, 100, customer=customer)
        numbers.append(stripe.v1.invoices.finalize_invoice(draft.id).number)
    prefix = stripe.v1.customers.retrieve(customer).invoice_prefix
    assert numbers == [f"{prefix}-0001", f"{prefix}-0002"]


def test_a_deleted_draft_leaves_its_pending_items_pending(stripe: StripeClient) -> None:
    customer = make_customer(stripe)
    pending = add(stripe, customer, 100)
    draft = drafted(stripe, customer=customer)
    added = add(stripe, customer, 50, invoice=draft.id)
    stripe.v1.invoices.delete(draft.id)
    left = stripe.v1.invoice_items.list({"customer": customer, "pending": True}).data
    assert [item.id for item in left] == [pending]
    with pytest.raises(InvalidRequestError, match="No such invoiceitem"):
        stripe.v1.invoice_items.retrieve(added)
    with pytest.raises(InvalidRequestError, match="No such invoice"):
        stripe.v1.invoices.retrieve(draft.id)


def test_items_are_left_out_unless_they_are_asked_for(stripe: StripeClient) -> None:
    customer = make_customer(stripe)
    add(stripe, customer, 100)
    invoice = stripe.v1.invoices.create({"customer": customer})
    assert (invoice.lines.data, invoice.collection_method, invoice.billing_reason) == (
        [],
        "charge_automatically",
        "manual",
    )


def test_a_drafts_lines_are_added_changed_and_taken_off(stripe: StripeClient) -> None:
    draft = drafted(stripe, 100, metadata={"a": "1"})
    more = stripe.v1.invoices.add_lines(
        draft.id, {"lines": [{"amount": 30, "description": "More"}], "invoice_metadata": {"b": "2"}}
    )
    assert (more.subtotal, more.metadata and more.metadata.to_dict()) == (130, {"a": "1", "b": "2"})
    first, second = more.lines.data
    assert second.description == "More"
    changed = stripe.v1.invoices.update_lines(draft.id, {"lines": [{"id": second.id, "amount": 40}]})
    assert changed.subtotal == 140
    line = stripe.v1.invoices.line_items.update(draft.id, second.id, {"description": "Less"})
    assert (line.id, line.description, line.amount) == (second.id, "Less", 40)
    lines = [{"id": first.id, "behavior": "unassign"}, {"id": second.id, "behavior": "delete"}]
    emptied = stripe.v1.invoices.remove_lines(draft.id, {"lines": lines})  # type: ignore[typeddict-item]
    assert (emptied.subtotal, emptied.lines.data) == (0, [])
    assert [item.amount for item in stripe.v1.invoice_items.list({"customer": str(draft.customer)}).data] == [100]


def test_lines_are_listed_whole_and_shown_ten_at_a_time(stripe: StripeClient) -> None:
    draft = drafted(stripe, *range(1, 13))
    assert (len(draft.lines.data), draft.lines.has_more) == (10, True)
    listed = stripe.v1.invoices.line_items.list(draft.id, {"limit": 5})
    assert [line.amount for line in listed.auto_paging_iter()] == list(range(1, 13))


def test_a_quantity_costs_its_unit_amount_to_the_last_place_and_is_rounded_once(stripe: StripeClient) -> None:
    customer = make_customer(stripe)
    product = stripe.v1.products.create({"name": "Setup"}).id
    price = stripe.v1.prices.create({"product": product, "currency": "usd", "unit_amount_decimal": "0.5"}).id  # type: ignore[typeddict-item]
    item = stripe.v1.invoice_items.create({"customer": customer, "pricing": {"price": price}, "quantity": 5})
    assert (item.amount, item.quantity) == (3, 5)
    changed = stripe.v1.invoice_items.update(item.id, {"quantity": 4, "description": "Four"})
    assert (changed.amount, changed.description) == (2, "Four")


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        ({"amount": 100, "unit_amount_decimal": "3"}, "unit_amount_decimal"),
        ({}, "amount"),
        ({"amount": 100, "quantity": 2}, "quantity"),
        ({"amount": 100, "discounts": [{"coupon": "c"}]}, "discounts"),
        ({"amount": 100, "invoice": "in_unknown"}, "invoice"),
        ({"amount": 100, "period": {"start": 2, "end": 1}}, "period[end]"),
        ({"amount": 100, "currency": "xyz"}, "currency"),
    ],
)
def test_an_item_that_stripe_would_refuse_is_refused(stripe: StripeClient, sent: dict[str, object], param: str) -> None:
    sent = {"customer": make_customer(stripe), "currency": "usd"} | sent
    with pytest.raises(InvalidRequestError) as refused:
        stripe.v1.invoice_items.create(sent)  # type: ignore[arg-type]
    assert refused.value.param == param


def test_what_is_finalized_can_no_longer_be_changed(stripe: StripeClient) -> None:
    draft = drafted(stripe, 100)
    item = stripe.v1.invoice_items.list({"invoice": draft.id}).data[0].id
    stripe.v1.invoices.finalize_invoice(draft.id)
    for change in (
        lambda: stripe.v1.invoices.update(draft.id, {"description": "Late"}),
        lambda: stripe.v1.invoices.delete(draft.id),
        lambda: stripe.v1.invoices.finalize_invoice(draft.id),
        lambda: stripe.v1.invoices.add_lines(draft.id, {"lines": [{"amount": 1}]}),
        lambda: stripe.v1.invoice_items.delete(item),
        lambda: stripe.v1.invoice_items.update(item, {"amount": 1}),
    ):
        with pytest.raises(InvalidRequestError):
            change()
    changed = stripe.v1.invoices.update(draft.id, {"metadata": {"order": "7"}})
    assert (changed.metadata and changed.metadata.to_dict(), changed.total) == ({"order": "7"}, 100)


def test_a_draft_is_changed_and_is_due_as_it_then_says(stripe: StripeClient) -> None:
    draft = drafted(stripe, 100)
    changed = stripe.v1.invoices.update(
        draft.id, {"description": "March", "days_until_due": 7, "footer": "Thanks", "number": "A-7"}
    )
    assert (changed.description, changed.footer) == ("March", "Thanks")
    invoice = stripe.v1.invoices.send_invoice(draft.id)
    assert (invoice.status, invoice.number) == ("open", "A-7")
    assert invoice.due_date == (invoice.status_transitions.finalized_at or 0) + 7 * 86_400
    assert event_kinds(stripe, draft.id)[-2:] == ["invoice.finalized", "invoice.sent"]


def test_an_invoice_is_paid_out_of_band_once(stripe: StripeClient) -> None:
    invoice = stripe.v1.invoices.pay(drafted(stripe, 100).id, {"paid_out_of_band": True})
    assert (invoice.status, invoice.amount_paid, invoice.amount_remaining) == ("paid", 100, 0)
    assert (invoice.amount_paid_off_stripe, invoice.status_transitions.paid_at is not None) == (100, True)
    with pytest.raises(InvalidRequestError, match="already paid"):
        stripe.v1.invoices.pay(invoice.id, {"paid_out_of_band": True})
    assert event_kinds(stripe, invoice.id)[-2:] == ["invoice.paid", "invoice.payment_succeeded"]


def test_an_invoice_that_was_given_up_can_still_be_paid_or_made_void(stripe: StripeClient) -> None:
    invoice = stripe.v1.invoices.finalize_invoice(drafted(stripe, 100).id)
    given_up = stripe.v1.invoices.mark_uncollectible(invoice.id)
    assert (given_up.status, given_up.amount_remaining) == ("uncollectible", 100)
    with pytest.raises(InvalidRequestError, match="open invoices"):
        stripe.v1.invoices.mark_uncollectible(invoice.id)
    void = stripe.v1.invoices.void_invoice(invoice.id)
    assert (void.status, void.status_transitions.voided_at is not None) == ("void", True)
    for move in (stripe.v1.invoices.void_invoice, stripe.v1.invoices.pay, stripe.v1.invoices.send_invoice):
        with pytest.raises(InvalidRequestError):
            move(invoice.id)
    kinds = event_kinds(stripe, invoice.id)
    assert [kind for kind in kinds if kind != "invoice.updated"] == [
        "invoice.created",
        "invoice.finalized",
        "invoice.marked_uncollectible",
        "invoice.voided",
    ]


def test_an_invoice_of_nothing_is_paid_when_it_is_finalized(stripe: StripeClient) -> None:
    invoice = stripe.v1.invoices.finalize_invoice(drafted(stripe).id)
    assert (invoice.status, invoice.total, invoice.amount_due, invoice.attempt_count) == ("paid", 0, 0, 0)


@pytest.mark.parametrize(
    ("balance", "amounts", "due", "after"),
    [
        (-30, (100,), 70, 0),
        (-150, (100,), 0, -50),
        (40, (100,), 140, 0),
        (0, (100, -250), 0, -150),
        (25, (), 0, 25),
    ],
)
def test_a_customers_balance_is_taken_and_what_is_below_zero_goes_to_it(
    stripe: StripeClient, *, balance: int, amounts: tuple[int, ...], due: int, after: int
) -> None:
    customer = make_customer(stripe)
    if balance:
        stripe.v1.customers.balance_transactions.create(customer, {"amount": balance, "currency": "usd"})
    invoice = stripe.v1.invoices.finalize_invoice(drafted(stripe, *amounts, customer=customer).id)
    assert (invoice.total, invoice.amount_due) == (sum(amounts), due)
    assert (invoice.starting_balance, invoice.ending_balance) == (balance, after)
    assert stripe.v1.customers.retrieve(customer).balance == after


def test_a_void_invoice_gives_back_what_it_took_of_the_balance(stripe: StripeClient) -> None:
    customer = make_customer(stripe)
    stripe.v1.customers.balance_transactions.create(customer, {"amount": -30, "currency": "usd"})
    invoice = stripe.v1.invoices.finalize_invoice(drafted(stripe, 100, customer=customer).id)
    stripe.v1.invoices.void_invoice(invoice.id)
    moved = stripe.v1.customers.balance_transactions.list(customer).data
    assert [(row.type, row.amount, row.ending_balance) for row in moved] == [
        ("unapplied_from_invoice", -30, -30),
        ("applied_to_invoice", 30, 0),
        ("adjustment", -30, -30),
    ]


def test_an_amount_below_the_least_charge_waits_on_the_customers_balance(stripe: StripeClient) -> None:
    customer = make_customer(stripe)
    add(stripe, customer, 20)
    sent = {"customer": customer, "currency": "usd", "pending_invoice_items_behavior": "include"}
    invoice = stripe.v1.invoices.finalize_invoice(stripe.v1.invoices.create(sent).id)  # type: ignore[arg-type]
    assert (invoice.status, invoice.total, invoice.amount_due, invoice.ending_balance) == ("paid", 20, 0, 20)


def test_invoices_are_listed_by_customer_state_and_date(stripe: StripeClient) -> None:
    customer = make_customer(stripe)
    draft = drafted(stripe, 100, customer=customer)
    sent = stripe.v1.invoices.finalize_invoice(drafted(stripe, 100, customer=customer).id)
    listed = stripe.v1.invoices.list
    assert [one.id for one in listed({"customer": customer}).data] == [sent.id, draft.id]
    assert [one.id for one in listed({"customer": customer, "status": "draft"}).data] == [draft.id]
    due = {"gte": sent.due_date, "lt": sent.due_date + 1}  # type: ignore[operator]
    assert [one.id for one in listed({"customer": customer, "due_date": due}).data] == [sent.id]  # type: ignore[arg-type]
    assert listed({"customer": customer, "created": {"gt": sent.created}}).data == []
    assert listed({"customer": customer, "collection_method": "charge_automatically"}).data == []


def test_a_due_date_is_for_what_is_sent_alone(stripe: StripeClient) -> None:
    customer = make_customer(stripe)
    with pytest.raises(InvalidRequestError, match="`collection_method` is `send_invoice`"):
        stripe.v1.invoices.create({"customer": customer, "days_until_due": 3})
    with pytest.raises(InvalidRequestError, match="must be set"):
        stripe.v1.invoices.create({"customer": customer, "collection_method": "send_invoice"})


def test_the_balance_of_a_customer_is_in_one_currency(stripe: StripeClient) -> None:
    customer = make_customer(stripe)
    moved = stripe.v1.customers.balance_transactions.create(customer, {"amount": 5, "currency": "usd"})
    with pytest.raises(InvalidRequestError, match="in usd"):
        stripe.v1.customers.balance_transactions.create(customer, {"amount": 5, "currency": "eur"})
    told = stripe.v1.customers.balance_transactions.update(customer, moved.id, {"description": "Goodwill"})
    assert stripe.v1.customers.balance_transactions.retrieve(customer, moved.id).description == told.description
    with pytest.raises(InvalidRequestError, match="No such customer_balance_transaction"):
        stripe.v1.customers.balance_transactions.retrieve(make_customer(stripe), moved.id)


def test_coupons_come_off_in_their_order_and_never_below_zero(stripe: StripeClient) -> None:
    coupons = stripe.v1.coupons
    tenth = coupons.create({"percent_off": 10, "duration": "once"}).id
    fixed = coupons.create({"amount_off": 300, "currency": "usd", "duration": "once"}).id
    draft = drafted(stripe, 333, 333, -50, discounts=[{"coupon": tenth}, {"coupon": fixed}])
    assert [part.amount for part in draft.total_discount_amounts or []] == [67, 300]
    assert (draft.subtotal, draft.total) == (616, 249)
    assert [sum(part.amount for part in line.discount_amounts or []) for line in draft.lines.data] == [184, 183, 0]
    all_off = stripe.v1.invoices.update(draft.id, {"discounts": [{"coupon": fixed}]})
    assert (all_off.total, len(all_off.discounts)) == (316, 1)
    none_off = stripe.v1.invoices.update(draft.id, {"discounts": ""})
    assert (none_off.total, none_off.discounts) == (616, [])
    small = drafted(stripe, 100, discounts=[{"coupon": fixed}])
    assert small.total == 0


def test_a_coupon_in_another_currency_is_refused(stripe: StripeClient) -> None:
    coupon = stripe.v1.coupons.create({"amount_off": 300, "currency": "eur", "duration": "once"}).id
    with pytest.raises(InvalidRequestError, match="in eur"):
        drafted(stripe, 100, discounts=[{"coupon": coupon}])
