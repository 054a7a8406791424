"""Stripe's webhooks: whether one is Stripe's, and which event it tells of.

Source: https://docs.stripe.com/webhooks/signature, "Verify manually", and https://docs.stripe.com/event-destinations
for thin events.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import msgspec

from faregate.base.clock import EPOCH
from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_ID_CHARACTERS, WEBHOOK_TOLERANCE
from faregate.domain.billing.provider_events import ProviderEvent

SIGNATURE_HEADER: Final = "stripe-signature"
_SCHEME: Final = "v1"
_MOST_DIGITS: Final = 11
"""Of a time in seconds since 1970."""


class _Object(msgspec.Struct):
    id: str = ""


class _Contents(msgspec.Struct):
    object: _Object


class StripeEvent(msgspec.Struct):
    """What is read of an event: a snapshot event has `data`, a thin one at most a `related_object`."""

    id: str
    type: str
    created: Annotated[int, msgspec.Meta(ge=0, lt=10**_MOST_DIGITS)] | Annotated[datetime, msgspec.Meta(tz=True)]
    livemode: bool = False
    data: _Contents | None = None
    related_object: _Object | None = None


def require_signed(body: bytes, header: str, *, secrets: Iterable[str], now: datetime) -> None:
    """Raise `InvalidInput` where none of the secrets has signed the raw body, or did so more than 300 s ago.

    `header`: `t=1700000000,v1=hex[,v1=hex]`; while a secret is rolled, there are several signatures and secrets. No
    message tells anything of a secret, or of the signature that would have been right.
    """
    at_s, signatures = _parts(header)
    signed = b"%d.%b" % (at_s, body)
    expected = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest().encode() for secret in secrets]
    found = [
        hmac.compare_digest(signature.encode("utf-8", "surrogatepass"), right)
        for signature in signatures
        for right in expected
    ]
    if not any(found):
        raise InvalidInput.of(SIGNATURE_HEADER, "is of no webhook secret that is set here")
    if EPOCH + timedelta(seconds=at_s) < now - WEBHOOK_TOLERANCE:
        message = f"was made more than {WEBHOOK_TOLERANCE // timedelta(seconds=1)} s ago; check both machines' clocks"
        raise InvalidInput.of(SIGNATURE_HEADER, message)


def decode_event(body: bytes) -> ProviderEvent:
    """Return the event that a body tells of; `InvalidInput` on `body` for what is none."""
    try:
        return to_provider_event(msgspec.json.decode(body, type=StripeEvent))
    except (msgspec.DecodeError, ValueError) as error:
        raise InvalidInput.of("body", f"is no event of Stripe's: {error}") from error


def to_provider_event(event: StripeEvent) -> ProviderEvent:
    """Return an event in our words; `ValueError` where an id or its time cannot be."""
    related = event.data.object if event.data is not None else event.related_object
    object_id = "" if related is None else related.id
    for text in (event.id, event.type, object_id):
        if len(text) > MAX_ID_CHARACTERS or "\0" in text:
            message = f"an id or type has more than {MAX_ID_CHARACTERS} characters, or a NUL"
            raise ValueError(message)
    if not event.id or not event.type:
        message = "its id or type is empty"
        raise ValueError(message)
    return ProviderEvent(
        event_id=event.id,
        kind=event.type,
        object_id=object_id,
        is_live=event.livemode,
        created_at=_instant(event.created),
    )


def _parts(header: str) -> tuple[int, list[str]]:
    """Return when it was signed, in seconds since 1970, and the signatures."""
    pairs = [part.strip().partition("=") for part in header.split(",")]
    times = [text for name, _, text in pairs if name == "t"]
    signatures = [text for name, _, text in pairs if name == _SCHEME and text]
    at = times[0] if len(times) == 1 else ""
    if not at.isascii() or not at.isdecimal() or len(at) > _MOST_DIGITS or not signatures:
        raise InvalidInput.of(SIGNATURE_HEADER, "must be such as 't=1700000000,v1=5257a869...'")
    return int(at), signatures


def _instant(created: int | datetime) -> datetime:
    """Return the time of a snapshot event (seconds since 1970) or a thin one (RFC 3339)."""
    return EPOCH + timedelta(seconds=created) if isinstance(created, int) else created.astimezone(UTC)
