"""Bring what one subscription used of a price to what a recount of it came to, in one transaction.

Totals, states, windows and days are replaced by the recounted ones; the ledger, whose entries never change, gets the
difference of each total as an entry of its own. Where the period is invoiced, the difference is an adjustment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from faregate.base.clock import to_microseconds
from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_LEDGER_UNITS
from faregate.base.money import EXACT
from faregate.base.periods import Period, window_containing
from faregate.domain.billing.adjustment import AdjustmentSource
from faregate.domain.billing.provider_usage import report_key
from faregate.domain.catalog.price import Price
from faregate.domain.ledger.reserve import PriceUse, reserved_amount
from faregate.domain.pricing.rating import debit_total
from faregate.services.accounts import refresh_accounts
from faregate.services.adjustments import adjust
from faregate.services.posting import post_entry
from faregate.services.provider_messages import USAGE, UsageMessage, encode_message
from faregate.services.provider_prices import is_rated_by_provider
from faregate.services.recount import Recount, days_of, first_period
from faregate.services.rerated import Rerated, billed_periods, is_billed, period_amounts
from faregate.services.rerating_preview import by_period
from faregate.storage.database import Transaction
from faregate.storage.ledger import (
    EntryKind,
    NewEntry,
    PriceTotal,
    TotalKey,
    change_reserved,
    empty_total,
    lock_accounts,
    write_totals,
)
from faregate.storage.outbox import add_to_outbox
from faregate.storage.reratings import (
    states_of_meters,
    totals_of_prices,
    windows_between,
    windows_of_meters,
)
from faregate.storage.state_feed import record_change
from faregate.storage.subscriptions import SubscriptionRow
from faregate.storage.usage import Window, WindowKey, write_windows
from faregate.storage.usage_states import delete_meter_totals, write_days, write_meter_totals

_DAY: Final = timedelta(days=1)
_NOTHING: Final = Decimal(0)
ByVersion = Mapping[str, PriceTotal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bringing:
    """One subscription, and a recount that has it, up to the last event that was applied."""

    rerated: Rerated
    recount: Recount
    row: SubscriptionRow
    now: datetime

    @property
    def subscription_id(self) -> str:
        """Return the subscription."""
        return self.row.subscription.subscription_id


def bring_usage(transaction: Transaction, bringing: Bringing) -> None:
    """Bring a subscription to its recount. Repeated, it changes nothing. The applier must not run beside it."""
    lock_accounts(transaction, [bringing.subscription_id])
    _bring_totals(transaction, bringing)
    _bring_states(transaction, bringing)
    _bring_windows(transaction, bringing)
    record_change(transaction, "account", bringing.subscription_id)
    refresh_accounts(transaction, subscription_ids=[bringing.subscription_id], now=bringing.now)


def _bring_totals(transaction: Transaction, bringing: Bringing) -> None:
    rerated, row = bringing.rerated, bringing.row
    versions = [version.price_id for version in rerated.series.every_version]
    found = totals_of_prices(
        transaction, versions, span=rerated.rerating.span, subscription_id=bringing.subscription_id
    )
    stored = by_period(found).get(bringing.subscription_id, {})
    counted = by_period(bringing.recount.totals().values()).get(bringing.subscription_id, {})
    billed = {period.start for period in billed_periods(row, rerated.rerating.span)}
    reserved, written = 0, []
    for start in sorted(billed.union(stored, counted)):
        period = row.subscription.period_at(start) or Period(start, start)
        before, after = stored.get(start, {}), counted.get(start, {})
        _post_differences(transaction, bringing, period, before=before, after=after)
        for price_id in sorted({*before, *after}):
            total = _brought(
                bringing, period, before=before.get(price_id), after=after.get(price_id), price_id=price_id
            )
            reserved += total.reserved - (before[price_id].reserved if price_id in before else 0)
            written.append(total)
    write_totals(transaction, written)
    change_reserved(transaction, bringing.subscription_id, reserved)


def _brought(
    bringing: Bringing, period: Period, *, before: PriceTotal | None, after: PriceTotal | None, price_id: str
) -> PriceTotal:
    """Return the recounted total with the units that are out in leases."""
    counted = after or empty_total(bringing.subscription_id, price_id, period)
    price = _price(bringing, price_id, period)
    outstanding = 0 if before is None else before.outstanding
    return replace(
        counted,
        period_end=counted.period_end if before is None else before.period_end,
        outstanding=outstanding,
        debited=debit_total(price, counted.totals),
        reserved=reserved_amount(PriceUse(price=price, totals=counted.totals, outstanding=outstanding)),
    )


def _price(bringing: Bringing, price_id: str, period: Period) -> Price:
    return bringing.row.subscription.version_paid(bringing.rerated.prices, price_id, period_start=period.start)


def _post_differences(
    transaction: Transaction, bringing: Bringing, period: Period, *, before: ByVersion, after: ByVersion
) -> None:
    rerated, row = bringing.rerated, bringing.row
    is_invoiced = is_billed(row, period.start)
    owed = period_amounts(
        rerated.prices, rerated.standing, row.subscription, period=period, totals=before, is_invoiced=is_invoiced
    )
    owing = period_amounts(
        rerated.prices, rerated.series, row.subscription, period=period, totals=after, is_invoiced=is_invoiced
    )
    for price_id in sorted({*owed, *owing}):
        amount = owing.get(price_id, 0) - owed.get(price_id, 0)
        units = EXACT.subtract(
            after[price_id].settled if price_id in after else _NOTHING,
            before[price_id].settled if price_id in before else _NOTHING,
        )
        if amount:
            key = TotalKey(bringing.subscription_id, price_id, period.start)
            _post(transaction, bringing, key, amount=amount, quantity=units, is_invoiced=is_invoiced)


def _post(
    transaction: Transaction, bringing: Bringing, key: TotalKey, *, amount: int, quantity: Decimal, is_invoiced: bool
) -> None:
    rerating = bringing.rerated.rerating
    (account,) = lock_accounts(transaction, [key.subscription_id]).values()
    if abs(account.balance - amount) > MAX_LEDGER_UNITS:
        raise InvalidInput.of("rerating", f"would make the balance of {key.subscription_id} larger than can be held")
    post_entry(
        transaction,
        NewEntry(
            application_id=rerating.application_id,
            subscription_id=key.subscription_id,
            kind=EntryKind.RERATING,
            amount=-amount,
            caller_id=f"{rerating.rerating_id}:{key.price_id}:{to_microseconds(key.period_start)}",
            description=f"re-rating {rerating.rerating_id}",
            occurred_at=bringing.now,
            price_id=key.price_id,
            period_start=key.period_start,
            quantity=quantity,
        ),
    )
    if is_invoiced:
        adjust(
            transaction,
            application_id=rerating.application_id,
            key=key,
            amount=amount,
            source=AdjustmentSource.RERATING,
            source_id=rerating.rerating_id,
            now=bringing.now,
            quantity=quantity,
        )


def _bring_states(transaction: Transaction, bringing: Bringing) -> None:
    counted = {
        key: state for key, state in bringing.recount.states.items() if key.subscription_id == bringing.subscription_id
    }
    kept = states_of_meters(
        transaction,
        bringing.rerated.meter_ids,
        subscription_id=bringing.subscription_id,
        from_at=_from(bringing),
    )
    delete_meter_totals(transaction, [key for key in kept - counted.keys() if _touches(bringing, key.period_start)])
    write_meter_totals(transaction, counted)


def _bring_windows(transaction: Transaction, bringing: Bringing) -> None:
    meter_ids = bringing.rerated.meter_ids
    kept = windows_of_meters(transaction, meter_ids, subscription_id=bringing.subscription_id, from_at=_from(bringing))
    stored = {window.key: window for window in kept if _touches(bringing, window.period_start)}
    counted = {
        key: window
        for key, window in bringing.recount.windows.items()
        if key.subscription_id == bringing.subscription_id
    }
    changed = []
    for key in sorted({*stored, *counted}):
        before = stored.get(key)
        window = _brought_window(before, counted.get(key))
        if before is not None and _is_charged_otherwise(bringing, before):
            _take_back(transaction, bringing, before)
            window = replace(window, reported_quantity=_NOTHING, dirty=True)
        if window != before:
            changed.append(window)
    write_windows(transaction, changed)
    _bring_days(transaction, bringing, [window.key for window in changed])


def _brought_window(before: Window | None, after: Window | None) -> Window:
    """Return the recounted window, reported as far as the stored one; empty where nothing of it is left."""
    if before is None:
        assert after is not None  # noqa: S101 - one of the two has the key
        return after
    if after is None:
        return replace(before, quantity=_NOTHING, state=None, billed_quantity=_NOTHING, event_count=0, dirty=True)
    brought = replace(
        after,
        reported_quantity=before.reported_quantity,
        reported_revision=before.reported_revision,
        dirty=before.dirty,
    )
    return brought if brought == before else replace(brought, dirty=True)


def _is_charged_otherwise(bringing: Bringing, window: Window) -> bool:
    """Return whether a window of an open period is now of another version of the price, whose total must hear of it."""
    if is_billed(bringing.row, window.period_start):
        return False
    before, after = _prices_of_window(bringing, window)
    return before.price_id != after.price_id


def _prices_of_window(bringing: Bringing, window: Window) -> tuple[Price, Price]:
    subscription, at = bringing.row.subscription, window.key.start_at
    period = subscription.period_at(window.period_start) or Period(window.period_start, window.end_at)
    standing, series = bringing.rerated.standing, bringing.rerated.series
    return (
        subscription.price_of(standing, at=at, period=period),
        subscription.price_of(series, at=at, period=period),
    )


def _take_back(transaction: Transaction, bringing: Bringing, window: Window) -> None:
    """Tell the provider that what it was told of a window is no usage of the version that was wrong."""
    wrong, _ = _prices_of_window(bringing, window)
    if not window.reported_quantity or not is_rated_by_provider(wrong):
        return
    place, rerating = window.key, bringing.rerated.rerating
    named = (
        f"{rerating.rerating_id}:{place.meter_id}:{place.company_id}:{to_microseconds(place.start_at)}:"
        f"{place.group_key}"
    )
    usage = UsageMessage(
        subscription_id=bringing.subscription_id,
        company_id=place.company_id,
        price_id=wrong.price_id,
        value=EXACT.minus(window.reported_quantity),
        timestamp=max(place.start_at, window.period_start),
        period_start=window.period_start,
    )
    add_to_outbox(
        transaction,
        application_id=rerating.application_id,
        kind=USAGE,
        key=report_key(named, revision=0),
        subscription_id=bringing.subscription_id,
        payload=encode_message(usage),
        usage_at=usage.timestamp,
        now=bringing.now,
    )


def _bring_days(transaction: Transaction, bringing: Bringing, keys: list[WindowKey]) -> None:
    if not keys:
        return
    days = {window_containing(key.start_at, _DAY).start for key in keys}
    windows = windows_between(
        transaction,
        bringing.rerated.rerating.application_id,
        company_id=bringing.row.subscription.company_id,
        meter_ids={key.meter_id for key in keys},
        from_at=min(days),
        to_at=max(days) + _DAY,
    )
    meters = [history.meters[-1] for history in bringing.rerated.meters]
    write_days(transaction, days_of(windows, meters).values())


def _from(bringing: Bringing) -> datetime:
    first = first_period(bringing.row.subscription, bringing.rerated.rerating.span)
    return bringing.row.subscription.started_at if first is None else first.start


def _touches(bringing: Bringing, period_start: datetime) -> bool:
    period = bringing.row.subscription.period_at(period_start)
    return period is not None and bringing.rerated.rerating.span.touches(period)
