import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.domain.metering.event import FieldPath, Several, compile_field
from faregate.domain.metering.filter import (
    EVERYTHING,
    NOTHING,
    All,
    AnyOf,
    Between,
    Compares,
    Comparison,
    Condition,
    Contains,
    Exists,
    Filter,
    In,
    Is,
    IsNot,
    Matches,
    Not,
    Scalar,
    StartsWith,
    conditions_of,
    depth_of,
    normal_form,
)
from faregate.domain.metering.filter_text import condition_text, filter_text, parse_filter
from faregate.domain.metering.matching import Mismatch, compile_filter, explain_mismatch, may_match, shown
from tests.builders import a_filter

PATHS = ("request.route", "request.verb", "response.status", "response.body.parts[*].n", "user_id")
paths = st.sampled_from(PATHS).map(FieldPath)
scalars: st.SearchStrategy[Scalar] = st.sampled_from(
    [
        "200",
        200,
        1,
        True,
        False,
        "True",
        "true",
        "1",
        "",
        "/ai/chat",
        "ai",
        Decimal("0.5"),
        Decimal("200.0"),
        "0.50",
        -3,
    ]
)
bounds = scalars.filter(lambda value: not isinstance(value, bool)).map(
    lambda value: value if not isinstance(value, bool) else 0
)
event_values = scalars | st.sampled_from([None, Decimal("0.5"), ["200", 1], {"a": 1}, Decimal("NaN"), "NaN"])
conditions: st.SearchStrategy[Condition] = st.one_of(
    st.builds(lambda path, value: Is(path=path, value=value), paths, scalars),
    st.builds(lambda path, value: IsNot(path=path, value=value), paths, scalars),
    st.builds(
        lambda path, values: In(path=path, values=tuple(values)), paths, st.lists(scalars, min_size=1, max_size=3)
    ),
    st.builds(lambda path: Exists(path=path), paths),
    st.builds(lambda path, value: Contains(path=path, value=value), paths, scalars),
    st.builds(
        lambda path, prefix: StartsWith(path=path, prefix=prefix), paths, st.sampled_from(["", "2", "/ai", "tr"])
    ),
    st.builds(lambda path, pattern: Matches(path=path, pattern=pattern), paths, st.sampled_from(["", "^2", "a", "t$"])),
    st.builds(
        lambda path, kind, bound: Compares(path=path, comparison=kind, bound=bound),
        paths,
        st.sampled_from(Comparison),
        bounds,
    ),
    st.builds(lambda path, low, high: Between(path=path, low=low, high=high), paths, bounds, bounds),
)
filters: st.SearchStrategy[Filter] = st.recursive(
    conditions,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: All(tuple(parts))),
        st.lists(inner, max_size=3).map(lambda parts: AnyOf(tuple(parts))),
        inner.map(Not),
    ),
    max_leaves=8,
)


def matcher(pattern: str) -> Callable[[str], bool]:
    return lambda text: re.search(pattern, text) is not None


def an_event_of(values: Mapping[str, object]) -> dict[str, object]:
    """An event's fields from values by path; of `[*]`, the values of the elements."""
    return {
        "request": {"route": values.get("request.route"), "verb": values.get("request.verb")},
        "response": {
            "status": values.get("response.status"),
            "body": {"parts": [{"n": values.get("response.body.parts[*].n")}, {"n": None}, 7]},
        },
        "user_id": values.get("user_id"),
    }


events = st.dictionaries(st.sampled_from(PATHS), event_values).map(an_event_of)


def slowly(criteria: Filter, fields: Mapping[str, object]) -> bool:
    """The filter, by its definition."""
    match criteria:
        case All(parts=parts):
            return all(slowly(part, fields) for part in parts)
        case AnyOf(parts=parts):
            return any(slowly(part, fields) for part in parts)
        case Not(part=part):
            return not slowly(part, fields)
        case IsNot(path=path, value=value):
            return not slowly(Is(path=path, value=value), fields)
        case _:
            found = compile_field(criteria.path)(fields)
            return any(_slowly_one(criteria, value) for value in (found if isinstance(found, Several) else [found]))


