from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.base.errors import Conflict, InvalidInput, NotFound, Unavailable
from faregate.base.periods import Period
from faregate.domain.billing.invoice import InvoiceStatus
from faregate.domain.billing.provider import MeterEvent, ProviderGrant, ProviderPrice, ProviderSubscription
from faregate.domain.customers.prepaid_billing import PrepaidBilling
from faregate.providers.embedded.provider import EmbeddedProvider

START = datetime(2026, 3, 1, tzinfo=UTC)
MARCH = Period(START, datetime(2026, 4, 1, tzinfo=UTC))
APRIL = Period(MARCH.end, datetime(2026, 5, 1, tzinfo=UTC))
LATER = MARCH.end + timedelta(minutes=1)


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[EmbeddedProvider]:
    opened = EmbeddedProvider(tmp_path / "sandbox.sqlite3")
    yield opened
    opened.close()


def price(lookup_key: str = "prc_in", *, unit_amount: str = "50", divide_by: int = 1_000_000) -> ProviderPrice:
    return ProviderPrice(
        lookup_key=lookup_key,
        product="Plan",
        nickname=lookup_key,
        currency="USD",
        unit_amount=Decimal(unit_amount),
        divide_by=divide_by,
    )


def subscribe(
    provider: EmbeddedProvider, *prices: ProviderPrice, lookup_key: str = "sub_1", customer: str = "app/acme"
) -> None:
    provider.ensure_subscription(
        ProviderSubscription(
            lookup_key=lookup_key,
            customer=customer,
            customer_name="Acme",
            currency="USD",
            prices=prices or (price(),),
            billing_cycle_anchor=START,
            cycle=None,
            payment_terms=timedelta(days=14),
            prepaid_billing=PrepaidBilling.MIRROR,
        )
    )


def report(
    provider: EmbeddedProvider, value: str, *, identifier: str = "evt_1", at: datetime = START, key: str = "prc_in"
) -> None:
    provider.report_usage(
        MeterEvent(
            identifier=identifier,
            customer="app/acme",
            subscription="sub_1",
            price=key,
            value=Decimal(value),
            timestamp=at,
            period=MARCH,
        )
    )


def give(
    provider: EmbeddedProvider, value: str, *, lookup_key: str = "grn_1", category: str = "paid", currency: str = "USD"
) -> None:
    provider.create_credit_grant(
        ProviderGrant(
            lookup_key=lookup_key, subscription="sub_1", currency=currency, value=Decimal(value), category=category
        )
    )


def test_a_package_is_rounded_up_once_on_the_total_and_not_once_a_report(provider: EmbeddedProvider) -> None:
    subscribe(provider)
    for slice_number in range(9):
        report(provider, "111111", identifier=f"evt_{slice_number}")
    invoice = provider.close_period("sub_1", MARCH, issued_at=LATER)
    assert invoice.lines[0].quantity == 999_999
    assert (invoice.subtotal, invoice.amount_due) == (50, 50)


def test_a_repeated_identifier_is_delivered_and_counts_once(provider: EmbeddedProvider) -> None:
    subscribe(provider)
    report(provider, "1000000")
    report(provider, "1000000")
    assert provider.close_period("sub_1", MARCH, issued_at=LATER).subtotal == 50


def test_a_period_closed_again_gives_the_same_invoice(provider: EmbeddedProvider) -> None:
    subscribe(provider)
    report(provider, "1")
    first = provider.close_period("sub_1", MARCH, issued_at=LATER)
    assert provider.close_period("sub_1", MARCH, issued_at=LATER + timedelta(days=3)) == first
    assert provider.list_invoices(subscription="sub_1") == [first]


def test_usage_at_a_periods_end_belongs_to_the_next_period(provider: EmbeddedProvider) -> None:
    subscribe(provider)
    report(provider, "1", identifier="last", at=MARCH.end - timedelta(microseconds=1))
    report(provider, "2000000", identifier="first", at=MARCH.end)
    assert provider.close_period("sub_1", MARCH, issued_at=LATER).subtotal == 50
    assert provider.close_period("sub_1", APRIL, issued_at=APRIL.end).subtotal == 100


