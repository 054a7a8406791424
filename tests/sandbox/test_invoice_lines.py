"""What usage comes to on an invoice, to the last minor unit."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.providers.arithmetic import (
    PriceStep,
    apportioned,
    graduated_line,
    half_away_from_zero,
    rounded_together,
    tier_parts,
    volume_line,
)
from faregate.providers.sandbox.faults import Json
from faregate.providers.sandbox.invoice_items import new_item
from faregate.providers.sandbox.invoices import finalize, refreshed
from tests.sandbox.billed import DAY_S, MONTH_S, START, Billed

TIERS: list[Json] = [
    {"up_to": 100, "unit_amount": 10, "flat_amount": 500},
    {"up_to": 200, "unit_amount": 5},
    {"up_to": "inf", "unit_amount": 1},
]


def amounts(invoice: Json) -> list[tuple[int, int]]:
    """Each line's quantity and amount."""
    return [(line["quantity"], line["amount"]) for line in invoice["lines"]["data"]]


def test_a_million_tokens_in_288_slices_a_day_are_billed_once_a_package(billed: Billed) -> None:
    price = billed.price()
    slices = [1_000_000 // 288] * 287
    billed.use(price, *slices, 1_000_000 - sum(slices), step=300)
    assert amounts(billed.invoice(price)) == [(1_000_000, 50)]


def test_one_token_more_begins_a_package(billed: Billed) -> None:
    price = billed.price()
    billed.use(price, 999_999, 1, 1)
    assert amounts(billed.invoice(price)) == [(1_000_001, 100)]


def test_packages_can_be_rounded_down(billed: Billed) -> None:
    price = billed.price(unit_amount=50, transform_quantity={"divide_by": 1_000_000, "round": "down"})
    billed.use(price, 1_999_999)
    assert amounts(billed.invoice(price)) == [(1_999_999, 50)]


def test_the_border_second_belongs_to_the_next_period(billed: Billed) -> None:
    price = billed.price(unit_amount=1)
    billed.use(price, 1, at=START - 1)
    billed.use(price, 10, at=START)
    billed.use(price, 100, at=START + MONTH_S - 1)
    billed.use(price, 1000, at=START + MONTH_S)
    invoice = billed.invoice(price)
    assert amounts(invoice) == [(110, 110)]
    assert invoice["lines"]["data"][0]["period"] == {"start": START, "end": START + MONTH_S}


def test_usage_in_a_drafts_hour_is_billed_and_later_usage_is_missed(billed: Billed) -> None:
    price = billed.price(unit_amount=1)
    billed.use(price, 5)
    draft = billed.draft(price)
    assert amounts(draft) == [(5, 5)]
    billed.use(price, 7)
    assert amounts(refreshed(billed.sandbox, draft)) == [(12, 12)]
    invoice = finalize(billed.sandbox, draft, START + MONTH_S + 3_600)
    billed.use(price, 100)
    assert amounts(refreshed(billed.sandbox, invoice)) == [(12, 12)]
    assert invoice["total"] == 12


@pytest.mark.parametrize(
    ("mode", "quantity", "lines"),
    [
        ("graduated", 0, [(0, 0)]),
        ("graduated", 250, [(100, 1_000), (0, 500), (100, 500), (50, 50)]),
        ("volume", 100, [(100, 1_000), (0, 500)]),
        ("volume", 250, [(250, 250)]),
    ],
)
def test_tiers_have_a_line_for_their_units_and_one_for_their_flat_amount(
    billed: Billed, *, mode: str, quantity: int, lines: list[tuple[int, int]]
) -> None:
    price = billed.price(billing_scheme="tiered", tiers_mode=mode, tiers=TIERS)
    billed.use(price, quantity)
    assert amounts(billed.invoice(price)) == lines


@pytest.mark.parametrize(
    ("currency", "unit", "quantity", "total"),
    [("usd", "0.000000000001", 10**12, 1), ("usd", "0.5", 1, 1), ("jpy", "0.4", 1, 0), ("kwd", "12.5", 3, 38)],
)
def test_amounts_are_exact_to_twelve_places_in_every_currency(
    billed: Billed, *, currency: str, unit: str, quantity: int, total: int
) -> None:
    price = billed.price(currency=currency, unit_amount_decimal=Decimal(unit))
    billed.use(price, quantity)
    assert billed.draft(price)["total"] == total


def test_licensed_items_are_billed_ahead_and_usage_behind(billed: Billed) -> None:
    licensed, metered = billed.licensed(900, 3), billed.price(unit_amount=1)
    billed.use(metered, 40)
    invoice = billed.invoice(licensed, metered)
    assert amounts(invoice) == [(3, 2_700), (40, 40)]
    first, second = (line["period"]["start"] for line in invoice["lines"]["data"])
    assert (first, second) == (START + MONTH_S, START)
    assert invoice["parent"]["subscription_details"]["subscription"] == "sub_1"
    assert (invoice["billing_reason"], invoice["period_end"]) == ("subscription_cycle", START + MONTH_S)


def test_a_trial_costs_nothing(billed: Billed) -> None:
    assert amounts(billed.draft(billed.licensed(900, 3), status="trialing")) == [(3, 0)]


def test_an_item_that_came_later_bills_usage_from_then(billed: Billed) -> None:
    price = billed.price(unit_amount=1)
    billed.use(price, 1, 10, step=DAY_S)
    subscription = billed.subscription(price)
    subscription["items"]["data"][0]["_usage_since"] = START + DAY_S
    assert amounts(billed.draft(price, items=subscription["items"])) == [(10, 10)]


def test_pending_items_of_the_subscription_and_of_none_are_taken_along(billed: Billed) -> None:
    price = billed.price()
    for subscription in (None, "sub_1", "sub_other"):
        sent = {"amount": -30, "currency": "usd", "description": str(subscription)}
        new_item(billed.sandbox, billed.customer, sent, subscription=subscription)
    invoice = billed.draft(price)
    assert [line["description"] for line in invoice["lines"]["data"][:2]] == ["None", "sub_1"]
    assert (invoice["subtotal"], len(invoice["lines"]["data"])) == (-60, 3)


_FRACTIONS = st.fractions(min_value=0, max_value=1_000, max_denominator=1_000)
_STEPS = st.lists(st.tuples(st.integers(1, 50), _FRACTIONS, _FRACTIONS), min_size=1, max_size=4)


@given(_STEPS, st.integers(0, 300), st.booleans())
def test_the_lines_of_tiers_add_up_to_the_line_that_is_rounded_once(
    widths: list[tuple[int, Fraction, Fraction]],
    quantity: int,
    is_graduated: bool,  # noqa: FBT001 - drawn
) -> None:
    steps, top = [], 0
    for place, (width, unit, flat) in enumerate(widths):
        top += width
        is_last = place == len(widths) - 1
        steps.append(PriceStep(up_to=None if is_last else Fraction(top), unit_amount=unit, flat_amount=flat))
    whole = graduated_line if is_graduated else volume_line
    parts = tier_parts(Fraction(quantity), steps, is_graduated=is_graduated)
    assert sum(part.amount for part in parts) == whole([str(quantity)], steps)[1]
    assert sum(part.quantity for part in parts) == quantity


@given(st.lists(st.fractions(max_denominator=1_000), max_size=8))
def test_amounts_rounded_together_add_up_to_the_rounded_sum(parts: list[Fraction]) -> None:
    assert sum(rounded_together(parts)) == half_away_from_zero(sum(parts, Fraction(0)))


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=8), st.data())
def test_no_part_of_an_amount_is_above_its_weight(weights: list[int], data: st.DataObject) -> None:
    amount = data.draw(st.integers(0, sum(weights)))
    parts = apportioned(amount, weights)
    assert sum(parts) == amount
    assert all(0 <= part <= weight for part, weight in zip(parts, weights, strict=True))
