"""Pages of the billing provider that customers are sent to."""

from __future__ import annotations

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from faregate.apps.api.call import Call
from faregate.apps.api.paging import Paging
from faregate.apps.api.subscriptions import IdempotencyKey
from faregate.base.errors import Conflict
from faregate.base.money import currency, from_ledger_units
from faregate.domain.billing.provider_checkout import CheckoutMode
from faregate.services.checkouts import Checkouts
from faregate.services.customers import find_company
from faregate.storage.checkouts import CheckoutRow, list_checkouts
from faregate.storage.database import Transaction
from faregate.wire.api.checkouts import CheckoutCreate, CheckoutView, PortalCreate, PortalView
from faregate.wire.api.common import Page, plain

_TAGS = ["Billing provider"]


@post("/companies/{company_id:str}/checkout-sessions", summary="Open a checkout page", tags=_TAGS)
async def open_checkout(
    *,
    call: NamedDependency[Call],
    company_id: FromPath[str],
    data: JSONBody[CheckoutCreate],
    idempotency_key: IdempotencyKey,
) -> CheckoutView:
    """Have the billing provider make a page where a company buys credit or subscribes.

    Credit is given once, when the provider says that the money is there. While an automatic top-up is under way no page
    is opened, and before one begins open pages are closed. A repeat with the same Idempotency-Key answers with the
    first page.
    """
    opened = await _pages(call).open(call.application_id, company_id, data, caller_id=idempotency_key)
    return _view(opened)


@get("/companies/{company_id:str}/checkout-sessions", summary="List checkout pages", tags=_TAGS)
async def list_checkout_pages(
    call: NamedDependency[Call], company_id: FromPath[str], paging: NamedDependency[Paging]
) -> Page[CheckoutView]:
    """A company's pages, oldest first, with what came of each."""

    def read(transaction: Transaction) -> list[CheckoutRow]:
        find_company(transaction, call.application_id, company_id)
        return list_checkouts(transaction, call.application_id, company_id, after=paging.after, limit=paging.rows)

    return paging.page(await call.read(read), lambda row: row.checkout_id, _view)


@post("/companies/{company_id:str}/portal-sessions", summary="Open the portal of the provider", tags=_TAGS)
async def open_portal(
    call: NamedDependency[Call], company_id: FromPath[str], data: JSONBody[PortalCreate]
) -> PortalView:
    """Return where a company looks after its payment methods and invoices at the billing provider."""
    url = await _pages(call).open_portal(call.application_id, company_id, return_url=data.return_url)
    return PortalView(url=url)


def _pages(call: Call) -> Checkouts:
    if call.backend.checkouts is None:
        raise Conflict("provider", "the billing provider that is set up has no pages for customers")
    return call.backend.checkouts


def _view(row: CheckoutRow) -> CheckoutView:
    amount = from_ledger_units(row.amount, currency(row.currency))
    return CheckoutView(
        checkout_id=row.checkout_id,
        company_id=row.company_id,
        mode=row.mode,
        phase=row.phase,
        subscription_id=row.subscription_id,
        amount=plain(amount) if row.mode is CheckoutMode.TOP_UP else None,
        currency=row.currency,
        url=row.url,
        expires_at=row.expires_at,
        grant_id=row.grant_id,
        created_at=row.created_at,
    )


HANDLERS = [open_checkout, list_checkout_pages, open_portal]
