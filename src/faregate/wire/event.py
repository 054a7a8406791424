"""The event on the wire: Moesif's shape, with our gateway's facts beside it, and its way into the core.

Source of the shape: the events that Moesif's unmodified agents send to `POST /v1/events/batch`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from faregate.base.errors import InvalidInput
from faregate.base.ids import ulid_milliseconds
from faregate.base.limits import EVENT_YEARS, MAX_EVENT_WEIGHT
from faregate.domain.metering.event import Event
from faregate.wire.gateway_protocol import GatewayFacts


class WireRequest(Struct, frozen=True, kw_only=True):
    """The request of a call. `route` is the route's public name; agents do not send it. `body`: any JSON, decoded."""

    time: datetime
    uri: str
    verb: str
    route: str | None = None
    headers: dict[str, object] | None = None
    body: Any = None
    ip_address: str | None = None

    def __post_init__(self) -> None:
        if self.time.year not in EVENT_YEARS:
            raise ValueError(f"`time` must be in the years {EVENT_YEARS[0]} to {EVENT_YEARS[-1]}")


class WireResponse(Struct, frozen=True, kw_only=True):
    """The answer of a call."""

    time: datetime | None = None
    status: int
    headers: dict[str, object] | None = None
    body: Any = None


class WireEvent(Struct, frozen=True, kw_only=True):
    """One call. `weight`: how many calls it stands for."""

    request: WireRequest
    response: WireResponse | None = None
    user_id: str | None = None
    company_id: str | None = None
    metadata: dict[str, object] | None = None
    blocked_by: str | None = None
    transaction_id: str | None = None
    weight: Annotated[int, Meta(ge=0, le=MAX_EVENT_WEIGHT)] | None = None
    faregate: GatewayFacts | None = None


def exact_number(numeral: str) -> Decimal | str:
    """Return a numeral's exact value, as a `float_hook`.

    One whose exponent no Decimal can hold stays text, which no meter can count.
    """
    try:
        return Decimal(numeral)
    except InvalidOperation:
        return numeral


class _SentFacts(Struct, frozen=True):
    faregate: GatewayFacts | None = None


_FACTS_DECODER: Final = msgspec.json.Decoder(_SentFacts)
_EVENT_DECODER: Final = msgspec.json.Decoder(WireEvent, float_hook=exact_number)
_JSON_DECODER: Final[msgspec.json.Decoder[object]] = msgspec.json.Decoder(float_hook=exact_number)
_CANONICAL_ENCODER: Final = msgspec.json.Encoder(decimal_format="number", order="deterministic")

_URI_PATH: Final = re.compile(r"(?:[^:/?#]+:)?(?://[^/?#]*)?([^?#]*)")
"""RFC 3986, appendix B: finds a path in every text. A caller chooses the host: a bad one must not cost the event."""

_Decoded = TypeVar("_Decoded")

_DIGEST_BYTES: Final = 16
_ID_CHARACTERS: Final = 30
_ID_TIME: Final = slice(4, 14)
"""A request id's time, after its prefix `req_` (`base/ids.py`)."""


def decode_event(raw: bytes | Raw) -> WireEvent:
    """Decode one event; `InvalidInput` says which field is wrong, in msgspec's words."""
    return _decode(_EVENT_DECODER, raw)


def sent_facts(raw: bytes | Raw) -> GatewayFacts | None:
    """Return our gateway's facts of an event whose other parts cannot be read; None where it bears none."""
    try:
        return _FACTS_DECODER.decode(raw).faregate
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def to_event(wire: WireEvent, company_id: str | None) -> Event:
    """Return the core's event. `company_id` is the company the caller belongs to, as resolved from our own records."""
    request, response = wire.request, wire.response
    path = path_of(request.uri)
    fields: dict[str, object] = {
        "request": {
            "route": request.route if request.route is not None else path,
            "path": path,
            "uri": request.uri,
            "verb": request.verb,
            "headers": request.headers,
            "ip_address": request.ip_address,
            "body": request.body,
        },
        "response": None
        if response is None
        else {
            "status": response.status,
            "headers": response.headers,
            "body": response.body,
        },
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
        weight=wire.weight or 1,
    )


