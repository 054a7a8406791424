"""What is left of credit grants, and what moved it (docs.stripe.com/api/billing/credit-balance-transaction).

Credit pays for the lines of metered prices when an invoice is finalized: after discounts, before tax.
"""

from __future__ import annotations

from typing import Final

from stripe.params.billing._credit_balance_summary_retrieve_params import CreditBalanceSummaryRetrieveParams
from stripe.params.billing._credit_balance_transaction_list_params import CreditBalanceTransactionListParams
from stripe.params.billing._credit_balance_transaction_retrieve_params import CreditBalanceTransactionRetrieveParams

from faregate.providers.sandbox.asking import Asked, Route, Sandbox, is_as_sent, page_of, retrieved
from faregate.providers.sandbox.customers import required_customer
from faregate.providers.sandbox.faults import Json
from faregate.providers.sandbox.tax import net_of
from faregate.providers.sandbox.times import in_time_of

GRANT: Final = "billing.credit_grant"
TRANSACTION: Final = "billing.credit_balance_transaction"

_NEVER: Final = 1 << 62


def moved(
    sandbox: Sandbox, grant: Json, kind: str, *, amount: int, of: Json | None = None, effective_at: int | None = None
) -> Json:
    """Keep a movement of a grant's credit, and tell of it; `kind`: a transaction's; `of`: the invoice and its line."""
    is_credit = kind in {"credits_granted", "credits_application_invoice_voided"}
    side = "credit" if is_credit else "debit"
    detail = "credits_application_invoice_voided" if is_credit else "credits_applied"
    now = sandbox.now()
    body: Json = {
        "id": sandbox.new_id("cbtxn"),
        "object": TRANSACTION,
        "created": now,
        "credit": None,
        "credit_grant": grant["id"],
        "debit": None,
        "effective_at": now if effective_at is None else effective_at,
        "livemode": False,
        "test_clock": grant["test_clock"],
        "type": side,
        side: {
            "amount": {"monetary": {"currency": _currency(grant), "value": amount}, "type": "monetary"},
            "type": kind,
            detail: of,
        },
    }
    sandbox.store.add(body, customer=grant["customer"], credit_grant=grant["id"], invoice=(of or {}).get("invoice"))
    sandbox.tell(f"{TRANSACTION}.created", body)
    return body


def left_of(sandbox: Sandbox, grant: Json) -> int:
    """Return what is left of a grant, in minor units."""
    left = 0
    for body in sandbox.store.find(TRANSACTION, "credit_grant", grant["id"]):
        side = body["type"]
        amount = body[side]["amount"]["monetary"]["value"]
        left += amount if side == "credit" else -amount
    return left


def is_usable(sandbox: Sandbox, grant: Json) -> bool:
    """Return whether a grant has begun and not ended."""
    now = sandbox.now()
    ends: int = grant["expires_at"] or _NEVER
    is_begun: bool = grant["effective_at"] <= now < ends
    return is_begun and grant["voided_at"] is None


def apply_credit(sandbox: Sandbox, invoice: Json, lines: list[Json]) -> None:
    """Let credit pay for an invoice's lines of metered prices, as far as both go; written into the lines."""
    if not any(_is_usage(line) for line in lines):
        return
    grants = [
        grant
        for grant in sandbox.store.find(GRANT, "customer", invoice["customer"])[::-1]
        if is_usable(sandbox, grant) and _currency(grant) == invoice["currency"]
    ]
    for grant in sorted(grants, key=_burn_order):
        left = left_of(sandbox, grant)
        for line in lines:
            amount = min(left, net_of(line)) if _pays_for(grant, line) else 0
            if amount <= 0:
                continue
            of = {"invoice": invoice["id"], "invoice_line_item": line["id"]}
            transaction = moved(sandbox, grant, "credits_applied", amount=amount, of=of)
            line["pretax_credit_amounts"].append(
                {
                    "amount": amount,
                    "credit_balance_transaction": transaction["id"],
                    "discount": None,
                    "type": "credit_balance_transaction",
                }
            )
            left -= amount


