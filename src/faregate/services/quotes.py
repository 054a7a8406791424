"""What a call would hold and cost a company, by the period so far: nothing is held, and nothing is written."""

from __future__ import annotations

from collections.abc import Sequence

from faregate.base.money import Currency, from_ledger_units
from faregate.domain.customers.subscription import Pays, Subscription
from faregate.domain.ledger.quote import CallNeed, QuotedLine, affordable_output, free_credit, quote_lines
from faregate.services.accounts import price_uses
from faregate.storage.database import Transaction
from faregate.storage.ledger import read_account
from faregate.storage.metered import metered_series_of_plans, subscriptions_of_companies
from faregate.wire.api.common import plain
from faregate.wire.caller_questions import (
    QuoteAnswer,
    QuotedAccount,
    QuoteLineView,
    QuoteQuestion,
    SubscriptionQuoteView,
)


def quote_call(transaction: Transaction, question: QuoteQuestion) -> QuoteAnswer:
    """Return what the call comes to for each subscription that can be used at its time.

    Raises `InvalidInput` where an amount does not fit the ledger.
    """
    found = subscriptions_of_companies(transaction, question.application_id, [question.company_id])
    subscriptions = {subscription.subscription_id: subscription for subscription, _ in found}
    return QuoteAnswer(
        subscriptions=[
            _quote(transaction, question, subscription=subscription, asked=asked)
            for asked in question.accounts
            if (subscription := subscriptions.get(asked.subscription_id)) is not None
            and subscription.can_use(question.occurred_at)
        ]
    )


def _quote(
    transaction: Transaction, question: QuoteQuestion, *, subscription: Subscription, asked: QuotedAccount
) -> SubscriptionQuoteView:
    series = metered_series_of_plans(transaction, [subscription.plan_id])
    found = price_uses(transaction, [subscription], series, now=question.occurred_at)
    uses = {use.price.series_id: use for use in found[subscription.subscription_id]}
    needs = [
        CallNeed(
            use=uses[units.price_id], per_input=units.per_input, per_output=units.per_output, idle=max(0, units.idle)
        )
        for units in asked.units
        if units.price_id in uses
    ]
    bound = quote_lines(needs, input_tokens=question.input_tokens, output_tokens=question.output_tokens)
    estimate = quote_lines(needs, input_tokens=question.input_estimate, output_tokens=question.output_tokens)
    account = read_account(transaction, subscription.subscription_id)
    free = free_credit(needs, available=account.available)
    hold = sum(line.hold for line in bound)
    # Only what is prepaid ends with its balance: for the rest there is an invoice.
    is_limited = subscription.pays is Pays.PREPAID
    unit = subscription.currency
    return SubscriptionQuoteView(
        subscription_id=subscription.subscription_id,
        pays=subscription.pays,
        currency=unit.code,
        amount=_text(sum(line.amount for line in bound), unit),
        hold=_text(hold, unit),
        estimated_amount=_text(sum(line.amount for line in estimate), unit),
        balance=_text(account.balance, unit),
        available=_text(free, unit),
        affordable=not is_limited or hold <= max(free, 0),
        affordable_output_tokens=affordable_output(needs, input_tokens=question.input_tokens, free=free)
        if is_limited
        else None,
        lines=_lines(needs, bound, estimate),
        unbounded=[uses[price_id].price.name for price_id in asked.unbounded if price_id in uses],
    )


def _lines(
    needs: Sequence[CallNeed], bound: Sequence[QuotedLine], estimate: Sequence[QuotedLine]
) -> list[QuoteLineView]:
    return [
        QuoteLineView(
            price_id=need.use.price.series_id,
            name=need.use.price.name,
            units=most.units,
            amount=_text(most.amount, need.use.price.currency),
            hold=_text(most.hold, need.use.price.currency),
            estimated_units=likely.units,
            estimated_amount=_text(likely.amount, need.use.price.currency),
        )
        for need, most, likely in zip(needs, bound, estimate, strict=True)
    ]


def _text(amount: int, unit: Currency) -> str:
    return plain(from_ledger_units(amount, unit))
