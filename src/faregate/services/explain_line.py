"""Why an invoice line is what it is: its arithmetic, its windows, and each window's events with what they were charged.

Sums agree at every level: events make windows, windows make the line's quantity and debits, steps make its amount.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import NamedTuple

from faregate.base.clock import from_microseconds, to_microseconds
from faregate.base.errors import InvalidInput, NotFound
from faregate.base.money import EXACT, Currency, from_ledger_units, from_minor_units, minor_to_ledger_units
from faregate.base.periods import Period
from faregate.domain.billing.adjustment import AdjustmentSource
from faregate.domain.billing.invoice import Invoice, InvoiceLine, closing_entries
from faregate.domain.catalog.price import Price
from faregate.domain.catalog.versions import PriceSeries, PriceVersion
from faregate.domain.customers.subscription import Subscription
from faregate.domain.metering.meter import Meter, compile_group
from faregate.domain.pricing.explaining import Step, adjustment_steps, line_steps
from faregate.domain.pricing.rating import debit_total
from faregate.services.find_event import event_id_of, late_events
from faregate.services.invoices import get_invoice
from faregate.services.meter_totals import group_text
from faregate.services.subscriptions import find_existing
from faregate.storage.adjustments import Adjustment, adjustments_of_total
from faregate.storage.database import Transaction
from faregate.storage.effects import (
    BilledWindow,
    WindowCharge,
    WindowPlace,
    charges_of_window,
    find_window,
    sum_charges_of_window,
    windows_of_period,
)
from faregate.storage.ledger import TotalKey, empty_total, read_totals, rerated_of_totals
from faregate.storage.metered import read_all_prices
from faregate.storage.meters import meters_of_application
from faregate.wire.api.common import CursorInstant, CursorNumber, Page, decode_cursor, encode_cursor, plain
from faregate.wire.api.explanations import LineExplanationView, LineWindowView, WindowEventView, step_view
from faregate.wire.event import decode_event, to_event

_ROWS_AT_ONCE = 500


class LineRef(NamedTuple):
    """A line of an invoice of an application; `number` counts from 1."""

    application_id: str
    invoice_id: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A line with all that it stands on; `period` is that of its usage, which an adjustment has from before."""

    application_id: str
    invoice: Invoice
    line: InvoiceLine
    period: Period
    subscription: Subscription
    series: PriceSeries
    price: Price

    @property
    def key(self) -> TotalKey:
        return TotalKey(self.subscription.subscription_id, self.line.price_id, self.period.start)

    @property
    def currency(self) -> Currency:
        return self.subscription.currency

    def place(self, meter_id: str) -> WindowPlace:
        """Return where windows of a meter stand."""
        return WindowPlace(
            application_id=self.application_id,
            company_id=self.invoice.company_id,
            meter_id=meter_id,
            subscription_id=self.subscription.subscription_id,
        )

    def has(self, window: BilledWindow) -> bool:
        """Return whether the window's usage is charged by the line's version of the price, or what it stands for."""
        paid = self.subscription.price_of(self.series, at=window.start_at, period=self.period)
        return _original(self.series, paid.price_id) == _original(self.series, self.line.price_id)


def explain_line(transaction: Transaction, ref: LineRef) -> LineExplanationView:
    """Return how a line comes to its amount; `NotFound` where the invoice has no such line."""
    found = _find_line(transaction, ref)
    line, unit = found.line, found.currency
    sums = _usage_sums(transaction, found) if line.adjusts is None else _adjustment_sums(transaction, found)
    return LineExplanationView(
        invoice_id=ref.invoice_id,
        line=ref.number,
        description=line.description,
        price_id=line.price_id,
        price_version=_version(found.series, line.price_id).number,
        company_id=found.invoice.company_id,
        subscription_id=found.subscription.subscription_id,
        currency=unit.code,
        period_start=found.period.start,
        period_end=found.period.end,
        adjusted_invoice_id=line.adjusted_invoice_id,
        is_adjustment=line.adjusts is not None,
        quantity=plain(line.quantity),
        amount=plain(from_minor_units(line.amount, unit)),
        steps=[step_view(step) for step in sums.steps],
        debited=plain(from_ledger_units(sums.debited, unit)),
        closing=plain(from_ledger_units(sums.closing, unit)),
        rounding=plain(from_ledger_units(sums.rounding, unit)),
        changed_quantity=plain(sums.changed_quantity),
        changed_debited=plain(from_ledger_units(sums.changed_debited, unit)),
        rerated=plain(from_ledger_units(sums.rerated, unit)),
    )