def give_back(sandbox: Sandbox, invoice: Json) -> None:
    """Give back the credit that paid for a void invoice; what went to a grant that has ended expires at once."""
    for body in sandbox.store.find(TRANSACTION, "invoice", invoice["id"])[::-1]:
        if body["type"] == "credit":
            continue
        grant = sandbox.store.get(GRANT, body["credit_grant"])
        amount = body["debit"]["amount"]["monetary"]["value"]
        moved(sandbox, grant, "credits_application_invoice_voided", amount=amount, of=body["debit"]["credits_applied"])
        if not is_usable(sandbox, grant):
            moved(sandbox, grant, "credits_expired", amount=amount)


def _burn_order(grant: Json) -> tuple[int, int, bool, int, int]:
    """Return where a grant stands: by priority, expiry, promotional before paid, beginning and making."""
    is_paid = grant["category"] == "paid"
    return grant["priority"], grant["expires_at"] or _NEVER, is_paid, grant["effective_at"], grant["created"]


def _pays_for(grant: Json, line: Json) -> bool:
    prices = grant["applicability_config"]["scope"].get("prices")
    return _is_usage(line) and (not prices or line["_metered"] in {price["id"] for price in prices})


def _is_usage(line: Json) -> bool:
    return line["_metered"] is not None and line["parent"]["type"] == "subscription_item_details"


def _currency(grant: Json) -> str:
    code: str = grant["amount"]["monetary"]["currency"]
    return code


def get_summary(sandbox: Sandbox, asked: Asked) -> Json:
    """Return what a customer has of credit now: of one grant, or of all that pay for some prices."""
    sent = asked.parameters
    customer = required_customer(sandbox, sent)
    sandbox = in_time_of(sandbox, customer)
    balances: dict[str, int] = {}
    for grant in sandbox.store.find(GRANT, "customer", customer["id"]):
        if is_usable(sandbox, grant) and _is_asked_for(sent["filter"], grant):
            balances[_currency(grant)] = balances.get(_currency(grant), 0) + left_of(sandbox, grant)
    if sent["filter"]["type"] == "credit_grant":
        named = sandbox.store.get(GRANT, sent["filter"].get("credit_grant", ""), param="filter[credit_grant]")
        balances.setdefault(_currency(named), 0)
    return {
        "object": "billing.credit_balance_summary",
        "balances": [_balance(code, value) for code, value in sorted(balances.items())],
        "customer": customer["id"],
        "customer_account": None,
        "livemode": False,
    }


def _is_asked_for(wanted: Json, grant: Json) -> bool:
    if wanted["type"] == "credit_grant":
        return bool(wanted.get("credit_grant") == grant["id"])
    scope = grant["applicability_config"]["scope"]
    asked = wanted.get("applicability_scope", {})
    if asked.get("price_type") is not None or not asked.get("prices"):
        return scope.get("price_type") is not None
    ids = {price["id"] for price in scope.get("prices") or []}
    return scope.get("price_type") is not None or all(price["id"] in ids for price in asked["prices"])


def _balance(code: str, value: int) -> Json:
    amount = {"monetary": {"currency": code, "value": value}, "type": "monetary"}
    return {"available_balance": amount, "ledger_balance": amount}


def list_transactions(sandbox: Sandbox, asked: Asked) -> Json:
    """List the movements of a customer's credit."""
    sent = asked.parameters
    required_customer(sandbox, sent)
    found = sandbox.store.find(TRANSACTION, "customer", sent["customer"])
    return page_of(asked, found, lambda body: is_as_sent(body, sent, "credit_grant"))


_TRANSACTIONS: Final = "/v1/billing/credit_balance_transactions"
ROUTES = [
    Route(
        method="GET",
        path="/v1/billing/credit_balance_summary",
        parameters=CreditBalanceSummaryRetrieveParams,
        answer=get_summary,
    ),
    Route(method="GET", path=_TRANSACTIONS, parameters=CreditBalanceTransactionListParams, answer=list_transactions),
    Route(
        method="GET",
        path=f"{_TRANSACTIONS}/{{}}",
        parameters=CreditBalanceTransactionRetrieveParams,
        answer=retrieved(TRANSACTION),
    ),
]
