"""Billing meters and the usage reported to them (docs.stripe.com/api/billing/meter).

A meter event is counted once an identifier. Only its name, mapping and the customer are checked when it comes; Stripe
checks more of it afterwards and tells of what it lost. The sandbox checks at once, and tells at once.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from stripe.params.billing._meter_create_params import MeterCreateParams
from stripe.params.billing._meter_deactivate_params import MeterDeactivateParams
from stripe.params.billing._meter_event_adjustment_create_params import MeterEventAdjustmentCreateParams
from stripe.params.billing._meter_event_create_params import MeterEventCreateParams
from stripe.params.billing._meter_event_summary_list_params import MeterEventSummaryListParams
from stripe.params.billing._meter_list_params import MeterListParams
from stripe.params.billing._meter_reactivate_params import MeterReactivateParams
from stripe.params.billing._meter_retrieve_params import MeterRetrieveParams
from stripe.params.billing._meter_update_params import MeterUpdateParams

from faregate.providers.sandbox.asking import Asked, Route, Sandbox, changed, page_of
from faregate.providers.sandbox.customers import live_customer
from faregate.providers.sandbox.faults import Json, missing, refused

METER: Final = "billing.meter"

_MOST_NAME: Final = 100
_MOST_IDENTIFIER: Final = 100
_OLDEST_S: Final = 35 * 86_400
_AHEAD_S: Final = 5 * 60
_CANCEL_WITHIN_S: Final = 86_400
_MINUTE_S: Final = 60
_WINDOWS: Final = {"hour": 3_600, "day": 86_400}


def make_meter(sandbox: Sandbox, asked: Asked) -> Json:
    """Make a meter; one event name is of one active meter."""
    sent = asked.parameters
    name = sent["event_name"]
    if not 1 <= len(name) <= _MOST_NAME:
        raise refused(f"Invalid string: must have 1 to {_MOST_NAME} characters", param="event_name")
    if _active_meter(sandbox, name):
        raise refused(f"An active meter already exists for event name '{name}'.", param="event_name")
    now = sandbox.now()
    body: Json = {
        "id": sandbox.new_id("mtr"),
        "object": METER,
        "created": now,
        "customer_mapping": sent.get("customer_mapping", {"event_payload_key": "stripe_customer_id", "type": "by_id"}),
        "default_aggregation": sent["default_aggregation"],
        "display_name": sent["display_name"],
        "event_name": name,
        "event_time_window": sent.get("event_time_window"),
        "livemode": False,
        "status": "active",
        "status_transitions": {"deactivated_at": None},
        "updated": now,
        "value_settings": sent.get("value_settings", {"event_payload_key": "value"}),
    }
    sandbox.store.add(body, event_name=name)
    sandbox.tell("billing.meter.created", body)
    return body


def get_meter(sandbox: Sandbox, asked: Asked) -> Json:
    """Return a meter."""
    return sandbox.store.get(METER, asked.ids[0])


def rename_meter(sandbox: Sandbox, asked: Asked) -> Json:
    """Change a meter's name, the only thing that can be changed of it."""
    body = sandbox.store.get(METER, asked.ids[0])
    return changed(sandbox, body, asked.parameters, event="billing.meter.updated")


def stop_meter(sandbox: Sandbox, asked: Asked) -> Json:
    """Let a meter take no more events."""
    body = sandbox.store.get(METER, asked.ids[0])
    if body["status"] == "inactive":
        raise refused("The meter is already inactive.", param="id")
    fields = {"status": "inactive", "status_transitions": {"deactivated_at": sandbox.now()}}
    return changed(sandbox, body, fields, event="billing.meter.deactivated")


def start_meter(sandbox: Sandbox, asked: Asked) -> Json:
    """Let a meter take events again."""
    body = sandbox.store.get(METER, asked.ids[0])
    if body["status"] == "active":
        raise refused("The meter is already active.", param="id")
    if _active_meter(sandbox, body["event_name"]):
        raise refused(f"An active meter already exists for event name '{body['event_name']}'.", param="id")
    fields = {"status": "active", "status_transitions": {"deactivated_at": None}}
    return changed(sandbox, body, fields, event="billing.meter.reactivated")


def list_meters(sandbox: Sandbox, asked: Asked) -> Json:
    """List meters."""
    status = asked.parameters.get("status")
    found = sandbox.store.newest_first(METER)
    return page_of(asked, found, lambda body: status in {None, body["status"]})


def take_event(sandbox: Sandbox, asked: Asked) -> Json:
    """Count usage, once an identifier."""
    sent = asked.parameters
    meter = _active_meter(sandbox, sent["event_name"])
    if meter is None:
        raise missing("meter", sent["event_name"], param="event_name")
    now = sandbox.now()
    timestamp = sent.get("timestamp", now)
    if not now - _OLDEST_S <= timestamp <= now + _AHEAD_S:
        message = "The timestamp must be within the past 35 calendar days or up to 5 minutes in the future."
        raise refused(message, param="timestamp")
    identifier = sent.get("identifier") or sandbox.new_id("mevt")
    if len(identifier) > _MOST_IDENTIFIER:
        raise refused(f"Invalid string: must have at most {_MOST_IDENTIFIER} characters", param="identifier")
    customer = live_customer(sandbox, _from_payload(sent["payload"], meter["customer_mapping"]), param="payload")
    row = (identifier, meter["event_name"], customer["id"], _value(sent["payload"], meter), timestamp, now)
    try:
        sandbox.store.connection.execute(
            "INSERT INTO meter_event (identifier, event_name, customer, value, timestamp, created)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            row,
        )
    except sqlite3.IntegrityError:
        message = f"An event already exists with identifier {identifier}."
        raise refused(message, param="identifier") from None
    return {
        "object": "billing.meter_event",
        "created": now,
        "event_name": meter["event_name"],
        "identifier": identifier,
        "livemode": False,
        "payload": sent["payload"],
        "timestamp": timestamp,
    }


