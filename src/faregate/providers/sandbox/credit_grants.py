"""Credit grants: money given ahead, for usage alone (docs.stripe.com/api/billing/credit-grant)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from stripe.params.billing._credit_grant_create_params import CreditGrantCreateParams
from stripe.params.billing._credit_grant_expire_params import CreditGrantExpireParams
from stripe.params.billing._credit_grant_list_params import CreditGrantListParams
from stripe.params.billing._credit_grant_retrieve_params import CreditGrantRetrieveParams
from stripe.params.billing._credit_grant_update_params import CreditGrantUpdateParams
from stripe.params.billing._credit_grant_void_grant_params import CreditGrantVoidGrantParams

from faregate.providers.sandbox.asking import Asked, Route, Sandbox, changed, known_currency, page_of, retrieved
from faregate.providers.sandbox.credit_balance import GRANT, is_usable, left_of, moved
from faregate.providers.sandbox.customers import required_customer
from faregate.providers.sandbox.faults import Json, lacking, refused
from faregate.providers.sandbox.times import in_time_of, plan

_EXPIRE: Final = "credit_grant.expire"
_LOWEST_PRIORITY: Final = 100
_PRIORITY: Final = 50
_MOST_UNUSED: Final = 100


def make_grant(sandbox: Sandbox, asked: Asked) -> Json:
    """Give a customer credit."""
    sent = asked.parameters
    customer = required_customer(sandbox, sent)
    sandbox = in_time_of(sandbox, customer)
    standing = sandbox.store.find(GRANT, "customer", customer["id"])
    if sum(1 for grant in standing if grant["voided_at"] is None and left_of(sandbox, grant)) >= _MOST_UNUSED:
        raise refused(f"A customer can have at most {_MOST_UNUSED} unused credit grants.", param="customer")
    now = sandbox.now()
    body: Json = {
        "id": sandbox.new_id("credgr"),
        "object": GRANT,
        "amount": _amount(sent["amount"]),
        "applicability_config": {"scope": _scope(sandbox, sent["applicability_config"]["scope"])},
        "category": sent.get("category", "paid"),
        "created": now,
        "customer": customer["id"],
        "customer_account": None,
        "effective_at": sent.get("effective_at", now),
        "expires_at": sent.get("expires_at"),
        "livemode": False,
        "metadata": sent.get("metadata", {}),
        "name": sent.get("name"),
        "priority": sent.get("priority", _PRIORITY),
        "test_clock": customer["test_clock"],
        "updated": now,
        "voided_at": None,
    }
    if not 0 <= body["priority"] <= _LOWEST_PRIORITY:
        raise refused(f"Invalid integer: must be between 0 and {_LOWEST_PRIORITY}", param="priority")
    _check_expiry(body, now=now)
    sandbox.store.add(body, customer=customer["id"])
    plan(sandbox, _EXPIRE, body, at=body["expires_at"])
    sandbox.tell(f"{GRANT}.created", body)
    moved(
        sandbox, body, "credits_granted", amount=body["amount"]["monetary"]["value"], effective_at=body["effective_at"]
    )
    return body


def change_grant(sandbox: Sandbox, asked: Asked) -> Json:
    """Change when a grant's credit expires, and its metadata."""
    body = sandbox.store.get(GRANT, asked.ids[0])
    sandbox = in_time_of(sandbox, body)
    fields = dict(asked.parameters)
    if "expires_at" in fields:
        fields["expires_at"] = fields["expires_at"] or None
        _refuse_if_over(sandbox, body)
        _check_expiry(body | fields, now=sandbox.now())
        plan(sandbox, _EXPIRE, body, at=fields["expires_at"])
    return _changed(sandbox, body, fields)


def expire_grant(sandbox: Sandbox, asked: Asked) -> Json:
    """Let what is left of a grant expire now."""
    body = sandbox.store.get(GRANT, asked.ids[0])
    sandbox = in_time_of(sandbox, body)
    _refuse_if_over(sandbox, body)
    body = _changed(sandbox, body, {"expires_at": sandbox.now()})
    plan(sandbox, _EXPIRE, body, at=None)
    expire(sandbox, body["id"])
    return body


