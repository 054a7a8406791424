from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.base.money import EXACT
from faregate.base.periods import Period
from faregate.domain.metering.aggregate import (
    Aggregate,
    Distinct,
    Highest,
    Last,
    Level,
    Lowest,
    Mean,
    Total,
    decode_aggregate,
    distinct_of,
    encode_aggregate,
    merge,
    value_of,
)
from faregate.domain.metering.event import Event, FieldPath, compile_field
from faregate.domain.metering.expression import parse_expression
from faregate.domain.metering.metric import (
    Average,
    Count,
    Latest,
    Max,
    Metric,
    Min,
    Sum,
    SumOf,
    Unique,
    Unmeterable,
    WeightedSum,
    compile_state,
)

FIELD = FieldPath("metadata.n")
AUGUST = Period(datetime(2023, 8, 1, tzinfo=UTC), datetime(2023, 9, 1, tzinfo=UTC))
METRICS: dict[str, Metric] = {
    "count": Count(),
    "weighted count": Count(weighted=True),
    "sum": Sum(path=FIELD),
    "weighted sum of weights": Sum(path=FIELD, weighted=True),
    "expression": SumOf(expression=parse_expression("e", "2 * metadata.n + 1")),
    "unique": Unique(path=FIELD),
    "min": Min(path=FIELD),
    "max": Max(path=FIELD),
    "average": Average(path=FIELD),
    "weighted average": Average(path=FIELD, weighted=True),
    "latest": Latest(path=FIELD),
    "level": WeightedSum(path=FIELD),
}
values = st.decimals(min_value=0, max_value=10**6, places=4) | st.integers(0, 20).map(Decimal)
sets_of_events = st.lists(
    st.builds(
        lambda value, second, weight: Event(
            occurred_at=AUGUST.start + timedelta(seconds=second),
            company_id=None,
            user_id=None,
            blocked_by=None,
            fields={"metadata": {"n": value}},
            weight=weight,
        ),
        values,
        st.integers(0, 31 * 86_400 - 1),
        st.integers(1, 9),
    ),
    min_size=1,
    max_size=8,
)


def states(metric: Metric, events: Sequence[Event]) -> list[Aggregate]:
    found = [compile_state(metric, compile_field)(event.fields, event) for event in events]
    return [state for state in found if not isinstance(state, Unmeterable)]


def value(metric: Metric, events: Sequence[Event], period: Period = AUGUST) -> Decimal:
    return value_of(reduce(merge, states(metric, events)), period)


def at(moment: str, number: object, weight: int = 1) -> Event:
    occurred_at = datetime.fromisoformat(moment)
    return Event(
        occurred_at=occurred_at,
        company_id=None,
        user_id=None,
        blocked_by=None,
        fields={"metadata": {"n": number}},
        weight=weight,
    )


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
@given(data=st.data(), events=sets_of_events)
def test_states_merge_in_any_order_and_grouping(metric: Metric, data: st.DataObject, events: list[Event]) -> None:
    expected = reduce(merge, states(metric, events))
    pool = states(metric, data.draw(st.permutations(events)))
    while len(pool) > 1:
        left = pool.pop(data.draw(st.integers(0, len(pool) - 1)))
        right = pool.pop(data.draw(st.integers(0, len(pool) - 1)))
        pool.append(merge(left, right))
    assert pool == [expected]


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
@given(events=sets_of_events)
def test_a_state_is_read_back_from_its_text(metric: Metric, events: list[Event]) -> None:
    state = reduce(merge, states(metric, events))
    assert decode_aggregate(encode_aggregate(state)) == state


@given(sets_of_events)
def test_every_metric_is_what_its_definition_says(events: list[Event]) -> None:
    numbers = [Decimal(str(event.fields["metadata"]["n"])) for event in events]  # type: ignore[index]
    weights = [event.weight for event in events]
    assert value(METRICS["count"], events) == len(events)
    assert value(METRICS["weighted count"], events) == sum(weights)
    assert value(METRICS["sum"], events) == sum(numbers)
    assert value(METRICS["weighted sum of weights"], events) == sum(
        number * weight for number, weight in zip(numbers, weights, strict=True)
    )
    assert value(METRICS["expression"], events) == 2 * sum(numbers) + len(events)
    assert value(METRICS["unique"], events) == len(set(numbers))
    assert value(METRICS["min"], events) == min(numbers)
    assert value(METRICS["max"], events) == max(numbers)
    assert abs(value(METRICS["average"], events) * len(events) - sum(numbers)) < Decimal("1e-10")
    newest = max(events, key=lambda event: event.occurred_at).occurred_at
    assert value(METRICS["latest"], events) == max(
        number for number, event in zip(numbers, events, strict=True) if event.occurred_at == newest
    )


