"""The properties that hold for a price of any model, percentages and tables by dimension included."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from faregate.base.money import EXACT, from_minor_units, to_ledger_units, to_minor_units
from faregate.domain.catalog.adjustments import Adjustments, Commitment, FixedDiscount, PercentDiscount
from faregate.domain.catalog.models import ByDimension, Flat, Percentage, Volume
from faregate.domain.catalog.price import UNADJUSTED, Price
from faregate.domain.pricing.adjusting import least_spend
from faregate.domain.pricing.breakdown import line_parts
from faregate.domain.pricing.percentage import events_amount
from faregate.domain.pricing.rating import (
    WHOLE,
    DimensionKey,
    debit_total,
    leaf_of,
    line_amount,
    rate,
    rate_period,
    true_up,
    whole,
)
from tests.builders import priced
from tests.domain.pricing.models import (
    CODES,
    FIELDS,
    MODELS,
    added,
    adjustment_sets,
    amounts,
    clerk,
    clerk_adjusted,
    clerk_rounded,
    debits,
    flats,
    graduateds,
    keys_of,
    packages,
    per_units,
    percentages,
    prices_of,
    quantities,
    volumes,
)

codes = st.sampled_from(CODES)
row_models = per_units | packages | graduateds | volumes | flats | percentages
mixed_tables = st.builds(
    ByDimension,
    fields=st.just(FIELDS),
    table=st.dictionaries(st.sampled_from([("small",), ("large",), ("huge",)]), row_models, min_size=1),
    default=st.none() | row_models,
)
percentage_prices = st.builds(
    lambda model, adjusted, code: priced(model, adjusted, code=code),
    percentages,
    adjustment_sets(included=False),
    codes,
)
mixed_table_prices = st.builds(
    lambda model, adjusted, code: priced(model, adjusted, code=code),
    mixed_tables,
    adjustment_sets(included=False),
    codes,
)
every_price = st.sampled_from([*MODELS]).flatmap(prices_of) | percentage_prices | mixed_table_prices


@dataclass(frozen=True)
class Used:
    """A price and what was used of it, part by part."""

    price: Price
    parts: list[tuple[DimensionKey, Decimal]]

    @property
    def totals(self) -> dict[DimensionKey, Decimal]:
        return debits(self.price, self.parts)[1]


@st.composite
def uses(draw: st.DrawFn, prices: st.SearchStrategy[Price] = every_price) -> Used:
    price = draw(prices)
    keys = keys_of(price.model) if isinstance(price.model, ByDimension) else [WHOLE]
    return Used(price, draw(st.lists(st.tuples(st.sampled_from(keys), quantities), max_size=8)))


def counted(price: Price, totals: Mapping[DimensionKey, Decimal]) -> Fraction:
    """What the clerk comes to, unit by unit, before adjustments. A percentage's total is money already."""
    gross = Fraction(0)
    for key, total in totals.items():
        leaf = leaf_of(price.model, key)
        assert leaf is not None
        units = max(total - price.adjustments.included_units, Decimal(0))
        gross += Fraction(units) if isinstance(leaf, Percentage) else clerk(leaf, int(units))
    return gross


@given(uses())
def test_parts_add_up_to_what_they_cost_at_once(used: Used) -> None:
    charged, totals = debits(used.price, used.parts)
    exact = rate(used.price, totals)
    assert sum(charged) == debit_total(used.price, totals) == to_ledger_units(exact, used.price.currency)
    assert sum(charged) == clerk_rounded(Fraction(exact), used.price.currency.ledger_places)


@given(uses(), st.data())
def test_the_order_of_parts_changes_nothing(used: Used, data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(used.parts))
    assert sum(debits(used.price, shuffled)[0]) == sum(debits(used.price, used.parts)[0])


@given(uses(), st.integers(min_value=0, max_value=8))
def test_a_period_that_is_rated_halfway_and_then_whole_is_charged_once(used: Used, cut: int) -> None:
    first, before = debits(used.price, used.parts[:cut])
    _, after = debits(used.price, used.parts)
    later = debit_total(used.price, after) - debit_total(used.price, before)
    assert sum(first) + later == debit_total(used.price, after)


@given(uses())
def test_whole_units_cost_what_counting_them_one_by_one_comes_to(used: Used) -> None:
    totals = {key: Decimal(int(total)) for key, total in used.totals.items() if int(total)}
    expected = clerk_adjusted(used.price.adjustments, counted(used.price, totals))
    if totals:
        assert Fraction(rate(used.price, totals)) == expected
        assert Fraction(rate_period(used.price, totals)) == max(expected, Fraction(least_spend(used.price.adjustments)))
    else:
        assert rate(used.price, totals) == 0


@given(uses())
def test_a_line_is_the_period_rounded_once_and_its_parts_add_up_to_it(used: Used) -> None:
    line = line_amount(used.price, used.totals)
    assert line == clerk_rounded(Fraction(rate_period(used.price, used.totals)), used.price.currency.minor_places)
    parts = line_parts(used.price, used.totals)
    assert added({(str(place),): part.amount for place, part in enumerate(parts)}) == from_minor_units(
        line, used.price.currency
    )