def _slowly_one(condition: Condition, found: object) -> bool:  # noqa: C901 - a case an operator
    if found is None:
        return False
    match condition:
        case Is(value=value):
            return _same(found, value)
        case In(values=values):
            return any(_same(found, value) for value in values)
        case Exists():
            return True
        case Contains(value=value):
            if isinstance(found, list):
                return any(_same(element, value) for element in found)
            return not isinstance(value, bool) and _text(found) is not None and str(_text(value)) in str(_text(found))
        case StartsWith(prefix=prefix):
            return _text(found) is not None and str(_text(found)).startswith(prefix)
        case Matches(pattern=pattern):
            return _text(found) is not None and matcher(pattern)(str(_text(found)))
        case Compares(comparison=comparison, bound=bound):
            return _stands(found, comparison, bound)
        case Between(low=low, high=high):
            return _stands(found, Comparison.AT_LEAST, low) and _stands(found, Comparison.AT_MOST, high)
        case _:
            raise AssertionError(condition)


def _text(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return str(int(value))
    return str(value.normalize()) if isinstance(value, Decimal) else str(value)


def _same(found: object, value: object) -> bool:
    if isinstance(found, bool) or isinstance(value, bool):
        return found is value
    return _text(found) is not None and _text(found) == _text(value)


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _stands(found: object, comparison: Comparison, bound: object) -> bool:
    limit = _number(bound)
    if limit is None:
        return isinstance(found, str) and _ordered(comparison, found > str(bound), found == str(bound))
    number = _number(found)
    return number is not None and _ordered(comparison, number > limit, number == limit)


def _ordered(comparison: Comparison, above: bool, equal: bool) -> bool:  # noqa: FBT001 - the outcome of comparing
    return {
        Comparison.ABOVE: above,
        Comparison.AT_LEAST: above or equal,
        Comparison.BELOW: not above and not equal,
        Comparison.AT_MOST: not above,
    }[comparison]


def matches(criteria: Filter, values: Mapping[str, object]) -> bool:
    return compile_filter(criteria, matcher, compile_field)(an_event_of(values))


@given(filters, events)
def test_a_compiled_filter_is_the_filter_by_its_definition(criteria: Filter, fields: dict[str, object]) -> None:
    assert compile_filter(criteria, matcher, compile_field)(fields) == slowly(criteria, fields)


@given(filters, events)
def test_the_normal_form_matches_the_same_events(criteria: Filter, fields: dict[str, object]) -> None:
    assert slowly(normal_form(criteria), fields) == slowly(criteria, fields)
    assert normal_form(normal_form(criteria)) == normal_form(criteria)


@given(filters)
def test_a_filter_is_read_back_from_its_text(criteria: Filter) -> None:
    text = filter_text(criteria)
    read = parse_filter("filter_text", text)
    assert read == normal_form(criteria)
    assert [type(getattr(one, "value", None)) for one in conditions_of(read)] == [
        type(getattr(one, "value", None) if not _is_whole(getattr(one, "value", None)) else 1)
        for one in conditions_of(normal_form(criteria))
    ]
    assert parse_filter("filter_text", filter_text(read)) == read


def _is_whole(value: object) -> bool:
    return isinstance(value, Decimal) and value == value.to_integral_value()


@given(filters, events)
def test_an_event_has_no_mismatch_exactly_when_it_matches(criteria: Filter, fields: dict[str, object]) -> None:
    assert bool(explain_mismatch(criteria, matcher, fields)) != slowly(criteria, fields)


def test_a_filter_that_no_event_can_match_says_so() -> None:
    criteria = parse_filter("f", "not (true or user_id exists)")
    assert explain_mismatch(criteria, matcher, {}) == [
        Mismatch(field="filter", actual=None, expected="no event at all")
    ]


def test_a_mismatch_says_field_actual_and_expected() -> None:
    criteria = parse_filter(
        "f", 'request.route == "/ai/chat" and not user_id == "ann" and (response.status < 300 or request.verb exists)'
    )
    event = an_event_of({"request.route": "/ai/images", "response.status": 404, "user_id": "ann"})
    assert explain_mismatch(criteria, matcher, event) == [
        Mismatch(field="request.route", actual="/ai/images", expected='== "/ai/chat"'),
        Mismatch(field="user_id", actual="ann", expected='not: == "ann"'),
        Mismatch(field="response.status", actual="404", expected="< 300"),
        Mismatch(field="request.verb", actual=None, expected="exists"),
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, None), (True, "true"), (False, "false"), ([1], "[1]"), (Several((1, 2)), "[1, 2]"), (Several(()), None)],
)
def test_a_value_is_shown_as_people_write_it(value: object, text: str | None) -> None:
    assert shown(value) == text
    assert len(shown("x" * 1_000) or "") == 200


def test_without_a_condition_every_event_matches() -> None:
    assert matches(a_filter(), {})
    assert not matches(NOTHING, {})
    assert may_match(a_filter(), {"request.route": "/ai/chat"}, matcher)


