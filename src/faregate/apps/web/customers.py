"""Customers: who they are, what is left of their credit, and credit given to them."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.status_codes import HTTP_200_OK, HTTP_303_SEE_OTHER, HTTP_422_UNPROCESSABLE_ENTITY

from faregate.apps.web.visit import SentForm, Visit, read_form
from faregate.base.errors import InvalidInput
from faregate.services import customer_pages
from faregate.services.change import Change
from faregate.services.credit import NewGrant, give_grant
from faregate.storage.database import Transaction
from faregate.wire.api.common import bounded
from faregate.wire.api.credit import GrantCreate

_ROWS: Final = 50


@get("/customers")
async def show_customers(visit: NamedDependency[Visit]) -> Response[str]:
    """List companies, those whose name or id has the text that is searched for, a part at a time."""
    query = visit.request.query_params
    search, after = query.get("search", "").strip(), query.get("after", "")
    listed = await visit.read(
        lambda tx: customer_pages.list_customers(tx, visit.application_id, search=search, after=after, limit=_ROWS)
    )
    template = "customer_rows.html" if visit.is_part else "customers.html"
    return visit.page(template, listed=listed, search=search)


@get("/customers/{company_id:str}")
async def show_customer(visit: NamedDependency[Visit], company_id: FromPath[str]) -> Response[str]:
    """Show one company: its subscriptions, their credit and the latest movements of it."""
    return visit.page("customer.html", customer=await _customer(visit, company_id), forms={})


@post("/customers/{company_id:str}/subscriptions/{subscription_id:str}/grants")
async def submit_grant(
    visit: NamedDependency[Visit], company_id: FromPath[str], subscription_id: FromPath[str]
) -> Response[str]:
    """Give credit and show the subscription as it is then; a form that is sent twice gives once."""
    form = await visit.form()
    caller_id = form.get("once", "")
    faults: dict[str, str] = {}
    try:
        wanted = read_form({name: value for name, value in form.items() if name != "once"}, GrantCreate)

        def give(transaction: Transaction, change: Change) -> None:
            grant = NewGrant(
                application_id=change.application_id,
                subscription_id=subscription_id,
                amount=bounded("amount", wanted.amount),
                kind=wanted.kind,
                description=wanted.description,
                caller_id=f"page:{caller_id}",
            )
            give_grant(transaction, grant, new_id=change.new_id, now=change.now)

        await visit.change(give)
    except InvalidInput as error:
        faults = {fault.field: fault.message for fault in error.faults}
    if not faults and not visit.is_part:
        return Redirect(f"/customers/{quote(company_id, safe='')}", status_code=HTTP_303_SEE_OTHER)
    customer = await _customer(visit, company_id)
    status = HTTP_422_UNPROCESSABLE_ENTITY if faults else HTTP_200_OK
    forms = {subscription_id: SentForm(values=form, faults=faults)} if faults else {}
    if not visit.is_part:
        return visit.page("customer.html", status=status, customer=customer, forms=forms)
    one = next(found for found in customer.subscriptions if found.subscription_id == subscription_id)
    return visit.page("customer_credit.html", status=status, customer=customer, one=one, forms=forms)


async def _customer(visit: Visit, company_id: str) -> customer_pages.Customer:
    def read(transaction: Transaction) -> customer_pages.Customer:
        now = visit.now(transaction)
        return customer_pages.read_customer(
            transaction, visit.application_id, company_id, new_id=visit.backend.new_id, now=now
        )

    return await visit.read(read)


HANDLERS = [show_customers, show_customer, submit_grant]
