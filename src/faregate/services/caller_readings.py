"""What a caller may read of their own company: credit, usage of the open period and by day, and what one call cost."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from faregate.base.clock import Clock
from faregate.base.errors import InvalidInput, NotFound
from faregate.base.limits import MAX_USAGE_ROWS
from faregate.base.money import EXACT, currency, from_ledger_units
from faregate.base.periods import window_containing
from faregate.domain.catalog.versions import PriceList
from faregate.domain.customers.subscription import Pays
from faregate.services.business_clock import business_now
from faregate.services.find_event import positions_of_call, readable_event
from faregate.services.readings import read_balance
from faregate.services.usage_readings import UsageQuery, read_usage
from faregate.storage import readings as stored
from faregate.storage.corrections import correction_of
from faregate.storage.database import Transaction
from faregate.storage.events import read_logged_event
from faregate.storage.ledger import read_account
from faregate.storage.metered import read_prices, read_subscriptions, series_of_application, subscriptions_of_companies
from faregate.storage.meters import meters_of_application
from faregate.storage.readings import ChargeReading, Selection
from faregate.wire.api.common import plain
from faregate.wire.api.readings import Granularity
from faregate.wire.caller_questions import (
    BalanceQuestion,
    BalancesView,
    CallCostLineView,
    CallCostView,
    CostQuestion,
    DayUsageView,
    PeriodUsageView,
    PriceUsageView,
    UsageQuestion,
)
from faregate.wire.event import as_utc

MOST_DAYS: Final = timedelta(days=92)
_DAY: Final = timedelta(days=1)


def read_balances(transaction: Transaction, question: BalanceQuestion | UsageQuestion, clock: Clock) -> BalancesView:
    """Return the credit of the company's subscriptions that have begun and not ended."""
    now = business_now(transaction, question.application_id, clock)
    found = subscriptions_of_companies(transaction, question.application_id, [question.company_id])
    return BalancesView(
        company_id=question.company_id,
        subscriptions=[
            read_balance(transaction, question.application_id, subscription.subscription_id, now=now)
            for subscription, _ in found
            if subscription.lives_at(now)
        ],
    )


def read_period_usage(transaction: Transaction, question: UsageQuestion, clock: Clock) -> PeriodUsageView:
    """Return what was used of each price in its open period, and by day in UTC where days are asked for.

    Raises `InvalidInput` on `from` or `to` for what is not whole days, or too many.
    """
    balances = read_balances(transaction, question, clock)
    return PeriodUsageView(
        company_id=question.company_id,
        prices=[
            PriceUsageView(
                subscription_id=balance.subscription_id,
                price_id=price.price_id,
                name=price.name,
                period_start=price.period_start,
                period_end=price.period_end,
                quantity=price.quantity,
                amount=price.debited,
                currency=balance.currency,
            )
            for balance in balances.subscriptions
            for price in balance.prices
        ],
        days=_days(transaction, question),
    )


def read_call_cost(transaction: Transaction, question: CostQuestion) -> CallCostView:
    """Return what a call cost, corrections included; `NotFound` where the company has no such call that is applied."""
    positions = positions_of_call(transaction, question.application_id, question.request_id)
    logged = None if not positions else read_logged_event(transaction, positions[-1])
    wire = None if logged is None else readable_event(logged)
    if logged is None or wire is None or wire.company_id != question.company_id:
        raise NotFound("call", question.request_id)
    charges = [charge for position in positions for charge in _charges(transaction, position)]
    paid = [charge for charge in charges if charge.subscription_id]
    codes = {charge.currency for charge in paid}
    unit = currency(codes.pop()) if len(codes) == 1 else None
    return CallCostView(
        request_id=question.request_id,
        occurred_at=as_utc(wire.request.time),
        route=wire.request.route,
        status=wire.response.status if wire.response else None,
        estimated=wire.faregate.estimated if wire.faregate else False,
        currency=None if unit is None else unit.code,
        cost=None if unit is None else plain(from_ledger_units(sum(charge.amount for charge in paid), unit)),
        balance=_balance(transaction, {charge.subscription_id for charge in paid}),
        lines=_lines(charges, read_prices(transaction, {charge.price_id for charge in charges})),
    )


