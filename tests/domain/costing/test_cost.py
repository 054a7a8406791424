"""Cost prices: which version holds when, what an event costs, and that no digit is lost."""

import json
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.base.clock import to_microseconds
from faregate.base.money import currency
from faregate.domain.costing.cost import CostPrice, cost_of, cost_places, read_cost, spans, unit_cost, write_cost
from faregate.domain.costing.cost_table import CostTable, fields_of_costs
from faregate.domain.metering.event import compile_field
from faregate.domain.metering.metric import AdditiveMetric, Count, SumOf
from faregate.wire.patterns import compile_pattern
from tests.builders import NOON, a_cost, a_filter, a_rate, an_expression

DAY = timedelta(days=1)
GPT = a_filter(response__body__model="gpt-4o")
CALL: dict[str, Any] = {
    "request": {"route": "/ai/chat", "body": {"model": "gpt"}},
    "response": {"body": {"model": "gpt-4o", "usage": {"prompt_tokens": 1_000, "completion_tokens": 10}}},
}
ATTO = 10**15


def table(*costs: CostPrice) -> CostTable:
    return CostTable(costs, compile_pattern, compile_field)


def cost(
    *costs: CostPrice, fields: object = CALL, code: str | None = "USD", at: datetime = NOON, weight: int = 1
) -> tuple[str, int] | None:
    return table(*costs).cost(fields, to_microseconds(at), weight=weight, currency=code)