def line_windows(transaction: Transaction, ref: LineRef, *, cursor: str | None, limit: int) -> Page[LineWindowView]:
    """Return a line's windows by meter, start and group, each with what its events were charged."""
    found = _find_line(transaction, ref)
    after = None if cursor is None else decode_cursor(cursor, tuple[str, CursorInstant, str])
    meters = _meters(transaction, found)
    windows = list(islice(_windows(transaction, found, meters=meters, after=after), limit + 1))
    shown = windows[:limit]
    return Page(
        data=[_window_view(transaction, found, window, meter=meters[window.meter_id]) for window in shown],
        next_cursor=_window_name(shown[-1]) if len(windows) > limit else None,
    )


def window_events(
    transaction: Transaction,
    ref: LineRef,
    *,
    window: str,
    cursor: str | None,
    limit: int,
) -> Page[WindowEventView]:
    """Return a window's events by time, each with what it was charged. `window` is its name in `line_windows`."""
    found = _find_line(transaction, ref)
    chosen = _chosen(transaction, found, window)
    meter = _meters(transaction, found)[chosen.meter_id]
    after = None if cursor is None else decode_cursor(cursor, tuple[CursorInstant, CursorNumber])
    rows = list(islice(_charges(transaction, found, chosen, meter=meter, after=after), limit + 1))
    shown = rows[:limit]
    unit = found.currency
    return Page(
        data=[
            WindowEventView(
                event_id=event_id_of(row.position),
                occurred_at=from_microseconds(row.occurred_at_us),
                quantity=plain(row.quantity),
                amount=plain(from_ledger_units(row.amount, unit)),
                currency=unit.code,
                entry_id=row.entry_id,
                corrects=None if row.corrects is None else event_id_of(row.corrects),
            )
            for row in shown
        ],
        next_cursor=encode_cursor(shown[-1].occurred_at_us, shown[-1].position) if len(rows) > limit else None,
    )


def _find_line(transaction: Transaction, ref: LineRef) -> _Line:
    invoice = get_invoice(transaction, ref.application_id, ref.invoice_id)
    if not 1 <= ref.number <= len(invoice.lines):
        raise NotFound("line", f"{ref.invoice_id}/{ref.number}")
    line = invoice.lines[ref.number - 1]
    subscription = find_existing(transaction, ref.application_id, invoice.subscription_id).subscription
    prices = read_all_prices(transaction)
    series = prices.series_of(line.price_id)
    if series is None:
        raise NotFound("price", line.price_id)
    period = invoice.period if line.adjusts is None else subscription.period_at(line.adjusts)
    if period is None:
        raise NotFound("period", str(line.adjusts))
    return _Line(
        application_id=ref.application_id,
        invoice=invoice,
        line=line,
        period=period,
        subscription=subscription,
        series=series,
        price=subscription.version_paid(prices, line.price_id, period_start=period.start),
    )


def _version(series: PriceSeries, price_id: str) -> PriceVersion:
    return next(version for version in series.every_version if version.price_id == price_id)


def _original(series: PriceSeries, price_id: str) -> str:
    """Return the version that a replacement stands for; any other version stands for itself."""
    replaces = _version(series, price_id).replaces
    return price_id if replaces is None else replaces.price_id


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sums:
    """A line's arithmetic, and the account's movements in ledger units that make it."""

    steps: list[Step]
    debited: int
    closing: int
    rounding: int
    changed_quantity: Decimal = Decimal(0)
    changed_debited: int = 0
    rerated: int = 0


def _usage_sums(transaction: Transaction, found: _Line) -> _Sums:
    """Return the sums of a period's usage as it was invoiced, and what has come since."""
    key = found.key
    total = read_totals(transaction, [key]).get(key) or empty_total(key.subscription_id, key.price_id, found.period)
    line = found.line
    # Invoices of before totals were kept with their lines: nothing moved the totals then.
    rated = dict(line.totals) if line.totals or not line.quantity else total.totals
    debited = debit_total(found.price, rated)
    closing, rounding = closing_entries(found.price, rated)
    return _Sums(
        steps=line_steps(found.price, rated),
        debited=debited,
        closing=closing,
        rounding=rounding,
        changed_quantity=EXACT.subtract(total.settled, line.quantity),
        changed_debited=total.debited - debited,
        rerated=rerated_of_totals(transaction, key, _rerated_versions(found)),
    )


def _rerated_versions(found: _Line) -> list[str]:
    """Return the versions whose re-ratings made the line's total: a replacement took over what it stands for."""
    own = found.line.price_id
    original = _original(found.series, own)
    if own == original:
        return [own]
    versions = [version.price_id for version in found.series.every_version]
    return [price_id for price_id in versions if _original(found.series, price_id) == original]


