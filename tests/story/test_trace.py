from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.apps.story.trace import (
    MAX_CALL_TOKENS,
    MAX_TRACE_TOKENS,
    TracedCall,
    TraceFault,
    in_order,
    parse_trace,
    read_trace,
)
from tests.support.tree import ROOT

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens"
NOON = datetime(2023, 11, 16, 12, tzinfo=UTC)


def trace(folder: Path, text: str | bytes) -> Path:
    path = folder / "trace.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def call(row: int, occurred_at: datetime, context_tokens: int, generated_tokens: int) -> TracedCall:
    return TracedCall(
        row=row, occurred_at=occurred_at, context_tokens=context_tokens, generated_tokens=generated_tokens
    )


def test_the_public_form_is_read_seven_digits_crlf_and_no_newline_at_the_end(tmp_path: Path) -> None:
    text = f"{HEADER}\r\n2023-11-16 18:15:46.6805900,374,44\r\n2023-11-16 18:15:50.9951699,396,109"
    assert read_trace(trace(tmp_path, text)) == [
        call(2, datetime(2023, 11, 16, 18, 15, 46, 680590, UTC), 374, 44),
        call(3, datetime(2023, 11, 16, 18, 15, 50, 995169, UTC), 396, 109),
    ]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2023-11-16 12:00:00", NOON),
        ("2023-11-16T12:00:00Z", NOON),
        ("2023-11-16t12:00:00z", NOON),
        ("2023-11-16 12:00:00+00:00", NOON),
        ("2023-11-16 14:00:00.000+02:00", NOON),
        ("2023-11-16 14:00:00+0200", NOON),
        ("2023-11-16 12:00:00.5", NOON.replace(microsecond=500_000)),
        ("2023-11-16 12:00:00.000000999", NOON),
        ("2023-11-30 23:59:59.99999999", datetime(2023, 11, 30, 23, 59, 59, 999_999, UTC)),
    ],
)
def test_a_time_may_have_a_zone_and_any_number_of_digits(tmp_path: Path, written: str, meant: datetime) -> None:
    (read,) = read_trace(trace(tmp_path, f"{HEADER}\n{written},1,1\n"))
    assert read.occurred_at == meant


def test_blank_lines_are_no_calls_but_count_as_rows_of_the_file(tmp_path: Path) -> None:
    text = f"\n{HEADER}\n\n2023-11-16 12:00:00,1,2\n   \n,,\n2023-11-16 12:00:00,3,4\n\n"
    assert [(read.row, read.context_tokens) for read in read_trace(trace(tmp_path, text))] == [(4, 1), (7, 3)]


def test_columns_are_found_by_name_in_any_case_and_order_after_a_byte_order_mark(tmp_path: Path) -> None:
    text = "\ufeffgeneratedtokens,Model,timestamp,CONTEXTTOKENS\n5,gpt,2023-11-16 12:00:00,7\n"
    assert read_trace(trace(tmp_path, text)) == [call(2, NOON, 7, 5)]


def test_zero_tokens_are_values_and_rows_that_are_alike_are_different_calls(tmp_path: Path) -> None:
    row = "2023-11-16 12:00:00,0,0\n"
    assert read_trace(trace(tmp_path, f"{HEADER}\n{row}{row}")) == [call(2, NOON, 0, 0), call(3, NOON, 0, 0)]


