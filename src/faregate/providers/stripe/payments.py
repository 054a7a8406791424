"""Payments that are taken without the customer: one payment intent a charge, whatever is asked again.

Source: https://docs.stripe.com/payments/save-during-payment, "Charge the saved payment method later"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from faregate.base.errors import Unavailable
from faregate.domain.billing.provider import ProviderCharge, ProviderPayment
from faregate.providers.stripe.client import code_of, created
from faregate.providers.stripe.customers import default_payment_method
from faregate.providers.stripe.shapes import OUR_ID, find_ours, from_page, payment_currency

if TYPE_CHECKING:
    from stripe import CardError, ListObject, PaymentIntent, StripeClient
    from stripe.params import PaymentIntentCreateParams, PaymentIntentListParams

NO_METHOD: Final = "no_payment_method"
_NEEDS_CUSTOMER: Final = "authentication_required"


def take_payment(client: StripeClient, customer: str, charge: ProviderCharge) -> ProviderPayment:
    """Charge the customer's method once; a repeat answers what became of the first. `Unavailable` while it goes on.

    Idempotency keys are kept for a day: a charge that was made before is looked for first.
    """
    standing = _find(client, customer, charge.lookup_key)
    if standing is not None:
        return _outcome(standing)
    method = default_payment_method(client, customer)
    if method is None:
        return ProviderPayment(id="", failure=NO_METHOD)
    sent: dict[str, Any] = {
        "amount": charge.amount,
        "currency": payment_currency(charge.currency, charge.amount),
        "customer": customer,
        "payment_method": method,
        "description": charge.description,
        "off_session": True,
        "confirm": True,
        "metadata": {OUR_ID: charge.lookup_key},
    }
    return created(
        lambda key: _confirmed(client, sent, key),
        key=charge.lookup_key,
        find=lambda: _found_outcome(client, customer, charge.lookup_key),
    )


def _confirmed(client: StripeClient, sent: dict[str, Any], key: str) -> ProviderPayment:
    from stripe import CardError  # noqa: PLC0415 - see `client.connect`

    try:
        intent = client.v1.payment_intents.create(cast("PaymentIntentCreateParams", sent), {"idempotency_key": key})
    except CardError as error:
        return ProviderPayment(id=_intent_of(error), failure=code_of(error) or "card_declined")
    return _outcome(intent)


def _outcome(intent: PaymentIntent) -> ProviderPayment:
    match intent.status:
        case "succeeded":
            return ProviderPayment(id=intent.id, failure=None)
        case "processing":
            raise Unavailable(f"the payment {intent.id} is under way")
        case "requires_action" | "requires_confirmation":
            return ProviderPayment(id=intent.id, failure=_NEEDS_CUSTOMER)
        case _:
            error = intent.last_payment_error
            return ProviderPayment(id=intent.id, failure=(error and error.code) or intent.status)


def _intent_of(error: CardError) -> str:
    intent = None if error.error is None else getattr(error.error, "payment_intent", None)
    return str(intent["id"]) if intent else ""


def _found_outcome(client: StripeClient, customer: str, lookup_key: str) -> ProviderPayment | None:
    found = _find(client, customer, lookup_key)
    return None if found is None else _outcome(found)


def _find(client: StripeClient, customer: str, lookup_key: str) -> PaymentIntent | None:
    def listed(after: str | None) -> ListObject[PaymentIntent]:
        wanted = cast("PaymentIntentListParams", {"customer": customer, **from_page(after)})
        return client.v1.payment_intents.list(wanted)

    return find_ours(listed, lookup_key)
