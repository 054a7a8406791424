"""Put a company on a plan, and give it credit."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfoNotFoundError

from msgspec import UNSET

from faregate.base.errors import Conflict, InvalidInput, NotFound
from faregate.base.money import Currency, currency
from faregate.base.periods import Cadence, CadenceUnit
from faregate.domain.catalog.price import Plan
from faregate.domain.customers.subscription import BillingCycle, Subscription
from faregate.services.accounts import open_account, refresh_accounts
from faregate.services.change import Change
from faregate.services.customers import require_company
from faregate.services.reservable import require_reservable
from faregate.storage import subscriptions as stored
from faregate.storage.billing_cycle import zone_named
from faregate.storage.catalog import find_plan
from faregate.storage.database import Transaction
from faregate.storage.metered import series_of_plan
from faregate.storage.state_feed import record_change
from faregate.storage.subscriptions import SubscriptionRow
from faregate.wire.api.common import to_utc
from faregate.wire.api.customers import SubscriptionCancel, SubscriptionCreate

_EARLIEST_START: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST_START: Final = timedelta(days=366)
_LONGEST_TRIAL: Final = timedelta(days=366)


def create_subscription(transaction: Transaction, change: Change, request: SubscriptionCreate) -> SubscriptionRow:
    """Put a company on a plan and open its account.

    Raises `InvalidInput` on what cannot be and `Conflict` on `plan_id` if the company is on the plan: two live
    subscriptions would meter one price.
    """
    require_company(transaction, change.application_id, request.company_id)
    plan = find_plan(transaction, change.application_id, request.plan_id)
    if plan is None:
        raise InvalidInput.of("plan_id", f"there is no plan {request.plan_id!r}")
    if plan.is_archived:
        raise InvalidInput.of("plan_id", f"the plan {plan.name!r} is archived: only its subscriptions go on")
    if stored.find_subscription_to_plan(
        transaction, change.application_id, company_id=request.company_id, plan_id=request.plan_id
    ):
        message = f"company {request.company_id!r} is on the plan {plan.name!r} already, and a price is metered once"
        raise Conflict("plan_id", message)
    started_at = _start(change.now if request.started_at is UNSET else to_utc(request.started_at), change.now)
    row = SubscriptionRow(
        subscription=Subscription(
            subscription_id=change.new_id("sub"),
            company_id=request.company_id,
            plan_id=request.plan_id,
            pays=request.pays,
            currency=_currency(transaction, plan, None if request.currency is UNSET else request.currency),
            started_at=started_at,
            payment_terms=timedelta(days=request.payment_terms_days),
            cycle=_cycle(transaction, plan, request, started_at=started_at),
        ),
        billed_until=started_at,
        created_at=change.now,
    )
    _keep(transaction, change, row)
    return row


def cancel_subscription(
    transaction: Transaction, change: Change, request: SubscriptionCancel, *, subscription_id: str
) -> SubscriptionRow:
    """End a subscription now or with its open period; `Conflict` where it has ended."""
    row = find_existing(transaction, change.application_id, subscription_id)
    at_end = request.at == "period_end"
    return _changed(transaction, change, row, changed=row.subscription.cancelled(change.now, at_period_end=at_end))


def move_end(transaction: Transaction, change: Change, *, subscription_id: str, ends_at: datetime | None) -> None:
    """Let a subscription end when the billing provider says, or go on (None); what is invoiced stays as it is."""
    row = find_existing(transaction, change.application_id, subscription_id)
    moved = row.subscription.ending(None if ends_at is None else max(ends_at, row.billed_until))
    if moved != row.subscription:
        _changed(transaction, change, row, changed=moved)


def pause_subscription(transaction: Transaction, change: Change, subscription_id: str) -> SubscriptionRow:
    """Pause a subscription from now on; `Conflict` where it is paused."""
    row = find_existing(transaction, change.application_id, subscription_id)
    return _changed(transaction, change, row, changed=row.subscription.paused(change.now))


def resume_subscription(transaction: Transaction, change: Change, subscription_id: str) -> SubscriptionRow:
    """Let a paused subscription go on; `Conflict` where it is not paused."""
    row = find_existing(transaction, change.application_id, subscription_id)
    return _changed(transaction, change, row, changed=row.subscription.resumed(change.now))


def _changed(
    transaction: Transaction, change: Change, row: SubscriptionRow, *, changed: Subscription
) -> SubscriptionRow:
    stored.set_cycle(transaction, changed)
    refresh_accounts(transaction, subscription_ids=[changed.subscription_id], now=change.now)
    record_change(transaction, "account", changed.subscription_id)
    return replace(row, subscription=changed)


def find_existing(transaction: Transaction, application_id: str, subscription_id: str) -> SubscriptionRow:
    """Return the subscription; `NotFound` if there is none of that id."""
    row = stored.find_subscription(transaction, application_id, subscription_id)
    if row is None:
        raise NotFound("subscription", subscription_id)
    return row


def _keep(transaction: Transaction, change: Change, row: SubscriptionRow) -> None:
    subscription_id = row.subscription.subscription_id
    stored.insert_subscription(transaction, change.application_id, row)
    require_reservable(transaction, change, "pays")
    open_account(transaction, application_id=change.application_id, subscription_id=subscription_id, now=change.now)
    record_change(transaction, "account", subscription_id)


def _cycle(transaction: Transaction, plan: Plan, request: SubscriptionCreate, *, started_at: datetime) -> BillingCycle:
    prices = series_of_plan(transaction, plan.plan_id)
    unit = CadenceUnit(prices[0].period.value) if prices else CadenceUnit.MONTH
    trial_ends_at = None if request.trial_ends_at is UNSET else to_utc(request.trial_ends_at)
    if trial_ends_at is not None and not started_at < trial_ends_at <= started_at + _LONGEST_TRIAL:
        raise InvalidInput.of("trial_ends_at", "must be after the start, by a year at most")
    return BillingCycle(
        cadence=Cadence(unit=unit),
        zone=zone_of("time_zone", request.time_zone),
        alignment=request.alignment,
        trial_ends_at=trial_ends_at,
    )


def zone_of(field: str, name: str) -> tzinfo:
    """Return a time zone by its name; `InvalidInput` on the field where there is none."""
    try:
        return zone_named(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        message = f"{name!r} is not in the IANA time zone database; use a name such as 'America/New_York'"
        raise InvalidInput.of(field, message) from error


def _start(started_at: datetime, now: datetime) -> datetime:
    if not _EARLIEST_START <= started_at <= now + _LATEST_START:
        raise InvalidInput.of("started_at", "must be after the year 1999 and at most a year from now")
    return started_at


def _currency(transaction: Transaction, plan: Plan, code: str | None) -> Currency:
    """Return the currency asked for, where every price of the plan has it; the first price's own where none is."""
    prices = series_of_plan(transaction, plan.plan_id)
    if code is None:
        if not prices:
            raise InvalidInput.of("currency", f"is required: the plan {plan.name!r} has no price that would say it")
        return prices[0].currencies[0]
    unit = currency(code)
    for price in prices:
        if unit not in price.currencies:
            offered = ", ".join(found.code for found in price.currencies)
            message = f"must be one of the plan {plan.name!r}; its price {price.name!r} has {offered}"
            raise InvalidInput.of("currency", message)
    return unit
