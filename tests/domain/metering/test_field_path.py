from decimal import Decimal

import pytest

from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_FIELD_PATH_CHARACTERS
from faregate.domain.metering.event import FieldPath, compile_field, parse_field_path

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
    assert ".".join(path.parts) == text


@pytest.mark.parametrize(
    "text", ["", ".", "status", "Request.route", "request.", ".request", "request..route", "request route", "$.request"]
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
