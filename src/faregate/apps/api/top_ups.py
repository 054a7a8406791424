"""Automatic top-ups, what came of them, and the payment methods that they are taken from."""

from __future__ import annotations

from litestar import delete, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_204_NO_CONTENT

from faregate.apps.api.call import Call
from faregate.apps.api.paging import Paging
from faregate.base.money import Currency, from_ledger_units
from faregate.services import provider_customers, subscriptions, top_ups
from faregate.services.business_clock import business_now
from faregate.storage import top_ups as stored
from faregate.storage.database import Transaction
from faregate.storage.top_ups import TopUpRow
from faregate.wire.api.common import Page, plain
from faregate.wire.api.top_ups import AutoTopUpSet, AutoTopUpView, PaymentMethodSet, TopUpView

_TAGS = ["Top-ups"]


@put(
    "/companies/{company_id:str}/payment-method",
    summary="Set a payment method",
    tags=_TAGS,
    status_code=HTTP_204_NO_CONTENT,
)
async def set_payment_method(
    call: NamedDependency[Call], company_id: FromPath[str], data: JSONBody[PaymentMethodSet]
) -> None:
    """Let the billing provider keep a payment method of a company, in place of an earlier one."""
    await provider_customers.set_payment_method(
        call.backend.database,
        call.backend.provider,
        call.backend.clock,
        application_id=call.application_id,
        company_id=company_id,
        payment_method=data.payment_method,
    )


@put("/subscriptions/{subscription_id:str}/auto-top-up", summary="Set an automatic top-up", tags=_TAGS)
async def set_auto_top_up(
    call: NamedDependency[Call], subscription_id: FromPath[str], data: JSONBody[AutoTopUpSet]
) -> AutoTopUpView:
    """Buy credit by itself when the balance is low. Setting it again forgives failed payments."""
    return await call.change(
        lambda tx, change: top_ups.set_auto_top_up(tx, change, data, subscription_id=subscription_id)
    )


@get("/subscriptions/{subscription_id:str}/auto-top-up", summary="Get the automatic top-up", tags=_TAGS)
async def get_auto_top_up(call: NamedDependency[Call], subscription_id: FromPath[str]) -> AutoTopUpView:
    """Return when a subscription tops itself up, and why it does not now."""

    def read(transaction: Transaction) -> AutoTopUpView:
        now = business_now(transaction, call.application_id, call.backend.clock)
        return top_ups.read_auto_top_up(transaction, call.application_id, subscription_id, now=now)

    return await call.read(read)


@delete("/subscriptions/{subscription_id:str}/auto-top-up", summary="End automatic top-ups", tags=_TAGS)
async def remove_auto_top_up(call: NamedDependency[Call], subscription_id: FromPath[str]) -> None:
    """Let a subscription top itself up no more; a payment under way is still taken."""
    await call.change(lambda tx, change: top_ups.remove_auto_top_up(tx, change, subscription_id))


@get("/subscriptions/{subscription_id:str}/top-ups", summary="List top-ups", tags=_TAGS)
async def list_top_ups(
    call: NamedDependency[Call], subscription_id: FromPath[str], paging: NamedDependency[Paging]
) -> Page[TopUpView]:
    """Payments for credit, oldest first, failed ones too."""

    def read(transaction: Transaction) -> tuple[list[TopUpRow], Currency]:
        found = subscriptions.find_existing(transaction, call.application_id, subscription_id)
        rows = stored.list_top_ups(transaction, subscription_id, after=paging.after, limit=paging.rows)
        return rows, found.subscription.currency

    rows, unit = await call.read(read)
    return paging.page(rows, lambda row: row.top_up_id, lambda row: _top_up(row, unit))


def _top_up(row: TopUpRow, unit: Currency) -> TopUpView:
    return TopUpView(
        top_up_id=row.top_up_id,
        subscription_id=row.subscription_id,
        amount=plain(from_ledger_units(row.amount, unit)),
        currency=unit.code,
        status=row.status,
        failure=row.failure,
        grant_id=row.grant_id,
        began_at=row.began_at,
        ended_at=row.ended_at,
    )


HANDLERS = [set_payment_method, set_auto_top_up, get_auto_top_up, remove_auto_top_up, list_top_ups]
