from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.domain.metering.aggregate import Lowest, Total
from faregate.domain.metering.definition import read_definition, write_definition
from faregate.domain.metering.dispatch import MeterTable
from faregate.domain.metering.event import FieldPath, compile_field
from faregate.domain.metering.expression import parse_expression
from faregate.domain.metering.filter_text import parse_filter
from faregate.domain.metering.meter import compile_group, compile_meter, fields_of_meter, summed_field
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
)
from faregate.domain.metering.units import UnitRounding, Units, round_units, to_units
from faregate.domain.metering.windows import ReportingPeriod, usage_window
from faregate.wire.patterns import compile_pattern
from tests.builders import a_filter, a_meter, an_event

SEED = a_meter(a_filter(request__route="/ai/chat", response__status=200))
PROMPT = FieldPath("response.body.usage.prompt_tokens")


def a_call(*, route: str = "/ai/chat", status: int = 200, usage: object = None) -> dict[str, object]:
    return {"request": {"route": route}, "response": {"status": status, "body": {"usage": usage}}}


def test_a_matching_event_counts_for_its_field() -> None:
    assert compile_meter(SEED, compile_pattern)(an_event(a_call(usage={"prompt_tokens": 12}))) == Decimal(12)


def test_an_event_outside_the_filter_counts_for_nothing() -> None:
    event = an_event(a_call(status=500, usage={"prompt_tokens": 12}))
    assert compile_meter(SEED, compile_pattern)(event) is None


def test_a_matching_event_without_a_quantity_is_unmeterable() -> None:
    found = compile_meter(SEED, compile_pattern)(an_event(a_call()))
    assert found == Unmeterable("response.body.usage.prompt_tokens is missing or null")


def test_an_event_that_a_rule_blocked_matches_no_meter() -> None:
    blocked = an_event(a_call(usage={"prompt_tokens": 12}), blocked_by="rul_1")
    assert compile_meter(SEED, compile_pattern)(blocked) is None
    assert compile_meter(a_meter(), compile_pattern)(blocked) is None


def test_units_of_an_additive_meter_are_multiplied_event_by_event() -> None:
    meter = a_meter(units=Units(multiply=Decimal("0.001")))
    assert meter.is_additive
    measure = compile_meter(meter, compile_pattern)
    assert measure(an_event(a_call(usage={"prompt_tokens": 12}))) == Decimal("0.012")
    assert isinstance(measure(an_event(a_call())), Unmeterable)


def test_a_total_that_is_rounded_needs_the_state_of_every_event() -> None:
    meter = a_meter(units=Units(rounding=UnitRounding.UP))
    assert not meter.is_additive
    event = an_event(a_call(usage={"prompt_tokens": Decimal("0.4")}))
    assert compile_meter(meter, compile_pattern)(event) == Total(Decimal("0.4"))
    assert isinstance(compile_meter(meter, compile_pattern)(an_event(a_call())), Unmeterable)


def test_a_meter_of_an_extreme_gives_the_state_of_the_event() -> None:
    meter = a_meter(metric=Min(path=PROMPT))
    assert compile_meter(meter, compile_pattern)(an_event(a_call(usage={"prompt_tokens": 3}))) == Lowest(Decimal(3))


def test_an_event_belongs_to_the_group_of_its_values() -> None:
    meter = a_meter(group_by=("response.body.model", "metadata.paid", "user_id"))
    event = an_event({"response": {"body": {"model": "small"}}, "metadata": {"paid": True}})
    assert compile_group(meter)(event) == ("small", "true", "")
    assert compile_group(meter)(an_event({"metadata": {"paid": False}})) == ("", "false", "")
    assert compile_group(a_meter())(event) == ()


def test_a_meter_reads_the_fields_of_its_filter_metric_and_groups() -> None:
    meter = a_meter(a_filter(response__status=200), group_by=("user_id",))
    assert {path.text for path in fields_of_meter(meter)} == {"response.status", PROMPT.text, "user_id"}
    assert fields_of_meter(a_meter(metric=Count())) == set()
    expression = parse_expression("e", "metadata.a + metadata.b")
    assert fields_of_meter(a_meter(metric=SumOf(expression=expression))) == {
        FieldPath("metadata.a"),
        FieldPath("metadata.b"),
    }


def test_only_a_plain_sum_is_the_sum_of_a_field() -> None:
    assert summed_field(a_meter()) == PROMPT.text
    for other in (
        a_meter(metric=Count()),
        a_meter(metric=Sum(path=PROMPT, weighted=True)),
        a_meter(units=Units(multiply=Decimal(2))),
        a_meter(metric=Sum(path=FieldPath("response.body.parts[*].n"))),
    ):
        assert summed_field(other) is None