def test_usage_of_a_finalized_period_is_refused_because_its_invoice_would_miss_it(provider: EmbeddedProvider) -> None:
    subscribe(provider)
    report(provider, "1")
    provider.close_period("sub_1", MARCH, issued_at=LATER)
    with pytest.raises(Conflict, match="finalized"):
        report(provider, "1", identifier="late", at=MARCH.end - timedelta(seconds=1))
    report(provider, "1")  # a repeat of what counted is no late event


def test_a_period_that_overlaps_a_finalized_one_is_refused(provider: EmbeddedProvider) -> None:
    subscribe(provider)
    provider.close_period("sub_1", MARCH, issued_at=LATER)
    with pytest.raises(Conflict, match="overlaps"):
        provider.close_period("sub_1", Period(START + timedelta(days=1), APRIL.end), issued_at=LATER)


def test_a_line_is_rounded_once_half_a_minor_unit_away_from_zero(provider: EmbeddedProvider) -> None:
    subscribe(provider, price(unit_amount="0.5", divide_by=1))
    report(provider, "5")
    assert provider.close_period("sub_1", MARCH, issued_at=LATER).subtotal == 3


def test_decimal_quantities_are_added_exactly(provider: EmbeddedProvider) -> None:
    subscribe(provider, price(divide_by=1))
    for number in range(10):
        report(provider, "0.1", identifier=f"evt_{number}")
    invoice = provider.close_period("sub_1", MARCH, issued_at=LATER)
    assert (invoice.lines[0].quantity, invoice.subtotal) == (Decimal(1), 50)


def test_a_quantity_that_is_no_number_is_refused(provider: EmbeddedProvider) -> None:
    subscribe(provider)
    with pytest.raises(InvalidInput, match="value: must be a number"):
        report(provider, "NaN")


def test_credit_pays_promotional_before_paid_and_whole_minor_units_only(provider: EmbeddedProvider) -> None:
    subscribe(provider, price(divide_by=1))
    give(provider, "30.5", lookup_key="paid")
    give(provider, "10", lookup_key="gift", category="promotional")
    report(provider, "1")
    first = provider.close_period("sub_1", MARCH, issued_at=LATER)
    assert (first.credit_applied, first.amount_due) == (40, 10)
    give(provider, "0.5", lookup_key="more")
    report(provider, "1", identifier="evt_2", at=APRIL.start)
    assert provider.close_period("sub_1", APRIL, issued_at=APRIL.end).credit_applied == 1


def test_an_invoice_that_credit_pays_in_full_is_paid_at_once(provider: EmbeddedProvider) -> None:
    subscribe(provider)
    give(provider, "1000")
    give(provider, "1000")  # the same grant again
    report(provider, "1")
    invoice = provider.close_period("sub_1", MARCH, issued_at=LATER)
    assert (invoice.status, invoice.amount_due, invoice.paid_at) == (InvoiceStatus.PAID, 0, LATER)


def test_credit_of_another_currency_is_refused(provider: EmbeddedProvider) -> None:
    subscribe(provider)
    with pytest.raises(Conflict, match="currency"):
        give(provider, "1000", currency="EUR")


def test_an_invoice_is_paid_once_and_keeps_when(provider: EmbeddedProvider) -> None:
    subscribe(provider)
    report(provider, "1")
    invoice = provider.close_period("sub_1", MARCH, issued_at=LATER)
    assert (invoice.status, invoice.due_date) == (InvoiceStatus.OPEN, LATER + timedelta(days=14))
    paid = provider.pay_invoice(invoice.id, paid_at=LATER + timedelta(days=2))
    assert provider.pay_invoice(invoice.id, paid_at=LATER + timedelta(days=9)) == paid
    assert provider.get_invoice(invoice.id) == paid
    assert (paid.status, paid.paid_at) == (InvoiceStatus.PAID, LATER + timedelta(days=2))


