"""Thin events, fetched whole (docs.stripe.com/api/v2/core/events)."""

from __future__ import annotations

from collections.abc import Callable
from operator import ge, gt, le, lt
from typing import Final

from stripe.params.v2.core._event_list_params import EventListParams
from stripe.params.v2.core._event_retrieve_params import EventRetrieveParams

from faregate.providers.sandbox.asking import THIN_EVENT, Asked, Route, Sandbox, from_iso, retrieved, v2_page_of
from faregate.providers.sandbox.faults import Json, refused
from faregate.providers.sandbox.meter_errors import report_errors

_MOST_TYPES: Final = 20
_COMPARISONS: Final[dict[str, Callable[[int, int], bool]]] = {"gt": gt, "gte": ge, "lt": lt, "lte": le}


def list_events(sandbox: Sandbox, asked: Asked) -> Json:
    """List thin events, of some types, about one object, of some time."""
    report_errors(sandbox)
    sent = asked.parameters
    types = sent.get("types", [])
    if len(types) > _MOST_TYPES:
        raise refused(f"Invalid array: must have at most {_MOST_TYPES} types", param="types")
    borders = [
        (_COMPARISONS[name], from_iso(text, param=f"created[{name}]")) for name, text in sent.get("created", {}).items()
    ]

    def wanted(event: Json) -> bool:
        created = from_iso(event["created"], param="created")
        about = event["related_object"] or {}
        return (
            (not types or event["type"] in types)
            and sent.get("object_id") in {None, about.get("id")}
            and all(is_within(created, border) for is_within, border in borders)
        )

    return v2_page_of(asked, filter(wanted, sandbox.store.newest_first(THIN_EVENT)))


ROUTES = [
    Route(method="GET", path="/v2/core/events", parameters=EventListParams, answer=list_events),
    Route(method="GET", path="/v2/core/events/{}", parameters=EventRetrieveParams, answer=retrieved(THIN_EVENT)),
]