def test_all_conditions_must_hold() -> None:
    criteria = a_filter(request__route="/ai/chat", response__status=200)
    assert matches(criteria, {"request.route": "/ai/chat", "response.status": 200})
    assert not matches(criteria, {"request.route": "/ai/chat", "response.status": 500})
    assert not matches(criteria, {"request.route": "/ai/images", "response.status": 200})


@pytest.mark.parametrize("wanted", [200, "200"])
@pytest.mark.parametrize("found", [200, "200", Decimal(200), Decimal("200.00")])
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


def test_a_missing_field_satisfies_no_condition_but_is_not() -> None:
    path = FieldPath("response.status")
    assert not matches(Is(path=path, value=200), {})
    assert not matches(Compares(path=path, comparison=Comparison.BELOW, bound=300), {})
    assert matches(IsNot(path=path, value=200), {})


@pytest.mark.parametrize(
    ("comparison", "before", "equal", "after"),
    [
        (Comparison.ABOVE, False, False, True),
        (Comparison.AT_LEAST, False, True, True),
        (Comparison.BELOW, True, False, False),
        (Comparison.AT_MOST, True, True, False),
    ],
)
def test_texts_are_compared_by_their_order(comparison: Comparison, *, before: bool, equal: bool, after: bool) -> None:
    path = FieldPath("user_id")
    criteria = Compares(path=path, comparison=comparison, bound="2026-05-01")
    for found, expected in (("2026-04-30", before), ("2026-05-01", equal), ("2026-05-02", after), (3, False)):
        assert matches(criteria, {"user_id": found}) is expected


def test_an_array_contains_its_elements_and_a_text_its_parts() -> None:
    path = FieldPath("response.status")
    assert matches(Contains(path=path, value=200), {"response.status": ["200", None]})
    assert not matches(Contains(path=path, value=20), {"response.status": ["200", None]})
    assert matches(Contains(path=path, value=20), {"response.status": "200"})
    assert matches(Contains(path=path, value=True), {"response.status": [True]})
    assert not matches(Contains(path=path, value=True), {"response.status": "True"})


def test_of_several_values_one_that_satisfies_the_condition_is_enough() -> None:
    fields = {"request": {"body": {"messages": [{"role": "system"}, {"role": "user"}]}}}
    role = FieldPath("request.body.messages[*].role")

    def holds(criteria: Filter) -> bool:
        return compile_filter(criteria, matcher, compile_field)(fields)

    assert holds(Is(path=role, value="user"))
    assert not holds(IsNot(path=role, value="user"))
    assert not holds(Is(path=role, value="tool"))


@given(filters, events, st.sets(st.sampled_from(PATHS)))
def test_an_event_whose_known_fields_cannot_match_never_does(
    criteria: Filter, fields: dict[str, object], known_paths: set[str]
) -> None:
    known = {path: compile_field(FieldPath(path))(fields) for path in known_paths}
    if not may_match(criteria, known, matcher):
        assert not slowly(criteria, fields)


@given(filters, events)
def test_where_every_field_is_known_may_match_is_the_filter(criteria: Filter, fields: dict[str, object]) -> None:
    known = {path: compile_field(FieldPath(path))(fields) for path in PATHS}
    assert may_match(criteria, known, matcher) == slowly(criteria, fields)


def test_an_unknown_field_leaves_a_match_possible() -> None:
    criteria = a_filter(request__route="/ai/chat", response__status=200)
    assert may_match(criteria, {"request.route": "/ai/chat"}, matcher)
    assert not may_match(criteria, {"request.route": "/ai/images"}, matcher)


@given(st.lists(filters, max_size=4).flatmap(lambda parts: st.tuples(st.just(parts), st.permutations(parts))), events)
def test_the_order_of_parts_changes_nothing(
    orders: tuple[list[Filter], list[Filter]], fields: dict[str, object]
) -> None:
    for kind in (All, AnyOf):
        as_written, shuffled = (compile_filter(kind(tuple(order)), matcher, compile_field) for order in orders)
        assert as_written(fields) == shuffled(fields)


def test_the_depth_of_a_filter_is_that_of_its_deepest_condition() -> None:
    assert depth_of(EVERYTHING) == 1
    assert depth_of(Not(All((Is(path=FieldPath("user_id"), value=1),)))) == 3


def test_every_kind_of_condition_has_a_text() -> None:
    assert condition_text(Between(path=FieldPath("user_id"), low=1, high="x")) == 'user_id between 1 and "x"'