def test_invoice_numbers_have_no_gap_even_where_a_finalization_failed(provider: EmbeddedProvider) -> None:
    subscribe(provider)
    subscribe(provider, lookup_key="sub_2", customer="app/other")
    numbers = [provider.close_period("sub_1", MARCH, issued_at=LATER).number]
    with pytest.raises(Conflict):
        provider.close_period("sub_1", Period(START + timedelta(days=1), MARCH.end), issued_at=LATER)
    numbers.append(provider.close_period("sub_2", MARCH, issued_at=LATER).number)
    numbers.append(provider.close_period("sub_1", APRIL, issued_at=LATER).number)
    assert numbers == ["INV-000001", "INV-000002", "INV-000003"]


def test_a_price_cannot_be_changed_and_a_new_one_joins_the_subscription(provider: EmbeddedProvider) -> None:
    subscribe(provider)
    with pytest.raises(Conflict, match="cannot be changed"):
        subscribe(provider, price(unit_amount="60"), price("prc_out"))
    subscribe(provider, price(), price("prc_out", divide_by=1))
    report(provider, "3", key="prc_out")
    assert [line.price for line in provider.close_period("sub_1", MARCH, issued_at=LATER).lines] == ["prc_out"]


def test_what_was_never_made_is_not_found(provider: EmbeddedProvider) -> None:
    with pytest.raises(NotFound, match="customer"):
        report(provider, "1")
    with pytest.raises(NotFound, match="subscription"):
        provider.close_period("sub_1", MARCH, issued_at=LATER)
    with pytest.raises(NotFound, match="invoice"):
        provider.pay_invoice("in_none", paid_at=LATER)
    with pytest.raises(NotFound, match="invoice"):
        provider.get_invoice("in_none")


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    before = EmbeddedProvider(tmp_path / "sandbox.sqlite3")
    subscribe(before)
    report(before, "1")
    before.close()
    after = EmbeddedProvider(tmp_path / "sandbox.sqlite3")
    assert after.close_period("sub_1", MARCH, issued_at=LATER).subtotal == 50
    after.close()


def test_a_file_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    provider = EmbeddedProvider(tmp_path / "sandbox.sqlite3")
    subscribe(provider)
    provider._file.connection.execute("PRAGMA query_only = ON")
    with pytest.raises(Unavailable, match="did not answer"):
        report(provider, "1")
    provider.close()


quantities = st.decimals(min_value=0, max_value=10**9, places=3)


@given(
    reports=st.lists(quantities, max_size=8),
    unit_amount=st.decimals(min_value=0, max_value=10**4, places=4),
    divide_by=st.integers(1, 10**7),
    credit=st.decimals(min_value=0, max_value=10**6, places=3),
)
def test_an_invoice_always_adds_up(
    reports: list[Decimal], unit_amount: Decimal, divide_by: int, credit: Decimal
) -> None:
    provider = EmbeddedProvider(Path(":memory:"))
    try:
        subscribe(provider, price(unit_amount=f"{unit_amount:f}", divide_by=divide_by))
        give(provider, f"{credit:f}")
        for number, value in enumerate(reports):
            report(provider, f"{value:f}", identifier=f"evt_{number}")
        invoice = provider.close_period("sub_1", MARCH, issued_at=LATER)
        assert invoice.subtotal == sum(line.amount for line in invoice.lines)
        assert invoice.subtotal == invoice.credit_applied + invoice.amount_due
        assert 0 <= invoice.credit_applied <= min(Decimal(invoice.subtotal), credit)
        assert sum((line.quantity for line in invoice.lines), Decimal(0)) == sum(reports, Decimal(0))
        assert (invoice.status is InvoiceStatus.PAID) == (invoice.amount_due == 0)
    finally:
        provider.close()
