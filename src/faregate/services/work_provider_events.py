"""Work on what the billing provider told of: read the object again, and take over how it stands.

Events of one object are worked on together: one reading, outside any transaction, answers all that came before it. It
is taken over and the events are marked in one transaction, so that a crash reads again and nothing is done twice. What
fails is tried again after a growing delay and delays nothing else.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar, assert_never

import structlog

from faregate.base.clock import Clock
from faregate.base.errors import FaregateError, NotFound, Unavailable
from faregate.base.ids import IdSource
from faregate.base.limits import MAX_DETAIL_CHARACTERS, MAX_EVENT_ATTEMPTS
from faregate.domain.billing.provider_checkout import CheckoutStanding
from faregate.domain.billing.provider_events import EventSubject, subject_of
from faregate.domain.billing.provider_readings import ProviderReadings
from faregate.domain.billing.provider_usage import MeterError
from faregate.domain.billing.standing import (
    ChargeStanding,
    CustomerStanding,
    DisputeStanding,
    InvoiceStanding,
    SubscriptionStanding,
)
from faregate.services.change import Change, change_now
from faregate.services.checkout_orders import take_checkout
from faregate.services.provider_calls import ask_provider
from faregate.services.provider_companies import adopt_customer, company_of_customer
from faregate.services.provider_standings import take_invoice, take_subscription
from faregate.services.retries import retry_delay
from faregate.services.take_back_payment import take_charge, take_dispute
from faregate.services.usage_reports import keep_meter_errors
from faregate.storage.checkouts import find_checkout
from faregate.storage.database import Database, Transaction
from faregate.storage.provider_events import EventRow, mark_event_failed, mark_events_worked, waiting_events
from faregate.storage.provider_standings import CompanyPlace
from faregate.storage.top_ups import find_bought, is_being_bought

T = TypeVar("T")

_log: Final = structlog.get_logger(__name__)

_ROUND: Final = 200
_AT_ONCE: Final = 8

Standing = InvoiceStanding | SubscriptionStanding
OtherWork = Callable[[list[EventRow]], Awaitable[str]]
"""Works on events that name one object; returns what came of them."""


class _Object(NamedTuple):
    subject: EventSubject
    object_id: str


class _Gone(Exception):
    """The provider does not have what an event names: deleted since, or of another account or mode."""


class EventWorker:
    """Works on all events that wait, a round at a time.

    `call_back` is called with a subscription whose credit is about to be taken away. `others`: subjects that somebody
    else works on.
    """

    def __init__(
        self,
        database: Database,
        readings: ProviderReadings,
        clock: Clock,
        *,
        new_id: IdSource,
        call_back: Callable[[str], Awaitable[None]],
        others: Mapping[EventSubject, OtherWork] | None = None,
    ) -> None:
        self._database = database
        self._readings = readings
        self._clock = clock
        self._new_id = new_id
        self._call_back = call_back
        self._others = others or {}
        self._account = ""

    async def run(self) -> int:
        """Work on every event that is due; return how many were worked off."""
        worked = 0
        if not await self._database.read(lambda tx: waiting_events(tx, now=self._clock.now(), limit=1)):
            return 0
        self._account = await ask_provider(self._readings.account)
        while rows := await self._database.read(lambda tx: waiting_events(tx, now=self._clock.now(), limit=_ROUND)):
            turns = asyncio.Semaphore(_AT_ONCE)
            done = await asyncio.gather(*(self._work(each, of, turns) for each, of in _by_object(rows).items()))
            worked += sum(done)
        return worked

    async def _work(self, named: _Object, rows: list[EventRow], turns: asyncio.Semaphore) -> int:
        async with turns:
            try:
                await self._work_on(named, rows)
            except _Gone as error:
                await self._mark(rows, f"the provider does not have it: {error}")
            except FaregateError as error:
                return await self._postpone(rows, error.message)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one object, the others go on
                _log.exception("provider_event.crashed", object_id=named.object_id)
                return await self._postpone(rows, f"{type(error).__name__}: {error}")
        return len(rows)

    async def _work_on(self, named: _Object, rows: list[EventRow]) -> None:
        work = self._others.get(named.subject)
        if work is not None:
            await self._mark(rows, await work(rows))
            return
        match named.subject:
            case EventSubject.CUSTOMER:
                customer = await _read(self._readings.read_customer, named.object_id)
                await self._take(rows, lambda tx, change: self._take_customer(tx, change, customer))
            case EventSubject.INVOICE:
                await self._take_standing(rows, await _read(self._readings.read_invoice, named.object_id))
            case EventSubject.SUBSCRIPTION:
                await self._take_standing(rows, await _read(self._readings.read_subscription, named.object_id))
            case EventSubject.CHARGE | EventSubject.REFUND | EventSubject.DISPUTE:
                readings: dict[EventSubject, Callable[[str], ChargeStanding | DisputeStanding]] = {
                    EventSubject.CHARGE: self._readings.read_charge,
                    EventSubject.REFUND: self._readings.read_refunded,
                    EventSubject.DISPUTE: self._readings.read_dispute,
                }
                await self._take_back(rows, await _read(readings[named.subject], named.object_id))
            case EventSubject.CHECKOUT:
                await self._take_checkout(rows, await _read(self._readings.read_checkout, named.object_id))
            case EventSubject.METER_ERRORS:
                errors = await _read(self._readings.read_meter_errors, named.object_id)
                await self._take(rows, lambda tx, change: _take_errors(tx, errors, change=change))
            case EventSubject.CATALOG | EventSubject.OTHER:
                await self._mark(rows, "nothing to do")
            case other:
                assert_never(other)

    async def _take_standing(self, rows: list[EventRow], standing: Standing) -> None:
        """Take over how something of a customer stands; a customer that is not known is read and mapped before."""
        known = await self._database.read(
            lambda tx: company_of_customer(tx, account=self._account, customer_id=standing.customer_id)
        )
        customer = None if known else await _read(self._readings.read_customer, standing.customer_id)

        def take(transaction: Transaction, change: Change) -> str:
            company = known
            if company is None and customer is not None:
                company = adopt_customer(transaction, change, customer, account=self._account)
            if company is None:
                return f"of customer {standing.customer_id}, who was deleted"
            return self._taken_over(transaction, company, standing)

        await self._take(rows, take)

    def _taken_over(self, transaction: Transaction, company: CompanyPlace, standing: Standing) -> str:
        own = self._change(transaction, company.application_id)
        match standing:
            case InvoiceStanding():
                return take_invoice(transaction, own, company=company, invoice=standing)
            case SubscriptionStanding():
                return take_subscription(
                    transaction, own, company=company, subscription=standing, account=self._account
                )
            case other:
                assert_never(other)

    async def _take_checkout(self, rows: list[EventRow], standing: CheckoutStanding) -> None:
        ours = await self._database.read(lambda tx: find_checkout(tx, standing.faregate_id))
        if ours is None:
            await self._mark(rows, "a page that was not made here")
            return

        def take(transaction: Transaction, change: Change) -> str:
            return take_checkout(transaction, change, checkout_id=ours.checkout_id, standing=standing)

        await self._take(rows, take, application_id=ours.application_id)

    async def _take_back(self, rows: list[EventRow], paid: ChargeStanding | DisputeStanding) -> None:
        """Take back credit whose money went back; gateways give back before what is idle of it."""
        bought = await self._database.read(lambda tx: find_bought(tx, paid.faregate_id))
        if bought is None:
            if await self._database.read(lambda tx: is_being_bought(tx, paid.faregate_id)):
                raise Unavailable("the credit of that payment is not given yet: it is taken back once it is")
            await self._mark(rows, "no credit was bought by that payment")
            return
        await self._call_back(bought.subscription_id)

        def take(transaction: Transaction, change: Change) -> str:
            match paid:
                case ChargeStanding():
                    return take_charge(transaction, change, bought=bought, charge=paid)
                case DisputeStanding():
                    return take_dispute(transaction, change, bought=bought, dispute=paid)
                case other:
                    assert_never(other)

        await self._take(rows, take, application_id=bought.application_id)

    def _change(self, transaction: Transaction, application_id: str) -> Change:
        return change_now(transaction, application_id, self._clock, new_id=self._new_id)

    def _take_customer(self, transaction: Transaction, change: Change, customer: CustomerStanding) -> str:
        company = adopt_customer(transaction, change, customer, account=self._account)
        if customer.is_deleted:
            return "deleted there" if company is None else f"deleted there; company {company.company_id} stays here"
        return "" if company is None else f"is company {company.company_id}"

    async def _take(
        self,
        rows: list[EventRow],
        take: Callable[[Transaction, Change], str],
        *,
        application_id: str | None = None,
    ) -> None:
        """Take over and mark in one transaction; `application_id`: whose the change is, where not the events' own."""

        def write(transaction: Transaction) -> None:
            outcome = take(transaction, self._change(transaction, application_id or rows[0].application_id))
            self._mark_worked(transaction, rows, outcome)

        await self._database.write(write)

    async def _mark(self, rows: list[EventRow], outcome: str) -> None:
        await self._database.write(lambda tx: self._mark_worked(tx, rows, outcome))

    def _mark_worked(self, transaction: Transaction, rows: list[EventRow], outcome: str) -> None:
        event_ids = [row.event.event_id for row in rows]
        mark_events_worked(transaction, event_ids, at=self._clock.now(), outcome=outcome[:MAX_DETAIL_CHARACTERS])

    async def _postpone(self, rows: list[EventRow], error: str) -> int:
        now = self._clock.now()

        def postpone(transaction: Transaction) -> None:
            for row in rows:
                gives_up = row.attempts + 1 >= MAX_EVENT_ATTEMPTS
                retry_at = now + retry_delay(row.attempts, sum(row.event.event_id.encode()))
                mark_event_failed(
                    transaction,
                    row.event.event_id,
                    error=error[:MAX_DETAIL_CHARACTERS],
                    retry_at=None if gives_up else retry_at,
                    failed_at=now if gives_up else None,
                )

        await self._database.write(postpone)
        first = rows[0].event
        _log.warning("provider_event.postponed", event_id=first.event_id, kind=first.kind, error=error)
        return 0


async def _read(read: Callable[[str], T], object_id: str) -> T:
    """Return how an object stands; only the provider's own `NotFound` says that it is gone, none of our services'."""
    try:
        return await ask_provider(read, object_id)
    except NotFound as error:
        raise _Gone(error.message) from error


def _by_object(rows: list[EventRow]) -> dict[_Object, list[EventRow]]:
    """Return events by the object that they name; those that name none, each by itself."""
    found: defaultdict[_Object, list[EventRow]] = defaultdict(list)
    for row in rows:
        subject = subject_of(row.event.kind)
        # A report of errors is the event itself, whatever meter it names.
        is_itself = subject is EventSubject.METER_ERRORS or not row.event.object_id
        found[_Object(subject, row.event.event_id if is_itself else row.event.object_id)].append(row)
    return found


def _take_errors(transaction: Transaction, errors: Sequence[MeterError], *, change: Change) -> str:
    lost = keep_meter_errors(transaction, errors, now=change.now)
    return f"{lost} reports of usage were lost, of {len(errors)} that it names"
