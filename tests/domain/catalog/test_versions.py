from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from faregate.base.money import currency
from faregate.base.periods import Period, Span
from faregate.domain.catalog.adjustments import Adjustments, PercentDiscount
from faregate.domain.catalog.models import ByDimension, Package, PerUnit
from faregate.domain.catalog.price import BillingPeriod, TaxBehavior
from faregate.domain.catalog.versions import AppliesTo, PriceList, PriceSeries, PriceVersion, Replaced, Terms
from tests.builders import NOON

USD, EUR = currency("USD"), currency("EUR")
DAY = timedelta(days=1)
TEN = Decimal(10)


def a_version(number: int, days: int, applies_to: AppliesTo = AppliesTo.ALL) -> PriceVersion:
    return PriceVersion(
        price_id=f"prc_{number}",
        number=number,
        effective_at=NOON + days * DAY,
        applies_to=applies_to,
        terms={USD: Terms(model=PerUnit(amount=Decimal(number)))},
    )


def a_series(*versions: PriceVersion) -> PriceSeries:
    return PriceSeries(
        series_id="prc_1",
        plan_id="pln_1",
        name="Tokens",
        period=BillingPeriod.MONTH,
        tax_behavior=TaxBehavior.AUTO,
        versions=versions,
    )


def in_force(series: PriceSeries, *, subscribed: int, at: int, period: int = 0) -> int:
    billed_in = Period(NOON + period * DAY, NOON + (period + 1) * DAY)
    return series.in_force(subscribed_at=NOON + subscribed * DAY, at=NOON + at * DAY, period=billed_in).number


def test_a_change_for_all_holds_from_its_moment_on() -> None:
    series = a_series(a_version(1, 0), a_version(2, 10))
    assert in_force(series, subscribed=1, at=9) == 1
    assert in_force(series, subscribed=1, at=10) == 2


def test_a_change_for_new_subscriptions_leaves_the_others_as_they_are() -> None:
    series = a_series(a_version(1, 0), a_version(2, 10, AppliesTo.NEW_SUBSCRIPTIONS))
    assert in_force(series, subscribed=9, at=99) == 1
    assert in_force(series, subscribed=10, at=99) == 2


def test_a_later_change_for_all_replaces_one_for_new_subscriptions() -> None:
    series = a_series(a_version(1, 0), a_version(2, 10, AppliesTo.NEW_SUBSCRIPTIONS), a_version(3, 20))
    assert in_force(series, subscribed=12, at=19) == 2
    assert in_force(series, subscribed=12, at=20) == 3
    assert in_force(series, subscribed=1, at=20) == 3


def test_the_later_made_of_two_at_one_moment_wins_and_an_earlier_effective_one_never_does() -> None:
    series = a_series(a_version(1, 0), a_version(2, 10), a_version(3, 10), a_version(4, 5))
    assert in_force(series, subscribed=0, at=10) == 3
    assert in_force(series, subscribed=0, at=7) == 4


def test_before_every_moment_the_first_version_holds() -> None:
    assert in_force(a_series(a_version(1, 5), a_version(2, 6)), subscribed=0, at=0) == 1


def test_a_subscription_pays_a_version_in_its_own_currency() -> None:
    terms = {USD: Terms(model=PerUnit(amount=Decimal(2))), EUR: Terms(model=PerUnit(amount=Decimal(3)))}
    version = PriceVersion(price_id="prc_9", number=1, effective_at=NOON, applies_to=AppliesTo.ALL, terms=terms)
    series = a_series(version)
    price = series.price(version, EUR)
    assert (price.price_id, price.series_id, price.currency) == ("prc_9", "prc_1", EUR)
    assert price.model == PerUnit(amount=Decimal(3))
    with pytest.raises(KeyError):
        series.price(version, currency("JPY"))


def test_a_price_has_the_currencies_of_all_its_versions() -> None:
    assert a_series(a_version(1, 0)).currencies == (USD,)
    both = PriceVersion(
        price_id="prc_2",
        number=2,
        effective_at=NOON,
        applies_to=AppliesTo.ALL,
        terms={EUR: Terms(model=PerUnit(amount=Decimal(1))), USD: Terms(model=PerUnit(amount=Decimal(1)))},
    )
    assert a_series(both, a_version(1, 0)).currencies == (USD,)
    assert a_series(both).currencies == (EUR, USD)


PACKAGE = Package(amount=Decimal(1), size=Decimal(10))


