"""Streams of one customer that hold credit as they go, through real processes, against a balance that ends."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from bench.calling import Api, Line, Reply
from bench.cases import Customer, Offer, Sold, chat_body, chat_headers, make_customer, make_offer, make_rules, package
from bench.chat_line import wait_until_known
from bench.children import wait_until
from bench.stack import Stack, running_stack

STREAMS = 8
CREDIT_TOKENS = 1_200
ASKED_TOKENS = 400
SLICE = 64
OVERDRAFT_TOKENS = 100
SOLD = (Sold(name="Output", model=package("0.01", 1), field="completion_tokens"),)
"""A token is a cent, so that amounts show tokens."""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running_stack() as running:
        api = running.api()
        make_rules(api)
        api.close()
        yield running


def sell(stack: Stack, api: Api, name: str, **settings: object) -> tuple[Offer, Customer]:
    offer = make_offer(
        api,
        SOLD,
        upstream=stack.upstream.origin,
        route=f"/ai/{name}",
        hold_output_tokens=SLICE,
        least_output_tokens=SLICE,
        **settings,
    )
    customer = make_customer(api, offer, name, credit=str(Decimal(CREDIT_TOKENS) / 100))
    wait_until_known(stack.gateway.port, offer, customer)
    return offer, customer


def stream_at_once(stack: Stack, offer: Offer, customer: Customer) -> list[Reply]:
    """Run all streams side by side; each would write 400 tokens, 16 a chunk, 200 a second."""
    body = chat_body(stream=True, max_tokens=ASKED_TOKENS)
    headers = chat_headers(customer.key, completion_tokens=ASKED_TOKENS, token_ms=80)

    def call(_: int) -> Reply:
        line = Line(stack.gateway.port)
        try:
            return line.call("POST", f"{offer.route}/chat/completions", body=body, headers=headers)
        finally:
            line.close()

    with ThreadPoolExecutor(STREAMS) as callers:
        return list(callers.map(call, range(STREAMS)))


def tokens_left(stack: Stack, api: Api, customer: Customer) -> int:
    """Return the balance in tokens, once nothing is held any more."""
    stack.wait_applied()
    path = f"/subscriptions/{customer.subscription_id}/balance"
    wait_until(lambda: Decimal(api.get(path)["reserved"]) == 0, within_s=30.0, what="all holds to return")
    return int(Decimal(api.get(path)["balance"]) * 100)


def ended_for_credit(reply: Reply) -> bool:
    last = reply.body.rpartition(b"data: ")[2]
    # On a machine so busy that the ledger does not answer in time, a stream is told that instead.
    return b'"code":"credit_balance_exhausted"' in last or b'"code":"credit_unavailable"' in last


def test_streams_end_with_the_balance_and_never_spend_more_than_there_was(stack: Stack) -> None:
    api = stack.api()
    offer, customer = sell(stack, api, "ends")
    replies = stream_at_once(stack, offer, customer)
    left = tokens_left(stack, api, customer)
    api.close()
    assert {reply.status for reply in replies} == {200}
    assert all(ended_for_credit(reply) or reply.body.endswith(b"data: [DONE]\n\n") for reply in replies)
    assert sum(ended_for_credit(reply) for reply in replies) >= STREAMS - CREDIT_TOKENS // ASKED_TOKENS
    # What is left is what might have been on its way when the last streams ended.
    assert 0 <= left < ASKED_TOKENS


def test_streams_that_are_finished_overdraw_by_their_routes_number_at_most(stack: Stack) -> None:
    api = stack.api()
    offer, customer = sell(stack, api, "finishes", when_credit_ends="finish", overdraft_output_tokens=OVERDRAFT_TOKENS)
    replies = stream_at_once(stack, offer, customer)
    left = tokens_left(stack, api, customer)
    api.close()
    assert all(ended_for_credit(reply) or reply.body.endswith(b"data: [DONE]\n\n") for reply in replies)
    assert -STREAMS * OVERDRAFT_TOKENS <= left < 0
