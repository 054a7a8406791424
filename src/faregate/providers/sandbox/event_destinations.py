"""Event destinations: where thin events, or events as `/v1` has them, are posted to.

docs.stripe.com/api/v2/core/event_destinations. Of the kinds of destinations, the sandbox has webhook endpoints.
"""

from __future__ import annotations

from typing import Final

from stripe.events._event_classes import _V2_EVENT_CLASS_LOOKUP
from stripe.params._webhook_endpoint_create_params import WebhookEndpointCreateParams
from stripe.params.v2.core._event_destination_create_params import EventDestinationCreateParams
from stripe.params.v2.core._event_destination_delete_params import EventDestinationDeleteParams
from stripe.params.v2.core._event_destination_disable_params import EventDestinationDisableParams
from stripe.params.v2.core._event_destination_enable_params import EventDestinationEnableParams
from stripe.params.v2.core._event_destination_list_params import EventDestinationListParams
from stripe.params.v2.core._event_destination_ping_params import EventDestinationPingParams
from stripe.params.v2.core._event_destination_retrieve_params import EventDestinationRetrieveParams
from stripe.params.v2.core._event_destination_update_params import EventDestinationUpdateParams

from faregate.providers.sandbox import deliveries
from faregate.providers.sandbox.asking import Asked, Route, Sandbox, iso, merged_metadata, v2_page_of
from faregate.providers.sandbox.deliveries import EVENT_DESTINATION
from faregate.providers.sandbox.faults import Json, refused
from faregate.providers.sandbox.parameters import Choice, ListOf, fields_of
from faregate.providers.sandbox.webhook_endpoints import checked_url, enabled_types
from faregate.providers.stripe_version import API_VERSION

_SECRET: Final = "webhook_endpoint.signing_secret"  # noqa: S105 - the name of a field
_URL: Final = "webhook_endpoint.url"
_PING: Final = "v2.core.event_destination.ping"
_PATH: Final = "/v2/core/event_destinations"


def make_destination(sandbox: Sandbox, asked: Asked) -> Json:
    """Make a destination; its secret is shown here, where it is asked for, and never again."""
    sent = asked.parameters
    if sent["type"] != "webhook_endpoint":
        raise refused(f"The sandbox does not know {sent['type']}: it posts to webhook endpoints", param="type")
    if "webhook_endpoint" not in sent:
        message = "Missing required param: webhook_endpoint."
        raise refused(message, param="webhook_endpoint", code="parameter_missing")
    if sent.get("events_from", ["@self"]) != ["@self"]:
        raise refused("The sandbox is one account: its events are `@self`.", param="events_from")
    is_thin, version = sent["event_payload"] == "thin", sent.get("snapshot_api_version")
    if version not in ({None} if is_thin else {None, API_VERSION}):
        raise refused(f"Thin events have no version; others have {API_VERSION}", param="snapshot_api_version")
    url = checked_url(sent["webhook_endpoint"]["url"], param="webhook_endpoint[url]")
    now = iso(sandbox.now())
    body: Json = {
        "id": sandbox.new_id("ed"),
        "object": EVENT_DESTINATION,
        "amazon_eventbridge": None,
        "azure_event_grid": None,
        "created": now,
        "description": sent.get("description", ""),
        "enabled_events": _types(sent["enabled_events"], is_thin=is_thin),
        "event_payload": sent["event_payload"],
        "events_from": ["@self"],
        "livemode": False,
        "metadata": sent.get("metadata", {}),
        "name": sent["name"],
        "snapshot_api_version": None if is_thin else API_VERSION,
        "status": "enabled",
        "status_details": None,
        "type": "webhook_endpoint",
        "updated": now,
        "webhook_endpoint": {"signing_secret": None, "url": url},
    }
    sandbox.store.add(body)
    secret = sandbox.roll_secret(body["id"], keep_old_ms=0)
    return _shown(body, asked, secret=secret)


def get_destination(sandbox: Sandbox, asked: Asked) -> Json:
    """Return a destination."""
    return _shown(_destination(sandbox, asked), asked)


def list_destinations(sandbox: Sandbox, asked: Asked) -> Json:
    """List destinations."""
    return v2_page_of(asked, [_shown(body, asked) for body in sandbox.store.newest_first(EVENT_DESTINATION)])


