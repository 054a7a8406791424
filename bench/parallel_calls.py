"""Fifty calls at once against a balance for ten: exactly ten are answered, and not a cent is left or missing."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct

from bench.calling import Api, Line
from bench.cases import (
    CALL_TOKENS,
    Customer,
    Offer,
    chat_body,
    chat_headers,
    make_call_offer,
    make_customer,
    make_rules,
)
from bench.chat_line import ask, wait_until_known
from bench.stack import Stack, running_stack

CALLS: Final = 50
AFFORDABLE: Final = 10
CREDIT: Final = "0.10"

_HOLD_WAIT_MS: Final = 20_000
"""Calls wait for the others' units; a slow machine must not turn waiting into a refusal."""

_TOGETHER_WITHIN_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """How the calls' output is bounded: by the call, or by the route's default."""

    name: str
    asked: dict[str, Any]
    default_output_tokens: int


VARIANTS: Final = (
    Variant(name="max_tokens 100", asked={"max_tokens": CALL_TOKENS}, default_output_tokens=4_096),
    Variant(name="no max_tokens, default of the route 100", asked={}, default_output_tokens=CALL_TOKENS),
    Variant(name="no max_tokens, default of the route 4096", asked={}, default_output_tokens=4_096),
    Variant(
        name="streams, max_tokens 100", asked={"max_tokens": CALL_TOKENS, "stream": True}, default_output_tokens=4_096
    ),
)


class ParallelCalls(Struct, frozen=True, kw_only=True):
    """A variant's answers by status, and the account after them, in dollars."""

    variant: str
    answered: dict[str, int]
    balance: str
    reserved: str
    exhausted: bool

    @property
    def held(self) -> bool:
        """Return whether exactly what was paid for was answered."""
        expected = {"200": AFFORDABLE, "402": CALLS - AFFORDABLE}
        nothing_left = not Decimal(self.balance) and not Decimal(self.reserved)
        return self.answered == expected and nothing_left and self.exhausted


def run_parallel_calls(
    variants: Sequence[Variant] = VARIANTS, *, show: Callable[[str], None] = lambda _: None
) -> list[ParallelCalls]:
    """Make the calls of each variant, each on a customer of its own."""
    with running_stack() as stack:
        api = stack.api()
        make_rules(api)
        found = []
        for number, variant in enumerate(variants):
            show(f"{CALLS} parallel calls: {variant.name}")
            offer = make_call_offer(
                api,
                stack.upstream.origin,
                route=f"/ai/burst-{number}",
                hold_wait_ms=_HOLD_WAIT_MS,
                default_output_tokens=variant.default_output_tokens,
                least_output_tokens=CALL_TOKENS,
            )
            customer = make_customer(api, offer, f"burst-{number}", credit=CREDIT)
            found.append(_run(stack, api, offer, customer=customer, variant=variant))
        api.close()
        return found


def _run(stack: Stack, api: Api, offer: Offer, *, customer: Customer, variant: Variant) -> ParallelCalls:
    wait_until_known(stack.gateway.port, offer, customer)
    statuses = _call_at_once(stack, offer, customer, variant=variant)
    stack.wait_applied()
    balance = api.get(f"/subscriptions/{customer.subscription_id}/balance")
    return ParallelCalls(
        variant=variant.name,
        answered={str(status): count for status, count in sorted(Counter(statuses).items())},
        balance=balance["balance"],
        reserved=balance["reserved"],
        exhausted=balance["exhausted"],
    )


def _call_at_once(stack: Stack, offer: Offer, customer: Customer, *, variant: Variant) -> list[int]:
    together = threading.Barrier(CALLS)
    body = chat_body(**variant.asked)
    headers = chat_headers(customer.key, completion_tokens=CALL_TOKENS)

    def call(_: int) -> int:
        line = Line(stack.gateway.port)
        try:
            together.wait(_TOGETHER_WITHIN_S)
            return ask(line, offer.route, body=body, headers=headers).status
        finally:
            line.close()

    with ThreadPoolExecutor(CALLS) as callers:
        return list(callers.map(call, range(CALLS)))