def void_grant(sandbox: Sandbox, asked: Asked) -> Json:
    """Take back a grant of which nothing was used."""
    body = sandbox.store.get(GRANT, asked.ids[0])
    sandbox = in_time_of(sandbox, body)
    _refuse_if_over(sandbox, body)
    left = left_of(sandbox, body)
    if left != body["amount"]["monetary"]["value"]:
        raise refused("A credit grant that was applied to an invoice can't be voided.", param="id")
    plan(sandbox, _EXPIRE, body, at=None)
    body = _changed(sandbox, body, {"voided_at": sandbox.now()})
    moved(sandbox, body, "credits_voided", amount=left)
    return body


def list_grants(sandbox: Sandbox, asked: Asked) -> Json:
    """List credit grants."""
    customer = asked.parameters.get("customer")
    found = sandbox.store.newest_first(GRANT)
    return page_of(asked, found, lambda body: customer in {None, body["customer"]})


def expire(sandbox: Sandbox, identifier: str) -> None:
    """Keep that what is left of a grant has expired."""
    body = sandbox.store.get(GRANT, identifier)
    left = left_of(sandbox, body)
    if left:
        moved(sandbox, body, "credits_expired", amount=left)


def _changed(sandbox: Sandbox, body: Json, fields: Json) -> Json:
    return changed(sandbox, body | {"updated": sandbox.now()}, fields, event=f"{GRANT}.updated")


def _refuse_if_over(sandbox: Sandbox, body: Json) -> None:
    if body["voided_at"] is not None:
        raise refused("The credit grant is already voided.", param="id")
    if body["effective_at"] <= sandbox.now() and not is_usable(sandbox, body):
        raise refused("The credit grant has already expired.", param="id")


def _check_expiry(body: Json, *, now: int) -> None:
    ends = body["expires_at"]
    if ends is not None and ends <= max(now, body["effective_at"]):
        raise refused("`expires_at` must be in the future, and after `effective_at`.", param="expires_at")


def _amount(sent: Json) -> Json:
    if "monetary" not in sent:
        raise lacking("amount[monetary]")
    code = known_currency(sent["monetary"]["currency"], param="amount[monetary][currency]")
    value = sent["monetary"]["value"]
    if value < 1:
        raise refused("Invalid positive integer", param="amount[monetary][value]")
    return {"monetary": {"currency": code, "value": value}, "type": "monetary"}


def _scope(sandbox: Sandbox, sent: Json) -> Json:
    param = "applicability_config[scope]"
    if ("price_type" in sent) is bool(sent.get("prices")):
        raise refused("Set either `price_type` or `prices`.", param=param, code="parameter_missing")
    for place, named in enumerate(sent.get("prices", [])):
        at = f"{param}[prices][{place}][id]"
        price = sandbox.store.get("price", named["id"], param=at)
        if price["recurring"] is None or price["recurring"]["usage_type"] != "metered":
            raise refused("Credit applies to metered prices alone.", param=at)
    return dict(sent)


WORKS: Final[Mapping[str, Callable[[Sandbox, str], None]]] = {_EXPIRE: expire}
_ONE: Final = "/v1/billing/credit_grants/{}"
ROUTES = [
    Route(method="POST", path="/v1/billing/credit_grants", parameters=CreditGrantCreateParams, answer=make_grant),
    Route(method="GET", path="/v1/billing/credit_grants", parameters=CreditGrantListParams, answer=list_grants),
    Route(method="GET", path=_ONE, parameters=CreditGrantRetrieveParams, answer=retrieved(GRANT)),
    Route(method="POST", path=_ONE, parameters=CreditGrantUpdateParams, answer=change_grant),
    Route(method="POST", path=f"{_ONE}/expire", parameters=CreditGrantExpireParams, answer=expire_grant),
    Route(method="POST", path=f"{_ONE}/void", parameters=CreditGrantVoidGrantParams, answer=void_grant),
]
