from collections.abc import Mapping
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.domain.metering.event import FieldPath, compile_field
from faregate.domain.metering.filter import Filter, Is, compile_filter, may_match
from tests.builders import a_filter

PATHS = ("request.route", "request.verb", "response.status", "response.body.model", "user_id")
paths = st.sampled_from(PATHS)
wanted_values = st.sampled_from(["200", 200, 1, True, False, "True", "true", "1", "", "/ai/chat"])
event_values = wanted_values | st.sampled_from([None, Decimal(200), Decimal("0.5"), ["200"], {"a": 1}])
filters = st.lists(
    st.builds(lambda path, value: Is(path=FieldPath(path), value=value), paths, wanted_values), max_size=4
)


def nested(values: Mapping[str, object]) -> dict[str, object]:
    """An event's fields from values by path."""
    fields: dict[str, object] = {}
    for path, value in values.items():
        *parents, last = path.split(".")
        level = fields
        for parent in parents:
            below = level.setdefault(parent, {})
            assert isinstance(below, dict)
            level = below
        level[last] = value
    return fields


events = st.dictionaries(paths, event_values).map(nested)


def matches(criteria: Filter, values: Mapping[str, object]) -> bool:
    return compile_filter(criteria)(nested(values))


def test_without_a_condition_every_event_matches() -> None:
    assert matches(a_filter(), {})
    assert may_match(a_filter(), {"request.route": "/ai/chat"})


def test_all_conditions_must_hold() -> None:
    criteria = a_filter(request__route="/ai/chat", response__status=200)
    assert matches(criteria, {"request.route": "/ai/chat", "response.status": 200})
    assert not matches(criteria, {"request.route": "/ai/chat", "response.status": 500})
    assert not matches(criteria, {"request.route": "/ai/images", "response.status": 200})


@pytest.mark.parametrize("wanted", [200, "200"])
@pytest.mark.parametrize("found", [200, "200", Decimal(200)])
def test_a_number_equals_its_numeral(wanted: str | int, found: object) -> None:
    assert matches(a_filter(response__status=wanted), {"response.status": found})


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (200, 201),
        (200, "200 "),
        (True, 1),
        (1, True),
        (True, "True"),
        (False, None),
        (False, 0),
        ("", None),
        ("None", None),
        ("['200']", ["200"]),
        ("{'a': 1}", {"a": 1}),
    ],
)
def test_values_of_other_kinds_are_not_equal(wanted: str | int | bool, found: object) -> None:  # noqa: FBT001 - a value
    assert not matches(a_filter(response__status=wanted), {"response.status": found})


def test_a_missing_field_satisfies_no_condition() -> None:
    assert not matches(a_filter(response__status=200), {"request.route": "/ai/chat"})


@given(filters, events, st.sets(paths))
def test_an_event_whose_known_fields_cannot_match_never_does(
    conditions: list[Is], fields: dict[str, object], known_paths: set[str]
) -> None:
    criteria = Filter(conditions=tuple(conditions))
    known = {path: compile_field(FieldPath(path))(fields) for path in known_paths}
    if not may_match(criteria, known):
        assert not compile_filter(criteria)(fields)


@given(filters, events)
def test_where_every_field_is_known_may_match_is_the_filter(conditions: list[Is], fields: dict[str, object]) -> None:
    criteria = Filter(conditions=tuple(conditions))
    known = {path: compile_field(FieldPath(path))(fields) for path in PATHS}
    assert may_match(criteria, known) == compile_filter(criteria)(fields)


def test_an_unknown_field_leaves_a_match_possible() -> None:
    criteria = a_filter(request__route="/ai/chat", response__status=200)
    assert may_match(criteria, {"request.route": "/ai/chat"})
    assert not may_match(criteria, {"request.route": "/ai/images"})


@given(filters.flatmap(lambda conditions: st.tuples(st.just(conditions), st.permutations(conditions))), events)
def test_the_order_of_conditions_changes_nothing(orders: tuple[list[Is], list[Is]], fields: dict[str, object]) -> None:
    as_written, shuffled = (compile_filter(Filter(conditions=tuple(order))) for order in orders)
    assert as_written(fields) == shuffled(fields)