def _adjustment_sums(transaction: Transaction, found: _Line) -> _Sums:
    """Return the sums of a line that adjusts an earlier period: what moved it, as far as this invoice takes it up."""
    unit = found.currency
    taken = [one for one in adjustments_of_total(transaction, found.key) if one.billed_in == found.invoice.period.start]
    causes = [(_cause(one), from_ledger_units(one.amount, unit), one.quantity) for one in taken]
    debited = sum(one.amount for one in taken)
    return _Sums(
        steps=adjustment_steps(from_minor_units(found.line.amount, unit), causes),
        debited=debited,
        closing=0,
        rounding=minor_to_ledger_units(found.line.amount, unit) - debited,
    )


def _cause(adjustment: Adjustment) -> str:
    """Return what moved a period, in words."""
    span = late_events(adjustment)
    if span is None or adjustment.source is not AdjustmentSource.LATE_EVENT:
        return f"{adjustment.source.value.replace('_', ' ')} {adjustment.source_id}: {plain(adjustment.quantity)} units"
    return f"late events {event_id_of(span[0])} to {event_id_of(span[1])}: {plain(adjustment.quantity)} units"


def _meters(transaction: Transaction, found: _Line) -> dict[str, Meter]:
    """Return the meters that feed the line's price, by id."""
    meters = meters_of_application(transaction, found.application_id)
    return {meter.meter_id: meter for meter in meters if meter.price_id == found.series.series_id}


def _windows(
    transaction: Transaction, found: _Line, *, meters: dict[str, Meter], after: tuple[str, int, str] | None
) -> Iterator[BilledWindow]:
    for meter_id in sorted(meters):
        if after is not None and meter_id < after[0]:
            continue
        key = (from_microseconds(after[1]), after[2]) if after is not None and meter_id == after[0] else None
        yield from _windows_of_meter(transaction, found, meter_id, after=key)


def _windows_of_meter(
    transaction: Transaction, found: _Line, meter_id: str, *, after: tuple[datetime, str] | None
) -> Iterator[BilledWindow]:
    while True:
        rows = windows_of_period(
            transaction,
            found.place(meter_id),
            period_start=found.period.start,
            after=after,
            limit=_ROWS_AT_ONCE,
        )
        yield from filter(found.has, rows)
        if len(rows) < _ROWS_AT_ONCE:
            return
        after = rows[-1].start_at, rows[-1].group_key


def _window_name(window: BilledWindow) -> str:
    return encode_cursor(window.meter_id, to_microseconds(window.start_at), window.group_key)


def _chosen(transaction: Transaction, found: _Line, name: str) -> BilledWindow:
    """Return the line's window of a name; `NotFound` where it has none."""
    try:
        meter_id, start_us, group_key = decode_cursor(name, tuple[str, CursorInstant, str])
    except InvalidInput as error:
        raise NotFound("window", name) from error
    start_at = from_microseconds(start_us)
    window = find_window(transaction, found.place(meter_id), group_key=group_key, occurred_at=start_at)
    if window is None or window.start_at != start_at or not _is_of_line(transaction, found, window):
        raise NotFound("window", name)
    return window


def _is_of_line(transaction: Transaction, found: _Line, window: BilledWindow) -> bool:
    is_of_period = window.period_start == found.period.start
    return is_of_period and window.meter_id in _meters(transaction, found) and found.has(window)


def _window_view(transaction: Transaction, found: _Line, window: BilledWindow, *, meter: Meter) -> LineWindowView:
    if meter.group_by:
        amount = sum(row.amount for row in _charges(transaction, found, window, meter=meter, after=None))
    else:
        amount = sum_charges_of_window(transaction, found.place(window.meter_id), window)
    return LineWindowView(
        window=_window_name(window),
        meter_id=window.meter_id,
        start=window.start_at,
        end=window.end_at,
        group=json.loads(window.group_key) if window.group_key else [],
        quantity=plain(window.quantity),
        billed_quantity=plain(window.billed_quantity),
        event_count=window.event_count,
        amount=plain(from_ledger_units(amount, found.currency)),
        currency=found.currency.code,
    )


def _charges(
    transaction: Transaction, found: _Line, window: BilledWindow, *, meter: Meter, after: tuple[int, int] | None
) -> Iterator[WindowCharge]:
    """Yield a window's charges by time; a grouped meter's are told apart by reading the events."""
    group_of = compile_group(meter)
    while True:
        rows = charges_of_window(
            transaction,
            found.place(window.meter_id),
            window,
            after=after,
            limit=_ROWS_AT_ONCE,
            with_bodies=bool(meter.group_by),
        )
        for row in rows:
            group = group_of(to_event(decode_event(row.body), row.company_id)) if meter.group_by else ()
            if group_text(group) == window.group_key:
                yield row
        if len(rows) < _ROWS_AT_ONCE:
            return
        after = rows[-1].occurred_at_us, rows[-1].position
