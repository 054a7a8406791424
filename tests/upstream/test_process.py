import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, IncompleteRead
from pathlib import Path

import pytest

from faregate.apps.upstream.call_log import read_call_log
from tests.upstream.conftest import chat, post

COMMAND = [sys.executable, "-m", "faregate.apps.upstream"]
READY = "demo upstream listening on http://127.0.0.1:"


@contextmanager
def started(log_path: Path) -> Iterator[tuple[subprocess.Popen[str], HTTPConnection]]:
    with subprocess.Popen(
        [*COMMAND, "--log", str(log_path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith(READY)
            connection = HTTPConnection("127.0.0.1", int(line.removeprefix(READY)), timeout=20)
            yield process, connection
            connection.close()
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_cleanly_after_one_line(tmp_path: Path, number: signal.Signals) -> None:
    with started(tmp_path / "calls.jsonl") as (process, connection):
        assert post(connection, chat()).status == 200
        process.send_signal(number)
        rest, _ = process.communicate(timeout=10)
        assert (process.returncode, rest) == (0, "")


def test_stopping_cuts_a_paused_stream_off_and_logs_it_as_aborted(tmp_path: Path) -> None:
    log_path = tmp_path / "calls.jsonl"
    with started(log_path) as (process, connection):
        response = post(connection, chat(stream=True), {"x-demo-token-ms": "60000"})
        response.readline()
        process.terminate()
        with pytest.raises(IncompleteRead):
            response.read()
        assert process.wait(timeout=10) == 0
    assert [line.phase for line in read_call_log(log_path)] == ["begun", "aborted"]


def test_a_killed_process_leaves_the_lines_of_what_it_answered(tmp_path: Path) -> None:
    log_path = tmp_path / "calls.jsonl"
    with started(log_path) as (process, connection):
        for number in range(5):
            post(connection, chat(), {"x-request-id": f"whole-{number}"}).read()
        connection.request(
            "POST",
            "/v1/chat/completions",
            json.dumps(chat(stream=True)),
            {"x-request-id": "cut", "x-demo-token-ms": "60000"},
        )
        connection.getresponse().readline()
        process.kill()
        process.wait(timeout=10)
    lines = read_call_log(log_path)
    assert [line.request_id for line in lines if line.phase == "completed"] == [
        f"whole-{number}" for number in range(5)
    ]
    assert [(line.request_id, line.phase) for line in lines][-1] == ("cut", "begun")


def test_a_taken_port_is_named_and_nothing_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        finished = subprocess.run(
            [*COMMAND, "--port", str(port)], capture_output=True, text=True, timeout=20, check=False
        )
    assert finished.returncode == 1
    assert f"port {port}" in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_number_that_is_no_port_is_named_and_nothing_starts(port: str) -> None:
    finished = subprocess.run([*COMMAND, f"--port={port}"], capture_output=True, text=True, timeout=20, check=False)
    assert finished.returncode == 1
    assert f"port {port}" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_log_that_cannot_be_opened_is_named_and_nothing_starts(tmp_path: Path) -> None:
    finished = subprocess.run(
        [*COMMAND, "--log", str(tmp_path)], capture_output=True, text=True, timeout=20, check=False
    )
    assert finished.returncode == 1
    assert str(tmp_path) in finished.stderr
    assert "Traceback" not in finished.stderr