@pytest.mark.parametrize(
    ("terms", "at_once"),
    [
        (Terms(model=PerUnit(amount=Decimal(9))), True),
        (
            Terms(model=PerUnit(amount=Decimal(9)), adjustments=Adjustments(discounts=(PercentDiscount(percent=TEN),))),
            True,
        ),
        (Terms(model=ByDimension(fields=("user_id",), table={("a",): PerUnit(amount=TEN)}, default=None)), True),
        (Terms(model=PACKAGE), False),
        (Terms(model=PerUnit(amount=Decimal(9)), adjustments=Adjustments(included_units=TEN)), False),
        (Terms(model=ByDimension(fields=("user_id",), table={("a",): PACKAGE}, default=None)), False),
    ],
)
def test_a_change_of_what_a_whole_period_says_waits_for_the_next_period(terms: Terms, at_once: bool) -> None:  # noqa: FBT001
    later = replace(a_version(2, 10), terms={USD: terms})
    series = a_series(a_version(1, 0), later)
    assert in_force(series, subscribed=0, at=15, period=5) == (2 if at_once else 1)
    assert in_force(series, subscribed=0, at=15, period=10) == 2


@pytest.mark.parametrize(
    ("at", "start", "end"), [(0, 0, 5), (4, 0, 5), (5, 5, 10), (9, 5, 10), (10, 10, 20), (30, 10, 20), (-3, 0, 5)]
)
def test_a_period_is_cut_where_a_version_takes_effect(at: int, start: int, end: int) -> None:
    series = a_series(a_version(1, -9), a_version(2, 10), a_version(3, 5), a_version(4, 20), a_version(5, 25))
    within = Period(NOON, NOON + 20 * DAY)
    assert series.unchanged_around(NOON + at * DAY, within=within) == Period(NOON + start * DAY, NOON + end * DAY)


def test_a_price_list_finds_a_price_by_any_of_its_versions() -> None:
    first, second = a_version(1, 0), a_version(2, 10)
    prices = PriceList([a_series(first, second)])
    assert prices.series_of("prc_2") == prices.series_of("prc_1") == a_series(first, second)
    assert prices.series_of("prc_9") is None
    assert prices.version("prc_2", USD) is prices.version("prc_2", USD)
    assert prices.version("prc_2", USD).model == PerUnit(amount=Decimal(2))
    assert prices.of_plan("pln_1") == [a_series(first, second)]
    assert prices.of_plan("pln_2") == []
    with pytest.raises(KeyError):
        prices.version("prc_9", USD)


def a_replacement(number: int, of: PriceVersion, start: int, end: int | None) -> PriceVersion:
    span = Span(NOON + start * DAY, None if end is None else NOON + end * DAY)
    made = Replaced(price_id=of.price_id, span=span, rerating_id=f"rrt_{number}")
    return replace(of, price_id=f"prc_{number}", number=number, replaces=made)


def test_a_replacement_takes_the_place_of_its_version_in_every_period_that_touches_its_span() -> None:
    first = a_version(1, 0)
    series = replace(a_series(first), replacements=(a_replacement(2, first, 5, 7),))
    assert [in_force(series, subscribed=0, at=0, period=day) for day in (4, 5, 6, 7)] == [1, 2, 2, 1]


def test_of_two_replacements_the_one_made_later_holds() -> None:
    first = a_version(1, 0)
    series = replace(a_series(first), replacements=(a_replacement(2, first, 0, None), a_replacement(3, first, 0, None)))
    assert in_force(series, subscribed=0, at=9) == 3
    assert series.latest.number == 3


def test_a_replacement_leaves_other_versions_as_they_are() -> None:
    first, second = a_version(1, 0), a_version(2, 10)
    series = replace(a_series(first, second), replacements=(a_replacement(3, first, 0, None),))
    assert in_force(series, subscribed=1, at=9) == 3
    assert in_force(series, subscribed=1, at=10) == 2
    assert series.latest == second


def test_the_latest_version_is_the_one_that_holds_from_now_on() -> None:
    first = a_version(1, 0)
    for_a_while = replace(a_series(first), replacements=(a_replacement(2, first, 5, 7),))
    assert for_a_while.latest == first
    for_good = replace(a_series(first), replacements=(a_replacement(2, first, 5, None),))
    assert for_good.latest.number == 2


def test_a_replaced_version_and_its_replacement_can_both_be_read() -> None:
    first = a_version(1, 0)
    made = a_replacement(2, first, 5, 7)
    series = replace(a_series(first), replacements=(made,))
    assert series.every_version == (first, made)
    prices = PriceList([series])
    assert [prices.version(version.price_id, USD).price_id for version in (first, made)] == ["prc_1", "prc_2"]
