from decimal import Decimal

import pytest

from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_FIELD_PATH_CHARACTERS
from faregate.domain.metering.event import FieldPath, Several, compile_field, parse_field_path, scalar_text

FIELDS = {
    "request": {"route": "/ai/chat", "body": [{"role": "user"}]},
    "response": {"status": 200, "body": {"usage": {"prompt_tokens": Decimal("1.5"), "cached": None}}},
    "user_id": "ann",
    "metadata": None,
}


def read(path: str) -> object:
    return compile_field(FieldPath(path))(FIELDS)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("request.route", "/ai/chat"),
        ("response.status", 200),
        ("response.body.usage.prompt_tokens", Decimal("1.5")),
        ("response.body.usage", {"prompt_tokens": Decimal("1.5"), "cached": None}),
        ("user_id", "ann"),
    ],
)
def test_a_path_reads_the_field_it_names(path: str, value: object) -> None:
    assert read(path) == value


@pytest.mark.parametrize(
    "path",
    [
        "company_id",
        "response.body.usage.completion_tokens",
        "response.body.usage.cached",
        "response.body.usage.cached.deeper",
        "metadata.team",
    ],
)
def test_a_missing_or_null_step_reads_as_nothing(path: str) -> None:
    assert read(path) is None


@pytest.mark.parametrize("path", ["request.body.role", "request.body.0", "response.status.code", "user_id.first"])
def test_lists_and_scalars_have_no_fields(path: str) -> None:
    assert read(path) is None


@pytest.mark.parametrize(
    "text", ["request.route", "response.body.usage.prompt_tokens", "metadata.team", "user_id", "company_id"]
)
def test_a_path_starts_with_a_part_of_an_event(text: str) -> None:
    path = parse_field_path("metric.field", text)
    assert path.text == text
    assert path.steps == tuple(text.split("."))


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "status",
        "Request.route",
        "request.",
        ".request",
        "request..route",
        "request route",
        "$.request",
        "request[",
        "[0]",
        "request[-1]",
    ],
)
def test_any_other_text_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"response\.body\.usage\.prompt_tokens") as refused:
        parse_field_path("metric.field", text)
    assert [fault.field for fault in refused.value.faults] == ["metric.field"]


def test_a_path_may_be_as_long_as_the_limit_and_not_one_longer() -> None:
    longest = "request." + "x" * (MAX_FIELD_PATH_CHARACTERS - len("request."))
    assert parse_field_path("field", longest).text == longest
    with pytest.raises(InvalidInput):
        parse_field_path("field", longest + "x")


def test_a_path_goes_through_arrays_by_index_and_quotes_names_that_are_not_plain() -> None:
    assert read("request.body[0].role") == "user"
    assert read("request.body[1].role") is None
    assert read("request[0]") is None
    assert compile_field(FieldPath('metadata["cost center"].x'))({"metadata": {"cost center": {"x": 1}}}) == 1


def test_a_path_through_all_elements_finds_every_value_that_is_there() -> None:
    fields = {
        "request": {"body": {"parts": [{"n": 1}, {"n": None}, {}, 5, {"n": "2"}], "deep": [[1, 2], [3]], "no": 1}}
    }
    assert compile_field(FieldPath("request.body.parts[*].n"))(fields) == Several((1, "2"))
    assert compile_field(FieldPath("request.body.deep[*][*]"))(fields) == Several((1, 2, 3))
    assert compile_field(FieldPath("request.body.no[*]"))(fields) == Several(())


def test_names_of_headers_have_no_case() -> None:
    path = parse_field_path("field", "request.headers.X-Team")
    assert path.text == "request.headers.x-team"
    assert compile_field(path)({"request": {"headers": {"X-TEAM": "a"}}}) == "a"
    assert compile_field(path)({"request": {"headers": {"x-team": "b", "X-Team": "a"}}}) == "b"
    assert compile_field(path)({"request": {"headers": {}}}) is None
    assert compile_field(path)({"request": {"headers": None}}) is None
    assert compile_field(FieldPath("request.headers"))({"request": {"headers": {"a": "b"}}}) == {"a": "b"}


@pytest.mark.parametrize(
    ("spelled", "canonical"),
    [
        ("request.body.a b", 'request.body["a b"]'),
        ('request.body["model"]', "request.body.model"),
        ('metadata["x\\"y"][0][*].z', 'metadata["x\\"y"][0][*].z'),
    ],
)
def test_a_path_has_one_spelling(spelled: str, canonical: str) -> None:
    path = parse_field_path("field", spelled)
    assert path.text == canonical
    assert parse_field_path("field", canonical) == path


def test_a_path_finds_one_value_unless_it_goes_through_all_elements() -> None:
    assert FieldPath("request.body.parts[0]").is_single
    assert not FieldPath("request.body.parts[*].n").is_single


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (200, "200"),
        (Decimal("200.00"), "200"),
        (Decimal("-0.0"), "0"),
        (Decimal("1E+2"), "100"),
        (Decimal("1E+999"), "1E+999"),
        ("200.0", "200.0"),
        (True, True),
        ([1], None),
        (None, None),
    ],
)
def test_a_number_is_compared_by_its_shortest_numeral(value: object, text: object) -> None:
    assert scalar_text(value) == text