def _charges(transaction: Transaction, position: int) -> list[ChargeReading]:
    """Return what the event at a place was charged, and what a correction of it took back or put in its stead."""
    corrected = correction_of(transaction, position)
    charges = stored.charges_of_event(transaction, position)
    return charges if corrected is None else charges + stored.charges_of_event(transaction, corrected.position)


def _lines(charges: list[ChargeReading], prices: PriceList) -> list[CallCostLineView]:
    sums: dict[tuple[str, str, str], tuple[Decimal, int]] = {}
    for charge in charges:
        found = prices.series_of(charge.price_id)
        key = (charge.price_id if found is None else found.series_id, found.name if found else "", charge.currency)
        quantity, amount = sums.get(key, (Decimal(0), 0))
        sums[key] = (EXACT.add(quantity, charge.quantity), amount + charge.amount)
    return [
        CallCostLineView(
            price_id=price_id,
            name=name,
            quantity=plain(quantity),
            amount=plain(from_ledger_units(amount, currency(code))),
        )
        for (price_id, name, code), (quantity, amount) in sorted(sums.items())
    ]


def _balance(transaction: Transaction, subscription_ids: set[str]) -> str | None:
    """Return the balance of the prepaid subscription among these; None where there is none, or there are several."""
    prepaid = [
        found for found in read_subscriptions(transaction, subscription_ids).values() if found.pays is Pays.PREPAID
    ]
    if len(prepaid) != 1:
        return None
    balance = read_account(transaction, prepaid[0].subscription_id).balance
    return plain(from_ledger_units(balance, prepaid[0].currency))


def _days(transaction: Transaction, question: UsageQuestion) -> list[DayUsageView] | None:
    from_at, to_at = question.from_at, question.to_at
    if from_at is None and to_at is None:
        return None
    if from_at is None or to_at is None:
        raise InvalidInput.of("from" if from_at is None else "to", "must be given too: days are from 'from' to 'to'")
    for field, instant in (("from", from_at), ("to", to_at)):
        _require_midnight(field, as_utc(instant))
    if not from_at < to_at <= from_at + MOST_DAYS:
        raise InvalidInput.of("to", f"must be after 'from', by at most {MOST_DAYS.days} days")
    query = UsageQuery(
        selection=Selection(
            application_id=question.application_id,
            company_id=question.company_id,
            from_at=as_utc(from_at),
            to_at=as_utc(to_at),
        ),
        granularity=Granularity.DAY,
    )
    page = read_usage(transaction, query, cursor=None, limit=MAX_USAGE_ROWS)
    if page.next_cursor is not None:
        raise InvalidInput.of("to", f"there are more than {MAX_USAGE_ROWS} rows of usage; ask for fewer days")
    prices = PriceList(series_of_application(transaction, question.application_id))
    price_ids = {
        meter.meter_id: meter.price_id for meter in meters_of_application(transaction, question.application_id)
    }
    days = []
    for usage in page.data:
        price_id = price_ids.get(usage.meter_id, "")
        series = prices.series_of(price_id)
        days.append(
            DayUsageView(
                day=usage.start.date().isoformat(),
                price_id=price_id,
                name=series.name if series else "",
                quantity=usage.quantity,
                event_count=usage.event_count,
                group=usage.group,
            )
        )
    return sorted(days, key=lambda day: (day.day, day.price_id, day.group))


def _require_midnight(field: str, instant: datetime) -> None:
    if window_containing(instant, _DAY).start != instant:
        raise InvalidInput.of(field, "must be the start of a day in UTC, for example 2026-03-01T00:00:00Z")