@pytest.mark.parametrize(
    "metric",
    [
        Count(),
        Count(weighted=True),
        Sum(path=PROMPT),
        Sum(path=PROMPT, weighted=True),
        SumOf(expression=parse_expression("e", "metadata.a - 2 * metadata.b ?? 0")),
        Unique(path=FieldPath("user_id")),
        Min(path=PROMPT),
        Max(path=PROMPT),
        Average(path=PROMPT),
        Average(path=PROMPT, weighted=True),
        Latest(path=PROMPT),
        WeightedSum(path=PROMPT),
    ],
)
@pytest.mark.parametrize(
    "units", [Units(), Units(multiply=Decimal("0.5"), rounding=UnitRounding.DOWN, places=-2), Units(places=3)]
)
def test_a_definition_is_read_back_from_its_text(metric: Metric, units: Units) -> None:
    criteria = parse_filter("f", 'request.route == "/ai/chat" and not user_id in ["a", 1]')
    definition = a_meter(criteria, metric=metric, group_by=("user_id",), units=units).definition
    assert read_definition(write_definition(definition)) == definition
    plain = a_meter(criteria, metric=metric).definition
    assert read_definition(write_definition(plain)) == plain


FILTERS = [
    "",
    'request.route == "/a"',
    'request.route != "/a"',
    'request.route in ["/a", "/b"] and response.status == 200',
    'request.route == "/b" or response.status == 500',
    'not request.route == "/c"',
    'request.route starts with "/c"',
    'request.route == "/a" and request.route == "/b"',
    "response.status == 200",
]


@given(
    st.lists(st.sampled_from(FILTERS), max_size=9),
    st.sampled_from(["/a", "/b", "/c", "/cd", "/other"]),
    st.sampled_from([200, 500]),
)
def test_the_table_by_route_counts_as_every_meter_asked_alone(texts: list[str], route: str, status: int) -> None:
    meters = [
        a_meter(parse_filter("f", text), metric=Count(), meter_id=f"mtr_{index}") for index, text in enumerate(texts)
    ]
    event = an_event(a_call(route=route, status=status))
    found = MeterTable(meters, compile_pattern, compile_field).count(event)
    expected = [meter for meter in meters if compile_meter(meter, compile_pattern)(event) is not None]
    assert [counting.meter for counting in found] == expected


def test_a_route_is_asked_only_of_meters_that_may_count_it() -> None:
    meters = [
        a_meter(parse_filter("f", f'request.route == "/r{index}"'), meter_id=f"mtr_{index}") for index in range(9)
    ]
    table = MeterTable(meters, compile_pattern, compile_field)
    assert [active.meter for active in table.active("/r3")] == [meters[3]]
    assert table.active("/unknown") == table.active(None) == ()


@pytest.mark.parametrize(
    ("rounding", "places", "value", "expected"),
    [
        (UnitRounding.NEAREST, 0, "123.456", "123"),
        (UnitRounding.NEAREST, -2, "123.456", "100"),
        (UnitRounding.UP, -2, "123.456", "200"),
        (UnitRounding.DOWN, 2, "123.456", "123.45"),
        (UnitRounding.DOWN, -2, "123.456", "100"),
        (UnitRounding.NEAREST, 0, "2.5", "3"),
        (UnitRounding.NEAREST, 0, "-2.5", "-3"),
    ],
)
def test_units_are_rounded_to_their_places(rounding: UnitRounding, places: int, value: str, expected: str) -> None:
    assert round_units(Decimal(value), rounding, places) == Decimal(expected)
    units = Units(multiply=Decimal(2), rounding=rounding, places=places)
    assert to_units(units, Decimal(value) / 2) == Decimal(expected)


def test_units_without_multiplication_and_rounding_are_the_value() -> None:
    assert to_units(Units(), Decimal("1.5")) == Decimal("1.5")


@pytest.mark.parametrize(
    ("period", "at", "start", "end"),
    [
        (ReportingPeriod.ONE_MINUTE, "2026-03-10T12:34:56", "2026-03-10T12:34:00", "2026-03-10T12:35:00"),
        (ReportingPeriod.SIX_HOURS, "2026-03-10T12:34:56", "2026-03-10T12:00:00", "2026-03-10T18:00:00"),
        (ReportingPeriod.ONE_DAY, "2026-03-10T00:00:00", "2026-03-10T00:00:00", "2026-03-11T00:00:00"),
        (ReportingPeriod.ONE_WEEK, "2026-03-15T23:59:59", "2026-03-09T00:00:00", "2026-03-16T00:00:00"),
        (ReportingPeriod.ONE_WEEK, "2026-03-16T00:00:00", "2026-03-16T00:00:00", "2026-03-23T00:00:00"),
        (ReportingPeriod.ONE_MONTH, "2026-02-28T12:00:00", "2026-02-01T00:00:00", "2026-03-01T00:00:00"),
        (ReportingPeriod.ONE_MONTH, "2026-12-31T12:00:00", "2026-12-01T00:00:00", "2027-01-01T00:00:00"),
    ],
)
def test_a_usage_window_holds_its_instants(period: ReportingPeriod, at: str, start: str, end: str) -> None:
    found = usage_window(period, datetime.fromisoformat(at).replace(tzinfo=UTC))
    assert (found.start.isoformat()[:19], found.end.isoformat()[:19]) == (start, end)