def as_utc(instant: datetime) -> datetime:
    """Return an instant in UTC; agents send UTC without a zone."""
    if instant.tzinfo is UTC:
        return instant
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def content_hash(raw: bytes | Raw) -> bytes:
    """Return 16 bytes over the event's canonical JSON: keys sorted, times as sent, without our own facts.

    Raises `InvalidInput` where the JSON, bodies included, cannot be read.
    """
    tree = _decode(_JSON_DECODER, raw)
    if isinstance(tree, dict):
        tree.pop("faregate", None)
    return hashlib.blake2b(_CANONICAL_ENCODER.encode(tree), digest_size=16).digest()


def corrected_body(raw: bytes | Raw, fields: Mapping[str, object]) -> bytes:
    """Return an event's JSON with a JSON merge patch (RFC 7396) applied: null takes a field away; numbers are exact."""
    return _CANONICAL_ENCODER.encode(_patched(_decode(_JSON_DECODER, raw), fields))


def decode_patch(field: str, raw: bytes | Raw) -> dict[str, object]:
    """Return a JSON merge patch; `InvalidInput` on `field` for what is no object. Numbers are exact."""
    found = _decode(_JSON_DECODER, raw)
    if not isinstance(found, dict):
        raise InvalidInput.of(field, "must be an object with the fields to change")
    return found


def patch_text(fields: Mapping[str, object]) -> str:
    """Return a patch as one text, whatever the order of its fields."""
    return _CANONICAL_ENCODER.encode(fields).decode()


def _patched(value: object, change: object) -> object:
    if not isinstance(change, Mapping):
        return change
    known = value if isinstance(value, dict) else {}
    merged = {name: _patched(known.get(name), part) for name, part in change.items() if part is not None}
    return {name: part for name, part in known.items() if name not in change} | merged


def raw_hash(raw: bytes | Raw) -> bytes:
    """Return 16 bytes over the event as it was sent."""
    return _digest(raw)


def identity(wire: WireEvent, body_hash: bytes) -> bytes:
    """Return the 16 bytes that make a call one call.

    Our gateway's events: request id and attempt. Others: the id they sent with the content's hash, or the hash alone,
    since a caller can choose an agent's transaction id.
    """
    if wire.faregate is not None:
        return call_identity(wire.faregate.request_id, wire.faregate.attempt)
    if wire.transaction_id:
        return _digest(b"agent\0" + wire.transaction_id.encode() + b"\0" + body_hash)
    return _digest(b"content\0" + body_hash)


def call_identity(request_id: str, attempt: int) -> bytes:
    """Return the identity of a call that went through our gateway: its time, then what tells it from all others.

    Identities that grow with time are written at the end of their index, not all over it.
    """
    digest = _digest(f"gateway\0{request_id}\0{attempt}".encode())
    time_part = _time_part(request_id[_ID_TIME]) if len(request_id) == _ID_CHARACTERS else b""
    return time_part + digest[: _DIGEST_BYTES - len(time_part)]


@lru_cache(maxsize=1_024)
def _time_part(head: str) -> bytes:
    """Return six bytes of a request id's time; none for an id that our gateway did not make."""
    milliseconds = ulid_milliseconds(head)
    return b"" if milliseconds is None else milliseconds.to_bytes(6, "big")


def _digest(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=_DIGEST_BYTES).digest()


def _decode(decoder: msgspec.json.Decoder[_Decoded], raw: bytes | Raw) -> _Decoded:
    try:
        return decoder.decode(raw)
    except msgspec.DecodeError as error:
        raise InvalidInput.of("event", str(error)) from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput.of("event", f"cannot be read as JSON: {error}") from error


def is_json(raw: bytes) -> bool:
    """Return whether a body can be sent on as the JSON that it is."""
    try:
        _decode(_JSON_DECODER, raw)
    except InvalidInput:
        return False
    return True


def path_of(uri: str) -> str:
    """Return a URI's path; the text itself where it has none."""
    found = _URI_PATH.match(uri)
    return found[1] if found else uri