def test_tokens_are_taken_up_to_the_limit(tmp_path: Path) -> None:
    (read,) = read_trace(trace(tmp_path, f"{HEADER}\n2023-11-16 12:00:00,{MAX_CALL_TOKENS},000{MAX_CALL_TOKENS}\n"))
    assert (read.context_tokens, read.generated_tokens) == (MAX_CALL_TOKENS, MAX_CALL_TOKENS)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("yesterday,1,2", "row 3, TIMESTAMP: must be a time such as"),
        ("2023-02-30 12:00:00,1,2", "row 3, TIMESTAMP: '2023-02-30 12:00:00' is not a time"),
        ("2023-11-16 12:00:60,1,2", "row 3, TIMESTAMP: '2023-11-16 12:00:60' is not a time"),
        ("0001-01-01 00:00:00+23:59,1,2", "row 3, TIMESTAMP: '0001-01-01 00:00:00+23:59' is not a time"),
        (",1,2", "row 3, TIMESTAMP: must be a time such as"),
        ("2023-11-16 12:00:00,-1,2", "row 3, ContextTokens: must be a whole number from 0 to"),
        ("2023-11-16 12:00:00,1.5,2", "row 3, ContextTokens: must be a whole number from 0 to"),
        ("2023-11-16 12:00:00,\u0661,2", "row 3, ContextTokens: must be a whole number from 0 to"),
        (f"2023-11-16 12:00:00,{MAX_CALL_TOKENS + 1},2", "row 3, ContextTokens: must be a whole number from 0 to"),
        (f"2023-11-16 12:00:00,1,{'9' * 5_000}", "row 3, GeneratedTokens: must be a whole number from 0 to"),
        ("2023-11-16 12:00:00,1,", "row 3, GeneratedTokens: must be a whole number from 0 to"),
        ("2023-11-16 12:00:00,1", "row 3 has no GeneratedTokens"),
        ('2023-11-16 12:00:00,1,"2', "row 3 is not CSV"),
    ],
)
def test_a_bad_row_is_named_with_its_column(tmp_path: Path, row: str, says: str) -> None:
    path = trace(tmp_path, f"{HEADER}\n2023-11-16 12:00:00,1,1\n{row}\n")
    with pytest.raises(TraceFault) as caught:
        read_trace(path)
    assert caught.value.message.startswith(f"{path}: {says}")
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        (f"{HEADER}\n", "has no calls"),
        ("TIMESTAMP,ContextTokens\n", "lacks GeneratedTokens"),
        ("2023-11-16 12:00:00,1,2\n", "lacks TIMESTAMP, ContextTokens, GeneratedTokens"),
        (b"\xff\xfe\x00", "is not text in UTF-8"),
    ],
)
def test_a_file_that_is_no_trace_is_named(tmp_path: Path, text: str | bytes, says: str) -> None:
    path = trace(tmp_path, text)
    with pytest.raises(TraceFault) as caught:
        read_trace(path)
    assert caught.value.message.startswith(f"{path}: ")
    assert says in caught.value.message


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TraceFault, match=r"none\.csv: No such file or directory"):
        read_trace(tmp_path / "none.csv")


def test_a_trace_whose_tokens_would_not_fit_the_ledger_is_refused(tmp_path: Path) -> None:
    rows = f"2023-11-16 12:00:00,0,{MAX_CALL_TOKENS}\n" * (MAX_TRACE_TOKENS // MAX_CALL_TOKENS)
    assert len(read_trace(trace(tmp_path, f"{HEADER}\n{rows}"))) == MAX_TRACE_TOKENS // MAX_CALL_TOKENS
    with pytest.raises(TraceFault, match="GeneratedTokens must add up to at most"):
        read_trace(trace(tmp_path, f"{HEADER}\n{rows}2023-11-16 12:00:00,0,1\n"))


def test_calls_are_played_by_their_time_and_those_of_one_instant_as_they_stand() -> None:
    later = NOON.replace(hour=13)
    mixed = [call(2, later, 1, 1), call(3, NOON, 2, 2), call(4, later, 3, 3), call(5, NOON, 4, 4)]
    assert [entry.row for entry in in_order(mixed)] == [3, 5, 2, 4]


@given(
    st.lists(
        st.tuples(
            st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - as Hypothesis asks
            st.integers(0, 10**9),
            st.integers(0, 10**9),
        )
    )
)
def test_what_is_written_in_the_form_is_read_as_it_was(rows: list[tuple[datetime, int, int]]) -> None:
    lines = [HEADER, *(f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond:06}0,{tokens},{more}" for at, tokens, more in rows)]
    read = list(parse_trace(lines, name="trace"))
    assert [(entry.occurred_at, entry.context_tokens, entry.generated_tokens) for entry in read] == rows


def test_the_excerpt_that_ships_is_a_trace() -> None:
    calls = read_trace(ROOT / "tests/data/llm_trace_excerpt.csv")
    assert len(calls) == 120
    assert min(entry.occurred_at for entry in calls).month != max(entry.occurred_at for entry in calls).month
