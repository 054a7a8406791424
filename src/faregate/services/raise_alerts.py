"""Raise alerts in the transaction that crosses a threshold: once a period and percentage, once a fall of a balance."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from faregate.base.ids import new_id
from faregate.base.money import from_ledger_units
from faregate.domain.customers.subscription import Subscription
from faregate.domain.limits.alerts import BalanceAlert, crossed
from faregate.domain.limits.limit import known_end
from faregate.storage import alerts as stored
from faregate.storage.alerts import AlertKind, AlertRow
from faregate.storage.database import Transaction
from faregate.storage.ledger import Account
from faregate.storage.limits import LimitUse, OwnedLimit


def alert_of_limit(
    transaction: Transaction, owned: OwnedLimit, use: LimitUse, *, before: Decimal, now: datetime
) -> None:
    """Raise what a subject's use of a limit crossed on its way from `before`; `now` is the business time."""
    limit, key = owned.limit, use.key
    reached = crossed(limit.alert_at, amount=limit.amount, before=before, after=use.used)
    if not reached:
        return
    # The amount may have been raised meanwhile, and the percentage crossed before.
    raised = stored.raised_percents(transaction, key.limit_id, key.subject_id, period_start=key.period_start)
    alerts = [
        AlertRow(
            alert_id=new_id("alr"),
            application_id=owned.application_id,
            kind=AlertKind.LIMIT,
            source_id=limit.limit_id,
            name=limit.name,
            subject=limit.subject.value,
            subject_id=key.subject_id,
            company_id=use.company_id,
            period_start=key.period_start,
            period_end=known_end(use.period_end),
            percent=percent,
            measured=use.used,
            amount=limit.amount,
            unit=limit.currency or limit.meter_id or limit.measure.value,
            created_at=now,
        )
        for percent in reached
        if percent not in raised
    ]
    stored.add_alerts(transaction, owned.application_id, alerts)


@dataclass(frozen=True, slots=True)
class Watched:
    """A subscription and its account, as a transaction leaves them."""

    subscription: Subscription
    account: Account


def watch_balances(transaction: Transaction, watched: Collection[Watched], *, now: datetime) -> None:
    """Raise an alert for each balance that fell below a threshold; one that rose above can fall again.

    A balance that never had a grant is not low.
    """
    by_application = stored.all_balance_alerts(transaction) if watched else {}
    if not by_application:
        return
    ids = [one.subscription.subscription_id for one in watched]
    grants, before = stored.last_grants(transaction, ids), stored.low_balances(transaction, ids)
    fallen: set[tuple[str, str]] = set()
    risen: set[tuple[str, str]] = set()
    for one in watched:
        for alert in by_application.get(one.account.application_id, []):
            if alert.subscription_id not in {None, one.subscription.subscription_id}:
                continue
            key = alert.balance_alert_id, one.subscription.subscription_id
            if not _is_low(alert, one, grants):
                risen |= {key} & before
            elif key not in before:
                fallen.add(key)
                stored.add_alerts(
                    transaction, one.account.application_id, [_balance_row(alert, one, grants=grants, now=now)]
                )
    stored.note_low(transaction, fallen, since=now)
    stored.note_risen(transaction, risen)


def _is_low(alert: BalanceAlert, watched: Watched, grants: Mapping[str, int]) -> bool:
    unit = watched.subscription.currency
    last = grants.get(watched.subscription.subscription_id)
    if last is None:
        return False
    balance = from_ledger_units(watched.account.balance, unit)
    return alert.is_low(balance, currency=unit.code, last_grant=from_ledger_units(last, unit))


def _balance_row(alert: BalanceAlert, watched: Watched, *, grants: Mapping[str, int], now: datetime) -> AlertRow:
    subscription, unit = watched.subscription, watched.subscription.currency
    last = from_ledger_units(grants[subscription.subscription_id], unit)
    return AlertRow(
        alert_id=new_id("alr"),
        application_id=watched.account.application_id,
        kind=AlertKind.BALANCE,
        source_id=alert.balance_alert_id,
        name=alert.name,
        subject="subscription",
        subject_id=subscription.subscription_id,
        company_id=subscription.company_id,
        period_start=now,
        period_end=None,
        percent=alert.below_percent,
        measured=from_ledger_units(watched.account.balance, unit),
        amount=last if alert.below_amount is None else alert.below_amount,
        unit=unit.code,
        created_at=now,
    )
