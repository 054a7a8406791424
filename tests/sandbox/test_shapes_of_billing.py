"""What the sandbox answers of billing has the fields of the SDK's own types: none that Stripe lacks, none left out."""

from collections.abc import Callable
from typing import Any

import pytest
import stripe as sdk
from stripe import StripeClient

from tests.sandbox.test_collecting import charged, with_card
from tests.sandbox.test_invoices import add, drafted, make_customer
from tests.sandbox.test_taxes import make_rate


def invoice(stripe: StripeClient) -> Any:  # noqa: ANN401 - an object of the SDK
    rate = make_rate(stripe, "19", is_inclusive=False)
    return stripe.v1.invoices.finalize_invoice(drafted(stripe, 500, default_tax_rates=[rate]).id)


def grant(stripe: StripeClient) -> Any:  # noqa: ANN401
    return stripe.v1.billing.credit_grants.create(
        {
            "customer": make_customer(stripe),
            "amount": {"type": "monetary", "monetary": {"currency": "usd", "value": 120}},
            "applicability_config": {"scope": {"price_type": "metered"}},
        }
    )


def note(stripe: StripeClient) -> Any:  # noqa: ANN401
    return stripe.v1.credit_notes.create({"invoice": invoice(stripe).id, "amount": 100})


def paid(stripe: StripeClient) -> Any:  # noqa: ANN401
    bill = stripe.v1.invoices.pay(charged(stripe, with_card(stripe, "pm_card_visa")))
    return stripe.v1.invoice_payments.list({"invoice": bill.id}).data[0]


MADE: list[tuple[type, Callable[[StripeClient], Any]]] = [
    (sdk.Invoice, invoice),
    (sdk.InvoiceLineItem, lambda stripe: invoice(stripe).lines.data[0]),
    (sdk.InvoiceItem, lambda stripe: stripe.v1.invoice_items.retrieve(add(stripe, make_customer(stripe), 100))),
    (sdk.TaxRate, lambda stripe: stripe.v1.tax_rates.retrieve(make_rate(stripe, "19", is_inclusive=True))),
    (sdk.CreditNote, note),
    (sdk.CreditNoteLineItem, lambda stripe: note(stripe).lines.data[0]),
    (sdk.InvoicePayment, paid),
    (sdk.billing.CreditGrant, grant),
    (
        sdk.billing.CreditBalanceTransaction,
        lambda stripe: stripe.v1.billing.credit_balance_transactions.list(
            {"customer": str(grant(stripe).customer)}
        ).data[0],
    ),
    (
        sdk.CustomerBalanceTransaction,
        lambda stripe: stripe.v1.customers.balance_transactions.create(
            make_customer(stripe), {"amount": 5, "currency": "usd"}
        ),
    ),
]
_ONLY_WHERE_ASKED_OR_TRUE = {"deleted", "payments", "customer_account"}


@pytest.mark.parametrize(("kind", "make"), MADE, ids=[kind.__name__ for kind, _ in MADE])
def test_an_object_has_the_fields_of_its_type(
    stripe: StripeClient, kind: type, make: Callable[[StripeClient], Any]
) -> None:
    fields = {name for name in vars(kind)["__annotations__"] if not name.startswith("_")} - {"OBJECT_NAME"}
    shown = set(make(stripe).to_dict())
    assert shown - fields == set()
    assert fields - shown - _ONLY_WHERE_ASKED_OR_TRUE == set()
