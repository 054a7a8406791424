"""What Faregate asks of a billing provider, in the provider's own words (Stripe's), with our ids as its lookup keys.

It stands in the core because services call it and providers answer it, and those two do not import each other. Every
call is synchronous, made outside any transaction, and repeatable: the caller's key names the thing, and a repeat
changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from faregate.base.periods import Period
from faregate.domain.billing.invoice import InvoiceStatus
from faregate.domain.billing.provider_cycle import ProviderCycle
from faregate.domain.billing.provider_links import ProviderLinks
from faregate.domain.billing.provider_usage import UsageSummary
from faregate.domain.customers.prepaid_billing import PrepaidBilling


class ProviderScheme(StrEnum):
    """How a provider comes from a period's total to an amount."""

    PACKAGE = "package"
    PACKAGE_DOWN = "package_down"
    PER_UNIT = "per_unit"
    GRADUATED = "graduated"
    VOLUME = "volume"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderTier:
    """Units up to and including `up_to` (None: all further ones), in minor units each and at once."""

    up_to: Decimal | None
    unit_amount: Decimal
    flat_amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderPrice:
    """A metered price that the provider rates by itself; amounts in minor units.

    `package`: `unit_amount` for every begun `divide_by` units of a period's total; `package_down`: every full ones.
    `per_unit`: `unit_amount` for every unit. `graduated` and `volume`: by `tiers`.
    `product`: the plan's name.
    """

    lookup_key: str
    product: str
    nickname: str
    currency: str
    unit_amount: Decimal
    divide_by: int
    scheme: ProviderScheme = ProviderScheme.PACKAGE
    tiers: tuple[ProviderTier, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedLine:
    """A line as we rate it: its amount is ours, in minor units, and may be below zero.

    `price`: our id of the line on its invoice; the price's where it is the price's own usage in the period.
    """

    price: str
    description: str
    quantity: Decimal
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCoupon:
    """A coupon that an invoice is to take off, under our id of its giving: `percent_off`, or `amount_off` minor units.

    `amount`: what that comes to by our reckoning, in minor units.
    """

    lookup_key: str
    name: str
    percent_off: Decimal | None
    amount_off: int | None
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderDiscount:
    """What a coupon took off an invoice, in minor units."""

    coupon: str
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSubscription:
    """A customer on prices, billed from `billing_cycle_anchor`; an invoice is due `payment_terms` after.

    `cycle`: how the provider makes the same periods from now on; None where it cannot, or where there are none left.
    """

    lookup_key: str
    customer: str
    customer_name: str
    currency: str
    prices: tuple[ProviderPrice, ...]
    billing_cycle_anchor: datetime
    cycle: ProviderCycle | None
    payment_terms: timedelta
    prepaid_billing: PrepaidBilling


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterEvent:
    """Raw units of a price used by a customer, counted in the period that holds `timestamp`, once an `identifier`.

    `period` is ours, of `subscription`: the provider's begins and ends in whole seconds, or where it was told of it.
    """

    identifier: str
    customer: str
    subscription: str
    price: str
    value: Decimal
    timestamp: datetime
    period: Period


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderGrant:
    """Credit that pays metered lines of one subscription; `value` in minor units, `category` paid or promotional."""

    lookup_key: str
    subscription: str
    currency: str
    value: Decimal
    category: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCustomer:
    """A customer under our id of it."""

    lookup_key: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCharge:
    """A payment to take from the method that the customer left, without the customer; `amount` in minor units."""

    lookup_key: str
    customer: ProviderCustomer
    currency: str
    amount: int
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderPayment:
    """What became of a charge. `failure`: the provider's code of why it was declined; None where it succeeded."""

    id: str
    failure: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderLine:
    """One price's period: the quantity that the provider received, and its amount in minor units, rounded once."""

    price: str
    description: str
    quantity: Decimal
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderInvoice:
    """An issued invoice in minor units.

    `subtotal` = the sum of lines; `total` = `subtotal` - the sum of discounts = `credit_applied` + `amount_due`.
    """

    id: str
    number: str
    subscription: str
    customer: str
    currency: str
    period: Period
    lines: tuple[ProviderLine, ...]
    subtotal: int
    discounts: tuple[ProviderDiscount, ...]
    total: int
    credit_applied: int
    amount_due: int
    status: InvoiceStatus
    created: datetime
    due_date: datetime
    paid_at: datetime | None


class BillingProvider(Protocol):
    """The calls that services make. `Unavailable`: repeating may help; any other `FaregateError`: it will not."""

    def account(self) -> str:
        """Return the provider's id of the account that is billed through; its links are kept under that."""

    def linked(self, links: ProviderLinks) -> BillingProvider:
        """Return the provider with what is known of its objects; what it makes is added to `links`.

        Of a subscription, `ensure_subscription` is the first call on the same links.
        """

    def ensure_subscription(self, wanted: ProviderSubscription) -> None:
        """Make customer, prices and subscription where they do not stand yet; add prices the subscription lacks."""

    def report_usage(self, usage: MeterEvent) -> None:
        """Take a meter event; one whose identifier was taken before is delivered, and counts once."""

    def summarize_usage(self, *, customer: str, price: str, start: datetime, end: datetime) -> list[UsageSummary]:
        """Return what was counted of a customer's usage of a price, both by our ids, in [start, end), oldest first.

        Day by day in UTC where both are days' borders, else as one; what has no usage is left out. Both are at a
        minute's border. Nothing for a customer or a price that it does not know.
        """

    def create_credit_grant(self, grant: ProviderGrant) -> None:
        """Take credit that invoices finalized from now on use up; a value below zero takes credit back."""

    def close_period(
        self,
        subscription: str,
        period: Period,
        *,
        issued_at: datetime,
        rated: tuple[RatedLine, ...] = (),
        metered: tuple[RatedLine, ...] = (),
        coupons: tuple[ProviderCoupon, ...] = (),
        credit: int = 0,
    ) -> ProviderInvoice:
        """Finalize a period's invoice from usage received and `rated` lines; return the same one for every repeat.

        `coupons` come off in their order, each from what the earlier ones left, before credit pays. `metered`: what the
        provider rates itself, as we do: what a provider without such a period bills. `credit`: minor units of credit
        that pay the invoice by our ledger.
        """

    def pay_invoice(self, invoice_id: str, *, paid_at: datetime) -> ProviderInvoice:
        """Take payment of what is due; a repeat returns the invoice as it was paid."""

    def set_payment_method(self, customer: ProviderCustomer, payment_method: str) -> None:
        """Keep a method that charges are taken from; `InvalidInput` on `payment_method` for one it does not take."""

    def take_payment(self, charge: ProviderCharge) -> ProviderPayment:
        """Charge the customer's method once; a repeat answers what became of the first."""
