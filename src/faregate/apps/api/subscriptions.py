"""Subscriptions, their credit and their ledger."""

from __future__ import annotations

from typing import Annotated

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter, JSONBody

from faregate.apps.api.call import Call
from faregate.apps.api.customers import OfCompany
from faregate.apps.api.paging import Paging
from faregate.base.failpoints import CREDIT_COMMITTED, reach
from faregate.base.money import Currency, from_ledger_units
from faregate.domain.catalog.price import BillingPeriod
from faregate.services import readings, subscriptions
from faregate.services.business_clock import business_now
from faregate.services.change import Change
from faregate.services.credit import GrantKind, NewGrant, give_grant
from faregate.storage.billing_cycle import zone_name
from faregate.storage.credit import GrantRow, list_grants
from faregate.storage.database import Transaction
from faregate.storage.subscriptions import SubscriptionRow, list_subscriptions
from faregate.wire.api.common import Page, bounded, plain
from faregate.wire.api.customers import (
    GrantCreate,
    GrantKindShape,
    GrantView,
    PauseView,
    SubscriptionCancel,
    SubscriptionCreate,
    SubscriptionView,
)
from faregate.wire.api.readings import BalanceView, LedgerEntryView

IdempotencyKey = Annotated[
    str,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern="^[\\x21-\\x7e]+$",
        description="A text of your own for this grant: sending it again gives nothing more.",
    ),
]


@get("/subscriptions", summary="List subscriptions", tags=["Subscriptions"])
async def list_all_subscriptions(
    call: NamedDependency[Call], paging: NamedDependency[Paging], company_id: OfCompany = None
) -> Page[SubscriptionView]:
    """Subscriptions, in the order in which they were made."""
    rows = await call.read(
        lambda tx: list_subscriptions(
            tx, call.application_id, company_id=company_id, after=paging.after, limit=paging.rows
        )
    )
    return paging.page(rows, lambda row: row.subscription.subscription_id, _subscription)


@post("/subscriptions", summary="Put a company on a plan", tags=["Subscriptions"])
async def make_subscription(call: NamedDependency[Call], data: JSONBody[SubscriptionCreate]) -> SubscriptionView:
    """Put a company on a plan and open its account. A prepaid account is exhausted until it gets credit."""
    return _subscription(await call.change(lambda tx, change: subscriptions.create_subscription(tx, change, data)))


@get("/subscriptions/{subscription_id:str}", summary="Get a subscription", tags=["Subscriptions"])
async def get_subscription(call: NamedDependency[Call], subscription_id: FromPath[str]) -> SubscriptionView:
    """Return one subscription."""
    return _subscription(
        await call.read(lambda tx: subscriptions.find_existing(tx, call.application_id, subscription_id))
    )


@post("/subscriptions/{subscription_id:str}/cancel", summary="End a subscription", tags=["Subscriptions"])
async def cancel_subscription(
    call: NamedDependency[Call], subscription_id: FromPath[str], data: JSONBody[SubscriptionCancel]
) -> SubscriptionView:
    """End a subscription now, or with its open period; what was used until then is invoiced."""
    return _subscription(
        await call.change(
            lambda tx, change: subscriptions.cancel_subscription(tx, change, data, subscription_id=subscription_id)
        )
    )


@post("/subscriptions/{subscription_id:str}/pause", summary="Pause a subscription", tags=["Subscriptions"])
async def pause_subscription(call: NamedDependency[Call], subscription_id: FromPath[str]) -> SubscriptionView:
    """Pause a subscription: from now on nothing is used or charged, while its periods go on."""
    return _subscription(
        await call.change(lambda tx, change: subscriptions.pause_subscription(tx, change, subscription_id))
    )


@post("/subscriptions/{subscription_id:str}/resume", summary="Resume a subscription", tags=["Subscriptions"])
async def resume_subscription(call: NamedDependency[Call], subscription_id: FromPath[str]) -> SubscriptionView:
    """Let a paused subscription go on."""
    return _subscription(
        await call.change(lambda tx, change: subscriptions.resume_subscription(tx, change, subscription_id))
    )


