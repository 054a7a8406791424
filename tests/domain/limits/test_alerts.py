"""Crossing points."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.domain.limits.alerts import BalanceAlert, balance_alert_faults, crossed

_BELOW_FIVE = BalanceAlert(
    balance_alert_id="bal_1",
    name="Low",
    subscription_id=None,
    below_amount=Decimal(5),
    currency="USD",
    below_percent=None,
)
_BELOW_TENTH = replace(_BELOW_FIVE, below_amount=None, currency=None, below_percent=10)


@given(st.lists(st.integers(0, 30)), st.sets(st.integers(1, 200)), st.integers(1, 100))
def test_each_percentage_is_crossed_once_however_the_use_is_cut(
    steps: list[int], percentages: set[int], amount: int
) -> None:
    used = Decimal(0)
    seen: list[int] = []
    for step in steps:
        seen += crossed(percentages, amount=Decimal(amount), before=used, after=used + step)
        used += step
    assert seen == sorted(percent for percent in percentages if 100 * used >= percent * amount)


def test_a_percentage_is_crossed_where_it_is_reached_exactly() -> None:
    assert crossed([80, 100], amount=Decimal(10), before=Decimal("7.9"), after=Decimal(8)) == (80,)
    assert crossed([80, 100], amount=Decimal(10), before=Decimal(8), after=Decimal("9.9")) == ()


def test_a_balance_is_low_below_the_amount_of_its_currency() -> None:
    assert _BELOW_FIVE.is_low(Decimal("4.99"), currency="USD", last_grant=None)
    assert not _BELOW_FIVE.is_low(Decimal(5), currency="USD", last_grant=None)
    assert not _BELOW_FIVE.is_low(Decimal(1), currency="EUR", last_grant=None)


def test_a_balance_is_low_below_a_part_of_the_last_grant() -> None:
    assert _BELOW_TENTH.is_low(Decimal("1.99"), currency="USD", last_grant=Decimal(20))
    assert not _BELOW_TENTH.is_low(Decimal(2), currency="USD", last_grant=Decimal(20))
    assert not _BELOW_TENTH.is_low(Decimal(0), currency="USD", last_grant=None)


@pytest.mark.parametrize(
    ("alert", "field"),
    [
        (replace(_BELOW_FIVE, below_percent=10), "below_amount"),
        (replace(_BELOW_TENTH, below_percent=None), "below_amount"),
        (replace(_BELOW_FIVE, currency=None), "currency"),
        (replace(_BELOW_TENTH, currency="USD"), "currency"),
        (replace(_BELOW_FIVE, below_amount=Decimal(0)), "below_amount"),
        (replace(_BELOW_TENTH, below_percent=101), "below_percent"),
    ],
)
def test_a_fault_names_its_field(alert: BalanceAlert, field: str) -> None:
    assert [fault.field for fault in balance_alert_faults(alert)] == [field]
    assert not balance_alert_faults(_BELOW_FIVE)
    assert not balance_alert_faults(_BELOW_TENTH)
