from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from faregate.base.money import currency, minor_to_ledger_units
from faregate.base.periods import Period
from faregate.domain.billing.invoice import (
    Invoice,
    InvoiceDiscount,
    InvoicePayment,
    InvoiceStatus,
    closing_entries,
    is_overdue,
)
from faregate.domain.catalog.models import Package
from faregate.domain.catalog.price import BillingPeriod, Price, TaxBehavior
from faregate.domain.pricing.rating import Totals, debit_total, line_amount, whole
from tests.domain.pricing.models import MODELS, prices_of, quantities

DUE = datetime(2026, 4, 15, tzinfo=UTC)
OPEN = Invoice(
    invoice_id="in_1",
    number="INV-000001",
    subscription_id="sub_1",
    company_id="acme",
    currency="USD",
    period=Period(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)),
    lines=(),
    total=250,
    credit_applied=0,
    amount_due=250,
    status=InvoiceStatus.OPEN,
    issued_at=datetime(2026, 4, 1, tzinfo=UTC),
    due_at=DUE,
    paid_at=None,
)


def package_price(amount: Decimal, size: int, code: str = "USD") -> Price:
    return Price(
        price_id="prc_1",
        plan_id="pln_1",
        name="Tokens",
        model=Package(amount=amount, size=Decimal(size)),
        period=BillingPeriod.MONTH,
        currency=currency(code),
        tax_behavior=TaxBehavior.AUTO,
    )


def test_an_open_invoice_is_overdue_from_the_very_instant_it_is_due() -> None:
    assert not is_overdue(OPEN, DUE - timedelta(microseconds=1))
    assert is_overdue(OPEN, DUE)


def test_the_subtotal_is_what_the_invoice_came_to_before_coupons() -> None:
    off = [InvoiceDiscount(redemption_id=f"rdm_{cents}", coupon_id="C", name="C", amount=cents) for cents in (30, 20)]
    assert replace(OPEN, discounts=tuple(off)).subtotal == 300
    assert OPEN.subtotal == OPEN.total


def test_a_paid_invoice_is_never_overdue() -> None:
    assert not is_overdue(replace(OPEN, status=InvoiceStatus.PAID), DUE + timedelta(days=400))


def test_an_invoice_with_nothing_due_is_never_overdue() -> None:
    assert not is_overdue(replace(OPEN, amount_due=0), DUE + timedelta(days=400))


@given(
    amount=st.decimals(min_value=0, max_value=10**4, places=12),
    size=st.integers(1, 10**7),
    code=st.sampled_from(["USD", "JPY", "BHD", "IDR"]),
    parts=st.lists(st.decimals(min_value=0, max_value=10**7, places=6), max_size=12),
)
def test_debits_and_the_rounding_entry_always_make_the_invoice_line(
    amount: Decimal, size: int, code: str, parts: list[Decimal]
) -> None:
    price = package_price(amount, size, code)
    total, debits = Decimal(0), 0
    for part in parts:
        after = total + part
        debits += debit_total(price, whole(after)) - debit_total(price, whole(total))
        total = after
    line = minor_to_ledger_units(line_amount(price, whole(total)), price.currency)
    assert debits + sum(closing_entries(price, whole(total))) == line


@given(amount=st.decimals(min_value=0, max_value=10**4, places=12), total=st.decimals(0, 10**7, places=3))
def test_a_rounding_entry_is_at_most_half_a_minor_unit(amount: Decimal, total: Decimal) -> None:
    price = package_price(amount, 1000)
    assert closing_entries(price, whole(total))[0] == 0
    assert abs(closing_entries(price, whole(total))[1]) <= 5_000_000


@given(st.sampled_from([*MODELS]).flatmap(prices_of), quantities.map(whole) | st.just({}))
def test_what_a_period_owes_beyond_its_usage_is_never_less_than_nothing(price: Price, totals: Totals) -> None:
    due, rounding = closing_entries(price, totals)
    assert due >= 0
    assert debit_total(price, totals) + due + rounding == minor_to_ledger_units(
        line_amount(price, totals), price.currency
    )


def test_what_the_provider_said_of_a_payment_decides_whether_an_invoice_is_overdue() -> None:
    def said(overdue_from: datetime | None) -> Invoice:
        payment = InvoicePayment(
            amount_paid=50, amount_remaining=200, attempts=1, overdue_from=overdue_from, page_url=None
        )
        return replace(OPEN, payment=payment)

    assert is_overdue(said(DUE), DUE)
    assert not is_overdue(said(DUE), DUE - timedelta(microseconds=1))
    assert not is_overdue(said(None), DUE + timedelta(days=99))
    assert said(None).amount_paid == 50


def test_all_that_is_due_is_paid_of_a_paid_invoice() -> None:
    assert OPEN.amount_paid == 0
    assert replace(OPEN, status=InvoiceStatus.PAID).amount_paid == 250
