from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from faregate.base.periods import Period
from faregate.domain.catalog.adjustments import Adjustments
from faregate.domain.catalog.models import ByDimension, Flat, Graduated, PerUnit, Tier
from faregate.domain.catalog.price import Price
from faregate.domain.pricing.prorated_tiers import ProratedUnits, prorated_graduated_amount
from faregate.domain.pricing.proration import (
    Proration,
    prorated_change,
    prorated_price,
    prorated_seats,
    share_left,
    share_of_days,
)
from faregate.domain.pricing.rating import gross_amount, rate_period
from tests.builders import priced
from tests.domain.pricing.models import adjustment_sets, flats, graduateds, table_prices

APRIL = Period(datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC))
instants = st.integers(min_value=0, max_value=30 * 86_400).map(lambda seconds: APRIL.start + timedelta(seconds=seconds))
amounts = st.decimals(min_value=0, max_value=10_000, places=2)


def test_all_of_a_period_is_left_at_its_start_and_nothing_at_its_end() -> None:
    assert share_left(APRIL, APRIL.start) == 1
    assert share_left(APRIL, APRIL.start + timedelta(days=15)) == Fraction(1, 2)
    assert share_left(APRIL, APRIL.end) == 0


@given(instants, amounts)
def test_changing_to_the_same_amount_costs_nothing(at: datetime, amount: Decimal) -> None:
    assert prorated_change(old=amount, new=amount, share=share_left(APRIL, at), places=2).net == 0


@given(instants, amounts, amounts)
def test_a_change_is_off_by_at_most_half_a_minor_unit_each_way(at: datetime, old: Decimal, new: Decimal) -> None:
    share = share_left(APRIL, at)
    change = prorated_change(old=old, new=new, share=share, places=2)
    assert abs(change.credit + share * Fraction(old) * 100) <= Fraction(1, 2)
    assert abs(change.charge - share * Fraction(new) * 100) <= Fraction(1, 2)


def test_the_net_is_the_sum_of_what_is_shown() -> None:
    assert Proration(credit=-548, charge=1097).net == 549


def test_fewer_seats_give_back_and_more_cost() -> None:
    assert prorated_seats(unit=Decimal(15), before=10, after=7, share=Fraction(1, 2), places=2) == -2250
    assert prorated_seats(unit=Decimal(15), before=7, after=10, share=Fraction(1, 2), places=2) == 2250


def test_a_day_counts_once_however_often_something_was_there() -> None:
    hour = timedelta(hours=1)
    morning = Period(APRIL.start + hour, APRIL.start + 2 * hour)
    evening = Period(APRIL.start + 20 * hour, APRIL.start + 30 * hour)
    before = Period(APRIL.start - 9 * hour, APRIL.start)
    assert share_of_days(APRIL, [morning, morning], ZoneInfo("UTC")) == Fraction(1, 30)
    assert share_of_days(APRIL, [morning, evening, before], ZoneInfo("UTC")) == Fraction(2, 30)


@given(graduateds, st.lists(st.integers(min_value=1, max_value=30), min_size=1, max_size=5))
def test_units_that_count_for_the_whole_period_pay_what_graduated_tiers_say(
    model: Graduated, counts: list[int]
) -> None:
    plain = Graduated(tiers=tuple(Tier(up_to=tier.up_to, unit=tier.unit, flat=tier.flat) for tier in model.tiers))
    changes = [ProratedUnits(full=Decimal(count), prorated=Decimal(count)) for count in counts]
    assert prorated_graduated_amount(plain, changes) == Fraction(gross_amount(plain, Decimal(sum(counts))))


def test_units_that_are_taken_away_pay_back_their_own_tier() -> None:
    model = Graduated(tiers=(Tier(up_to=Decimal(5), unit=Decimal(10)), Tier(up_to=None, unit=Decimal(4))))
    added = ProratedUnits(full=Decimal(6), prorated=Decimal(6))
    nothing = ProratedUnits(full=Decimal(0), prorated=Decimal(0))
    removed = ProratedUnits(full=Decimal(-2), prorated=Decimal(-1))
    # Half of the sixth unit at 4, half of the fifth at 10.
    assert prorated_graduated_amount(model, [added, nothing, removed]) == 54 - 2 - 5


shares = st.fractions(min_value=0, max_value=1, max_denominator=31_622_400)


@given(flats, adjustment_sets(included=False), shares)
def test_what_is_due_for_a_part_of_a_period_is_its_share(
    model: Flat, adjustments: Adjustments, share: Fraction
) -> None:
    price = priced(model, adjustments)
    whole, part = rate_period(price, {}), rate_period(prorated_price(price, share), {})
    assert abs(Fraction(part) - share * Fraction(whole)) < Fraction(1, 10**13)


@given(table_prices, shares)
def test_units_cost_the_same_in_a_part_of_a_period(price: Price, share: Fraction) -> None:
    prorated = prorated_price(price, share).model
    assert isinstance(price.model, ByDimension)
    assert isinstance(prorated, ByDimension)
    before = [*price.model.table.values(), price.model.default]
    after = [*prorated.table.values(), prorated.default]
    for one, other in zip(before, after, strict=True):
        assert one == other or (isinstance(one, Flat) and isinstance(other, Flat))


def test_all_of_a_period_is_the_price_itself() -> None:
    price = priced(Flat(amount=Decimal("0.10")), Adjustments(minimum_spend=Decimal(3)))
    assert prorated_price(price, Fraction(1)) == price
    per_unit = priced(PerUnit(amount=Decimal(2)))
    assert prorated_price(per_unit, Fraction(1, 3)) == per_unit
