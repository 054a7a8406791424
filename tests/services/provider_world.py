"""A billing provider whose objects a test writes down, and a world that hears of them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import TypeVar

from faregate.base.errors import NotFound
from faregate.domain.billing.provider_checkout import CheckoutStanding
from faregate.domain.billing.provider_events import EventSubject, ProviderEvent
from faregate.domain.billing.provider_links import LinkKind, ProviderLink
from faregate.domain.billing.provider_usage import MeterError
from faregate.domain.billing.standing import (
    ChargeStanding,
    CustomerStanding,
    DisputeStanding,
    InvoiceStanding,
    SubscriptionStanding,
)
from faregate.domain.governance.rule import Cohort
from faregate.services.membership import newly_due_companies, refresh_membership
from faregate.services.poll_provider_events import poll_events
from faregate.services.take_webhook import find_event, take_event
from faregate.services.work_provider_events import EventWorker
from faregate.storage.governance import read_memberships
from faregate.storage.provider_events import EventRow
from faregate.storage.provider_links import keep_links
from tests.services.world import APP, COMPANY, World

T = TypeVar("T")

ACCOUNT = "acct_of_the_tests"
CUSTOMER = "cus_1"


@dataclass
class Written:
    """What the provider answers: whatever a test has put here. `fault` is raised by the next readings instead."""

    invoices: dict[str, InvoiceStanding] = field(default_factory=dict)
    checkouts: dict[str, CheckoutStanding] = field(default_factory=dict)
    meter_errors: dict[str, list[MeterError]] = field(default_factory=dict)
    charges: dict[str, ChargeStanding] = field(default_factory=dict)
    disputes: dict[str, DisputeStanding] = field(default_factory=dict)
    customers: dict[str, CustomerStanding] = field(default_factory=dict)
    subscriptions: dict[str, SubscriptionStanding] = field(default_factory=dict)
    events: list[ProviderEvent] = field(default_factory=list)
    fault: Exception | None = None
    asked: list[str] = field(default_factory=list)

    def account(self) -> str:
        return ACCOUNT

    def events_since(self, since: datetime) -> list[ProviderEvent]:
        self._ask(f"events since {since:%m-%d %H:%M}")
        return [event for event in self.events if event.created_at >= since]

    def read_customer(self, customer_id: str) -> CustomerStanding:
        return self._found(self.customers, customer_id)

    def read_invoice(self, invoice_id: str) -> InvoiceStanding:
        return self._found(self.invoices, invoice_id)

    def read_subscription(self, provider_subscription_id: str) -> SubscriptionStanding:
        return self._found(self.subscriptions, provider_subscription_id)

    def read_charge(self, charge_id: str) -> ChargeStanding:
        return self._found(self.charges, charge_id)

    def read_refunded(self, refund_id: str) -> ChargeStanding:
        charges = {one.refund_id: charge for charge in self.charges.values() for one in charge.refunds}
        return self._found(charges, refund_id)

    def read_checkout(self, session_id: str) -> CheckoutStanding:
        return self._found(self.checkouts, session_id)

    def read_meter_errors(self, event_id: str) -> list[MeterError]:
        return self._found(self.meter_errors, event_id)

    def read_dispute(self, dispute_id: str) -> DisputeStanding:
        return self._found(self.disputes, dispute_id)

    def _found(self, things: dict[str, T], identifier: str) -> T:
        self._ask(identifier)
        if identifier not in things:
            raise NotFound("object", identifier)
        return things[identifier]

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.fault is not None:
            raise self.fault


@dataclass
class ProviderWorld:
    """A world and its provider."""

    world: World
    provider: Written = field(default_factory=Written)
    others: dict[EventSubject, Callable[[list[EventRow]], Awaitable[str]]] = field(default_factory=dict)
    called_back: list[str] = field(default_factory=list)
    numbers: "count[int]" = field(default_factory=lambda: count(1))

    def link(self, customer_id: str = CUSTOMER, company_id: str = COMPANY) -> None:
        """The customer is the company."""
        link = ProviderLink(kind=LinkKind.CUSTOMER, our_id=f"{APP}/{company_id}", provider_id=customer_id)
        with self.world.database.begin() as transaction:
            keep_links(transaction, [link], application_id=APP, account=ACCOUNT, now=self.world.clock.now())

    def hear(self, kind: str, object_id: str) -> str:
        """A webhook tells of it; the id of the event."""
        event = self.event(kind, object_id)
        with self.world.database.begin() as transaction:
            take_event(transaction, event, received_at=self.world.clock.now())
        return event.event_id

    def event(self, kind: str, object_id: str) -> ProviderEvent:
        """An event that happens now."""
        return ProviderEvent(
            event_id=f"evt_{next(self.numbers)}",
            kind=kind,
            object_id=object_id,
            is_live=False,
            created_at=self.world.clock.now(),
        )

    def work(self) -> int:
        """What the loop does."""
        worker = EventWorker(
            self.world.database,
            self.provider,
            self.world.clock,
            new_id=self.world.new_id,
            call_back=self._call_back,
            others=self.others,
        )
        return asyncio.run(worker.run())

    async def _call_back(self, subscription_id: str) -> None:
        self.called_back.append(subscription_id)

    def poll(self) -> int:
        """What the loop does each interval."""
        return asyncio.run(poll_events(self.world.database, self.provider, self.world.clock))

    def row(self, event_id: str) -> EventRow:
        """How an event stands."""
        with self.world.database.snapshot() as transaction:
            return find_event(transaction, APP, event_id)

    def invoice(self, standing: InvoiceStanding, kind: str = "invoice.updated") -> str:
        """The invoice stands so at the provider, which tells of it; what came of it."""
        self.provider.invoices[standing.invoice_id] = standing
        event_id = self.hear(kind, standing.invoice_id)
        self.work()
        return self.row(event_id).outcome

    def cohorts(self, company_id: str = COMPANY) -> set[Cohort]:
        """The cohorts a company is in, after what the tick does about due invoices."""
        now = self.world.clock.now()
        with self.world.database.begin() as transaction:
            due = newly_due_companies(transaction, APP, now=now)
            refresh_membership(transaction, application_id=APP, company_ids=due, now=now)
            return set(read_memberships(transaction, APP, [company_id]).get(company_id, frozenset()))