def change_destination(sandbox: Sandbox, asked: Asked) -> Json:
    """Change where a destination is, its name, and what it wants."""
    body = _destination(sandbox, asked)
    fields = {name: value for name, value in asked.parameters.items() if name != "include"}
    if "enabled_events" in fields:
        fields["enabled_events"] = _types(fields["enabled_events"], is_thin=body["event_payload"] == "thin")
    if "webhook_endpoint" in fields:
        url = checked_url(fields["webhook_endpoint"]["url"], param="webhook_endpoint[url]")
        fields["webhook_endpoint"] = body["webhook_endpoint"] | {"url": url}
    if "metadata" in fields:
        fields["metadata"] = merged_metadata(body["metadata"], fields["metadata"])
    return _shown(_put(sandbox, body, fields), asked)


def delete_destination(sandbox: Sandbox, asked: Asked) -> Json:
    """Delete a destination: what waits for it is never sent."""
    body = _destination(sandbox, asked)
    sandbox.store.remove(body)
    deliveries.forget_receiver(sandbox.store, body["id"])
    return {"id": body["id"], "object": EVENT_DESTINATION}


def enable_destination(sandbox: Sandbox, asked: Asked) -> Json:
    """Send to a destination again."""
    fields = {"status": "enabled", "status_details": None}
    return _shown(_put(sandbox, _destination(sandbox, asked), fields), asked)


def disable_destination(sandbox: Sandbox, asked: Asked) -> Json:
    """Send nothing more to a destination."""
    fields = {"status": "disabled", "status_details": {"disabled": {"reason": "user"}}}
    return _shown(_put(sandbox, _destination(sandbox, asked), fields), asked)


def ping_destination(sandbox: Sandbox, asked: Asked) -> Json:
    """Send a destination an event, whatever it wants; return the event."""
    body = _destination(sandbox, asked)
    about = {"id": body["id"], "type": EVENT_DESTINATION, "url": f"{_PATH}/{body['id']}"}
    return sandbox.tell_thin(_PING, about=about, to=body["id"])


def _destination(sandbox: Sandbox, asked: Asked) -> Json:
    return sandbox.store.get(EVENT_DESTINATION, asked.ids[0])


def _put(sandbox: Sandbox, body: Json, fields: Json) -> Json:
    after = body | fields | {"updated": iso(sandbox.now())}
    sandbox.store.put(after)
    return after


def _shown(body: Json, asked: Asked, *, secret: str | None = None) -> Json:
    """Return a destination as it is shown: of its endpoint, what `include` names."""
    include = asked.parameters.get("include", [])
    known = {_URL} if secret is None else {_URL, _SECRET}
    for place, name in enumerate(include):
        if name not in known:
            raise refused(f"Invalid include: must be one of {', '.join(sorted(known))}", param=f"include[{place}]")
    shown = {
        "signing_secret": secret if _SECRET in include else None,
        "url": body["webhook_endpoint"]["url"] if _URL in include else None,
    }
    return body | {"webhook_endpoint": shown}


def _types(sent: list[str], *, is_thin: bool) -> list[str]:
    known = set(_V2_EVENT_CLASS_LOOKUP) | {"*"} if is_thin else _snapshot_types()
    for place, name in enumerate(sent):
        if name not in known:
            raise refused(f"Unknown event type: {name}", param=f"enabled_events[{place}]")
    return enabled_types(sent)


def _snapshot_types() -> set[str]:
    shape = fields_of(WebhookEndpointCreateParams)["enabled_events"].shape
    return set(shape.element.values) if isinstance(shape, ListOf) and isinstance(shape.element, Choice) else set()


ROUTES = [
    Route(method="POST", path=_PATH, parameters=EventDestinationCreateParams, answer=make_destination),
    Route(method="GET", path=_PATH, parameters=EventDestinationListParams, answer=list_destinations),
    Route(method="GET", path=f"{_PATH}/{{}}", parameters=EventDestinationRetrieveParams, answer=get_destination),
    Route(method="POST", path=f"{_PATH}/{{}}", parameters=EventDestinationUpdateParams, answer=change_destination),
    Route(method="DELETE", path=f"{_PATH}/{{}}", parameters=EventDestinationDeleteParams, answer=delete_destination),
    Route(
        method="POST", path=f"{_PATH}/{{}}/enable", parameters=EventDestinationEnableParams, answer=enable_destination
    ),
    Route(
        method="POST",
        path=f"{_PATH}/{{}}/disable",
        parameters=EventDestinationDisableParams,
        answer=disable_destination,
    ),
    Route(method="POST", path=f"{_PATH}/{{}}/ping", parameters=EventDestinationPingParams, answer=ping_destination),
]
