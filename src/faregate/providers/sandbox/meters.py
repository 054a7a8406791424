"""Billing meters and the usage reported to them (docs.stripe.com/api/billing/meter).

A meter event is counted once an identifier. One that is sent alone is judged at once and refused; those of a stream are
taken, judged and reported afterwards, and so are others where a fault asks for it (`meter_errors.py`).
"""

from __future__ import annotations

import re
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

from faregate.providers.sandbox import meter_errors
from faregate.providers.sandbox.asking import Asked, Route, Sandbox, changed, page_of, retrieved
from faregate.providers.sandbox.customers import live_customer
from faregate.providers.sandbox.faults import Json, StripeFault, lacking, missing, refused
from faregate.providers.sandbox.meter_errors import UnfitEvent
from faregate.providers.sandbox.times import now_of

METER: Final = "billing.meter"

_MOST_NAME: Final = 100
_MOST_IDENTIFIER: Final = 100
_OLDEST_S: Final = 35 * 86_400
_AHEAD_S: Final = 5 * 60
_CANCEL_WITHIN_S: Final = 86_400
_MINUTE_S: Final = 60
_MOST_DIGITS: Final = 15
_WHOLE: Final = re.compile(r"-?[0-9]+")
_WINDOWS: Final = {"hour": 3_600, "day": 86_400}


class RepeatedEvent(StripeFault):
    """An event whose identifier was taken before."""


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
    taken = take_usage(sandbox, asked, asked.parameters)
    return {"object": "billing.meter_event", "livemode": False} | taken


def take_usage(sandbox: Sandbox, asked: Asked, sent: Json) -> Json:
    """Count one event; where it is judged later, take what is wrong with it down for a report instead of refusing it.

    Raises `StripeFault`, `UnfitEvent` for what can be reported.
    """
    now = sandbox.now()
    timestamp = sent.get("timestamp", now)
    identifier = sent.get("identifier") or sandbox.new_id("mevt")
    if len(identifier) > _MOST_IDENTIFIER:
        raise refused(f"Invalid string: must have at most {_MOST_IDENTIFIER} characters", param="identifier")
    try:
        customer, value, timestamp = _fit(sandbox, sent, lost_as=asked.lost_as)
    except UnfitEvent as unfit:
        if not asked.checks_later:
            raise
        meter_errors.note(sandbox, unfit, request=asked.idempotency_key or "")
    else:
        _insert(sandbox, (identifier, sent["event_name"], customer, value, timestamp, now))
    return {
        "created": now,
        "event_name": sent["event_name"],
        "identifier": identifier,
        "payload": sent["payload"],
        "timestamp": timestamp,
    }


def _insert(sandbox: Sandbox, row: tuple[str, str, str, int, int, int]) -> None:
    try:
        sandbox.store.connection.execute(
            "INSERT INTO meter_event (identifier, event_name, customer, value, timestamp, created)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            row,
        )
    except sqlite3.IntegrityError:
        raise RepeatedEvent(f"An event already exists with identifier {row[0]}.", param="identifier") from None


def _fit(sandbox: Sandbox, sent: Json, *, lost_as: str | None) -> tuple[str, int, int]:
    """Return the customer of an event, its value and its time, by the customer's clock; raises `UnfitEvent`."""
    meter = _meter_of(sandbox, sent["event_name"])
    by = meter["id"]
    named = _from_payload(
        sent["payload"], meter["customer_mapping"], meter=by, report="meter_event_no_customer_defined"
    )
    try:
        customer = live_customer(sandbox, named, param="payload")
    except StripeFault as fault:
        raise UnfitEvent.of(fault, report="meter_event_customer_not_found", meter=by) from None
    now = now_of(sandbox, customer)
    timestamp = sent.get("timestamp", now)
    if not now - _OLDEST_S <= timestamp <= now + _AHEAD_S:
        message = "The timestamp must be within the past 35 calendar days or up to 5 minutes in the future."
        report = "timestamp_in_future" if timestamp > now else "timestamp_too_far_in_past"
        raise UnfitEvent(message, report=report, meter=by, param="timestamp")
    value = _value(sent["payload"], meter)
    if lost_as is not None:
        raise UnfitEvent(f"The event was lost: {lost_as}", report=lost_as, meter="" if lost_as == "no_meter" else by)
    return customer["id"], value, timestamp


def cancel_event(sandbox: Sandbox, asked: Asked) -> Json:
    """Take an event of the last 24 hours back."""
    sent = asked.parameters
    identifier = sent.get("cancel", {}).get("identifier")
    if identifier is None:
        raise lacking("cancel")
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
    values: dict[int, list[int]] = {}
    for row in reported(sandbox, meter, customer=sent["customer"], start=start, end=end):
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


def reported(sandbox: Sandbox, meter: Json, *, customer: str, start: int, end: int) -> sqlite3.Cursor:
    """Return the `value` and `timestamp` of what a customer used of a meter in [start, end), oldest first."""
    return sandbox.store.connection.execute(
        "SELECT value, timestamp FROM meter_event WHERE event_name = ? AND customer = ? AND NOT cancelled"
        " AND timestamp >= ? AND timestamp < ? ORDER BY timestamp, created",
        (meter["event_name"], customer, start, end),
    )


def aggregated(formula: str, values: list[int]) -> int:
    """Return what values come to, oldest first: their `sum`, their `count`, or the `last`."""
    if formula == "count":
        return len(values)
    return sum(values) if formula == "sum" else values[-1]


def _active_meter(sandbox: Sandbox, event_name: str) -> Json | None:
    found = sandbox.store.find(METER, "event_name", event_name)
    return next((meter for meter in found if meter["status"] == "active"), None)


def _meter_of(sandbox: Sandbox, event_name: str) -> Json:
    """Return the active meter that takes an event; raises `UnfitEvent`."""
    meter = _active_meter(sandbox, event_name)
    if meter is None:
        found = sandbox.store.find(METER, "event_name", event_name)
        report, by = ("archived_meter", found[0]["id"]) if found else ("no_meter", "")
        raise UnfitEvent.of(missing("meter", event_name, param="event_name"), report=report, meter=by)
    return meter


def _from_payload(payload: Json, mapping: Json, *, meter: str, report: str) -> str:
    key = mapping["event_payload_key"]
    if key not in payload:
        message = f"The payload must have the key `{key}`."
        raise UnfitEvent(message, report=report, meter=meter, param="payload")
    return str(payload[key])


def _value(payload: Json, meter: Json) -> int:
    if meter["default_aggregation"]["formula"] == "count":
        return 1
    report = "meter_event_invalid_value"
    text = _from_payload(payload, meter["value_settings"], meter=meter["id"], report=report)
    if _WHOLE.fullmatch(text) is None:
        message = f"Invalid value `{text}`: must be a whole number."
        raise UnfitEvent(message, report=report, meter=meter["id"], param="payload")
    if len(text.lstrip("-")) > _MOST_DIGITS:
        message = f"Invalid value: must have at most {_MOST_DIGITS} digits."
        raise UnfitEvent(message, report="meter_event_value_too_many_digits", meter=meter["id"], param="payload")
    return int(text)


ROUTES = [
    Route(method="POST", path="/v1/billing/meters", parameters=MeterCreateParams, answer=make_meter),
    Route(method="GET", path="/v1/billing/meters", parameters=MeterListParams, answer=list_meters),
    Route(method="GET", path="/v1/billing/meters/{}", parameters=MeterRetrieveParams, answer=retrieved(METER)),
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
