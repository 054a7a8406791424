"""Top accounts up: begin what is due, take the payment outside any transaction, give the credit with its outcome.

What began is committed before the provider is asked, and is asked for under the same key until the outcome is known: a
crash in between repeats the question, never the payment. Credit and outcome are one transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, NamedTuple

import structlog

from faregate.base.clock import Clock
from faregate.base.errors import ConfigurationError, FaregateError, Unavailable
from faregate.base.failpoints import TOP_UP_PAID, reach
from faregate.base.ids import IdSource
from faregate.base.money import from_ledger_units, to_minor_units
from faregate.domain.billing.provider import BillingProvider, ProviderCharge, ProviderCustomer, ProviderPayment
from faregate.domain.billing.top_up import TopUpStatus
from faregate.domain.ledger.burning import GrantKind
from faregate.services.business_clock import business_now
from faregate.services.credit import NewGrant, give_grant
from faregate.services.provider_calls import ask_provider
from faregate.services.provider_customers import provider_customer
from faregate.services.provider_linking import linked_provider
from faregate.services.retries import retry_delay
from faregate.services.top_ups import begin_top_up, due_top_ups
from faregate.storage.applications import list_applications
from faregate.storage.checkouts import is_page_in_the_way
from faregate.storage.closing import read_billed_customers
from faregate.storage.database import Database, Transaction
from faregate.storage.metered import read_subscriptions
from faregate.storage.top_ups import (
    TopUpRow,
    end_top_up,
    find_top_up,
    pending_top_ups,
    postpone_top_up,
)

_log = structlog.get_logger(__name__)

_ROUND: Final = 100
_AT_ONCE: Final = 8
_OPENS_WITHIN: Final = timedelta(minutes=2)
"""How long after its order a page for credit may still open."""


class _Outcome(NamedTuple):
    """What the provider said; `fault` where it said nothing that lasts."""

    payment: ProviderPayment | None
    fault: str = ""


class TopUpRunner:
    """Works on all accounts' top-ups, a round at a time.

    `expire_pages` is called before one begins, with the account, whose pages that sell credit must be closed.
    """

    def __init__(
        self,
        database: Database,
        provider: BillingProvider,
        clock: Clock,
        *,
        new_id: IdSource,
        expire_pages: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self._database = database
        self._provider = provider
        self._clock = clock
        self._new_id = new_id
        self._expire_pages = expire_pages

    async def run(self) -> int:
        """Begin every top-up that is due, and ask for the outcome of those under way; return how many have ended."""
        for application_id, due in await self._database.read(self._read_due):
            for subscription_id in due:
                if await self._is_alone(subscription_id):
                    await self._database.write(self._begin(application_id, subscription_id))
        pending = await self._database.read(lambda tx: pending_top_ups(tx, now=self._clock.now(), limit=_ROUND))
        turns = asyncio.Semaphore(_AT_ONCE)
        ended = await asyncio.gather(*(self._finish(row, turns) for row in pending))
        return sum(ended)

    async def _is_alone(self, subscription_id: str) -> bool:
        """Return whether nobody can pay for the account's credit at a page: two payments would be made for one need."""
        if self._expire_pages is None:
            return True
        try:
            await self._expire_pages(subscription_id)
        except FaregateError as error:
            _log.warning("top_up.page_stays_open", subscription_id=subscription_id, error=error.message)
            return False
        return True

    def _read_due(self, transaction: Transaction) -> list[tuple[str, list[str]]]:
        """Return by application what is to begin: what only waits takes no turn on the writing thread."""
        found = []
        for row in list_applications(transaction):
            now = business_now(transaction, row.application_id, self._clock)
            found.append((row.application_id, due_top_ups(transaction, row.application_id, now=now)))
        return found

    def _begin(self, application_id: str, subscription_id: str) -> Callable[[Transaction], TopUpRow | None]:
        def begin(transaction: Transaction) -> TopUpRow | None:
            now = business_now(transaction, application_id, self._clock)
            if is_page_in_the_way(transaction, subscription_id, opening_since=now - _OPENS_WITHIN):
                return None
            return begin_top_up(transaction, application_id, subscription_id, new_id=self._new_id, now=now)

        return begin

    async def _finish(self, row: TopUpRow, turns: asyncio.Semaphore) -> bool:
        async with turns:
            charge = await self._database.read(lambda tx: _charge(tx, row))
            outcome = await self._ask(row, charge)
        payment = outcome.payment
        if payment is None:
            _log.warning("top_up.outcome_unknown", top_up=row.top_up_id, attempts=row.attempts + 1, error=outcome.fault)
            retry_at = self._clock.now() + retry_delay(row.attempts, sum(row.top_up_id.encode()))
            await self._database.write(lambda tx: postpone_top_up(tx, row.top_up_id, retry_at=retry_at))
            return False
        reach(TOP_UP_PAID)
        if payment.failure is not None:
            _log.warning("top_up.failed", top_up=row.top_up_id, failure=payment.failure)
        await self._database.write(lambda tx: self._end(tx, row, payment))
        return True

    async def _ask(self, row: TopUpRow, charge: ProviderCharge) -> _Outcome:
        """Return the payment; what the provider refuses for good is a payment that failed."""
        our_ids = [charge.customer.lookup_key]
        try:
            async with linked_provider(
                self._database, self._provider, self._clock, application_id=row.application_id, our_ids=our_ids
            ) as linked:
                return _Outcome(await ask_provider(linked.take_payment, charge))
        except (Unavailable, ConfigurationError) as error:
            return _Outcome(None, error.message)
        except FaregateError as error:
            return _Outcome(ProviderPayment(id="", failure=error.code), error.message)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one payment, the others go on
            _log.exception("top_up.crashed", top_up=charge.lookup_key)
            return _Outcome(None, f"{type(error).__name__}: {error}")

    def _end(self, transaction: Transaction, row: TopUpRow, payment: ProviderPayment) -> None:
        """Record the outcome once; what was paid becomes a grant."""
        standing = find_top_up(transaction, row.top_up_id)
        if standing is None or standing.status is not TopUpStatus.PENDING:
            return
        now = business_now(transaction, row.application_id, self._clock)
        if payment.failure is not None:
            end_top_up(transaction, row.top_up_id, status=TopUpStatus.FAILED, at=now, failure=payment.failure)
            return
        subscription = read_subscriptions(transaction, [row.subscription_id])[row.subscription_id]
        wanted = NewGrant(
            application_id=row.application_id,
            subscription_id=row.subscription_id,
            amount=from_ledger_units(row.amount, subscription.currency),
            kind=GrantKind.PAID,
            description="automatic top-up",
            caller_id=f"top_up:{row.top_up_id}",
            is_paid_for=True,
        )
        grant = give_grant(transaction, wanted, new_id=self._new_id, now=now)
        end_top_up(transaction, row.top_up_id, status=TopUpStatus.PAID, at=now, grant_id=grant.grant_id)


def _charge(transaction: Transaction, row: TopUpRow) -> ProviderCharge:
    billed = read_billed_customers(transaction, [row.subscription_id]).get(row.subscription_id)
    assert billed is not None  # noqa: S101 - subscriptions are never deleted
    unit = billed.subscription.currency
    return ProviderCharge(
        lookup_key=row.top_up_id,
        customer=ProviderCustomer(
            lookup_key=provider_customer(row.application_id, billed.subscription.company_id), name=billed.company_name
        ),
        currency=unit.code,
        amount=to_minor_units(from_ledger_units(row.amount, unit), unit),
        description=f"Credit for {billed.plan_name}",
    )
