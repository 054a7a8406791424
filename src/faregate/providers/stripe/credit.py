"""Credit at Stripe that mirrors ours: grants that pay metered lines, and what is taken back of them.

Stripe's grants cannot be lowered. What is taken back ends grants, newest first, and what the last of them had beyond it
becomes a new one. What is about to be done with a grant is written on it first, so that a repeat goes on from there.
Source: https://docs.stripe.com/billing/subscriptions/usage-based/billing-credits
"""

from __future__ import annotations

from decimal import ROUND_FLOOR
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from faregate.domain.billing.provider import ProviderGrant
from faregate.providers.stripe.client import asked, created
from faregate.providers.stripe.shapes import OUR_ID, every, from_page, key_of, metadata_of, our_id_of

if TYPE_CHECKING:
    from stripe import ListObject, StripeClient
    from stripe.billing import CreditGrant
    from stripe.params.billing import (
        CreditBalanceSummaryRetrieveParams,
        CreditGrantCreateParams,
        CreditGrantListParams,
    )

_TAKEN_BY: Final = "faregate_taken_by"
_TAKEN: Final = "faregate_taken"
_LEFT: Final = "faregate_left"


def give_credit(client: StripeClient, grant: ProviderGrant, *, customer: str) -> None:
    """Make a grant, or take back what is below zero; parts of a minor unit are never more than ours."""
    if grant.value < 0:
        amount = int(-grant.value.to_integral_value(ROUND_FLOOR))
        take_back(client, customer, amount, currency=grant.currency, key=grant.lookup_key)
        return
    amount = int(grant.value.to_integral_value(ROUND_FLOOR))
    if amount:
        _make(client, customer, amount, currency=grant.currency, our_id=grant.lookup_key, category=grant.category)


def take_back(client: StripeClient, customer: str, amount: int, *, currency: str, key: str) -> None:
    """End credit of this many minor units, or all there is where that is less, once a key."""
    grants = [grant for grant in _grants(client, customer) if grant.amount.monetary is not None]
    marked = [grant for grant in grants if metadata_of(grant.metadata).get(_TAKEN_BY) == key]
    for grant in marked:
        amount -= int(metadata_of(grant.metadata)[_TAKEN])
        _end(client, grant, customer=customer, key=key)
    for grant in grants:
        if amount <= 0:
            return
        if grant in marked or grant.expires_at is not None or grant.voided_at is not None:
            continue
        if (grant.amount.monetary and grant.amount.monetary.currency) != currency.lower():
            continue
        of = {"type": "credit_grant", "credit_grant": grant.id}
        available = available_credit(client, customer, of, currency=currency)
        taken = min(available, amount)
        if taken:
            amount -= taken
            marks = {_TAKEN_BY: key, _TAKEN: str(taken), _LEFT: str(available - taken)}
            updated = asked(partial(client.v1.billing.credit_grants.update, grant.id, {"metadata": marks}))
            _end(client, updated, customer=customer, key=key)


def metered_credit(client: StripeClient, customer: str, currency: str) -> int:
    """Return the minor units of credit that metered lines can use."""
    scope = {"type": "applicability_scope", "applicability_scope": {"price_type": "metered"}}
    return available_credit(client, customer, scope, currency=currency)


def available_credit(client: StripeClient, customer: str, of: dict[str, Any], *, currency: str) -> int:
    """Return the minor units of credit that are left, of a grant or a scope."""
    wanted = cast("CreditBalanceSummaryRetrieveParams", {"customer": customer, "filter": of})
    summary = asked(lambda: client.v1.billing.credit_balance_summary.retrieve(wanted))
    amounts = [balance.available_balance.monetary for balance in summary.balances]
    return sum(amount.value for amount in amounts if amount is not None and amount.currency == currency.lower())


def _end(client: StripeClient, grant: CreditGrant, *, customer: str, key: str) -> None:
    """End a grant that is marked, and give what was left of it anew."""
    if grant.expires_at is None:
        asked(lambda: client.v1.billing.credit_grants.expire(grant.id))
    left = int(metadata_of(grant.metadata)[_LEFT])
    money = grant.amount.monetary
    if left and money is not None:
        our_id = f"{key}:left-of:{grant.id}"
        _make(client, customer, left, currency=money.currency, our_id=our_id, category=grant.category)


def _make(client: StripeClient, customer: str, amount: int, *, currency: str, our_id: str, category: str) -> None:
    sent: dict[str, Any] = {
        "customer": customer,
        "amount": {"type": "monetary", "monetary": {"currency": currency.lower(), "value": amount}},
        "applicability_config": {"scope": {"price_type": "metered"}},
        "category": category,
        "metadata": {OUR_ID: our_id},
    }

    def find() -> CreditGrant | None:
        return next((grant for grant in _grants(client, customer) if our_id_of(grant) == our_id), None)

    if find() is None:
        created(
            lambda key: client.v1.billing.credit_grants.create(
                cast("CreditGrantCreateParams", sent), {"idempotency_key": key}
            ),
            key=key_of("credit", our_id, sent),
            find=find,
        )


def _grants(client: StripeClient, customer: str) -> list[CreditGrant]:
    """Return a customer's grants, newest first."""

    def listed(after: str | None) -> ListObject[CreditGrant]:
        return client.v1.billing.credit_grants.list(
            cast("CreditGrantListParams", {"customer": customer, **from_page(after)})
        )

    return list(every(listed))
