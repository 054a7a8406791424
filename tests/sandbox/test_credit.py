"""Credit grants: what they pay for, in which order, and what becomes of them; with discounts and tax beside them."""

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stripe import InvalidRequestError, StripeClient

from faregate.providers.sandbox import credit_balance, credit_grants, tax
from faregate.providers.sandbox.coupons import make_coupon, redeem
from faregate.providers.sandbox.credit_balance import left_of
from faregate.providers.sandbox.faults import Json
from faregate.providers.sandbox.invoice_items import new_item
from faregate.providers.sandbox.invoices import moved_to
from tests.sandbox.billed import DAY_S, MONTH_S, START, Billed, asked
from tests.sandbox.test_invoices import make_customer


def discount(billed: Billed, **off: object) -> Json:
    coupon = make_coupon(billed.sandbox, asked(duration="forever", **off))["id"]
    holder = {"object": "subscription", "id": "sub_1", "customer": billed.customer["id"], "currency": "usd"}
    (redeemed,) = redeem(billed.sandbox, [{"coupon": coupon}], holder=holder)
    return redeemed


def used(billed: Billed, amount: int) -> Json:
    """A price whose usage costs an amount."""
    price = billed.price(unit_amount=1)
    billed.use(price, amount)
    return price


def test_credit_pays_for_usage_and_for_nothing_else(billed: Billed) -> None:
    grant = billed.grant(10_000)
    new_item(billed.sandbox, billed.customer, {"amount": 100, "currency": "usd"})
    invoice = billed.invoice(billed.licensed(900, 1), used(billed, 400))
    assert (invoice["subtotal"], invoice["total"], invoice["amount_due"]) == (1_400, 1_000, 1_000)
    assert [credit["amount"] for credit in invoice["total_pretax_credit_amounts"]] == [400]
    assert left_of(billed.sandbox, grant) == 9_600


def test_a_draft_shows_no_credit_yet(billed: Billed) -> None:
    billed.grant(100)
    assert billed.draft(used(billed, 400))["total"] == 400


def test_credit_comes_after_discounts_and_before_tax(billed: Billed) -> None:
    billed.grant(200)
    rate = tax.make_tax_rate(billed.sandbox, asked(display_name="VAT", inclusive=False, percentage=Decimal(10)))
    off = discount(billed, amount_off=100, currency="usd")
    invoice = billed.invoice(used(billed, 1_000), discounts=(off,), default_tax_rates=[rate])
    assert (invoice["total_excluding_tax"], invoice["total"]) == (700, 770)
    assert [(part["type"], part["amount"]) for part in invoice["total_pretax_credit_amounts"]] == [
        ("discount", 100),
        ("credit_balance_transaction", 200),
    ]


def test_what_credit_paid_is_not_taxed_where_tax_is_in_the_price(billed: Billed) -> None:
    billed.grant(500)
    rate = tax.make_tax_rate(billed.sandbox, asked(display_name="VAT", inclusive=True, percentage=Decimal(10)))
    invoice = billed.invoice(used(billed, 1_600), default_tax_rates=[rate])
    assert (invoice["total"], invoice["total_excluding_tax"]) == (1_100, 1_000)


def test_grants_are_used_by_priority_then_expiry_then_promotional_then_beginning(billed: Billed) -> None:
    ends = START + 2 * MONTH_S
    order = [
        billed.grant(10, priority=0),
        billed.grant(10, expires_at=ends),
        billed.grant(10, expires_at=ends + DAY_S, category="promotional"),
        billed.grant(10, expires_at=ends + DAY_S, effective_at=START - DAY_S),
        billed.grant(10, expires_at=ends + DAY_S),
        billed.grant(10, category="promotional"),
        billed.grant(10),
    ]
    for place, grant in enumerate(order):
        price = used(billed, 10)
        invoice = billed.invoice(price)
        assert invoice["total"] == 0
        left = [left_of(billed.sandbox, each) for each in order]
        assert left == [0] * (place + 1) + [10] * (len(order) - place - 1), grant["id"]


def test_a_grant_of_some_prices_or_of_another_currency_or_time_does_not_pay(billed: Billed) -> None:
    price, other = used(billed, 100), billed.price(unit_amount=1)
    billed.grant(50, applicability_config={"scope": {"prices": [{"id": other["id"]}]}})
    billed.grant(50, amount={"monetary": {"currency": "eur", "value": 50}, "type": "monetary"})
    billed.grant(50, effective_at=START + 2 * MONTH_S)
    billed.grant(50, expires_at=START + DAY_S)
    assert billed.invoice(price)["total"] == 100
    billed.grant(30, applicability_config={"scope": {"prices": [{"id": price["id"]}]}})
    assert billed.invoice(price)["total"] == 70


def test_a_void_invoice_gives_credit_back_and_what_has_ended_expires_at_once(billed: Billed) -> None:
    lasting, ending = billed.grant(60), billed.grant(40, expires_at=START + MONTH_S + DAY_S)
    invoice = billed.invoice(used(billed, 150))
    assert invoice["total"] == 50
    moved_to(billed.sandbox, invoice, "void", at=START + 2 * MONTH_S)
    assert [left_of(billed.sandbox, grant) for grant in (lasting, ending)] == [60, 0]
    listed = credit_balance.list_transactions(
        billed.sandbox, asked(customer=billed.customer["id"], credit_grant=ending["id"])
    )["data"]
    assert [row[row["type"]]["type"] for row in listed] == [
        "credits_expired",
        "credits_application_invoice_voided",
        "credits_applied",
        "credits_granted",
    ]


