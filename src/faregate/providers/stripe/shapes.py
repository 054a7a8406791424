"""Our values in Stripe's shapes: seconds, currencies, metadata, keys of idempotency."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from faregate.base.clock import from_microseconds, to_microseconds
from faregate.base.errors import InvalidInput
from faregate.base.money import currency
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
_COUNTED_IN_HUNDREDTHS: Final = frozenset({"ISK", "UGX"})
_THREE_PLACES: Final = 3


def payment_currency(code: str, amount: int) -> str:
    """Return the currency of a payment whose amount is in ISO 4217's minor units.

    Raises `InvalidInput` where Stripe would take something else than that: it counts ISK and UGX, which have no minor
    unit, in hundredths, and takes three decimal places only with a zero as the last.
    Source: https://docs.stripe.com/currencies, "Special cases" and "Three-decimal currencies".
    """
    if code in _COUNTED_IN_HUNDREDTHS:
        raise InvalidInput.of("currency", f"no payment is taken in {code}: Stripe counts it in hundredths")
    if currency(code).minor_places == _THREE_PLACES and amount % 10:
        raise InvalidInput.of("amount", f"must end in 0 at the third decimal place: Stripe takes no other in {code}")
    return code.lower()


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


def our_id_of(made: object) -> str:
    """Return our id, which stands in an object's metadata; the empty string where there is none."""
    return metadata_of(getattr(made, "metadata", None)).get(OUR_ID, "")


def find_ours(listed: Callable[[str | None], ListObject[T]], our_id: str) -> T | None:
    """Return the first object of a list that bears our id; `listed` as of `every`."""
    return next((one for one in every(listed) if our_id_of(one) == our_id), None)
