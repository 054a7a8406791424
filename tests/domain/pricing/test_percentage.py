from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from faregate.domain.catalog.adjustments import Adjustments
from faregate.domain.catalog.models import Percentage
from faregate.domain.pricing.percentage import EventsSoFar, event_amount, events_amount
from faregate.domain.pricing.rating import debit_total, rate, whole
from tests.builders import priced
from tests.domain.pricing.models import percentages

values = st.lists(st.decimals(min_value=0, max_value=100, places=2), max_size=8)


def clerk(model: Percentage, events: list[Decimal]) -> Fraction:
    """Rate event by event with an allowance that is used up as it goes."""
    unlimited = model.free_events is None and model.free_value is None
    left_events = 0 if unlimited else model.free_events if model.free_events is not None else len(events)
    left_value = Fraction(model.free_value) if model.free_value is not None else None
    amount = Fraction(0)
    for value in map(Fraction, events):
        free = Fraction(0)
        open_value = left_value is None or left_value > 0
        if left_events > 0 and open_value:
            free = value if left_value is None else min(value, left_value)
            if free == value:
                left_events -= 1
                left_value = None if left_value is None else left_value - free
                continue
        left_events -= 1
        left_value = None if left_value is None else left_value - value
        one = (value - free) * Fraction(model.percent) / 100 + Fraction(model.fixed)
        one = one if model.minimum is None else max(one, Fraction(model.minimum))
        amount += one if model.maximum is None else min(one, Fraction(model.maximum))
    return amount


@given(percentages, values)
def test_rating_equals_counting_event_by_event(model: Percentage, events: list[Decimal]) -> None:
    assert Fraction(events_amount(model, events)) == clerk(model, events)


@given(percentages, values, st.integers(min_value=0, max_value=8))
def test_events_rated_in_parts_come_to_what_they_come_to_at_once(
    model: Percentage, events: list[Decimal], cut: int
) -> None:
    so_far = EventsSoFar()
    for value in events[:cut]:
        so_far = so_far.plus(value)
    later, state = Decimal(0), so_far
    for value in events[cut:]:
        later += event_amount(model, value, state)
        state = state.plus(value)
    assert events_amount(model, events[:cut]) + later == events_amount(model, events)


@given(percentages.filter(lambda model: model.free_events is None and model.free_value is None), values, st.data())
def test_without_an_allowance_the_order_of_events_changes_nothing(
    model: Percentage, events: list[Decimal], data: st.DataObject
) -> None:
    assert events_amount(model, events) == events_amount(model, data.draw(st.permutations(events)))


@given(percentages, values)
def test_no_event_costs_less_than_nothing_or_more_than_the_maximum(model: Percentage, events: list[Decimal]) -> None:
    so_far = EventsSoFar()
    for value in events:
        amount = event_amount(model, value, so_far)
        assert amount >= 0
        assert model.maximum is None or amount <= model.maximum
        so_far = so_far.plus(value)


def test_a_percentages_total_is_money() -> None:
    model = Percentage(percent=Decimal("2.9"), fixed=Decimal("0.30"))
    total = events_amount(model, [Decimal(100), Decimal(50)])
    price = priced(model, Adjustments(maximum_spend=Decimal(4)))
    assert total == Decimal("4.950")
    assert rate(priced(model), whole(total)) == total
    assert debit_total(price, whole(total)) == 4_000_000_000
