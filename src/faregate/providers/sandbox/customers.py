"""Customers (docs.stripe.com/api/customers)."""

from __future__ import annotations

from typing import Final

from stripe.params._customer_create_params import CustomerCreateParams
from stripe.params._customer_delete_params import CustomerDeleteParams
from stripe.params._customer_list_params import CustomerListParams
from stripe.params._customer_retrieve_params import CustomerRetrieveParams
from stripe.params._customer_update_params import CustomerUpdateParams

from faregate.providers.sandbox.asking import Asked, Route, Sandbox, changed, is_as_sent, page_of
from faregate.providers.sandbox.faults import Json, lacking, refused
from faregate.providers.sandbox.payment_methods import attach, payment_method_named, require_of_customer
from faregate.providers.sandbox.subscription_states import ended
from faregate.providers.sandbox.times import TEST_CLOCK, in_time_of

_TAKEN: Final = ("address", "description", "email", "name", "phone", "preferred_locales", "shipping", "tax_exempt")
_MOST_ON_A_CLOCK: Final = 3
_NOT_HERE: Final = frozenset({"cash_balance", "source", "tax", "tax_id_data", "balance"})
_DEFAULT: Final = "invoice_settings[default_payment_method]"


def make_customer(sandbox: Sandbox, asked: Asked) -> Json:
    """Make a customer."""
    sent = asked.parameters
    _refuse_what_is_not_here(sent)
    clock = sent.get("test_clock")
    if clock is not None:
        sandbox = sandbox.at(_clock_with_place(sandbox, clock)["frozen_time"])
    identifier = sandbox.new_id("cus")
    body: Json = {
        "id": identifier,
        "object": "customer",
        "balance": 0,
        "created": sandbox.now(),
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "invoice_prefix": sent.get("invoice_prefix", identifier[-8:].upper()),
        "invoice_settings": {"custom_fields": None, "default_payment_method": None, "footer": None}
        | sent.get("invoice_settings", {}),
        "livemode": False,
        "metadata": sent.get("metadata", {}),
        "next_invoice_sequence": sent.get("next_invoice_sequence", 1),
        "tax_exempt": "none",
        "test_clock": clock,
    }
    body |= {name: sent.get(name, body.get(name)) for name in _TAKEN}
    default = body["invoice_settings"]["default_payment_method"]
    body["invoice_settings"]["default_payment_method"] = None
    sandbox.store.add(body, test_clock=clock)
    sandbox.tell("customer.created", body)
    if "payment_method" in sent:
        method = payment_method_named(sandbox, sent["payment_method"], param="payment_method")
        method = attach(sandbox, method, body)
        # A test token names a new payment method each time: the default is the one that was attached.
        default = method["id"] if default == sent["payment_method"] else default
    return body if default is None else _with_default(sandbox, body, default)


def get_customer(sandbox: Sandbox, asked: Asked) -> Json:
    """Return a customer; of one that was deleted, that it was."""
    body = sandbox.store.get("customer", asked.ids[0])
    return {"id": body["id"], "object": "customer", "deleted": True} if body.get("deleted") else body


def change_customer(sandbox: Sandbox, asked: Asked) -> Json:
    """Change a customer."""
    body = live_customer(sandbox, asked.ids[0], param="id")
    fields = dict(asked.parameters)
    _refuse_what_is_not_here(fields)
    if "invoice_settings" in fields:
        fields["invoice_settings"] = body["invoice_settings"] | fields["invoice_settings"]
        default = fields["invoice_settings"]["default_payment_method"] or None
        if default is not None:
            require_of_customer(sandbox, default, body, param=_DEFAULT)
        fields["invoice_settings"]["default_payment_method"] = default
    return changed(sandbox, body, fields, event="customer.updated")


def delete_customer(sandbox: Sandbox, asked: Asked) -> Json:
    """Delete a customer, for good; its usage stays."""
    body = live_customer(sandbox, asked.ids[0], param="id")
    remove_customer(in_time_of(sandbox, body), body)
    return {"id": body["id"], "object": "customer", "deleted": True}


def remove_customer(sandbox: Sandbox, body: Json) -> None:
    """Let there be no such customer any more, and end its subscriptions."""
    for subscription in sandbox.store.find("subscription", "customer", body["id"]):
        if subscription["ended_at"] is None:
            ended(sandbox, subscription, "canceled", reason="cancellation_requested")
    sandbox.store.put(body | {"deleted": True})
    sandbox.tell("customer.deleted", body)


def list_customers(sandbox: Sandbox, asked: Asked) -> Json:
    """List customers that were not deleted."""
    sent = asked.parameters

    def wanted(body: Json) -> bool:
        return not body.get("deleted") and is_as_sent(body, sent, "email", "test_clock")

    return page_of(asked, sandbox.store.newest_first("customer"), wanted)


def live_customer(sandbox: Sandbox, identifier: str, *, param: str = "customer") -> Json:
    """Return a customer that was not deleted; raises `StripeFault`."""
    body = sandbox.store.get("customer", identifier, param=param)
    if body.get("deleted"):
        raise refused(f"No such customer: '{identifier}'", param=param, code="resource_missing")
    return body


def required_customer(sandbox: Sandbox, sent: Json) -> Json:
    """Return the customer that a request must name, and that was not deleted; raises `StripeFault`."""
    if "customer" not in sent:
        raise lacking("customer")
    return live_customer(sandbox, sent["customer"])


def _clock_with_place(sandbox: Sandbox, identifier: str) -> Json:
    """Return a test clock that may have another customer."""
    clock = sandbox.store.get(TEST_CLOCK, identifier, param="test_clock")
    living = [each for each in sandbox.store.find("customer", "test_clock", identifier) if not each.get("deleted")]
    if len(living) >= _MOST_ON_A_CLOCK:
        message = f"A test clock can have at most {_MOST_ON_A_CLOCK} customers."
        raise refused(message, param="test_clock", code="test_clock_limit_exceeded")
    if clock["status"] != "ready":
        raise refused("The test clock is still advancing; wait until it is ready.", param="test_clock")
    return clock


def _with_default(sandbox: Sandbox, body: Json, default: str) -> Json:
    require_of_customer(sandbox, default, body, param=_DEFAULT)
    after = body | {"invoice_settings": body["invoice_settings"] | {"default_payment_method": default}}
    sandbox.store.put(after)
    return after


def _refuse_what_is_not_here(sent: Json) -> None:
    for name in sorted(_NOT_HERE & sent.keys()):
        raise refused(f"The sandbox does not know `{name}` of a customer", param=name)


ROUTES = [
    Route(method="POST", path="/v1/customers", parameters=CustomerCreateParams, answer=make_customer),
    Route(method="GET", path="/v1/customers", parameters=CustomerListParams, answer=list_customers),
    Route(method="GET", path="/v1/customers/{}", parameters=CustomerRetrieveParams, answer=get_customer),
    Route(method="POST", path="/v1/customers/{}", parameters=CustomerUpdateParams, answer=change_customer),
    Route(method="DELETE", path="/v1/customers/{}", parameters=CustomerDeleteParams, answer=delete_customer),
]
