"""Read usage, added up as asked for, a page at a time.

Days in UTC are kept added up; everything else is added up from windows. What a meter that is not additive comes to over
several windows is the value of their states together, and a company's groups are told apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from functools import cache, reduce
from itertools import groupby, islice
from typing import Final, assert_never

from faregate.base.clock import from_microseconds, to_microseconds
from faregate.base.money import EXACT
from faregate.base.periods import Period, day_containing, window_containing
from faregate.domain.metering.aggregate import merge
from faregate.domain.metering.meter import Meter
from faregate.services.meter_totals import units_of
from faregate.storage.database import Transaction
from faregate.storage.meters import meters_of_application
from faregate.storage.readings import DayReading, Selection, WindowReading, read_usage_days, read_usage_windows
from faregate.wire.api.common import CursorInstant, Page, decode_cursor, encode_cursor, plain
from faregate.wire.api.readings import Granularity, UsageView

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_Place = tuple[str, str, int, str]
"""Company, meter, first window's start in microseconds, group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageQuery:
    """Which usage, how it is added up, and where days begin and end; None stands for UTC."""

    selection: Selection
    granularity: Granularity
    zone: tzinfo | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bucket:
    place: _Place
    view: UsageView


def read_usage(transaction: Transaction, query: UsageQuery, *, cursor: str | None, limit: int) -> Page[UsageView]:
    """Return usage by company, meter, time and group. Only as many rows are read as the page needs."""
    place = None if cursor is None else decode_cursor(cursor, tuple[str, str, CursorInstant, str])
    if query.granularity is Granularity.DAY and query.zone is None and _is_of_whole_days(query.selection):
        days = read_usage_days(transaction, query.selection, from_key=place, limit=limit + 1)
        following = days[limit] if len(days) > limit else None
        return Page(
            data=[_day_view(day) for day in days[:limit]],
            next_cursor=None
            if following is None
            else encode_cursor(following.company_id, following.meter_id, following.start_at_us, following.group_key),
        )
    key = None if place is None else (place[0], place[1], from_microseconds(place[2]))
    with closing(read_usage_windows(transaction, query.selection, from_key=key)) as windows:
        found = (
            bucket for bucket in _Adding(transaction, query).buckets(windows) if place is None or bucket.place >= place
        )
        buckets = list(islice(found, limit + 1))
    return Page(
        data=[bucket.view for bucket in buckets[:limit]],
        next_cursor=encode_cursor(*buckets[limit].place) if len(buckets) > limit else None,
    )


def _is_of_whole_days(selection: Selection) -> bool:
    return all(at is None or window_containing(at, _DAY).start == at for at in (selection.from_at, selection.to_at))


def _day_view(day: DayReading) -> UsageView:
    return UsageView(
        company_id=day.company_id,
        meter_id=day.meter_id,
        start=from_microseconds(day.start_at_us),
        end=from_microseconds(day.end_at_us),
        group=_group(day.group_key),
        quantity=day.quantity,
        event_count=day.event_count,
    )


class _Adding:
    """Adds windows up. Meters are read only where a state has to be turned into units."""

    def __init__(self, transaction: Transaction, query: UsageQuery) -> None:
        self._query = query
        self._meters = cache(lambda: _meters(transaction, query.selection.application_id))

    def buckets(self, windows: Iterable[WindowReading]) -> Iterator[_Bucket]:
        """Yield what windows come to, by company, meter, time and group."""
        for (company_id, meter_id, start), group in groupby(windows, key=self._key):
            members = list(group)
            first, end = members[0].start_at, max(window.end_at for window in members)
            by_group: dict[str, list[WindowReading]] = {}
            for window in members:
                by_group.setdefault(window.group_key, []).append(window)
            for group_key, alike in sorted(by_group.items()):
                period = Period(start or first, self._end(start, end))
                view = UsageView(
                    company_id=company_id,
                    meter_id=meter_id,
                    start=period.start,
                    end=period.end,
                    group=_group(group_key),
                    quantity=plain(self._quantity(alike, period)),
                    event_count=sum(window.event_count for window in alike),
                )
                yield _Bucket(place=(company_id, meter_id, to_microseconds(first), group_key), view=view)

    def _quantity(self, windows: list[WindowReading], period: Period) -> Decimal:
        states = [window.state for window in windows if window.state is not None]
        plain_ones = (window.quantity for window in windows if window.state is None)
        quantity = reduce(EXACT.add, plain_ones, Decimal(0))
        meter = self._meters().get(windows[0].meter_id) if states else None
        if meter is not None:
            quantity = EXACT.add(quantity, units_of(meter, reduce(merge, states), period))
        return quantity

    def _key(self, window: WindowReading) -> tuple[str, str, datetime | None]:
        return window.company_id, window.meter_id, self._start(window)

    def _start(self, window: WindowReading) -> datetime | None:
        match self._query.granularity:
            case Granularity.WINDOW:
                return window.start_at
            case Granularity.HOUR:
                return window_containing(window.start_at, _HOUR).start
            case Granularity.DAY:
                return self._day(window.start_at).start
            case Granularity.TOTAL:
                return None
            case _:
                assert_never(self._query.granularity)

    def _day(self, instant: datetime) -> Period:
        zone = self._query.zone
        return window_containing(instant, _DAY) if zone is None else day_containing(instant, zone)

    def _end(self, start: datetime | None, last: datetime) -> datetime:
        if start is None:
            return last
        match self._query.granularity:
            case Granularity.HOUR:
                return max(start + _HOUR, last)
            case Granularity.DAY:
                return max(self._day(start).end, last)
            case _:
                return last


def _meters(transaction: Transaction, application_id: str) -> dict[str, Meter]:
    return {meter.meter_id: meter for meter in meters_of_application(transaction, application_id)}


def _group(group_key: str) -> list[str]:
    return json.loads(group_key) if group_key else []
