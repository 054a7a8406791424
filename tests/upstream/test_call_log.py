import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from faregate.apps.upstream.call_log import CallLine, CallLog, open_call_log, read_call_log
from faregate.base.clock import SystemClock, to_microseconds
from tests.upstream.conftest import Upstream, chat, post

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


class StoppedClock:
    def now(self) -> datetime:
        return NOW

    def steady_ms(self) -> int:
        return 0


def append(log: CallLog, request_id: str) -> None:
    log.append(request_id, "begun", status=200, prompt_tokens=7, completion_tokens=0, chunks=0)


def test_a_line_says_what_was_handed_over_and_when(tmp_path: Path) -> None:
    with open_call_log(tmp_path / "calls.jsonl", StoppedClock()) as log:
        append(log, "one")
    assert read_call_log(tmp_path / "calls.jsonl") == [
        CallLine(
            request_id="one",
            phase="begun",
            status=200,
            prompt_tokens=7,
            completion_tokens=0,
            chunks=0,
            at_us=to_microseconds(NOW),
        )
    ]


def test_a_log_opened_again_is_continued(tmp_path: Path) -> None:
    for request_id in ("one", "two"):
        with open_call_log(tmp_path / "calls.jsonl", StoppedClock()) as log:
            append(log, request_id)
    assert [line.request_id for line in read_call_log(tmp_path / "calls.jsonl")] == ["one", "two"]


def test_a_log_that_takes_only_a_part_of_a_line_is_an_error() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with pytest.raises(OSError, match="part of a line"):
        append(CallLog(writing, SystemClock()), "more than the pipe holds" * 100_000)
    os.close(reading)
    os.close(writing)


def test_a_completed_call_has_two_lines_with_its_counts(upstream: Upstream, request_id: str) -> None:
    headers = {"x-request-id": request_id, "x-demo-prompt-tokens": "374", "x-demo-completion-tokens": "44"}
    connection = upstream.connection()
    post(connection, chat(stream=True), headers).read()
    begun, completed = upstream.lines_of(request_id)
    assert (begun.phase, begun.prompt_tokens, begun.completion_tokens, begun.chunks) == ("begun", 374, 0, 0)
    # the role, 44 tokens at 16 a chunk, the finish reason
    assert (completed.phase, completed.prompt_tokens, completed.completion_tokens) == ("completed", 374, 44)
    assert completed.chunks == 1 + 3 + 1
    assert begun.at_us <= completed.at_us
    connection.close()


def test_a_call_without_a_request_id_gets_one_of_its_own(upstream: Upstream) -> None:
    connection = upstream.connection()
    response = post(connection, chat())
    response.read()
    assert [line.phase for line in upstream.lines_of(response.headers["x-request-id"])] == ["begun", "completed"]
    connection.close()
