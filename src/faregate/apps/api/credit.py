"""Grants of credit, balances, and the ledger behind them."""

from __future__ import annotations

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from faregate.apps.api.call import Call
from faregate.apps.api.paging import Paging
from faregate.apps.api.subscriptions import IdempotencyKey
from faregate.base.failpoints import CREDIT_COMMITTED, reach
from faregate.services import readings, subscriptions
from faregate.services.business_clock import business_now
from faregate.services.change import Change
from faregate.services.credit import give_grant
from faregate.services.grant_views import grant_view, new_grant
from faregate.storage.credit import list_grants
from faregate.storage.database import Transaction
from faregate.wire.api.common import Page
from faregate.wire.api.credit import GrantCreate, GrantView
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


HANDLERS = [list_all_grants, make_grant, get_balance, list_ledger]
