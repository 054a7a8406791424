import pytest

from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_CONDITIONS, MAX_FILTER_CHARACTERS, MAX_FILTER_DEPTH, MAX_QUANTITY_DIGITS
from faregate.domain.metering.filter import EVERYTHING, All
from faregate.domain.metering.filter_text import filter_text, parse_filter
from tests.builders import a_filter


def message(text: str) -> str:
    with pytest.raises(InvalidInput) as refused:
        parse_filter("filter_text", text)
    (fault,) = refused.value.faults
    assert fault.field == "filter_text"
    return fault.message


def test_the_text_of_the_seed_filter_is_what_people_write() -> None:
    text = 'request.route == "/ai/chat" and response.status == 200'
    assert parse_filter("f", text) == a_filter(request__route="/ai/chat", response__status=200)
    assert filter_text(parse_filter("f", text)) == text


@pytest.mark.parametrize(
    ("spelled", "canonical"),
    [
        ("", "true"),
        ("  TRUE ", "true"),
        ("false", "false"),
        ('user_id IS "a" AND NOT company_id is not "b"', 'user_id == "a" and not company_id != "b"'),
        ('user_id   starts\n with "x"', 'user_id starts with "x"'),
        ("((user_id exists))", "user_id exists"),
        (
            "user_id exists or (user_id exists or company_id exists)",
            "user_id exists or user_id exists or company_id exists",
        ),
        (
            "user_id exists and (user_id == 1 or company_id exists)",
            "user_id exists and (user_id == 1 or company_id exists)",
        ),
        ("not (user_id exists and company_id exists)", "not (user_id exists and company_id exists)"),
        ("not not user_id exists", "user_id exists"),
        ("metadata.n between 1.50 and 2e2", "metadata.n between 1.5 and 200"),
        ('metadata.n in [1,"1", true ,-0.5]', 'metadata.n in [1, "1", true, -0.5]'),
        ('request.headers.X-Team contains "a\\"b"', 'request.headers.x-team contains "a\\"b"'),
        ('request.body.messages[*].content matches "^\\\\d+"', 'request.body.messages[*].content matches "^\\\\d+"'),
    ],
)
def test_a_filter_has_one_canonical_text(spelled: str, canonical: str) -> None:
    assert filter_text(parse_filter("f", spelled)) == canonical
    assert filter_text(parse_filter("f", canonical)) == canonical


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("status == 200", 1, "expected a field"),
        ("request.route = 5", 15, "expected one of"),
        ("request.route ==", 17, "the text ends here"),
        ("request.route == 'x'", 18, "double quotes"),
        ('request.route == "x" response.status == 1', 22, "expected 'and', 'or' or the end"),
        ('(request.route == "x"', 22, "expected ')'"),
        ('user_id == "\\q"', 12, "JSON's escapes"),
        ("user_id in 5", 12, "expected '['"),
        ("user_id in [5", 14, "expected ']'"),
        ("user_id > true", 11, "expected a number"),
        ("user_id between 1 or 2", 19, "expected 'and'"),
        ("user_id matches 5", 17, "double quotes"),
        ("user_idx exists", 1, "expected a field"),
        ("user_id == " + "9" * (MAX_QUANTITY_DIGITS + 1), 12, "digits"),
        ("user_id ==\n  @", 14, "found '@'"),
    ],
)
def test_a_fault_points_at_its_column(text: str, column: int, words: str) -> None:
    found = message(text)
    assert found.startswith(f"column {column}: ")
    assert words in found


def test_a_filter_has_as_many_conditions_levels_and_characters_as_the_limits_and_not_one_more() -> None:
    conditions = [f"user_id == {number}" for number in range(MAX_CONDITIONS + 1)]
    assert isinstance(parse_filter("f", " and ".join(conditions[:-1])), All)
    assert f"at most {MAX_CONDITIONS} conditions" in message(" and ".join(conditions))
    deepest = "user_id exists"
    for level in range(MAX_FILTER_DEPTH - 1):
        deepest = f"company_id exists {'and' if level % 2 else 'or'} ({deepest})"
    parse_filter("f", deepest)
    assert f"at most {MAX_FILTER_DEPTH} levels deep" in message(f"company_id exists and ({deepest})".replace("x", "x"))
    assert "levels deep" in message("(" * (MAX_FILTER_DEPTH + 2))
    assert parse_filter("f", " " * MAX_FILTER_CHARACTERS) == EVERYTHING
    assert f"at most {MAX_FILTER_CHARACTERS} characters" in message(" " * (MAX_FILTER_CHARACTERS + 1))
