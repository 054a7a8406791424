"""Meter events of `/v2`: one by one, judged at once; and in streams, under a session's token, judged afterwards.

docs.stripe.com/api/v2/billing/meter-event-stream
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from stripe.params.v2.billing._meter_event_adjustment_create_params import MeterEventAdjustmentCreateParams
from stripe.params.v2.billing._meter_event_create_params import MeterEventCreateParams
from stripe.params.v2.billing._meter_event_session_create_params import MeterEventSessionCreateParams
from stripe.params.v2.billing._meter_event_stream_create_params import MeterEventStreamCreateParams

from faregate.providers.sandbox.asking import Asked, Route, Sandbox, from_iso, iso
from faregate.providers.sandbox.faults import Json, StripeFault, refused
from faregate.providers.sandbox.meters import RepeatedEvent, cancel_event, take_usage

STREAM: Final = "/v2/billing/meter_event_stream"

_MOST_EVENTS: Final = 100
_SESSION_MS: Final = 15 * 60_000


def open_session(sandbox: Sandbox, _: Asked) -> Json:
    """Return a token for streams. It is good for 15 minutes of the machine's time: its holder asks its own clock."""
    token, now_ms = f"sess_test_{secrets.token_urlsafe(32)}", sandbox.machine_ms()
    connection = sandbox.store.connection
    connection.execute("DELETE FROM meter_session WHERE until_ms <= ?", (now_ms,))
    connection.execute(
        "INSERT INTO meter_session (token_digest, until_ms) VALUES (?, ?)", (_digest(token), now_ms + _SESSION_MS)
    )
    return {
        "id": sandbox.new_id("mes"),
        "object": "v2.billing.meter_event_session",
        "authentication_token": token,
        "created": iso(now_ms // 1_000),
        "expires_at": iso((now_ms + _SESSION_MS) // 1_000),
        "livemode": False,
    }


def authorize(sandbox: Sandbox, token: str) -> None:
    """Raise `StripeFault` for a token of no session, or of one that ended."""
    with sandbox.store.transaction() as connection:
        row = connection.execute(
            "SELECT until_ms FROM meter_session WHERE token_digest = ?", (_digest(token),)
        ).fetchone()
    if row is None:
        message = "Invalid authentication token: open a meter event session first."
        raise StripeFault(message, status=HTTPStatus.UNAUTHORIZED)
    if row["until_ms"] <= sandbox.machine_ms():
        raise StripeFault(
            "The temporary session token has expired.",
            status=HTTPStatus.UNAUTHORIZED,
            kind="temporary_session_expired",
            code="billing_meter_event_session_expired",
        )


def take_stream(sandbox: Sandbox, asked: Asked) -> Json:
    """Take events, all in one; a repeated identifier counts once, what is wrong is reported."""
    events = asked.parameters["events"]
    if not 1 <= len(events) <= _MOST_EVENTS:
        raise refused(f"Invalid array: must have 1 to {_MOST_EVENTS} events", param="events")
    later = replace(asked, checks_later=True)
    for place, event in enumerate(events):
        try:
            take_usage(sandbox, later, _as_v1(event, at=f"events[{place}]"))
        except RepeatedEvent:
            continue
    return {}


def take_event(sandbox: Sandbox, asked: Asked) -> Json:
    """Count usage, once an identifier."""
    taken = take_usage(sandbox, asked, _as_v1(asked.parameters, at=""))
    times = {name: iso(taken[name]) for name in ("created", "timestamp")}
    return {"object": "v2.billing.meter_event", "livemode": False} | taken | times


def adjust(sandbox: Sandbox, asked: Asked) -> Json:
    """Take an event of the last 24 hours back."""
    adjusted = cancel_event(sandbox, asked)
    more = {"id": sandbox.new_id("mea"), "object": "v2.billing.meter_event_adjustment", "created": iso(sandbox.now())}
    return adjusted | more


def _as_v1(event: Json, *, at: str) -> Json:
    """Return an event with its timestamp as `/v1` has it."""
    if "timestamp" not in event:
        return event
    param = f"{at}[timestamp]" if at else "timestamp"
    return event | {"timestamp": from_iso(event["timestamp"], param=param)}


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


ROUTES = [
    Route(
        method="POST",
        path="/v2/billing/meter_event_session",
        parameters=MeterEventSessionCreateParams,
        answer=open_session,
    ),
    Route(method="POST", path=STREAM, parameters=MeterEventStreamCreateParams, answer=take_stream),
    Route(method="POST", path="/v2/billing/meter_events", parameters=MeterEventCreateParams, answer=take_event),
    Route(
        method="POST",
        path="/v2/billing/meter_event_adjustments",
        parameters=MeterEventAdjustmentCreateParams,
        answer=adjust,
    ),
]
