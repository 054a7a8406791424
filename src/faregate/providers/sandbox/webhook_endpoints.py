"""Webhook endpoints: where events are posted to (docs.stripe.com/api/webhook_endpoints)."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from stripe.params._webhook_endpoint_create_params import WebhookEndpointCreateParams
from stripe.params._webhook_endpoint_delete_params import WebhookEndpointDeleteParams
from stripe.params._webhook_endpoint_list_params import WebhookEndpointListParams
from stripe.params._webhook_endpoint_retrieve_params import WebhookEndpointRetrieveParams
from stripe.params._webhook_endpoint_update_params import WebhookEndpointUpdateParams

from faregate.providers.sandbox import deliveries
from faregate.providers.sandbox.asking import Asked, Route, Sandbox, merged_metadata, page_of, retrieved
from faregate.providers.sandbox.deliveries import WEBHOOK_ENDPOINT
from faregate.providers.sandbox.faults import Json, refused
from faregate.providers.stripe_version import API_VERSION

_MOST: Final = 16
"""As many endpoints as a test account may have."""


def make_endpoint(sandbox: Sandbox, asked: Asked) -> Json:
    """Make an endpoint; its secret is shown here and never again."""
    sent = asked.parameters
    if sent.get("connect"):
        raise refused("The sandbox is one account: it has no connected ones.", param="connect")
    version = sent.get("api_version")
    if version not in {None, API_VERSION}:
        raise refused(f"The sandbox speaks {API_VERSION} alone", param="api_version")
    if len(list(sandbox.store.newest_first(WEBHOOK_ENDPOINT))) >= _MOST:
        raise refused(f"You have reached the maximum of {_MOST} test webhook endpoints.")
    body: Json = {
        "id": sandbox.new_id("we"),
        "object": WEBHOOK_ENDPOINT,
        "api_version": version,
        "application": None,
        "created": sandbox.now(),
        "description": sent.get("description") or None,
        "enabled_events": enabled_types(sent["enabled_events"]),
        "livemode": False,
        "metadata": sent.get("metadata", {}),
        "status": "enabled",
        "url": checked_url(sent["url"], param="url"),
    }
    sandbox.store.add(body)
    return body | {"secret": sandbox.roll_secret(body["id"], keep_old_ms=0)}


def change_endpoint(sandbox: Sandbox, asked: Asked) -> Json:
    """Change where an endpoint is, what it wants, and whether it is sent anything."""
    body, fields = sandbox.store.get(WEBHOOK_ENDPOINT, asked.ids[0]), dict(asked.parameters)
    if "disabled" in fields:
        fields["status"] = "disabled" if fields.pop("disabled") else "enabled"
    if "enabled_events" in fields:
        fields["enabled_events"] = enabled_types(fields["enabled_events"])
    if "url" in fields:
        checked_url(fields["url"], param="url")
    if "metadata" in fields:
        fields["metadata"] = merged_metadata(body["metadata"], fields["metadata"])
    if "description" in fields:
        fields["description"] = fields["description"] or None
    # Stripe tells of no event when an endpoint changes.
    sandbox.store.put(body | fields)
    return body | fields


def delete_endpoint(sandbox: Sandbox, asked: Asked) -> Json:
    """Delete an endpoint: what waits for it is never sent."""
    body = sandbox.store.get(WEBHOOK_ENDPOINT, asked.ids[0])
    sandbox.store.remove(body)
    deliveries.forget_receiver(sandbox.store, body["id"])
    return {"id": body["id"], "object": WEBHOOK_ENDPOINT, "deleted": True}


def list_endpoints(sandbox: Sandbox, asked: Asked) -> Json:
    """List endpoints."""
    return page_of(asked, sandbox.store.newest_first(WEBHOOK_ENDPOINT))


def checked_url(url: str, *, param: str) -> str:
    """Return the address of a receiver; raises `StripeFault` for what none can be posted to."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise refused("Invalid URL: An explicit scheme (such as https) must be provided.", param=param)
    return url


def enabled_types(sent: list[str]) -> list[str]:
    """Return the types of events that a receiver wants, in order; raises `StripeFault` for none."""
    if not sent:
        raise refused("You must enable at least one event.", param="enabled_events", code="parameter_missing")
    return sorted(set(sent))


ROUTES = [
    Route(method="POST", path="/v1/webhook_endpoints", parameters=WebhookEndpointCreateParams, answer=make_endpoint),
    Route(method="GET", path="/v1/webhook_endpoints", parameters=WebhookEndpointListParams, answer=list_endpoints),
    Route(
        method="GET",
        path="/v1/webhook_endpoints/{}",
        parameters=WebhookEndpointRetrieveParams,
        answer=retrieved(WEBHOOK_ENDPOINT),
    ),
    Route(
        method="POST", path="/v1/webhook_endpoints/{}", parameters=WebhookEndpointUpdateParams, answer=change_endpoint
    ),
    Route(
        method="DELETE",
        path="/v1/webhook_endpoints/{}",
        parameters=WebhookEndpointDeleteParams,
        answer=delete_endpoint,
    ),
]