@given(uses())
def test_usage_never_pays_out_and_costs_no_more_than_the_period(used: Used) -> None:
    assert 0 <= rate(used.price, used.totals) <= rate_period(used.price, used.totals)


@given(uses())
def test_a_true_up_brings_rounded_usage_to_the_least_that_was_agreed(used: Used) -> None:
    least = to_minor_units(least_spend(used.price.adjustments), used.price.currency)
    lacks = true_up(used.price, used.totals)
    usage = line_amount(used.price, used.totals) - lacks
    assert lacks == max(least - usage, 0)


def falls(price: Price) -> bool:
    """Whether more may cost less: at a volume tier's border."""
    leaves = (
        [*price.model.table.values(), price.model.default] if isinstance(price.model, ByDimension) else [price.model]
    )
    return any(isinstance(leaf, Volume) for leaf in leaves)


@given(uses(every_price.filter(lambda price: not falls(price))))
def test_more_never_costs_less_where_no_volume_tier_is(used: Used) -> None:
    assert all(debit >= 0 for debit in debits(used.price, used.parts)[0])


@given(
    st.sampled_from([name for name in MODELS if name != "flat"]).flatmap(prices_of),
    st.integers(0, 30),
    st.integers(1, 60),
)
def test_included_units_come_off_before_the_model(price: Price, included: int, beyond: int) -> None:
    without = replace(price, adjustments=replace(price.adjustments, included_units=Decimal(0)))
    with_some = replace(price, adjustments=replace(price.adjustments, included_units=Decimal(included)))
    used = Decimal(included + beyond)
    assert rate_period(with_some, whole(used)) == rate_period(without, whole(Decimal(beyond)))


def unbound(price: Price) -> Price:
    """The price without a least or a most that it costs."""
    adjusted = replace(price.adjustments, minimum_spend=None, commitment=None, maximum_spend=None)
    return replace(price, adjustments=adjusted)


@given(uses(), amounts)
def test_a_minimum_spend_is_the_least_that_a_period_costs(used: Used, minimum: Decimal) -> None:
    free = unbound(used.price)
    bound = replace(free, adjustments=replace(free.adjustments, minimum_spend=minimum))
    assert rate_period(bound, used.totals) == max(rate_period(free, used.totals), minimum)
    assert rate(bound, used.totals) == rate(free, used.totals)


@given(uses(), amounts)
def test_a_maximum_spend_is_the_most_that_usage_costs(used: Used, maximum: Decimal) -> None:
    free = unbound(used.price)
    bound = replace(free, adjustments=replace(free.adjustments, maximum_spend=maximum))
    assert rate(bound, used.totals) == min(rate(free, used.totals), maximum)


@given(uses(), amounts, amounts)
def test_a_commitment_is_paid_whole_and_what_is_beyond_it_by_its_overage(
    used: Used, amount: Decimal, overage: Decimal
) -> None:
    free = unbound(used.price)
    commitment = Commitment(amount=amount, overage=overage)
    bound = replace(free, adjustments=replace(free.adjustments, commitment=commitment))
    usage = rate_period(free, used.totals)
    beyond = max(EXACT.subtract(usage, amount), Decimal(0))
    assert rate_period(bound, used.totals) == EXACT.add(amount, EXACT.multiply(beyond, overage))


@given(uses(), st.decimals(min_value=0, max_value=100, places=2), amounts)
def test_discounts_come_off_in_their_order(used: Used, percent: Decimal, off: Decimal) -> None:
    bare = replace(used.price, adjustments=UNADJUSTED)
    gross = Fraction(rate_period(bare, used.totals))
    share = 1 - Fraction(percent) / 100
    first, second = PercentDiscount(percent=percent), FixedDiscount(amount=off)
    one = replace(bare, adjustments=Adjustments(discounts=(first, second)))
    other = replace(bare, adjustments=Adjustments(discounts=(second, first)))
    assert Fraction(rate_period(one, used.totals)) == max(gross * share - Fraction(off), Fraction(0))
    assert Fraction(rate_period(other, used.totals)) == max(gross - Fraction(off), Fraction(0)) * share


@given(
    percentages,
    st.lists(st.decimals(min_value=0, max_value=100, places=2), max_size=8),
    adjustment_sets(included=False),
)
def test_events_of_a_percentage_are_debited_what_they_come_to_at_once(
    model: Percentage, events: list[Decimal], adjustments: Adjustments
) -> None:
    price = priced(model, adjustments)
    debited, total = 0, Decimal(0)
    for count in range(1, len(events) + 1):
        after = events_amount(model, events[:count])
        debited += debit_total(price, whole(after)) - debit_total(price, whole(total))
        total = after
    assert debited == debit_total(price, whole(events_amount(model, events)))


@given(amounts, st.lists(quantities, max_size=8))
def test_a_flat_fee_is_charged_with_the_first_unit_and_never_again(amount: Decimal, parts: list[Decimal]) -> None:
    price = priced(Flat(amount=amount))
    charged, totals = debits(price, [(WHOLE, part) for part in parts])
    due = to_ledger_units(amount, price.currency)
    assert sum(charged) == (due if any(parts) else 0)
    assert rate_period(price, totals) == amount
