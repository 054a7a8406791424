"""How good calls' bounds are: what was held against what was used, counted with the events' other effects."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from faregate.base.errors import InvalidInput
from faregate.base.periods import window_containing
from faregate.domain.catalog.versions import PriceList
from faregate.domain.ledger.bound_quality import BoundQuality
from faregate.services.admit_events import AdmittedEvent
from faregate.services.routes import find_existing
from faregate.storage.bounds import BoundKey, bounds_of_route, read_bounds, write_bounds
from faregate.storage.database import Transaction
from faregate.storage.leases import LeaseRow
from faregate.storage.metered import series_of_application
from faregate.wire.api.bounds import BoundQualityView, RouteBoundsView
from faregate.wire.event import as_utc
from faregate.wire.gateway_protocol import GatewayFacts

Bounds = MutableMapping[tuple[str, str], BoundQuality]
"""By route and price."""

MOST_DAYS: Final = timedelta(days=400)
_USUAL_DAYS: Final = timedelta(days=30)
_DAY: Final = timedelta(days=1)
_NOTHING: Final = (0, 0)
_PLACES: Final = Decimal("0.0001")


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundQuery:
    """Which route's days in UTC: from <= day < to."""

    application_id: str
    route_id: str
    from_at: datetime
    to_at: datetime


def bound_query(application_id: str, route_id: str, *, from_at: datetime | None, to_at: datetime) -> BoundQuery:
    """Return the question for the days that begin before `to_at`, from the one that holds `from_at`."""
    end = as_utc(to_at)
    start = end - _USUAL_DAYS if from_at is None else as_utc(from_at)
    return BoundQuery(
        application_id=application_id, route_id=route_id, from_at=window_containing(start, _DAY).start, to_at=end
    )


def count_bounds(
    transaction: Transaction,
    application_id: str,
    admitted: Sequence[AdmittedEvent],
    *,
    leases: Mapping[str, LeaseRow],
    prices: PriceList,
) -> Mapping[tuple[str, str], BoundQuality]:
    """Add a batch's held calls to their days; return what it added, by route and price.

    `leases`: those that calls drew from. Units that no lease had are put down to the prices that used up their hold.
    """
    by_day: dict[tuple[str, str, int], BoundQuality] = {}
    price_ids = {lease_id: _price_of(row, prices) for lease_id, row in leases.items()}
    for _, event, facts in admitted:
        if facts is None or not facts.drawn:
            continue
        day = event.occurred_at.toordinal()
        for price_id, (held, used) in _by_price(facts, price_ids).items():
            if not held:
                continue
            place = facts.route_id, price_id, day
            quality = by_day.get(place)
            if quality is None:
                quality = by_day[place] = BoundQuality()
            uncovered = facts.uncovered if used >= held else 0
            quality.add(held, used + uncovered, clamped=facts.clamped, estimated=facts.estimated)
    if not by_day:
        return {}
    added: Bounds = {}
    keys = {place: _key(application_id, place) for place in by_day}
    stored = read_bounds(transaction, keys.values())
    for place, quality in by_day.items():
        stored.setdefault(keys[place], BoundQuality()).merge(quality)
        merge_bounds(added, {place[:2]: quality})
    write_bounds(transaction, stored)
    return added


def merge_bounds(into: Bounds, more: Mapping[tuple[str, str], BoundQuality]) -> None:
    """Add sums to sums."""
    for place, quality in more.items():
        into.setdefault(place, BoundQuality()).merge(quality)


def read_bound_quality(transaction: Transaction, query: BoundQuery) -> RouteBoundsView:
    """Return the quality of a route's bounds, price by price; `NotFound` for an unknown route.

    Raises `InvalidInput` on `to` where there are no days, or too many.
    """
    find_existing(transaction, query.application_id, query.route_id)
    if not query.from_at < query.to_at <= query.from_at + MOST_DAYS:
        raise InvalidInput.of("to", f"must be after 'from', by at most {MOST_DAYS.days} days")
    by_price: dict[str, BoundQuality] = {}
    for key, quality in bounds_of_route(
        transaction, query.application_id, query.route_id, from_at=query.from_at, to_at=query.to_at
    ):
        by_price.setdefault(key.price_id, BoundQuality()).merge(quality)
    prices = PriceList(series_of_application(transaction, query.application_id))
    return RouteBoundsView(
        route_id=query.route_id,
        start=query.from_at,
        end=query.to_at,
        data=[
            _view(price_id, series.name if (series := prices.series_of(price_id)) is not None else "", quality)
            for price_id, quality in sorted(by_price.items())
        ],
    )


def _by_price(facts: GatewayFacts, price_ids: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """Return what was held and used of each price; nothing is known of a lease that is gone."""
    sums: dict[str, tuple[int, int]] = {}
    for drawn in facts.drawn:
        price_id = price_ids.get(drawn.lease_id)
        if price_id is not None:
            held, used = sums.get(price_id, _NOTHING)
            sums[price_id] = held + drawn.held, used + drawn.units
    return sums


def _price_of(lease: LeaseRow, prices: PriceList) -> str:
    series = prices.series_of(lease.price_id)
    return lease.price_id if series is None else series.series_id


def _key(application_id: str, place: tuple[str, str, int]) -> BoundKey:
    route_id, price_id, day = place
    return BoundKey(application_id, route_id, price_id, datetime.fromordinal(day).replace(tzinfo=UTC))


def _view(price_id: str, name: str, quality: BoundQuality) -> BoundQualityView:
    return BoundQualityView(
        price_id=price_id,
        name=name,
        calls=quality.calls,
        held=str(quality.held),
        used=str(quality.used),
        used_of_held=_ratio(quality.used, quality.held),
        median_percent=quality.percent_used(50),
        p90_percent=quality.percent_used(90),
        overshoots=quality.overshoots,
        clamped=quality.clamped,
        estimated=quality.estimated,
        by_step=quality.by_step,
    )


def _ratio(used: int, held: int) -> str | None:
    if not held:
        return None
    return f"{(Decimal(used) / held).quantize(_PLACES, rounding=ROUND_HALF_EVEN):f}"
