"""Tax rates and what they come to on invoices, through the official SDK."""

import pytest
from stripe import InvalidRequestError, Invoice, StripeClient

from tests.sandbox.test_invoices import add, drafted, make_customer


def make_rate(stripe: StripeClient, percentage: str, *, is_inclusive: bool) -> str:
    sent = {"display_name": "VAT", "percentage": percentage, "inclusive": is_inclusive, "country": "DE"}
    return stripe.v1.tax_rates.create(sent).id  # type: ignore[arg-type]


def sums(invoice: Invoice) -> tuple[int, int | None, int, int | None]:
    return invoice.subtotal, invoice.subtotal_excluding_tax, invoice.total, invoice.total_excluding_tax


def test_an_exclusive_tax_comes_on_top_and_is_rounded_a_line(stripe: StripeClient) -> None:
    rate = make_rate(stripe, "8.25", is_inclusive=False)
    invoice = drafted(stripe, 106, 106, default_tax_rates=[rate])
    assert sums(invoice) == (212, 212, 230, 212)
    assert [line.taxes[0].amount for line in invoice.lines.data if line.taxes] == [9, 9]
    assert [(tax.amount, tax.tax_behavior) for tax in invoice.total_taxes or []] == [(18, "exclusive")]


def test_an_inclusive_tax_is_in_the_amount(stripe: StripeClient) -> None:
    rate = make_rate(stripe, "19", is_inclusive=True)
    invoice = drafted(stripe, 1_190, default_tax_rates=[rate])
    assert sums(invoice) == (1_190, 1_000, 1_190, 1_000)


def test_a_lines_own_rates_stand_in_place_of_the_invoices(stripe: StripeClient) -> None:
    customer = make_customer(stripe)
    add(stripe, customer, 1_000, tax_rates=[make_rate(stripe, "7", is_inclusive=False)])
    add(stripe, customer, 1_000)
    invoice = drafted(stripe, customer=customer, default_tax_rates=[make_rate(stripe, "19", is_inclusive=False)])
    assert [tax.amount for tax in invoice.total_taxes or []] == [70, 190]
    assert invoice.total == 2_260


@pytest.mark.parametrize(("country", "total"), [("DE", 119), ("US", 100), (None, 100)])
def test_automatic_tax_is_an_example_by_country(stripe: StripeClient, country: str | None, total: int) -> None:
    customer = make_customer(stripe, **({"address": {"country": country}} if country else {}))
    invoice = drafted(stripe, 100, customer=customer, automatic_tax={"enabled": True})
    assert invoice.total == total
    assert invoice.automatic_tax.status == ("complete" if country else "requires_location_inputs")


@pytest.mark.parametrize(("currency", "behavior", "total"), [("usd", "exclusive", 119), ("eur", "inclusive", 100)])
def test_where_a_price_does_not_say_the_currency_decides_whether_tax_is_in_it(
    stripe: StripeClient, *, currency: str, behavior: str, total: int
) -> None:
    customer = make_customer(stripe, address={"country": "DE"})
    add(stripe, customer, 100, currency=currency)
    invoice = drafted(stripe, customer=customer, currency=currency, automatic_tax={"enabled": True})
    assert invoice.total == total
    assert [tax.tax_behavior for tax in invoice.total_taxes or []] == [behavior]


@pytest.mark.parametrize("status", ["exempt", "reverse"])
def test_a_customer_without_tax_pays_none(stripe: StripeClient, status: str) -> None:
    customer = make_customer(stripe, tax_exempt=status)
    rate = make_rate(stripe, "19", is_inclusive=False)
    assert drafted(stripe, 100, customer=customer, default_tax_rates=[rate]).total == 100


def test_a_rate_is_renamed_and_archived_and_its_percentage_stays(stripe: StripeClient) -> None:
    rate = make_rate(stripe, "19", is_inclusive=False)
    changed = stripe.v1.tax_rates.update(rate, {"active": False, "display_name": "MwSt"})
    assert (changed.active, changed.display_name, changed.percentage) == (False, "MwSt", 19.0)
    assert stripe.v1.tax_rates.retrieve(rate).display_name == "MwSt"
    assert rate not in [one.id for one in stripe.v1.tax_rates.list({"active": True, "limit": 100}).data]
    with pytest.raises(InvalidRequestError, match="archived"):
        drafted(stripe, 100, default_tax_rates=[rate])


def test_a_percentage_is_at_most_a_hundred_with_four_places(stripe: StripeClient) -> None:
    for percentage in ("100.1", "-1", "1.00001"):
        with pytest.raises(InvalidRequestError):
            make_rate(stripe, percentage, is_inclusive=False)
