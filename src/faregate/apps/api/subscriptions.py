"""Subscriptions."""

from __future__ import annotations

from typing import Annotated

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter, JSONBody

from faregate.apps.api.call import Call
from faregate.apps.api.customers import OfCompany
from faregate.apps.api.paging import Paging
from faregate.domain.catalog.price import BillingPeriod
from faregate.services import subscriptions
from faregate.storage.billing_cycle import zone_name
from faregate.storage.subscriptions import SubscriptionRow, list_subscriptions
from faregate.wire.api.common import Page
from faregate.wire.api.customers import (
    PauseView,
    SubscriptionCancel,
    SubscriptionCreate,
    SubscriptionView,
)

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


HANDLERS = [
    list_all_subscriptions,
    make_subscription,
    get_subscription,
    cancel_subscription,
    pause_subscription,
    resume_subscription,
]
