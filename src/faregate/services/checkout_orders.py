"""What a checkout page sells: ordered in one transaction, given in one when the provider says that it is paid."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import UNSET

from faregate.base.errors import Conflict, InvalidInput, NotFound
from faregate.base.money import currency, from_ledger_units
from faregate.domain.billing.provider import ProviderPrice
from faregate.domain.billing.provider_checkout import CheckoutMode, CheckoutPhase, CheckoutStanding
from faregate.domain.customers.subscription import Pays, Subscription
from faregate.domain.ledger.burning import GrantKind
from faregate.services.change import Change
from faregate.services.credit import NewGrant, give_grant
from faregate.services.customers import find_company
from faregate.services.provider_prices import is_rated_by_provider, provider_price
from faregate.services.subscriptions import find_existing
from faregate.services.top_ups import payable_units
from faregate.storage import checkouts as stored
from faregate.storage.catalog import find_plan
from faregate.storage.checkouts import CheckoutRow
from faregate.storage.database import Transaction
from faregate.storage.metered import series_of_plan
from faregate.storage.subscriptions import find_subscription_to_plan
from faregate.storage.top_ups import has_pending_top_up
from faregate.wire.api.checkouts import CheckoutCreate


def order_page(
    transaction: Transaction, change: Change, request: CheckoutCreate, *, company_id: str, caller_id: str
) -> CheckoutRow:
    """Write an order, or return the one that was made under `caller_id` before.

    Raises `NotFound` for an unknown company; `InvalidInput` on the field that cannot be; `Conflict` where a payment for
    the account is under way, or the company is on the plan.
    """
    find_company(transaction, change.application_id, company_id)
    earlier = stored.find_checkout_of_caller(transaction, change.application_id, caller_id)
    if earlier is not None:
        return earlier
    order = _top_up if request.mode is CheckoutMode.TOP_UP else _subscription
    row = order(transaction, change, request, company_id=company_id, caller_id=caller_id)
    stored.add_checkout(transaction, row)
    return row


def take_checkout(transaction: Transaction, change: Change, *, checkout_id: str, standing: CheckoutStanding) -> str:
    """Keep how a page stands, and give the credit that was paid for there, once; return what came of it."""
    row = existing_checkout(transaction, checkout_id)
    grant_id = row.grant_id
    if row.mode is CheckoutMode.TOP_UP and standing.phase is CheckoutPhase.COMPLETE and grant_id is None:
        wanted = NewGrant(
            application_id=row.application_id,
            subscription_id=row.subscription_id,
            amount=from_ledger_units(row.amount, currency(row.currency)),
            kind=GrantKind.PAID,
            description="top-up",
            caller_id=f"checkout:{row.checkout_id}",
            is_paid_for=True,
        )
        grant_id = give_grant(transaction, wanted, new_id=change.new_id, now=change.now).grant_id
    stored.keep_standing(transaction, checkout_id, standing, grant_id=grant_id)
    return f"checkout {checkout_id} is {standing.phase.value}"


def existing_checkout(transaction: Transaction, checkout_id: str) -> CheckoutRow:
    """Return a page; `NotFound` where there is none of that id."""
    row = stored.find_checkout(transaction, checkout_id)
    if row is None:
        raise NotFound("checkout session", checkout_id)
    return row


def page_prices(
    transaction: Transaction, row: CheckoutRow, *, plan_name: str, now: datetime
) -> tuple[ProviderPrice, ...]:
    """Return the prices that an ordered subscription would pay now, of those that the provider rates itself."""
    ordered = Subscription(
        subscription_id=row.subscription_id,
        company_id=row.company_id,
        plan_id=row.plan_id,
        pays=row.pays,
        currency=currency(row.currency),
        started_at=now,
        payment_terms=timedelta(0),
    )
    period = ordered.period_at(now)
    assert period is not None  # noqa: S101 - it begins now
    prices = [ordered.price_of(series, at=now, period=period) for series in series_of_plan(transaction, row.plan_id)]
    return tuple(provider_price(price, product=plan_name) for price in prices if is_rated_by_provider(price))


def _top_up(
    transaction: Transaction, change: Change, request: CheckoutCreate, *, company_id: str, caller_id: str
) -> CheckoutRow:
    if request.subscription_id is UNSET:
        raise InvalidInput.of("subscription_id", "is required for a top-up: the account that gets the credit")
    if request.amount is UNSET:
        raise InvalidInput.of("amount", "is required for a top-up, for example '20.00'")
    if request.plan_id is not UNSET:
        raise InvalidInput.of("plan_id", "is for a subscription; a top-up has none")
    subscription = find_existing(transaction, change.application_id, request.subscription_id).subscription
    if subscription.company_id != company_id:
        raise InvalidInput.of("subscription_id", f"is not of company {company_id!r}")
    if subscription.pays is Pays.POSTPAID:
        raise InvalidInput.of("subscription_id", "is postpaid, and has no credit to top up")
    amount = payable_units("amount", request.amount, subscription.currency)
    if has_pending_top_up(transaction, request.subscription_id):
        raise Conflict("subscription_id", "has an automatic top-up under way; ask again when it has ended")
    return _row(change, request, company_id=company_id, caller_id=caller_id, subscription=subscription, amount=amount)


def _subscription(
    transaction: Transaction, change: Change, request: CheckoutCreate, *, company_id: str, caller_id: str
) -> CheckoutRow:
    if request.plan_id is UNSET:
        raise InvalidInput.of("plan_id", "is required for a subscription")
    for field, given in (("amount", request.amount), ("subscription_id", request.subscription_id)):
        if given is not UNSET:
            raise InvalidInput.of(field, "is for a top-up; a subscription has none")
    plan = find_plan(transaction, change.application_id, request.plan_id)
    prices = [] if plan is None else series_of_plan(transaction, plan.plan_id)
    if plan is None or not prices:
        raise InvalidInput.of("plan_id", f"there is no plan {request.plan_id!r} with a price")
    if find_subscription_to_plan(transaction, change.application_id, company_id=company_id, plan_id=request.plan_id):
        raise Conflict("plan_id", f"company {company_id!r} is on the plan {plan.name!r} already")
    subscription = Subscription(
        subscription_id=change.new_id("sub"),
        company_id=company_id,
        plan_id=plan.plan_id,
        pays=request.pays,
        currency=prices[0].currencies[0],
        started_at=change.now,
        payment_terms=timedelta(0),
    )
    row = _row(change, request, company_id=company_id, caller_id=caller_id, subscription=subscription, amount=0)
    if not page_prices(transaction, row, plan_name=plan.name, now=change.now):
        raise InvalidInput.of("plan_id", f"the plan {plan.name!r} has no price that the billing provider can rate")
    return row


def _row(
    change: Change,
    request: CheckoutCreate,
    *,
    company_id: str,
    caller_id: str,
    subscription: Subscription,
    amount: int,
) -> CheckoutRow:
    return CheckoutRow(
        checkout_id=change.new_id("chk"),
        application_id=change.application_id,
        caller_id=caller_id,
        company_id=company_id,
        mode=request.mode,
        subscription_id=subscription.subscription_id,
        plan_id=subscription.plan_id,
        pays=subscription.pays,
        currency=subscription.currency.code,
        amount=amount,
        success_url=request.success_url,
        cancel_url=request.cancel_url,
        phase=CheckoutPhase.OPENING,
        session_id=None,
        url=None,
        expires_at=None,
        grant_id=None,
        created_at=change.now,
    )
