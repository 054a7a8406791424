"""What Faregate reads of a billing provider: its list of events, and how objects stand that events name."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from faregate.domain.billing.provider_checkout import CheckoutStanding
from faregate.domain.billing.provider_events import ProviderEvent
from faregate.domain.billing.provider_usage import MeterError
from faregate.domain.billing.standing import (
    ChargeStanding,
    CustomerStanding,
    DisputeStanding,
    InvoiceStanding,
    SubscriptionStanding,
)


class ProviderReadings(Protocol):
    """Calls that change nothing. `Unavailable`: repeating may help; `NotFound`: the provider has no such object."""

    def account(self) -> str:
        """Return the provider's id of the account that is read; links of ids are kept under that."""

    def events_since(self, since: datetime) -> list[ProviderEvent]:
        """Return the events of an instant and later, of the provider's time, in any order."""

    def read_customer(self, customer_id: str) -> CustomerStanding:
        """Return a customer, a deleted one too."""

    def read_invoice(self, invoice_id: str) -> InvoiceStanding:
        """Return an invoice."""

    def read_subscription(self, provider_subscription_id: str) -> SubscriptionStanding:
        """Return a subscription, one that ended too."""

    def read_charge(self, charge_id: str) -> ChargeStanding:
        """Return a payment, with the refunds of it that have ended."""

    def read_refunded(self, refund_id: str) -> ChargeStanding:
        """Return the payment that a refund is of, as `read_charge` does; `NotFound` for one of no payment."""

    def read_dispute(self, dispute_id: str) -> DisputeStanding:
        """Return a dispute."""

    def read_checkout(self, session_id: str) -> CheckoutStanding:
        """Return a page where something is bought."""

    def read_meter_errors(self, event_id: str) -> list[MeterError]:
        """Return the reports of usage that an event says were lost, as far as it names them."""
