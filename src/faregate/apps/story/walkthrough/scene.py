"""What the steps share: the API, the callers, the customers so far, and the making of a call that is checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from faregate.apps.story.calling import Answered, Caller
from faregate.apps.story.chat import Tokens, story_call
from faregate.apps.story.customers import Customer
from faregate.apps.story.management import Management
from faregate.apps.story.seed import INPUT, OUTPUT
from faregate.apps.story.walkthrough.expected import ExpectedCall
from faregate.apps.story.walkthrough.record import CallRecord, Charge, StepRecord
from faregate.wire.api.readings import BalanceView, EventView

SETTLED_WITHIN_S: Final = 15.0


@dataclass(slots=True, kw_only=True)
class Scene:
    """A running stack and who is on it. `prices`: their names by id. `begun` is told what is going on.

    `base_url`: what an OpenAI client is pointed at.
    """

    management: Management
    caller_for: Callable[[str], Caller]
    upstream_url: str
    base_url: str
    begun: Callable[[str], None]
    customers: dict[str, Customer] = field(default_factory=dict)
    prices: dict[str, str] = field(default_factory=dict)

    async def call(self, step: StepRecord, company_id: str, expected: ExpectedCall) -> CallRecord:
        """Make a call that is answered; check its tokens, charges and the account after it."""
        self.begun(expected.name)
        customer = self.customers[company_id]
        call = story_call(expected.tokens, stream=expected.stream, choices=expected.choices, token_ms=expected.token_ms)
        answered = await self.caller_for(customer.key).ask(call, leave_after_chunks=expected.leave_after_chunks)
        record = _record(expected.name, customer, expected.tokens, answered=answered, stream=expected.stream)
        record.left_after_chunks = expected.leave_after_chunks
        step.calls.append(record)
        step.check(f"{expected.name}: status", expected=200, found=answered.status)
        if answered.status == HTTPStatus.OK:
            await self._read_effects(record)
            self._check_effects(step, record, expected)
        return record

    async def refused(self, step: StepRecord, company_id: str, *, name: str, tokens: Tokens, code: str) -> CallRecord:
        """Make a call that must be refused with 402 and `code`, and must cost nothing."""
        self.begun(name)
        customer = self.customers[company_id]
        before = await self.balance(company_id)
        answered = await self.caller_for(customer.key).ask(story_call(tokens))
        record = _record(name, customer, tokens, answered=answered, stream=False)
        step.calls.append(record)
        after = await self.balance(company_id)
        record.balance = after.balance
        record.paid_ahead = _paid_ahead(after)
        step.check(f"{name}: status", expected=402, found=answered.status)
        step.check(f"{name}: error.type", expected="insufficient_quota", found=record.type)
        step.check(f"{name}: error.code", expected=code, found=record.code)
        step.check(f"{name}: x-should-retry", expected="false", found=answered.retry)
        step.check(f"{name}: balance", expected=before.balance, found=after.balance)
        return record

    async def balance(self, company_id: str) -> BalanceView:
        """Return a customer's account."""
        return await self.management.get(self._account(company_id), BalanceView)

    async def balance_once(self, company_id: str, reached: Callable[[BalanceView], bool]) -> BalanceView:
        """Return a customer's account as soon as it is as `reached` wants it, or as it is when time is over."""
        return await self.management.until(
            self._account(company_id), BalanceView, reached=reached, within_s=SETTLED_WITHIN_S
        )

    def _account(self, company_id: str) -> str:
        return f"/subscriptions/{self.customers[company_id].subscription_id}/balance"

    async def _read_effects(self, record: CallRecord) -> None:
        event = await self.management.until(
            f"/events/{record.request_id}",
            EventView,
            reached=lambda found: bool(found.charges),
            within_s=SETTLED_WITHIN_S,
        )
        record.charges = [
            Charge(price=self.prices[charge.price_id], quantity=charge.quantity, amount=charge.amount)
            for charge in event.charges
        ]
        account = await self.balance(record.customer)
        record.balance = account.balance
        record.paid_ahead = _paid_ahead(account)

    def _check_effects(self, step: StepRecord, record: CallRecord, expected: ExpectedCall) -> None:
        charges = {charge.price: charge for charge in record.charges}
        for price, quantity, amount, ahead in (
            (INPUT, expected.tokens.prompt, expected.charged_in, expected.ahead_in),
            (OUTPUT, expected.tokens.completion, expected.charged_out, expected.ahead_out),
        ):
            charge = charges.get(price)
            step.check(
                f"{expected.name}: {price}, units", expected=quantity, found=None if charge is None else charge.quantity
            )
            step.check(
                f"{expected.name}: {price}, charged", expected=amount, found=None if charge is None else charge.amount
            )
            step.check(f"{expected.name}: {price}, paid ahead", expected=ahead, found=record.paid_ahead.get(price))
        step.check(f"{expected.name}: balance", expected=expected.balance, found=record.balance)


def _record(name: str, customer: Customer, tokens: Tokens, *, answered: Answered, stream: bool) -> CallRecord:
    error = answered.error
    return CallRecord(
        name=name,
        customer=customer.company_id,
        stream=stream,
        tokens_in=tokens.prompt,
        tokens_out=tokens.completion,
        status=answered.status,
        request_id=answered.request_id,
        first_ms=round(answered.first_ms, 2),
        whole_ms=round(answered.whole_ms, 2),
        text=answered.text[:200],
        type=None if error is None else error.type,
        code=None if error is None else error.code,
        message=None if error is None else error.message,
    )


def _paid_ahead(account: BalanceView) -> dict[str, str]:
    return {price.name: price.units_paid_ahead for price in account.prices}