@get("/subscriptions/{subscription_id:str}/grants", summary="List grants", tags=["Credit"])
async def list_all_grants(call: NamedDependency[Call], subscription_id: FromPath[str]) -> Page[GrantView]:
    """Credit given to a subscription, oldest first, in one part."""

    def read(transaction: Transaction) -> list[GrantView]:
        unit = subscriptions.find_existing(transaction, call.application_id, subscription_id).subscription.currency
        return [_grant(row, unit) for row in list_grants(transaction, subscription_id)]

    return Page(data=await call.read(read), next_cursor=None)


@post("/subscriptions/{subscription_id:str}/grants", summary="Give credit", tags=["Credit"])
async def make_grant(
    *,
    call: NamedDependency[Call],
    subscription_id: FromPath[str],
    data: JSONBody[GrantCreate],
    idempotency_key: IdempotencyKey,
) -> GrantView:
    """Give a subscription credit. A repeat with the same Idempotency-Key answers with the first grant."""

    def give(transaction: Transaction, change: Change) -> GrantView:
        unit = subscriptions.find_existing(transaction, call.application_id, subscription_id).subscription.currency
        wanted = NewGrant(
            application_id=change.application_id,
            subscription_id=subscription_id,
            amount=bounded("amount", data.amount),
            kind=GrantKind(data.kind),
            description=data.description,
            caller_id=idempotency_key,
        )
        return _grant(give_grant(transaction, wanted, new_id=change.new_id, now=change.now), unit)

    given = await call.change(give)
    reach(CREDIT_COMMITTED)
    return given


@get("/subscriptions/{subscription_id:str}/balance", summary="Get the balance", tags=["Credit"])
async def get_balance(call: NamedDependency[Call], subscription_id: FromPath[str]) -> BalanceView:
    """Return what is left, what is reserved for running calls, and what is paid ahead, price by price."""

    def read(transaction: Transaction) -> BalanceView:
        now = business_now(transaction, call.application_id, call.backend.clock)
        return readings.read_balance(transaction, call.application_id, subscription_id, now=now)

    return await call.read(read)


@get("/subscriptions/{subscription_id:str}/ledger", summary="List ledger entries", tags=["Credit"])
async def list_ledger(
    call: NamedDependency[Call], subscription_id: FromPath[str], paging: NamedDependency[Paging]
) -> Page[LedgerEntryView]:
    """Every movement of the subscription's credit, oldest first."""
    return await call.read(
        lambda tx: readings.read_ledger(
            tx, call.application_id, subscription_id, cursor=paging.cursor, limit=paging.limit
        )
    )


def _subscription(row: SubscriptionRow) -> SubscriptionView:
    subscription = row.subscription
    return SubscriptionView(
        subscription_id=subscription.subscription_id,
        company_id=subscription.company_id,
        plan_id=subscription.plan_id,
        pays=subscription.pays,
        currency=subscription.currency.code,
        started_at=subscription.started_at,
        payment_terms_days=subscription.payment_terms.days,
        billed_until=row.billed_until,
        period=BillingPeriod(subscription.cycle.cadence.unit.value),
        time_zone=zone_name(subscription.cycle.zone),
        alignment=subscription.cycle.alignment,
        trial_ends_at=subscription.cycle.trial_ends_at,
        ends_at=subscription.cycle.ends_at,
        pauses=[PauseView(start=pause.start, end=pause.end) for pause in subscription.cycle.pauses],
    )


def _grant(row: GrantRow, unit: Currency) -> GrantView:
    return GrantView(
        grant_id=row.grant_id,
        subscription_id=row.subscription_id,
        amount=plain(from_ledger_units(row.amount, unit)),
        currency=unit.code,
        kind=GrantKindShape(row.kind),
        description=row.description,
        created_at=row.created_at,
    )


HANDLERS = [
    list_all_subscriptions,
    make_subscription,
    get_subscription,
    cancel_subscription,
    pause_subscription,
    resume_subscription,
    list_all_grants,
    make_grant,
    get_balance,
    list_ledger,
]
