import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import faregate
from tests.support.tree import ROOT

EXCERPT = ROOT / "tests/data/llm_trace_excerpt.csv"
HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens"


def replay(folder: Path, *rows: str, expected_status: int = 0) -> dict[str, Any]:
    """Replay a trace of `rows`; return the JSON document."""
    trace = folder / "trace.csv"
    trace.write_text("\n".join([HEADER, *rows]))
    ended = faregate("replay", str(trace), "--json", folder=folder)
    assert ended.returncode == expected_status, ended.stdout[-3_000:] + ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def test_an_excerpt_over_a_months_border_is_billed_to_the_cent_and_shown(tmp_path: Path) -> None:
    ended = faregate("replay", str(EXCERPT), "--concurrency", "16", folder=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "2025-01   104 1,141,270" in ended.stdout
    assert "2025-02    16    28,926" in ended.stdout
    assert "120 calls (60 streams)" in ended.stdout
    assert "Nothing differs, and no call failed." in ended.stdout
    assert list(tmp_path.iterdir()) == []


def test_every_month_of_a_strange_trace_gets_its_own_invoice(tmp_path: Path) -> None:
    found = replay(
        tmp_path,
        "2024-01-01T00:00:00Z,1000000000,1000000000",
        "2023-12-31 23:59:59.9999999,999999,1",
        "2023-12-31 23:59:59.9999999,999999,1",
        "2023-12-01 00:00:00,2,1000000",
        "",
        "2024-06-15 12:00:00+02:00,1,100001",
        "2024-03-31 23:59:59.123,0,0",
        "2000-01-01 00:00:00,12345678901,0",
    )
    assert found["ok"] is True
    assert found["difference"] == {"calls": 0, "tokens_in": 0, "tokens_out": 0, "money": "0.00"}
    assert [(month["month"], month["calls"], month["invoiced"], month["status"]) for month in found["months"]] == [
        ("2000-01", 1, "6173.00", "paid"),
        ("2023-12", 3, "4.00", "paid"),
        ("2024-01", 1, "2000.00", "paid"),
        ("2024-03", 1, "0.00", None),
        ("2024-06", 1, "2.00", "paid"),
    ]
    assert (found["calls_sent"], found["failed"], found["streams"]) == (7, 0, 3)


def test_a_trace_of_one_call_without_tokens_costs_nothing(tmp_path: Path) -> None:
    found = replay(tmp_path, "2024-02-29 00:00:00,0,0")
    assert found["file"] == {"calls": 1, "tokens_in": 0, "tokens_out": 0, "money": "0.00"}
    assert found["books"] == found["file"]


def test_the_traces_rhythm_is_kept_some_times_faster(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text(f"{HEADER}\n2024-05-05 00:00:00,1,1\n2024-05-05 00:00:10,1,1\n")
    ended = faregate("replay", str(trace), "--speed", "10", "--json", folder=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert 1.0 <= json.loads(ended.stdout)["seconds"] < 3.0


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("2024-05-05 00:00:00,1,many", "row 3, GeneratedTokens: must be a whole number"),
        ("1999-12-31 00:00:00,1,1", "row 3, TIMESTAMP: must lie from 2000-01-01 to "),
    ],
)
def test_a_bad_row_is_one_plain_line_and_nothing_is_started(tmp_path: Path, row: str, says: str) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text(f"{HEADER}\n2024-05-05 00:00:00,1,1\n{row}\n")
    ended = faregate("replay", str(trace), folder=tmp_path)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith(f"faregate: {trace}: {says}")
    assert ended.stderr.count("\n") == 1
