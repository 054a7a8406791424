"""Subscription items: what a subscription is of, one price each (docs.stripe.com/api/subscription_items)."""

from __future__ import annotations

from typing import Final

from stripe.params._subscription_item_create_params import SubscriptionItemCreateParams
from stripe.params._subscription_item_delete_params import SubscriptionItemDeleteParams
from stripe.params._subscription_item_list_params import SubscriptionItemListParams
from stripe.params._subscription_item_retrieve_params import SubscriptionItemRetrieveParams
from stripe.params._subscription_item_update_params import SubscriptionItemUpdateParams

from faregate.providers.sandbox.asking import Asked, Route, Sandbox, page_of, retrieved
from faregate.providers.sandbox.faults import Json, refused
from faregate.providers.sandbox.subscription_changes import change

_HOW: Final = frozenset({"payment_behavior", "proration_behavior", "proration_date", "off_session"})


def add_item(sandbox: Sandbox, asked: Asked) -> Json:
    """Add an item to a subscription."""
    sent = dict(asked.parameters)
    subscription = sandbox.store.get("subscription", sent.pop("subscription"), param="subscription")
    known = {item["id"] for item in subscription["items"]["data"]}
    after = _changed(sandbox, subscription, sent)
    return next(item for item in after["items"]["data"] if item["id"] not in known)


def change_item(sandbox: Sandbox, asked: Asked) -> Json:
    """Change an item's price, quantity or metadata."""
    item = sandbox.store.get("subscription_item", asked.ids[0])
    subscription = sandbox.store.get("subscription", item["subscription"])
    _changed(sandbox, subscription, asked.parameters | {"id": item["id"]})
    return sandbox.store.get("subscription_item", item["id"])


def delete_item(sandbox: Sandbox, asked: Asked) -> Json:
    """Take an item off its subscription, which goes on with at least one other."""
    item = sandbox.store.get("subscription_item", asked.ids[0])
    subscription = sandbox.store.get("subscription", item["subscription"])
    if len(subscription["items"]["data"]) == 1:
        message = "A subscription must have at least one active plan. To cancel it, use the cancel subscription call."
        raise refused(message, param="id")
    _changed(sandbox, subscription, asked.parameters | {"id": item["id"], "deleted": True})
    return {"id": item["id"], "object": "subscription_item", "deleted": True}


def list_items(sandbox: Sandbox, asked: Asked) -> Json:
    """List a subscription's items, in their order."""
    subscription = sandbox.store.get("subscription", asked.parameters["subscription"], param="subscription")
    return page_of(asked, subscription["items"]["data"])


def _changed(sandbox: Sandbox, subscription: Json, sent: Json) -> Json:
    how = {name: value for name, value in sent.items() if name in _HOW}
    item = {name: value for name, value in sent.items() if name not in _HOW}
    return change(sandbox, subscription, how | {"items": [item]})


_PATH: Final = "/v1/subscription_items"

ROUTES = [
    Route(method="POST", path=_PATH, parameters=SubscriptionItemCreateParams, answer=add_item),
    Route(method="GET", path=_PATH, parameters=SubscriptionItemListParams, answer=list_items),
    Route(
        method="GET",
        path=f"{_PATH}/{{}}",
        parameters=SubscriptionItemRetrieveParams,
        answer=retrieved("subscription_item"),
    ),
    Route(method="POST", path=f"{_PATH}/{{}}", parameters=SubscriptionItemUpdateParams, answer=change_item),
    Route(method="DELETE", path=f"{_PATH}/{{}}", parameters=SubscriptionItemDeleteParams, answer=delete_item),
]
