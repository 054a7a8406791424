"""Subscriptions at Stripe, every request judged: usage is billed in its period, once, as we rate it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

import pytest

from faregate.base.errors import Unavailable
from faregate.base.periods import Period
from faregate.domain.billing.expressible import Expressed
from faregate.domain.billing.invoice import InvoiceStatus
from faregate.domain.billing.provider import (
    MeterEvent,
    ProviderCoupon,
    ProviderGrant,
    ProviderInvoice,
    ProviderPrice,
    ProviderScheme,
    ProviderSubscription,
    RatedLine,
)
from faregate.domain.billing.provider_catalog import WantedMeter, WantedPrice, WantedProduct, WantedSeries
from faregate.domain.billing.provider_cycle import ProviderCycle
from faregate.domain.billing.provider_links import ProviderLinks
from faregate.domain.catalog.price import BillingPeriod, TaxBehavior
from faregate.domain.customers.prepaid_billing import PrepaidBilling
from faregate.providers.stripe.billing import StripeProvider
from faregate.providers.stripe.catalog import StripeCatalog
from tests.contract.shop import Shop

MARCH = Period(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
APRIL = Period(MARCH.end, datetime(2026, 5, 1, tzinfo=UTC))
HALF_DOLLAR_A_MILLION = Expressed(scheme=ProviderScheme.PACKAGE, unit_amount=Decimal(50), divide_by=1_000_000, tiers=())

_NUMBERS = count()


@dataclass(kw_only=True)
class Account:
    """A customer on one price, by new links at each turn but those of the catalog."""

    shop: Shop
    number: int
    wanted: ProviderSubscription
    catalog: ProviderLinks

    def turn(self) -> StripeProvider:
        """The provider for one turn of deliveries."""
        links = ProviderLinks(self.catalog.made)
        provider = self.shop.provider.linked(links)
        provider.ensure_subscription(self.wanted)
        return provider

    def use(self, units: int, at: datetime, *, period: Period = MARCH, identifier: str = "") -> None:
        self.turn().report_usage(
            MeterEvent(
                identifier=f"{self.number}:{identifier or at.isoformat()}",
                customer=self.wanted.customer,
                subscription=self.wanted.lookup_key,
                price=self.wanted.prices[0].lookup_key,
                value=Decimal(units),
                timestamp=at,
                period=period,
            )
        )

    def give(self, value: int) -> None:
        self.turn().create_credit_grant(
            ProviderGrant(
                lookup_key=f"{self.wanted.lookup_key}:grant",
                subscription=self.wanted.lookup_key,
                currency="USD",
                value=Decimal(value),
                category="paid",
            )
        )

    def close(
        self,
        period: Period = MARCH,
        *,
        after: timedelta = timedelta(minutes=2),
        rated: tuple[RatedLine, ...] = (),
        coupons: tuple[ProviderCoupon, ...] = (),
        credit: int = 0,
    ) -> ProviderInvoice:
        self.shop.clock.at = max(self.shop.clock.at, period.end + after)
        return self.turn().close_period(
            self.wanted.lookup_key,
            period,
            issued_at=period.end,
            rated=rated,
            metered=(),
            coupons=coupons,
            credit=credit,
        )


@pytest.fixture(autouse=True)
def judged(shop: Shop) -> Iterator[None]:
    yield
    assert shop.judge.refused() == []


@pytest.fixture
def account(shop: Shop) -> Account:
    shop.clock.at = MARCH.start + timedelta(seconds=0.7)
    return an_account(shop)


def an_account(shop: Shop) -> Account:
    number = next(_NUMBERS)
    price_id, plan_id = f"prc_{number}", f"pln_{number}"
    links = ProviderLinks()
    wanted = WantedPrice(
        price_id=price_id,
        series_id=price_id,
        plan_id=plan_id,
        currency="USD",
        nickname="Input",
        period=BillingPeriod.MONTH,
        tax_behavior=TaxBehavior.AUTO,
        terms=HALF_DOLLAR_A_MILLION,
        is_active=True,
        is_current=True,
    )
    StripeCatalog(lambda: shop.client).push_series(
        WantedSeries(
            product=WantedProduct(plan_id=plan_id, name="My AI API Plan", is_active=True),
            meters=(WantedMeter(price_id=price_id, display_name="Input"),),
            prices=(wanted,),
        ),
        links,
    )
    price = ProviderPrice(
        lookup_key=price_id,
        product="My AI API Plan",
        nickname="Input",
        currency="USD",
        unit_amount=Decimal(50),
        divide_by=1_000_000,
    )
    subscription = ProviderSubscription(
        lookup_key=f"sub_{number}",
        customer=f"app_1/acme-{number}",
        customer_name="Acme",
        currency="USD",
        prices=(price,),
        billing_cycle_anchor=MARCH.start,
        cycle=ProviderCycle(interval="month", interval_count=1, first_border=MARCH.end, anchor_day=None),
        payment_terms=timedelta(days=14),
        prepaid_billing=PrepaidBilling.MIRROR,
    )
    return Account(shop=shop, number=number, wanted=subscription, catalog=links)


def figures(invoice: ProviderInvoice) -> dict[str, tuple[Decimal, int]]:
    return {line.price: (line.quantity, line.amount) for line in invoice.lines}


def test_usage_is_billed_in_its_period_and_once_a_border_second(account: Account) -> None:
    price = account.wanted.prices[0].lookup_key
    account.use(400_000, MARCH.start)
    account.shop.clock.at = MARCH.end - timedelta(seconds=1)
    account.use(600_001, MARCH.end - timedelta(microseconds=1))
    first = account.close()
    account.use(7, APRIL.start, period=APRIL)
    assert figures(first) == {price: (Decimal(1_000_001), 100)}
    assert (first.total, first.amount_due, first.status) == (100, 100, InvoiceStatus.OPEN)
    assert figures(account.close(APRIL)) == {price: (Decimal(7), 50)}
    assert first.period == MARCH


def test_a_draft_waits_for_us_however_late_we_come_and_a_repeat_gives_the_same(account: Account) -> None:
    account.use(1, MARCH.start)
    account.shop.clock.at = MARCH.end + timedelta(days=3)
    account.use(2, MARCH.end - timedelta(hours=1))
    line = RatedLine(price="prc_flat", description="Seats", quantity=Decimal(3), amount=1_000)
    invoice = account.close(rated=(line,))
    assert figures(invoice) == {account.wanted.prices[0].lookup_key: (Decimal(3), 50), "prc_flat": (Decimal(3), 1_000)}
    assert account.close(rated=(line,)) == invoice


def test_a_report_that_is_repeated_counts_once(account: Account) -> None:
    for _ in range(2):
        account.use(5, MARCH.start, identifier="same")
    assert [line.quantity for line in account.close().lines] == [5]


def test_usage_from_before_the_subscription_was_made_is_billed_in_its_first_period(account: Account) -> None:
    account.shop.clock.at = MARCH.start + timedelta(days=10)
    account.use(9, MARCH.start + timedelta(days=1))
    assert [line.quantity for line in account.close().lines] == [9]


def test_grants_pay_usage_and_a_line_pays_the_rest(account: Account) -> None:
    account.give(30)
    account.use(1_000_000, MARCH.start)
    line = RatedLine(price="prc_flat", description="Seats", quantity=Decimal(3), amount=1_000)
    invoice = account.close(rated=(line,), credit=30)
    assert (invoice.total, invoice.credit_applied, invoice.amount_due) == (1_050, 30, 1_020)


def test_more_credit_than_usage_pays_our_own_lines_too_and_is_gone(account: Account) -> None:
    account.give(500)
    account.use(1_000_000, MARCH.start)
    line = RatedLine(price="prc_flat", description="Seats", quantity=Decimal(3), amount=100)
    invoice = account.close(rated=(line,), credit=150)
    assert (invoice.total, invoice.credit_applied, invoice.status) == (150, 150, InvoiceStatus.PAID)
    account.use(9_000_000, APRIL.start, period=APRIL)
    after = account.close(APRIL, credit=350)
    assert (after.total, after.credit_applied, after.amount_due) == (450, 350, 100)


def test_zero_out_takes_off_what_our_ledger_paid_and_makes_no_grant(account: Account) -> None:
    account.wanted = replace(account.wanted, prepaid_billing=PrepaidBilling.ZERO_OUT)
    account.give(500)
    account.use(1_000_000, MARCH.start)
    invoice = account.close(credit=50)
    assert (invoice.total, invoice.credit_applied, invoice.amount_due) == (50, 50, 0)


def test_a_coupon_comes_off_before_credit(account: Account) -> None:
    account.give(500)
    account.use(3_000_000, MARCH.start)
    coupon = ProviderCoupon(lookup_key="rdm_1", name="Ten", percent_off=Decimal(10), amount_off=None, amount=15)
    invoice = account.close(coupons=(coupon,), credit=135)
    assert (invoice.subtotal, invoice.total, invoice.credit_applied, invoice.amount_due) == (150, 135, 135, 0)


def test_a_price_that_is_not_at_stripe_yet_is_waited_for(account: Account) -> None:
    account.catalog = ProviderLinks()
    with pytest.raises(Unavailable, match="on its way"):
        account.turn()


def test_a_period_that_has_no_draft_yet_is_waited_for(account: Account) -> None:
    account.use(1, MARCH.start)
    with pytest.raises(Unavailable, match="no draft yet"):
        account.close(after=timedelta(seconds=-5))
