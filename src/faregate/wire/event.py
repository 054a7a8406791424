"""The event on the wire: Moesif's shape, with our gateway's facts beside it, and its way into the core.

Source of the shape: the events that Moesif's unmodified agents send to `POST /v1/events/batch`.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import urlsplit

import msgspec
from msgspec import Raw, Struct

from faregate.base.errors import InvalidInput
from faregate.domain.metering.event import Event
from faregate.wire.gateway_protocol import GatewayFacts


class WireRequest(Struct, frozen=True, kw_only=True):
    """The request of a call. `route` is the route's public name; agents do not send it."""

    time: datetime
    uri: str
    verb: str
    route: str | None = None
    headers: dict[str, object] | None = None
    body: Raw = Raw(b"null")
    ip_address: str | None = None


class WireResponse(Struct, frozen=True, kw_only=True):
    """The answer of a call."""

    time: datetime | None = None
    status: int
    headers: dict[str, object] | None = None
    body: Raw = Raw(b"null")


class WireEvent(Struct, frozen=True, kw_only=True):
    """One call. Bodies stay raw until a meter asks for a field of them."""

    request: WireRequest
    response: WireResponse | None = None
    user_id: str | None = None
    company_id: str | None = None
    metadata: dict[str, object] | None = None
    blocked_by: str | None = None
    transaction_id: str | None = None
    faregate: GatewayFacts | None = None


_EVENT_DECODER = msgspec.json.Decoder(WireEvent, float_hook=Decimal)
_BODY_DECODER = msgspec.json.Decoder(float_hook=Decimal)


def decode_event(raw: bytes | Raw) -> WireEvent:
    """Decode one event; `InvalidInput` says which field is wrong, in msgspec's words."""
    try:
        return _EVENT_DECODER.decode(raw)
    except msgspec.DecodeError as error:
        raise InvalidInput.of("event", str(error)) from error


def to_event(wire: WireEvent, company_id: str | None) -> Event:
    """Return the core's event. `company_id` is the company the caller belongs to, as resolved from our own records."""
    request, response = wire.request, wire.response
    path = urlsplit(request.uri).path
    fields: dict[str, object] = {
        "request": {
            "route": request.route if request.route is not None else path,
            "path": path,
            "uri": request.uri,
            "verb": request.verb,
            "headers": request.headers,
            "ip_address": request.ip_address,
            "body": _BODY_DECODER.decode(request.body),
        },
        "response": None
        if response is None
        else {"status": response.status, "headers": response.headers, "body": _BODY_DECODER.decode(response.body)},
        "user_id": wire.user_id,
        "company_id": company_id,
        "metadata": wire.metadata,
    }
    return Event(
        occurred_at=as_utc(request.time),
        company_id=company_id,
        user_id=wire.user_id,
        blocked_by=wire.blocked_by,
        fields=fields,
    )


def as_utc(instant: datetime) -> datetime:
    """Return an instant in UTC; agents send UTC without a zone."""
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def content_hash(raw: bytes | Raw) -> bytes:
    """Return 16 bytes over the event's canonical JSON: keys sorted, times as sent, without our own facts."""
    tree = _BODY_DECODER.decode(raw)
    if isinstance(tree, dict):
        tree.pop("faregate", None)
    return hashlib.blake2b(msgspec.json.encode(tree, order="deterministic"), digest_size=16).digest()


def identity(wire: WireEvent, body_hash: bytes) -> bytes:
    """Return the 16 bytes that make a call one call (DESIGN, section 8).

    Our gateway's events: request id and attempt. Others: the id they sent with the content's hash, or the hash alone, since
    a caller can choose an agent's transaction id.
    """
    if wire.faregate is not None:
        text = f"gateway\0{wire.faregate.request_id}\0{wire.faregate.attempt}".encode()
    elif wire.transaction_id:
        text = b"agent\0" + wire.transaction_id.encode() + b"\0" + body_hash
    else:
        text = b"content\0" + body_hash
    return hashlib.blake2b(text, digest_size=16).digest()
