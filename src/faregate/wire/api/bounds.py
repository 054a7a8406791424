"""How good the bounds of a route's calls are, on the wire."""

from __future__ import annotations

from msgspec import Struct

from faregate.wire.api.common import DecimalText, Instant


class BoundQualityView(Struct, frozen=True, kw_only=True):
    """Calls that credit was held for, at one price: what was held against what they used, in units.

    `used_of_held`: their ratio over all calls; null where nothing was held. `median_percent`, `p90_percent`: half, and
    nine tenths, of the calls used at most that much of what was held, in steps of 5; null where it is more than was
    held. `overshoots`: calls that used more than was held. `clamped`: calls whose output was limited below what they
    asked for. `estimated`: calls whose usage the upstream did not say. `by_step`: calls by the share they used, 20
    steps of 5 percent and one for more than was held.
    """

    price_id: str
    name: str
    calls: int
    held: DecimalText
    used: DecimalText
    used_of_held: DecimalText | None
    median_percent: int | None
    p90_percent: int | None
    overshoots: int
    clamped: int
    estimated: int
    by_step: list[int]


class RouteBoundsView(Struct, frozen=True, kw_only=True):
    """A route's calls on the days in UTC that begin in [start, end), by price."""

    route_id: str
    start: Instant
    end: Instant
    data: list[BoundQualityView]
