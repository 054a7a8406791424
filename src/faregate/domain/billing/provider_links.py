"""Which of the billing provider's objects stands for which of ours."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class LinkKind(StrEnum):
    """What is linked, by the provider's name of it.

    Ids of ours are our own, but for `price_link_id`. A meter is a price version's.
    """

    CUSTOMER = "customer"
    PRODUCT = "product"
    PRICE = "price"
    METER = "meter"
    SUBSCRIPTION = "subscription"


def price_link_id(price_id: str, currency: str) -> str:
    """Return our id of a version of a price in one currency, of which the provider has a price each."""
    return f"{price_id}/{currency}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderLink:
    """Our id of a thing, and the provider's."""

    kind: LinkKind
    our_id: str
    provider_id: str


class ProviderLinks:
    """The links that calls of the provider need, and those that they make: `made`, in their order.

    Whoever makes the calls keeps `made` in the transaction that marks them done. A crash before that repeats the calls,
    which find again what they made: by the idempotency key, by lookup key or by metadata.
    """

    def __init__(self, known: Iterable[ProviderLink] = ()) -> None:
        self._ids = {(link.kind, link.our_id): link.provider_id for link in known}
        self.made: list[ProviderLink] = []

    def find(self, kind: LinkKind, our_id: str) -> str | None:
        """Return the provider's id of a thing of ours, if it is linked."""
        return self._ids.get((kind, our_id))

    def add(self, kind: LinkKind, our_id: str, provider_id: str) -> None:
        """Link a thing, in place of an earlier link of it; the same link again changes nothing."""
        if self._ids.get((kind, our_id)) != provider_id:
            self._ids[kind, our_id] = provider_id
            self.made.append(ProviderLink(kind=kind, our_id=our_id, provider_id=provider_id))
