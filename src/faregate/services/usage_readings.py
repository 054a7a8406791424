"""Read usage, added up as asked for, a page at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby, islice
from typing import Final, assert_never

from faregate.base.clock import from_microseconds, to_microseconds
from faregate.base.money import EXACT
from faregate.base.periods import window_containing
from faregate.storage.database import Transaction
from faregate.storage.readings import Selection, WindowReading, read_usage_windows
from faregate.wire.api.common import CursorInstant, Page, decode_cursor, encode_cursor, plain
from faregate.wire.api.readings import Granularity, UsageView

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bucket:
    company_id: str
    meter_id: str
    first_start: datetime
    start: datetime
    end: datetime
    quantity: Decimal
    event_count: int


def read_usage(
    transaction: Transaction, selection: Selection, granularity: Granularity, *, cursor: str | None, limit: int
) -> Page[UsageView]:
    """Return usage by company, meter and time. Only as many windows are read as the page needs."""
    with closing(read_usage_windows(transaction, selection, from_key=_place(cursor))) as windows:
        buckets = list(islice(_buckets(windows, granularity), limit + 1))
    return Page(
        data=[
            UsageView(
                company_id=bucket.company_id,
                meter_id=bucket.meter_id,
                start=bucket.start,
                end=bucket.end,
                quantity=plain(bucket.quantity),
                event_count=bucket.event_count,
            )
            for bucket in buckets[:limit]
        ],
        next_cursor=_cursor(buckets[limit]) if len(buckets) > limit else None,
    )


def _cursor(bucket: _Bucket) -> str:
    return encode_cursor(bucket.company_id, bucket.meter_id, to_microseconds(bucket.first_start))


def _place(cursor: str | None) -> tuple[str, str, datetime] | None:
    if cursor is None:
        return None
    company_id, meter_id, start_us = decode_cursor(cursor, tuple[str, str, CursorInstant])
    return company_id, meter_id, from_microseconds(start_us)


def _buckets(windows: Iterable[WindowReading], granularity: Granularity) -> Iterator[_Bucket]:
    for (company_id, meter_id, start), group in groupby(windows, key=lambda window: _key(window, granularity)):
        members = list(group)
        quantity = Decimal(0)
        for window in members:
            quantity = EXACT.add(quantity, window.quantity)
        first, last = members[0], members[-1]
        yield _Bucket(
            company_id=company_id,
            meter_id=meter_id,
            first_start=first.start_at,
            start=start or first.start_at,
            end=_end(start, last, granularity),
            quantity=quantity,
            event_count=sum(window.event_count for window in members),
        )


def _key(window: WindowReading, granularity: Granularity) -> tuple[str, str, datetime | None]:
    return window.company_id, window.meter_id, _start(window, granularity)


def _start(window: WindowReading, granularity: Granularity) -> datetime | None:
    match granularity:
        case Granularity.WINDOW:
            return window.start_at
        case Granularity.HOUR:
            return window_containing(window.start_at, _HOUR).start
        case Granularity.DAY:
            return window_containing(window.start_at, _DAY).start
        case Granularity.TOTAL:
            return None
        case _:
            assert_never(granularity)


def _end(start: datetime | None, last: WindowReading, granularity: Granularity) -> datetime:
    length = {Granularity.HOUR: _HOUR, Granularity.DAY: _DAY}.get(granularity)
    return last.end_at if start is None or length is None else max(start + length, last.end_at)
