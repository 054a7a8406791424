"""A customer's balance: below zero it has credit, above it owes (docs.stripe.com/api/customer_balance_transactions)."""

from __future__ import annotations

from stripe.params._customer_balance_transaction_create_params import CustomerBalanceTransactionCreateParams
from stripe.params._customer_balance_transaction_list_params import CustomerBalanceTransactionListParams
from stripe.params._customer_balance_transaction_retrieve_params import CustomerBalanceTransactionRetrieveParams
from stripe.params._customer_balance_transaction_update_params import CustomerBalanceTransactionUpdateParams

from faregate.providers.sandbox.asking import Asked, Route, Sandbox, changed, is_as_sent, page_of
from faregate.providers.sandbox.customers import live_customer
from faregate.providers.sandbox.faults import Json, missing, refused
from faregate.providers.sandbox.times import in_time_of

_KIND = "customer_balance_transaction"


def make_transaction(sandbox: Sandbox, asked: Asked) -> Json:
    """Move a customer's balance by hand."""
    sent = asked.parameters
    customer = live_customer(sandbox, asked.ids[0], param="id")
    sandbox = in_time_of(sandbox, customer)
    code = sent["currency"].lower()
    if customer["currency"] not in {None, code}:
        message = f"The customer's balance is in {customer['currency']}: it cannot be moved in {code}."
        raise refused(message, param="currency")
    return move_balance(
        sandbox,
        customer,
        sent["amount"],
        currency=code,
        kind="adjustment",
        description=sent.get("description"),
        metadata=sent.get("metadata") or {},
    )


def move_balance(  # noqa: PLR0913 - a transaction's fields
    sandbox: Sandbox,
    customer: Json,
    amount: int,
    *,
    currency: str,
    kind: str,
    invoice: str | None = None,
    credit_note: str | None = None,
    description: str | None = None,
    metadata: Json | None = None,
) -> Json:
    """Move a customer's balance by an amount, and keep why; `kind`: a transaction's type. Returns the transaction."""
    ending = customer["balance"] + amount
    body: Json = {
        "id": sandbox.new_id("cbtxn"),
        "object": _KIND,
        "amount": amount,
        "checkout_session": None,
        "created": sandbox.now(),
        "credit_note": credit_note,
        "currency": currency,
        "customer": customer["id"],
        "customer_account": None,
        "description": description,
        "ending_balance": ending,
        "invoice": invoice,
        "livemode": False,
        "metadata": metadata or {},
        "type": kind,
    }
    sandbox.store.add(body, customer=customer["id"])
    after = customer | {"balance": ending, "currency": currency}
    sandbox.store.put(after)
    previous = {name: customer[name] for name in ("balance", "currency") if customer[name] != after[name]}
    if previous:
        sandbox.tell("customer.updated", after, previous)
    return body


def get_transaction(sandbox: Sandbox, asked: Asked) -> Json:
    """Return a movement of a customer's balance."""
    body = sandbox.store.get(_KIND, asked.ids[1])
    if body["customer"] != asked.ids[0]:
        raise missing(_KIND, asked.ids[1])
    return body


def change_transaction(sandbox: Sandbox, asked: Asked) -> Json:
    """Change what is said of a movement."""
    return changed(sandbox, get_transaction(sandbox, asked), asked.parameters, event=f"{_KIND}.updated")


def list_transactions(sandbox: Sandbox, asked: Asked) -> Json:
    """List the movements of a customer's balance."""
    sent = asked.parameters
    live_customer(sandbox, asked.ids[0], param="id")
    found = sandbox.store.find(_KIND, "customer", asked.ids[0])
    return page_of(asked, found, lambda body: is_as_sent(body, sent, "invoice"))


_PATH = "/v1/customers/{}/balance_transactions"
ROUTES = [
    Route(method="POST", path=_PATH, parameters=CustomerBalanceTransactionCreateParams, answer=make_transaction),
    Route(method="GET", path=_PATH, parameters=CustomerBalanceTransactionListParams, answer=list_transactions),
    Route(
        method="GET",
        path=f"{_PATH}/{{}}",
        parameters=CustomerBalanceTransactionRetrieveParams,
        answer=get_transaction,
    ),
    Route(
        method="POST",
        path=f"{_PATH}/{{}}",
        parameters=CustomerBalanceTransactionUpdateParams,
        answer=change_transaction,
    ),
]
