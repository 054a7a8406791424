"""The page of an invoice, at its `hosted_invoice_url`: what it is for, and by what it is paid."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from faregate.providers.sandbox.asking import Sandbox
from faregate.providers.sandbox.faults import Json, missing, refused
from faregate.providers.sandbox.hosted_base import Form, Hosted, HostedPage, path_of, token_of
from faregate.providers.sandbox.hosted_forms import label_of, money, submitted_method
from faregate.providers.sandbox.hosted_setups import pay_invoice_with, set_up
from faregate.providers.sandbox.paying import asks_holder
from faregate.providers.sandbox.times import in_time_of

_PAYABLE: Final = frozenset({"open", "uncollectible"})


def show_invoice(sandbox: Sandbox, identifier: str, *, fault: str | None) -> Hosted:
    """Return an invoice's page; a draft has none."""
    body = sandbox.store.get("invoice", identifier)
    if body["status"] == "draft":
        raise missing("page", identifier)
    currency = body["currency"]
    saved = sandbox.store.find("payment_method", "customer", body["customer"])
    customer = sandbox.store.get("customer", body["customer"])
    shown = {
        "number": body["number"],
        "status": body["status"],
        "customer": customer["name"] or customer["email"] or customer["id"],
        "due_on": None if body["due_date"] is None else day(body["due_date"]),
        "lines": [
            {
                "name": line["description"],
                "period": _period(line["period"]),
                "amount": money(line["amount"], currency),
            }
            for line in body["lines"]["data"]
        ],
        "sums": [(name, money(amount, currency)) for name, amount in _sums(body)],
        "is_payable": body["status"] in _PAYABLE and body["amount_remaining"] > 0,
        "remaining": money(body["amount_remaining"], currency),
        "saved": [{"id": method["id"], "label": label_of(method)} for method in saved],
        "back": None,
        "action": path_of(sandbox, "invoices", identifier),
        "token": token_of(sandbox, identifier),
    }
    return HostedPage(kind="invoice", shown=shown, fault=fault)


def submit_invoice(sandbox: Sandbox, identifier: str, form: Form) -> str | None:
    """Pay an invoice; return where a card's holder is asked first, if they are."""
    body = sandbox.store.get("invoice", identifier)
    if body["status"] not in _PAYABLE:
        raise refused(f"This invoice is {body['status']}.")
    sandbox = in_time_of(sandbox, body)
    customer = sandbox.store.get("customer", body["customer"])
    method = submitted_method(sandbox, form, customer=customer["id"], email=customer["email"])
    if not asks_holder(sandbox, method, off_session=False):
        pay_invoice_with(sandbox, identifier, method["id"])
        return None
    url = f"{sandbox.pages_url}/invoices/{identifier}"
    return set_up(sandbox, customer, method, then={"invoice": identifier}, return_url=url)


def day(seconds: int) -> str:
    """Return the day of an instant, in UTC."""
    return f"{datetime.fromtimestamp(seconds, tz=UTC):%Y-%m-%d}"


def _period(period: Json) -> str | None:
    """Return the days of a line; None where it is of one moment."""
    return None if period["start"] == period["end"] else f"{day(period['start'])} to {day(period['end'])}"


def _sums(body: Json) -> list[tuple[str, int]]:
    """Return what stands below an invoice's lines, from their sum to what is left to pay."""
    discount = sum(one["amount"] for one in body["total_discount_amounts"] or [])
    credit = sum(one["amount"] for one in body["total_pretax_credit_amounts"] or [] if one["type"] != "discount")
    taxes = body["total_taxes"] or []
    optional = [
        ("Discounts", -discount),
        ("Credit", -credit),
        ("Tax, on top", sum(one["amount"] for one in taxes if one["tax_behavior"] == "exclusive")),
        ("Tax, contained", sum(one["amount"] for one in taxes if one["tax_behavior"] == "inclusive")),
    ]
    paid = [("Balance used", body["amount_due"] - body["total"]), ("Paid", -body["amount_paid"])]
    return [
        ("Subtotal", body["subtotal"]),
        *((name, amount) for name, amount in optional if amount),
        ("Total", body["total"]),
        *((name, amount) for name, amount in paid if amount),
        ("Left to pay", body["amount_remaining"]),
    ]