def test_an_event_costs_what_its_rates_come_to_together() -> None:
    rates = (a_rate("2.50"), a_rate("10", kind="output", field="response.body.usage.completion_tokens"))
    assert cost(a_cost(*rates, criteria=GPT)) == ("USD", ATTO * (1_000 * 250 + 10 * 1_000) // 10**8)


def test_costs_of_all_prices_that_match_add_up() -> None:
    fee = a_cost(a_rate("0.01", metric=Count(), per=1), name="fee")
    other = a_cost(a_rate("7"), name="other", criteria=a_filter(request__route="/other"))
    assert cost(a_cost(a_rate("1")), fee, other) == ("USD", ATTO // 1_000 + ATTO // 100)


def test_an_event_that_no_cost_price_matches_is_uncosted() -> None:
    assert cost() is None
    assert cost(a_cost(criteria=a_filter(response__body__model="o1"))) is None
    assert cost(a_cost(criteria=a_filter(response__status=200))) is None


def test_an_event_without_the_quantity_or_below_zero_is_uncosted_and_never_free() -> None:
    assert cost(a_cost(a_rate("1", field="response.body.usage.missing"))) is None
    less = SumOf(expression=an_expression("response.body.usage.prompt_tokens - 2000"))
    assert cost(a_cost(a_rate("1", metric=less))) is None
    assert cost(a_cost(a_rate("9000", per=1))) is None


def test_a_cost_price_without_rates_costs_nothing_and_is_known_to() -> None:
    assert cost(a_cost()) == ("USD", 0)


def test_a_cost_counts_for_events_that_are_charged_in_its_currency() -> None:
    dollars, euros = a_cost(a_rate("1")), a_cost(a_rate("2"), name="euros", code="EUR")
    assert cost(dollars, euros, code="EUR") == ("EUR", 2 * ATTO // 1_000)
    assert cost(dollars, euros, code="GBP") is None
    assert cost(euros, dollars, code=None) == ("EUR", 2 * ATTO // 1_000)


def test_an_event_that_stands_for_several_calls_costs_what_all_of_them_do() -> None:
    assert cost(a_cost(a_rate("1", metric=Count(weighted=True), per=1)), weight=7) == ("USD", 7 * ATTO)


def test_the_latest_version_that_has_taken_effect_holds() -> None:
    first, second = a_cost(a_rate("1")), a_cost(a_rate("2"), effective_at=NOON + DAY, cost_id="cst_2")
    assert cost(first, second, at=NOON - timedelta(seconds=1)) is None
    assert cost(first, second, at=NOON) == ("USD", ATTO // 1_000)
    assert cost(first, second, at=NOON + DAY) == ("USD", 2 * ATTO // 1_000)
    assert cost(second, first, at=NOON + DAY) == ("USD", 2 * ATTO // 1_000)


def test_of_two_versions_of_one_moment_the_later_made_holds() -> None:
    assert [span.version.cost_id for span in spans([a_cost(), a_cost(cost_id="cst_2")])] == ["cst_2"]


def test_a_version_that_ended_holds_no_longer_and_no_earlier_one_comes_back() -> None:
    first = a_cost(a_rate("1"))
    ended = a_cost(a_rate("2"), effective_at=NOON + DAY, ends_at=NOON + 2 * DAY, cost_id="cst_2")
    last = a_cost(a_rate("3"), effective_at=NOON + 3 * DAY, cost_id="cst_3")
    assert cost(first, ended, last, at=NOON + 2 * DAY) is None
    assert cost(first, ended, last, at=NOON + 3 * DAY) == ("USD", 3 * ATTO // 1_000)
    (span,) = spans([a_cost(ends_at=NOON + DAY)])
    assert (span.from_at, span.until) == (NOON, NOON + DAY)
    assert spans([a_cost(ends_at=NOON)]) == []


def test_a_model_that_is_no_text_is_told_apart_by_the_filter_itself() -> None:
    exists = a_cost(a_rate("1", metric=Count(), per=1), criteria=read_cost(_terms("request.body.model exists"))[0])
    asked = table(exists)
    assert asked.cost(CALL, to_microseconds(NOON), weight=1, currency="USD") == ("USD", ATTO)
    for model, expected in (
        (["a"], ("USD", ATTO)),
        (None, None),
        ("a", ("USD", ATTO)),
        (3, ("USD", ATTO)),
        ("a", ("USD", ATTO)),
    ):
        fields = {"request": {"route": "/r", "body": {"model": model}}}
        assert asked.cost(fields, to_microseconds(NOON), weight=1, currency="USD") == expected


def test_more_models_than_are_remembered_cost_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faregate.domain.costing.cost_table._MOST_PLACES", 2)
    asked = table(a_cost(a_rate("1", metric=Count(), per=1), criteria=a_filter(request__body__model="m3")))
    found = [
        asked.cost({"request": {"body": {"model": f"m{n}"}}}, to_microseconds(NOON), weight=1, currency=None)
        for n in range(5)
    ]
    assert found == [None, None, None, ("USD", ATTO), None]


def test_the_table_names_every_field_that_it_reads() -> None:
    paths = {path.text for path in fields_of_costs([a_cost(a_rate("1"), criteria=a_filter(response__status=200))])}
    assert paths == {
        "request.route",
        "request.body.model",
        "response.body.model",
        "response.status",
        "response.body.usage.prompt_tokens",
    }


@given(
    st.decimals(min_value=0, max_value=1000, places=6),
    st.integers(0, 10**9),
    st.sampled_from([1, 1_000, 1_000_000]),
    st.sampled_from(["USD", "JPY", "KWD"]),
)
def test_the_cost_of_whole_units_is_exact(amount: Decimal, quantity: int, per: int, code: str) -> None:
    unit = currency(code)
    exact = Fraction(amount) * quantity / per
    if exact < 9_000:
        found = cost_of(unit_cost(a_rate(str(amount), per=per), unit), Decimal(quantity))
        assert Fraction(found, 10 ** cost_places(unit)) == exact


def test_the_cost_of_a_fraction_of_a_unit_is_rounded_once() -> None:
    assert [cost_of(3, Decimal(quantity)) for quantity in ("0.5", "0.1", "1.5", "2")] == [2, 0, 5, 6]


@pytest.mark.parametrize("metric", [None, Count(weighted=True), SumOf(expression=an_expression("metadata.a - 1"))])
def test_what_is_kept_is_what_is_read_again(metric: AdditiveMetric | None) -> None:
    kept = a_cost(a_rate("0.150", metric=metric), criteria=GPT)
    criteria, rates = read_cost(write_cost(kept))
    again = a_cost(*rates, criteria=criteria)
    assert write_cost(again) == write_cost(kept)
    assert rates[0].amount == Decimal("0.15")


def test_a_rate_that_does_not_add_up_is_refused() -> None:
    with pytest.raises(TypeError, match="unique"):
        read_cost(_terms("true", metric={"type": "unique", "field": "user_id"}))


def _terms(criteria: str, **rate: object) -> str:
    rates = [{"kind": "calls", "amount": "1", "per": 1, **rate}] if rate else []
    return json.dumps({"filter": criteria, "rates": rates})
