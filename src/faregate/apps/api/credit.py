"""Grants of credit, balances, and the ledger behind them."""

from __future__ import annotations

from collections.abc import Callable

from litestar import get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET

from faregate.apps.api.call import Call
from faregate.apps.api.paging import Paging
from faregate.apps.api.subscriptions import IdempotencyKey
from faregate.base.failpoints import CREDIT_COMMITTED, reach
from faregate.base.money import from_ledger_units
from faregate.services import credit_limits, grant_changes, readings, subscriptions
from faregate.services.business_clock import business_now
from faregate.services.change import Change
from faregate.services.company_grants import Share, give_company_grant
from faregate.services.credit import give_grant
from faregate.services.grant_changes import GrantPlace
from faregate.services.grant_views import grant_view, new_grant
from faregate.storage.credit import GrantRow, list_grants
from faregate.storage.database import Transaction
from faregate.storage.ledger import read_account
from faregate.wire.api.common import Page, bounded, plain
from faregate.wire.api.credit import (
    CompanyGrantCreate,
    CreditLimitSet,
    CreditLimitView,
    GrantAdjust,
    GrantCreate,
    GrantRefund,
    GrantView,
    GrantVoid,
)
from faregate.wire.api.readings import BalanceView, LedgerEntryView


@get("/subscriptions/{subscription_id:str}/grants", summary="List grants", tags=["Credit"])
async def list_all_grants(call: NamedDependency[Call], subscription_id: FromPath[str]) -> Page[GrantView]:
    """Credit given to a subscription, oldest first, in one part."""

    def read(transaction: Transaction) -> list[GrantView]:
        unit = subscriptions.find_existing(transaction, call.application_id, subscription_id).subscription.currency
        return [grant_view(row, unit) for row in list_grants(transaction, subscription_id)]

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
        subscription = subscriptions.find_existing(transaction, call.application_id, subscription_id).subscription
        wanted = new_grant(change, subscription, data, caller_id=idempotency_key)
        return grant_view(give_grant(transaction, wanted, new_id=change.new_id, now=change.now), subscription.currency)

    given = await call.change(give)
    reach(CREDIT_COMMITTED)
    return given


@get("/subscriptions/{subscription_id:str}/grants/{grant_id:str}", summary="Get a grant", tags=["Credit"])
async def get_grant(call: NamedDependency[Call], subscription_id: FromPath[str], grant_id: FromPath[str]) -> GrantView:
    """Return one grant, with what is left of it."""

    def read(transaction: Transaction) -> GrantView:
        unit = subscriptions.find_existing(transaction, call.application_id, subscription_id).subscription.currency
        place = GrantPlace(subscription_id=subscription_id, grant_id=grant_id)
        return grant_view(grant_changes.find_existing(transaction, place), unit)

    return await call.read(read)


@post("/subscriptions/{subscription_id:str}/grants/{grant_id:str}/void", summary="End a grant", tags=["Credit"])
async def void_grant(
    *, call: NamedDependency[Call], subscription_id: FromPath[str], grant_id: FromPath[str], data: JSONBody[GrantVoid]
) -> GrantView:
    """End a grant now. What running calls lean on stays until they end. Again, it changes nothing."""
    place = GrantPlace(subscription_id=subscription_id, grant_id=grant_id)
    await call.backend.call_back(subscription_id)
    return await _changed(call, lambda tx, change: grant_changes.void_grant(tx, change, place, reason=data.reason))


@post(
    "/subscriptions/{subscription_id:str}/grants/{grant_id:str}/refund", summary="Refund a paid grant", tags=["Credit"]
)
async def refund_grant(
    *,
    call: NamedDependency[Call],
    subscription_id: FromPath[str],
    grant_id: FromPath[str],
    data: JSONBody[GrantRefund],
    idempotency_key: IdempotencyKey,
) -> GrantView:
    """Take what is refunded out of a paid grant: at most what is neither used nor reserved for running calls."""
    place = GrantPlace(subscription_id=subscription_id, grant_id=grant_id)
    amount = None if data.amount is UNSET else bounded("amount", data.amount)
    await call.backend.call_back(subscription_id)
    return await _changed(
        call,
        lambda tx, change: grant_changes.refund_grant(
            tx, change, place, amount=amount, reason=data.reason, caller_id=idempotency_key
        ),
    )


