from decimal import Decimal

import pytest

from faregate.base.money import currency
from faregate.domain.costing.cost import cost_places
from faregate.domain.costing.margin import Margin, plain_cost


def a_margin(revenue: str, cost: str, *, uncosted: str = "0", code: str = "USD") -> Margin:
    unit = currency(code)
    return Margin(
        currency=unit,
        event_count=3,
        uncosted_count=1,
        revenue=int(Decimal(revenue).scaleb(unit.ledger_places)),
        uncosted_revenue=int(Decimal(uncosted).scaleb(unit.ledger_places)),
        cost=int(Decimal(cost).scaleb(cost_places(unit))),
    )


@pytest.mark.parametrize(
    ("revenue", "cost", "uncosted", "amount", "percent", "below"),
    [
        ("3", "2", "0", "1.00", "33.33", False),
        ("2", "3", "0", "-1.00", "-50.00", True),
        ("3", "1", "1", "1.00", "50.00", False),
        ("0", "0", "0", "0.00", None, False),
        ("0", "0.000000000000001", "0", "-0.000000000000001", None, True),
        ("0.000000001", "9000000000", "0", "-8999999999.999999999", None, True),
    ],
)
def test_a_margin_is_what_costed_revenue_leaves_over_cost(
    revenue: str, cost: str, uncosted: str, amount: str, percent: str | None, *, below: bool
) -> None:
    margin = a_margin(revenue, cost, uncosted=uncosted)
    assert margin.amount == Decimal(amount)
    assert margin.percent == (None if percent is None else Decimal(percent))
    assert margin.is_below_cost is below


def test_a_cost_is_written_to_its_last_digit_and_no_shorter_than_cents() -> None:
    assert [str(plain_cost(cost, currency("USD"))) for cost in (0, 1_500_000_000_000_000, 1)] == [
        "0.00",
        "1.50",
        "1E-15",
    ]
    assert str(plain_cost(1, currency("IDR"))) == "1E-12"
