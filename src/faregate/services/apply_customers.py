"""One entry of a catalog file, made so: companies, their users and their subscriptions."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from msgspec import UNSET

from faregate.base.errors import InvalidInput
from faregate.services.apply_coupons import give_missing
from faregate.services.apply_resources import plan_named
from faregate.services.catalog_differences import compared, created, differing_fields
from faregate.services.change import Change
from faregate.services.customers import create_company, create_user, rename_company, rename_user
from faregate.services.subscriptions import create_subscription
from faregate.storage.billing_cycle import zone_name
from faregate.storage.customers import find_company, find_user
from faregate.storage.database import Transaction
from faregate.storage.subscriptions import find_subscription_to_plan
from faregate.wire.api.catalog_document import CompanyEntry, ResourceDifference, SubscriptionEntry, UserEntry
from faregate.wire.api.common import to_utc
from faregate.wire.api.customers import CompanyCreate, SubscriptionCreate, UserCreate


def apply_company(transaction: Transaction, change: Change, entry: CompanyEntry) -> ResourceDifference:
    """Add the company, or give it the file's name."""
    request = CompanyCreate(company_id=entry.company_id, name=entry.name)
    before = find_company(transaction, change.application_id, entry.company_id)
    if before is None:
        create_company(transaction, change, request)
        return created("company", entry.company_id)
    kept = CompanyCreate(company_id=before.company_id, name=before.name)
    if request.name is UNSET:
        request = kept
    elif request.name != before.name:
        rename_company(transaction, change, entry.company_id, name=request.name)
    return compared("company", entry.company_id, before=kept, after=request)


def apply_user(transaction: Transaction, change: Change, entry: UserEntry, *, company_id: str) -> ResourceDifference:
    """Add the user, or give it the file's name; `InvalidInput` where it is in another company."""
    request = UserCreate(user_id=entry.user_id, company_id=company_id, name=entry.name)
    before = find_user(transaction, change.application_id, entry.user_id)
    if before is None:
        create_user(transaction, change, request)
        return created("user", entry.user_id)
    if before.company_id != company_id:
        raise InvalidInput.of("user_id", f"is a user of company {before.company_id!r}, and users never move")
    kept = UserCreate(user_id=before.user_id, company_id=company_id, name=before.name)
    if request.name is UNSET:
        request = kept
    elif request.name != before.name:
        rename_user(transaction, change, entry.user_id, name=request.name)
    return compared("user", entry.user_id, before=kept, after=request)


def apply_subscription(
    transaction: Transaction, change: Change, entry: SubscriptionEntry, *, company_id: str
) -> ResourceDifference:
    """Put the company on the plan; `InvalidInput` where the file wants a subscription to change."""
    plan = plan_named(transaction, change, entry.plan)
    label = f"{company_id} / {plan.name}"
    row = find_subscription_to_plan(transaction, change.application_id, company_id=company_id, plan_id=plan.plan_id)
    if row is None:
        request = SubscriptionCreate(
            company_id=company_id,
            plan_id=plan.plan_id,
            pays=entry.pays,
            currency=entry.currency,
            started_at=entry.started_at,
            payment_terms_days=entry.payment_terms_days,
            time_zone=entry.time_zone,
            alignment=entry.alignment,
            trial_ends_at=entry.trial_ends_at,
        )
        made = create_subscription(transaction, change, request).subscription
        give_missing(transaction, change, entry.coupons, subscription_id=made.subscription_id)
        return created("subscription", label)
    kept = row.subscription
    before = SubscriptionEntry(
        plan=plan.name,
        pays=kept.pays,
        currency=UNSET if entry.currency is UNSET else kept.currency.code,
        started_at=UNSET if entry.started_at is UNSET else kept.started_at,
        payment_terms_days=kept.payment_terms // timedelta(days=1),
        time_zone=zone_name(kept.cycle.zone),
        alignment=kept.cycle.alignment,
        trial_ends_at=UNSET if kept.cycle.trial_ends_at is None else kept.cycle.trial_ends_at,
    )
    after = msgspec.structs.replace(entry, coupons=[])
    if entry.started_at is not UNSET:
        after = msgspec.structs.replace(after, started_at=to_utc(entry.started_at))
    if entry.trial_ends_at is not UNSET:
        after = msgspec.structs.replace(after, trial_ends_at=to_utc(entry.trial_ends_at))
    for difference in differing_fields(before, after):
        raise InvalidInput.of(difference.field, f"of a subscription never changes; it is {difference.before}")
    had = give_missing(transaction, change, entry.coupons, subscription_id=kept.subscription_id)
    return compared(
        "subscription",
        label,
        before=msgspec.structs.replace(before, coupons=had),
        after=msgspec.structs.replace(after, coupons=entry.coupons),
    )
