"""The catalog at the billing provider, on the wire."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from faregate.wire.api.common import Instant

SyncState = Literal["waiting", "in_step", "failed", "drifted"]


class ProviderObjectView(Struct, frozen=True, kw_only=True):
    """An object at the provider: `kind` is `product`, `meter` or `price`; `our_id` is in its metadata."""

    kind: str
    our_id: str
    provider_id: str


class DifferenceView(Struct, frozen=True, kw_only=True):
    """A field, by the provider's name of it, that was changed at the provider; what is not set is empty."""

    kind: str
    our_id: str
    provider_id: str
    field: str
    ours: str
    theirs: str


class RatedView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who rates a version of a price in a currency: the provider, or we, and then why."""

    version_id: str
    currency: str
    rated_by: Literal["provider", "faregate"]
    reason: str | None = None


class ProviderCatalogView(Struct, frozen=True, kw_only=True):
    """How a plan or price stands at the billing provider.

    `state`: `waiting` to be sent, `in_step`, `failed` (`last_error` says why; it is tried again at `retry_at`), or
    `drifted`: changed there, as `differences` says. `ratings`: of a price's versions, who rates them.
    """

    kind: Literal["plan", "price"]
    id: str
    name: str
    state: SyncState
    account: str
    objects: list[ProviderObjectView]
    ratings: list[RatedView]
    differences: list[DifferenceView]
    synced_at: Instant | None
    looked_at: Instant | None
    retry_at: Instant | None
    last_error: str | None


class DriftSettle(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a difference is settled: `ours` is sent again, or `theirs` is taken for ours."""

    take: Literal["ours", "theirs"]
