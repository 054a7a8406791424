"""Our values in Stripe's shapes: seconds, currencies, metadata, keys of idempotency."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from faregate.base.clock import from_microseconds, to_microseconds
from faregate.providers.stripe.client import asked

if TYPE_CHECKING:
    from collections.abc import Callable

    from stripe import ListObject, StripeObject
    from stripe._stripe_object import UntypedStripeObject

T = TypeVar("T", bound="StripeObject")

OUR_ID: Final = "faregate_id"
"""The name of our id in metadata."""

PAGE: Final = 100
_SECOND_US: Final = 1_000_000
_DIGEST_BYTES: Final = 8


def to_seconds(instant: datetime) -> int:
    """Return an instant's whole seconds since 1970."""
    return to_microseconds(instant) // _SECOND_US


def from_seconds(seconds: int) -> datetime:
    """Return the instant."""
    return from_microseconds(seconds * _SECOND_US)


def key_of(kind: str, our_id: str, sent: Mapping[str, Any] | None = None) -> str:
    """Return an idempotency key: of a thing of ours and of what is sent, since a key is never used for other words."""
    text = json.dumps(sent, sort_keys=True, default=str)
    return f"faregate:{kind}:{our_id}:{hashlib.blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest()}"


def every(listed: Callable[[str | None], ListObject[T]]) -> Iterator[T]:
    """Yield all objects of a list, page by page; `listed` is asked for the page after an id."""
    after: str | None = None
    while True:
        page = asked(partial(listed, after))
        yield from page.data
        if not page.has_more or not page.data:
            return
        after = str(page.data[-1]["id"])


def from_page(after: str | None) -> Mapping[str, Any]:
    """Return what asks for the page after an id."""
    return {"limit": PAGE} if after is None else {"limit": PAGE, "starting_after": after}


def metadata_of(found: UntypedStripeObject[str] | None) -> dict[str, str]:
    """Return an object's metadata as a map."""
    return {} if found is None else found.to_dict()
