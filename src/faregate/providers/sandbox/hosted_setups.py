"""Cards that a hosted page keeps for a customer, and what is done with each once its holder has agreed."""

from __future__ import annotations

from faregate.providers.sandbox.asking import Sandbox, changed
from faregate.providers.sandbox.faults import Json
from faregate.providers.sandbox.intents import raise_decline
from faregate.providers.sandbox.invoice_payments import collect
from faregate.providers.sandbox.paying import agree
from faregate.providers.sandbox.setup_intents import attempt_setup, new_setup


def set_up(sandbox: Sandbox, customer: Json, method: Json, *, then: Json, return_url: str) -> str | None:
    """Keep a payment method for a customer and do what comes `then`; return the page to go to first, if there is one.

    `then`: `invoice`, one to pay with it; `default`, whether it becomes the customer's default. Raises `Declined`.
    """
    setup = new_setup(sandbox, {"customer": customer["id"]}) | {"_then": then}
    after = attempt_setup(sandbox, setup, method, return_url=return_url)
    raise_decline(after)
    if after["status"] == "requires_action":
        url: str = after["next_action"]["redirect_to_url"]["url"]
        return url
    go_on(sandbox, after)
    return None


def go_on(sandbox: Sandbox, setup: Json) -> None:
    """Do what comes once a payment method of a hosted page is set up. Raises `Declined`."""
    then = setup.get("_then")
    if then is None or setup["status"] != "succeeded":
        return
    if then.get("default"):
        make_default(sandbox, setup["customer"], setup["payment_method"])
    if then.get("invoice") is not None:
        agree(sandbox, sandbox.store.get("payment_method", setup["payment_method"]))
        pay_invoice_with(sandbox, then["invoice"], setup["payment_method"])


def make_default(sandbox: Sandbox, customer: str, method: str) -> None:
    """Let a customer's invoices be paid by a payment method of theirs."""
    body = sandbox.store.get("customer", customer)
    settings = body["invoice_settings"] | {"default_payment_method": method}
    changed(sandbox, body, {"invoice_settings": settings}, event="customer.updated")


def pay_invoice_with(sandbox: Sandbox, identifier: str, method: str) -> None:
    """Pay an open invoice; raises `Declined` where that fails."""
    invoice = sandbox.store.get("invoice", identifier)
    if invoice["status"] in {"open", "uncollectible"} and not collect(sandbox, invoice, sandbox.now(), method=method):
        raise_decline(sandbox.store.find("payment_intent", "invoice", identifier)[0])