def cancel_event(sandbox: Sandbox, asked: Asked) -> Json:
    """Take an event of the last 24 hours back."""
    sent = asked.parameters
    identifier = sent.get("cancel", {}).get("identifier")
    if identifier is None:
        raise refused("Missing required param: cancel.", param="cancel", code="parameter_missing")
    connection = sandbox.store.connection
    row = connection.execute(
        "SELECT created, cancelled FROM meter_event WHERE identifier = ? AND event_name = ?",
        (identifier, sent["event_name"]),
    ).fetchone()
    if row is None:
        raise missing("meter event", identifier, param="cancel[identifier]")
    if row["cancelled"] or sandbox.now() - row["created"] > _CANCEL_WITHIN_S:
        message = "Only an event of the last 24 hours that was not cancelled can be cancelled."
        raise refused(message, param="cancel[identifier]")
    connection.execute("UPDATE meter_event SET cancelled = 1 WHERE identifier = ?", (identifier,))
    return {
        "object": "billing.meter_event_adjustment",
        "cancel": {"identifier": identifier},
        "event_name": sent["event_name"],
        "livemode": False,
        "status": "complete",
        "type": "cancel",
    }


def list_summaries(sandbox: Sandbox, asked: Asked) -> Json:
    """List what a customer used of a meter in [start_time, end_time), whole or by hour or day, newest first."""
    meter = sandbox.store.get(METER, asked.ids[0])
    sent = asked.parameters
    start, end = sent["start_time"], sent["end_time"]
    grouping: str = sent.get("value_grouping_window") or ""
    step = _WINDOWS.get(grouping, 0)
    for name, instant in (("start_time", start), ("end_time", end)):
        if instant % (step or _MINUTE_S):
            border = f"{grouping} in UTC" if grouping else "minute"
            raise refused(f"Invalid timestamp: must be at the border of a {border}", param=name)
    if start >= end:
        raise refused("The start time must be before the end time.", param="start_time")
    live_customer(sandbox, sent["customer"])
    rows = sandbox.store.connection.execute(
        "SELECT value, timestamp FROM meter_event WHERE event_name = ? AND customer = ? AND NOT cancelled"
        " AND timestamp >= ? AND timestamp < ? ORDER BY timestamp, created",
        (meter["event_name"], sent["customer"], start, end),
    )
    values: dict[int, list[int]] = {}
    for row in rows:
        begin = start if not step else row["timestamp"] - row["timestamp"] % step
        values.setdefault(begin, []).append(row["value"])
    formula = meter["default_aggregation"]["formula"]
    found = [
        {
            "id": f"mtrusg_{meter['id'].rpartition('_')[2]}_{begin}",
            "object": "billing.meter_event_summary",
            "aggregated_value": aggregated(formula, values[begin]),
            "end_time": begin + step if step else end,
            "livemode": False,
            "meter": meter["id"],
            "start_time": begin,
        }
        for begin in sorted(values, reverse=True)
    ]
    return page_of(asked, found)


def aggregated(formula: str, values: list[int]) -> int:
    """Return what values come to, oldest first: their `sum`, their `count`, or the `last`."""
    if formula == "count":
        return len(values)
    return sum(values) if formula == "sum" else values[-1]


def _active_meter(sandbox: Sandbox, event_name: str) -> Json | None:
    found = sandbox.store.find(METER, "event_name", event_name)
    return next((meter for meter in found if meter["status"] == "active"), None)


def _from_payload(payload: Json, mapping: Json) -> str:
    key = mapping["event_payload_key"]
    if key not in payload:
        raise refused(f"The payload must have the key `{key}`.", param="payload")
    return str(payload[key])


def _value(payload: Json, meter: Json) -> int:
    if meter["default_aggregation"]["formula"] == "count":
        return 1
    text = _from_payload(payload, meter["value_settings"])
    try:
        return int(text)
    except ValueError:
        raise refused(f"Invalid value `{text}`: must be a whole number.", param="payload") from None


ROUTES = [
    Route(method="POST", path="/v1/billing/meters", parameters=MeterCreateParams, answer=make_meter),
    Route(method="GET", path="/v1/billing/meters", parameters=MeterListParams, answer=list_meters),
    Route(method="GET", path="/v1/billing/meters/{}", parameters=MeterRetrieveParams, answer=get_meter),
    Route(method="POST", path="/v1/billing/meters/{}", parameters=MeterUpdateParams, answer=rename_meter),
    Route(method="POST", path="/v1/billing/meters/{}/deactivate", parameters=MeterDeactivateParams, answer=stop_meter),
    Route(method="POST", path="/v1/billing/meters/{}/reactivate", parameters=MeterReactivateParams, answer=start_meter),
    Route(
        method="GET",
        path="/v1/billing/meters/{}/event_summaries",
        parameters=MeterEventSummaryListParams,
        answer=list_summaries,
    ),
    Route(method="POST", path="/v1/billing/meter_events", parameters=MeterEventCreateParams, answer=take_event),
    Route(
        method="POST",
        path="/v1/billing/meter_event_adjustments",
        parameters=MeterEventAdjustmentCreateParams,
        answer=cancel_event,
    ),
]
