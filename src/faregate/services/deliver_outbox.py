"""Deliver what the billing provider must be told: in bounded parallel, outside any transaction, repeat-safe.

One call at a time is made for a customer, and none waits for another's. Customers, prices and subscriptions are not
messages: the provider is asked to have them before each turn, under our ids, and what it made is linked in the
transaction that marks the messages. A crash between a call and its mark repeats the call; its key makes that harmless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import Final

import structlog

from faregate.base.clock import Clock
from faregate.base.errors import FaregateError, Unavailable
from faregate.base.failpoints import INVOICE_KEPT, OUTBOX_SENT, reach
from faregate.base.limits import DELIVERY_THREADS, DELIVERY_TURNS, PROVIDER_TIMEOUT_S
from faregate.domain.billing.provider import BillingProvider
from faregate.services.business_clock import business_now
from faregate.services.close_period import record_invoice
from faregate.services.delivery_turn import (
    Closed,
    Failure,
    Sent,
    Turn,
    lanes,
    next_unsent,
    read_turn,
    send_turn,
)
from faregate.services.provider_calls import ask_provider, ask_provider_on
from faregate.services.retries import retry_delay
from faregate.services.usage_reports import ALARMED_ATTEMPT, fail_report, raise_alert
from faregate.storage.closing import read_billed_customers
from faregate.storage.database import Database, Transaction
from faregate.storage.outbox import mark_delivered, mark_failed, ready_subscriptions
from faregate.storage.provider_links import keep_links

_log = structlog.get_logger(__name__)

_MARK_EVERY_S: Final = 0.1
_NO_MORE_CALLS_AFTER: Final = 0.6
"""The part of `PROVIDER_TIMEOUT_S` after which a turn begins no further call: the last one may take the rest."""


async def deliver_outbox(database: Database, provider: BillingProvider, clock: Clock) -> int:
    """Deliver every message that waits and is not held back by a failure; return how many were delivered.

    A failed message is counted with its error and tried again after a growing delay; it holds back what is behind it
    in its own subscription. A report of usage that is refused is kept as such, and holds back the period's close only.
    Where nothing waits, the provider is not asked anything.
    """
    if not await database.read(lambda tx: ready_subscriptions(tx, now=clock.now(), limit=1)):
        return 0
    try:
        account = await ask_provider(provider.account)
    except FaregateError as error:
        _log.warning("outbox.provider_away", error=error.message)
        return 0
    delivery = _Delivery(database, provider, clock, account=account)
    try:
        return await delivery.run()
    finally:
        delivery.close()


class _Delivery:
    """One pass: turns that are read ahead, threads that take them, and marks of what became of them, together."""

    def __init__(self, database: Database, provider: BillingProvider, clock: Clock, *, account: str) -> None:
        self._account = account
        self._database = database
        self._provider = provider
        self._clock = clock
        self._threads = ThreadPoolExecutor(DELIVERY_THREADS, thread_name_prefix="delivery")
        self._running: dict[asyncio.Task[list[Sent]], list[str]] = {}
        self._passed_over: set[str] = set()

    async def run(self) -> int:
        """Go on until nothing is left that can be delivered now."""
        delivered = 0
        while True:
            for subscription_ids, turns in await self._database.read(self._next_turns):
                self._running[asyncio.create_task(self._take(turns))] = subscription_ids
            if not self._running:
                return delivered
            # All that ends together is marked together.
            done, _ = await asyncio.wait(self._running, timeout=_MARK_EVERY_S)
            outcomes = []
            for task in done:
                subscription_ids, sent = self._running.pop(task), task.result()
                self._passed_over.update(of for of, each in zip(subscription_ids, sent, strict=True) if each.is_nothing)
                outcomes += sent
            if outcomes:
                await self._database.write(_mark(outcomes, self._clock.now(), account=self._account))
            delivered += sum(len(sent.delivered) for sent in outcomes)

    def close(self) -> None:
        """Let go of the threads; one that hangs ends by itself."""
        for task in self._running:
            task.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _next_turns(self, transaction: Transaction) -> list[tuple[list[str], list[Turn]]]:
        free = DELIVERY_TURNS - len(self._running)
        busy = self._passed_over.union(*self._running.values())
        if free <= 0:
            return []
        found = ready_subscriptions(transaction, now=self._clock.now(), limit=free + len(busy))
        waiting = [
            (f"{row.application_id}/{row.company_id or row.subscription_id}", row.subscription_id)
            for row in found
            if row.subscription_id not in busy
        ]
        customers = read_billed_customers(transaction, [subscription_id for _, subscription_id in waiting])
        return [
            (
                subscription_ids,
                [
                    read_turn(transaction, each, clock=self._clock, customer=customers.get(each), account=self._account)
                    for each in subscription_ids
                ],
            )
            for subscription_ids in lanes(waiting).values()
        ]

    async def _take(self, turns: Sequence[Turn]) -> list[Sent]:
        """Take a customer's turns, one after the other."""
        return [await self._take_one(turn) for turn in turns]

    async def _take_one(self, turn: Turn) -> Sent:
        sent = Sent()
        try:
            await ask_provider_on(self._threads, partial(self._send, turn, sent))
            reach(OUTBOX_SENT)
        except Unavailable as error:
            sent = sent.copy()
            row = next_unsent(turn, sent)
            if row is not None:
                sent.failures.append(Failure(row=row, error=error.message))
        if sent.closed is not None:
            await _keep_invoice(self._database, self._clock, sent, closed=sent.closed)
        _tell(sent)
        return sent

    def _send(self, turn: Turn, sent: Sent) -> None:
        until_ms = self._clock.steady_ms() + PROVIDER_TIMEOUT_S * 1_000 * _NO_MORE_CALLS_AFTER
        send_turn(self._provider, turn, sent, is_late=lambda: self._clock.steady_ms() > until_ms)


def _tell(sent: Sent) -> None:
    for failure in sent.failures:
        row = failure.row
        if failure.final is None:
            _log.warning("outbox.delivery_failed", key=row.key, attempts=row.attempts + 1, error=failure.error)


async def _keep_invoice(database: Database, clock: Clock, sent: Sent, *, closed: Closed) -> None:
    def keep(transaction: Transaction) -> None:
        now = business_now(transaction, closed.row.application_id, clock)
        record_invoice(transaction, closed.expected, closed.issued, now=now)
        mark_delivered(transaction, [closed.row.outbox_id], clock.now())
        reach(INVOICE_KEPT)

    try:
        await database.write(keep)
    except FaregateError as error:
        sent.failures.append(Failure(row=closed.row, error=error.message))
    else:
        sent.delivered.append(closed.row.outbox_id)


def _mark(outcomes: Sequence[Sent], now: datetime, *, account: str) -> Callable[[Transaction], None]:
    def mark(transaction: Transaction) -> None:
        for sent in outcomes:
            keep_links(transaction, sent.links.made, application_id=sent.application_id, account=account, now=now)
        mark_delivered(transaction, [outbox_id for sent in outcomes for outbox_id in sent.delivered], now)
        for failure in (failure for sent in outcomes for failure in sent.failures):
            row = failure.row
            if failure.final is not None:
                fail_report(transaction, row, failure.final, error=failure.error, now=now)
            else:
                if row.usage_at is not None and row.attempts + 1 == ALARMED_ATTEMPT:
                    raise_alert(transaction, row, now=now)
                retry_at = now + retry_delay(row.attempts, row.outbox_id)
                mark_failed(transaction, row.outbox_id, error=failure.error, retry_at=retry_at)

    return mark