@post("/subscriptions/{subscription_id:str}/grants/{grant_id:str}/adjust", summary="Correct a grant", tags=["Credit"])
async def adjust_grant(
    *,
    call: NamedDependency[Call],
    subscription_id: FromPath[str],
    grant_id: FromPath[str],
    data: JSONBody[GrantAdjust],
    idempotency_key: IdempotencyKey,
) -> GrantView:
    """Correct a grant by a signed amount. What it no longer has is taken of other credit, then of the next."""
    place = GrantPlace(subscription_id=subscription_id, grant_id=grant_id)
    amount = bounded("amount", data.amount)
    return await _changed(
        call,
        lambda tx, change: grant_changes.adjust_grant(
            tx, change, place, amount=amount, reason=data.reason, caller_id=idempotency_key
        ),
    )


@post("/companies/{company_id:str}/grants", summary="Give a company credit", tags=["Credit"])
async def make_company_grant(
    *,
    call: NamedDependency[Call],
    company_id: FromPath[str],
    data: JSONBody[CompanyGrantCreate],
    idempotency_key: IdempotencyKey,
) -> Page[GrantView]:
    """Spread credit over a company's subscriptions, each share a grant. A repeat gives nothing more."""

    def give(transaction: Transaction, change: Change) -> list[GrantView]:
        first = data.shares[0].subscription_id
        subscription = subscriptions.find_existing(transaction, change.application_id, first).subscription
        wanted = new_grant(change, subscription, _whole(data), caller_id=idempotency_key)
        shares = [Share(share.subscription_id, share.weight) for share in data.shares]
        rows = give_company_grant(transaction, change, company_id, wanted=wanted, shares=shares)
        return [grant_view(row, subscription.currency) for row in rows]

    return Page(data=await call.change(give), next_cursor=None)


@put("/subscriptions/{subscription_id:str}/credit-limit", summary="Set an overdraft", tags=["Credit"])
async def set_credit_limit(
    call: NamedDependency[Call], subscription_id: FromPath[str], data: JSONBody[CreditLimitSet]
) -> CreditLimitView:
    """Let a prepaid subscription go below zero, by so much at most."""

    def change_limit(transaction: Transaction, change: Change) -> CreditLimitView:
        overdraft = bounded("overdraft", data.overdraft)
        credit_limits.set_overdraft(transaction, change, subscription_id, overdraft=overdraft)
        unit = subscriptions.find_existing(transaction, call.application_id, subscription_id).subscription.currency
        account = read_account(transaction, subscription_id)
        return CreditLimitView(
            subscription_id=subscription_id,
            currency=unit.code,
            overdraft=plain(from_ledger_units(account.overdraft, unit)),
        )

    return await call.change(change_limit)


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


async def _changed(call: Call, work: Callable[[Transaction, Change], GrantRow]) -> GrantView:
    def run(transaction: Transaction, change: Change) -> GrantView:
        row = work(transaction, change)
        found = subscriptions.find_existing(transaction, change.application_id, row.subscription_id)
        return grant_view(row, found.subscription.currency)

    return await call.change(run)


def _whole(data: CompanyGrantCreate) -> GrantCreate:
    return GrantCreate(
        amount=data.amount,
        kind=data.kind,
        description=data.description,
        priority=data.priority,
        effective_at=data.effective_at,
        expires_at=data.expires_at,
    )


HANDLERS = [
    list_all_grants,
    make_grant,
    get_grant,
    void_grant,
    refund_grant,
    adjust_grant,
    make_company_grant,
    set_credit_limit,
    get_balance,
    list_ledger,
]