def test_what_is_left_of_a_grant_expires_and_is_no_longer_available(billed: Billed) -> None:
    grant = billed.grant(100, expires_at=START + DAY_S)
    credit_grants.expire(billed.sandbox.at(START + DAY_S), grant["id"])
    assert left_of(billed.sandbox, grant) == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    values=st.lists(st.integers(0, 500), min_size=1, max_size=4),
    grants=st.lists(st.integers(1, 600), max_size=4),
    percent=st.integers(1, 100),
    rate=st.integers(0, 100),
)
def test_an_invoices_sums_agree_and_credit_never_exceeds_usage(
    billed: Billed, *, values: list[int], grants: list[int], percent: int, rate: int
) -> None:
    with billed.sandbox.store.transaction():
        for value in grants:
            billed.grant(value)
        prices = [used(billed, value) for value in values]
        vat = tax.make_tax_rate(billed.sandbox, asked(display_name="VAT", inclusive=False, percentage=Decimal(rate)))
        off = discount(billed, percent_off=Decimal(percent))
        invoice = billed.invoice(billed.licensed(77, 1), *prices, discounts=(off,), default_tax_rates=[vat])
        for grant in billed.sandbox.store.find("billing.credit_grant", "customer", billed.customer["id"]):
            if left_of(billed.sandbox, grant):
                credit_grants.expire(billed.sandbox, grant["id"])
    lines = invoice["lines"]["data"]
    discounts = sum(part["amount"] for part in invoice["total_discount_amounts"])
    both = sum(part["amount"] for part in invoice["total_pretax_credit_amounts"])
    taxes = sum(part["amount"] for part in invoice["total_taxes"])
    assert invoice["subtotal"] == sum(line["amount"] for line in lines)
    assert invoice["total"] == invoice["subtotal"] - both + taxes
    assert 0 <= both - discounts <= min(sum(grants), sum(line["amount"] for line in lines if line["_metered"]))
    assert all(tax.net_of(line) >= 0 for line in lines)


def test_grants_are_made_listed_changed_expired_and_voided(stripe: StripeClient) -> None:
    customer = make_customer(stripe)
    grants = stripe.v1.billing.credit_grants
    sent = {
        "customer": customer,
        "amount": {"type": "monetary", "monetary": {"currency": "usd", "value": 1_000}},
        "applicability_config": {"scope": {"price_type": "metered"}},
        "name": "Top-up",
    }
    first, second = grants.create(sent), grants.create(sent | {"category": "promotional"})  # type: ignore[arg-type]
    assert (first.category, first.priority, second.category) == ("paid", 50, "promotional")
    assert [one.id for one in grants.list({"customer": customer}).data] == [second.id, first.id]
    assert grants.update(first.id, {"metadata": {"a": "1"}}).metadata["a"] == "1"
    wanted = {
        "customer": customer,
        "filter": {"type": "applicability_scope", "applicability_scope": {"price_type": "metered"}},
    }
    summary = stripe.v1.billing.credit_balance_summary
    monetary = summary.retrieve(wanted).balances[0].available_balance.monetary  # type: ignore[arg-type]
    assert monetary is not None
    assert (monetary.value, monetary.currency) == (2_000, "usd")
    assert grants.void_grant(second.id).voided_at is not None
    assert grants.expire(first.id).expires_at is not None
    of_one = {"customer": customer, "filter": {"type": "credit_grant", "credit_grant": first.id}}
    left = summary.retrieve(of_one).balances[0].available_balance.monetary  # type: ignore[arg-type]
    assert left is not None
    assert left.value == 0
    for move in (grants.void_grant, grants.expire):
        with pytest.raises(InvalidRequestError, match="already"):
            move(second.id)
    rows = stripe.v1.billing.credit_balance_transactions.list({"customer": customer}).data
    assert [(row.type, row.credit_grant) for row in rows] == [
        ("debit", first.id),
        ("debit", second.id),
        ("credit", second.id),
        ("credit", first.id),
    ]
    assert stripe.v1.billing.credit_balance_transactions.retrieve(rows[0].id).id == rows[0].id


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"amount": {"type": "monetary"}}, "amount[monetary]"),
        ({"amount": {"type": "monetary", "monetary": {"currency": "usd", "value": 0}}}, "amount[monetary][value]"),
        (
            {"applicability_config": {"scope": {"price_type": "metered", "prices": [{"id": "p"}]}}},
            "applicability_config[scope]",
        ),
        ({"expires_at": 1}, "expires_at"),
        ({"priority": 101}, "priority"),
    ],
)
def test_a_grant_that_stripe_would_refuse_is_refused(
    stripe: StripeClient, fields: dict[str, object], param: str
) -> None:
    sent = {
        "customer": make_customer(stripe),
        "amount": {"type": "monetary", "monetary": {"currency": "usd", "value": 1_000}},
        "applicability_config": {"scope": {"price_type": "metered"}},
    } | fields
    with pytest.raises(InvalidRequestError) as refused:
        stripe.v1.billing.credit_grants.create(sent)  # type: ignore[arg-type]
    assert refused.value.param == param
