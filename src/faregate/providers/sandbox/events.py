"""Events: what happened, newest first (docs.stripe.com/api/events)."""

from __future__ import annotations

from stripe.params._event_list_params import EventListParams
from stripe.params._event_retrieve_params import EventRetrieveParams

from faregate.providers.sandbox.asking import Asked, Route, Sandbox, created_in, page_of, retrieved
from faregate.providers.sandbox.faults import Json


def list_events(sandbox: Sandbox, asked: Asked) -> Json:
    """List events, of some types if they are named, and of a span of time."""
    sent = asked.parameters
    types = {*sent.get("types", []), *([sent["type"]] if "type" in sent else [])}

    def wanted(body: Json) -> bool:
        return (not types or body["type"] in types) and created_in(sent.get("created"), body["created"])

    return page_of(asked, sandbox.store.newest_first("event"), wanted)


ROUTES = [
    Route(method="GET", path="/v1/events", parameters=EventListParams, answer=list_events),
    Route(method="GET", path="/v1/events/{}", parameters=EventRetrieveParams, answer=retrieved("event")),
]