def test_unique_is_computed_over_the_union() -> None:
    first, second = Distinct(frozenset("ab")), Distinct(frozenset("ac"))
    assert value_of(merge(first, second), AUGUST) == 3
    assert merge(first, Distinct(frozenset("a"))) is first


def test_the_latest_value_is_that_of_the_latest_event_whatever_the_order_of_arrival() -> None:
    later, earlier = at("2023-08-03T00:00:00+00:00", 14), at("2023-08-02T00:00:00+00:00", 18)
    assert value(Latest(path=FIELD), [later, earlier]) == 14


def test_two_changes_at_the_period_start_count_for_the_whole_period() -> None:
    start = "2023-08-01T00:00:00+00:00"
    assert value(WeightedSum(path=FIELD), [at(start, 3), at(start, 3)]) == 6


def test_a_level_counts_for_the_time_that_it_stood() -> None:
    changes = [at("2023-08-01T00:00:00+00:00", 10), at("2023-08-16T12:00:00+00:00", -10)]
    assert value(WeightedSum(path=FIELD), changes) == 5


def test_a_weighted_average_counts_each_event_for_the_calls_it_stands_for() -> None:
    events = [at("2023-08-01T00:00:00+00:00", 1, weight=3), at("2023-08-01T00:00:00+00:00", 5)]
    assert value(Average(path=FIELD, weighted=True), events) == 2
    assert value(Average(path=FIELD), events) == 3
    assert value_of(Mean(Decimal(0), Decimal(0)), AUGUST) == 0


def test_a_mean_that_no_decimal_can_write_is_rounded_once() -> None:
    assert value_of(Mean(Decimal(2), Decimal(3)), AUGUST) == Decimal("0.666666666667")


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (Sum(path=FieldPath("metadata.n[*].x")), 6),
        (Min(path=FieldPath("metadata.n[*].x")), 1),
        (Max(path=FieldPath("metadata.n[*].x")), 3),
    ],
)
def test_of_several_numbers_in_one_event_each_counts(metric: Metric, expected: int) -> None:
    assert value(metric, [at("2023-08-01T00:00:00+00:00", [{"x": 1}, {"x": "2"}, {"x": None}, {"x": 3}])]) == expected


def test_several_values_are_as_many_unique_ones() -> None:
    event = at("2023-08-01T00:00:00+00:00", [{"x": 1}, {"x": "1"}, {"x": True}, {"x": "b"}])
    assert value(Unique(path=FieldPath("metadata.n[*].x")), [event]) == 3


@pytest.mark.parametrize(
    ("metric", "number", "words"),
    [
        (Unique(path=FIELD), None, "missing"),
        (Unique(path=FIELD), [1], "neither a text"),
        (Unique(path=FieldPath("metadata.n[*]")), [], "missing"),
        (Sum(path=FieldPath("metadata.n[*]")), [], "missing or null"),
        (Sum(path=FieldPath("metadata.n[*]")), [1, "x"], "not a number"),
        (Sum(path=FIELD, weighted=True), "x", "not a number"),
        (Min(path=FIELD), None, "missing or null"),
        (Latest(path=FIELD), -1, "zero or more"),
        (SumOf(expression=parse_expression("e", "metadata.n - 5")), 3, "zero or more"),
        (Average(path=FIELD, weighted=True), {}, "not a number"),
    ],
)
def test_what_gives_no_state_says_why(metric: Metric, number: object, words: str) -> None:
    found = compile_state(metric, compile_field)({"metadata": {"n": number}}, at("2023-08-01T00:00:00+00:00", number))
    assert isinstance(found, Unmeterable)
    assert words in found.reason


def test_states_of_different_metrics_have_no_common_state() -> None:
    with pytest.raises(TypeError, match="a Total and a Lowest"):
        merge(Total(Decimal(1)), Lowest(Decimal(1)))


def test_a_text_that_is_no_state_is_refused() -> None:
    with pytest.raises(ValueError, match="lots"):
        decode_aggregate('["lots"]')


def test_a_long_value_is_kept_as_its_digest_which_no_short_text_can_be() -> None:
    assert distinct_of("a" * 40) == "a" * 40
    assert len(distinct_of("a" * 41)) == 41
    assert distinct_of("a" * 41) != distinct_of("a" * 42)


@pytest.mark.parametrize(
    "state",
    [
        Total(Decimal("1E+3")),
        Distinct(frozenset({"", "\u00e4", '"'})),
        Lowest(Decimal(-1)),
        Highest(Decimal("0.10")),
        Last(5, Decimal(2)),
        Level(Decimal(-2), EXACT.multiply(Decimal(-2), 1_700_000_000_000_000)),
    ],
)
def test_every_kind_of_state_has_a_text(state: Aggregate) -> None:
    assert decode_aggregate(encode_aggregate(state)) == state
