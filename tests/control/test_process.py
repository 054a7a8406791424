import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from faregate.apps.control.settings import DATABASE_FILE
from faregate.apps.ports import claim_port
from faregate.apps.secret_files import CLI_TOKEN_FILE, GATEWAY_TOKEN_FILE
from faregate.base.errors import ConfigurationError
from tests.control.control_plane import started


@contextmanager
def serving(data: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """`faregate serve` as a process of its own, ready."""
    command = [
        sys.executable,
        "-m",
        "faregate",
        "serve",
        "--data",
        str(data),
        "--port",
        str(port),
        "--log-format",
        "json",
    ]
    environment = {name: text for name, text in os.environ.items() if not name.startswith("FAREGATE_")}
    with subprocess.Popen(
        command, env=environment, cwd=data.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            _await_ready(process, port)
            yield process
        finally:
            process.kill()


def test_after_kill_9_everything_that_was_answered_201_is_there_and_metered_once(tmp_path: Path) -> None:
    data, port = tmp_path / "kept", claim_port("127.0.0.1", 0)
    acknowledged: list[str] = []
    with serving(data, port) as process:
        assert process.stdout is not None
        collector_id = next(line.split()[-1] for line in process.stdout if "collector id" in line)
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        deadline_s = time.monotonic() + 0.7
        while time.monotonic() < deadline_s:
            ids = [f"call-{len(acknowledged) + offset}" for offset in range(20)]
            connection.request("POST", "/v1/events/batch", _batch(ids), {"x-moesif-application-id": collector_id})
            reply = connection.getresponse()
            assert (reply.status, reply.read()) == (201, b"")
            acknowledged += ids
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
        connection.close()
    with serving(data, port) as process:
        _wait_until_metered(port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    with closing(sqlite3.connect(data / DATABASE_FILE)) as database:
        bodies = [json.loads(body) for (body,) in database.execute("SELECT body FROM event_log")]
        (identities,) = database.execute("SELECT count(*) FROM event_identity").fetchone()
    assert {body["transaction_id"] for body in bodies} >= set(acknowledged)
    assert identities == len({body["transaction_id"] for body in bodies})
    assert len(acknowledged) > 0


def test_the_first_start_prints_its_secrets_once_and_never_logs_them(tmp_path: Path) -> None:
    data, port = tmp_path / "kept", claim_port("127.0.0.1", 0)
    with serving(data, port) as process:
        process.terminate()
        out, log = process.communicate(timeout=10)
    secrets = [line.split()[-1] for line in out.splitlines() if line.startswith("  ")]
    assert len(secrets) == 4
    assert not any(secret in log for secret in secrets)
    assert [json.loads(line)["event"] for line in log.splitlines()] == [
        "control_plane.started",
        "control_plane.stopped",
    ]
    with serving(data, port) as process:
        process.terminate()
        assert process.communicate(timeout=10)[0] == ""


def test_files_of_secrets_are_for_their_owner_alone(tmp_path: Path) -> None:
    data, port = tmp_path / "kept", claim_port("127.0.0.1", 0)
    with serving(data, port):
        for name in (CLI_TOKEN_FILE, GATEWAY_TOKEN_FILE):
            assert (data / name).stat().st_mode & 0o777 == 0o600
    assert data.stat().st_mode & 0o777 == 0o700


def test_the_command_lines_token_opens_the_api_also_after_its_file_was_lost(tmp_path: Path) -> None:
    for _ in range(2):
        with started(tmp_path / "kept") as control:
            token = (tmp_path / "kept" / CLI_TOKEN_FILE).read_text().strip()
            assert control.ask("GET", "/api/v1/plans", authorization=f"Bearer {token}").status == 200
        (tmp_path / "kept" / CLI_TOKEN_FILE).unlink()


def test_a_port_in_use_is_said_in_plain_words(tmp_path: Path) -> None:
    with started(tmp_path / "one") as control, pytest.raises(ConfigurationError, match=f"port {control.running.port}"):
        claim_port("127.0.0.1", control.running.port)


def test_two_control_planes_cannot_share_a_sqlite_file(tmp_path: Path) -> None:
    with (
        started(tmp_path / "kept"),
        pytest.raises(ConfigurationError, match="in use by another"),
        started(tmp_path / "kept"),
    ):
        pass


def test_a_control_plane_runs_on_postgresql(tmp_path: Path, postgresql_url: str) -> None:
    with started(tmp_path / "kept", postgresql_url) as control:
        assert control.collect(_batch(["call-1", "call-2"])).status == 201
        assert len(control.logged_events()) == 2
        with control.follow() as stream:
            assert [message["type"] for message in stream.burst()] == ["reset", "upsert", "up_to_date"]
    with started(tmp_path / "kept", postgresql_url) as control:
        assert control.running.first_secrets is None


def test_a_stop_ends_the_streams_in_order(tmp_path: Path) -> None:
    with ExitStack() as later:
        with started(tmp_path / "kept") as control:
            stream = later.enter_context(control.follow())
            stream.burst()
        assert stream.message() is None


def _batch(ids: list[str]) -> bytes:
    request = {"time": "2026-03-10T12:00:00.000", "uri": "http://api/ai/chat", "verb": "POST"}
    return json.dumps([{"request": request, "transaction_id": each} for each in ids]).encode()


def _await_ready(process: subprocess.Popen[str], port: int) -> None:
    deadline_s = time.monotonic() + 20
    while _get(port, "/readyz")[0] != 200:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def _wait_until_metered(port: int) -> None:
    deadline_s = time.monotonic() + 20
    while "faregate_events_unapplied 0" not in _get(port, "/metrics")[1].splitlines():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def _get(port: int, path: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except (OSError, HTTPException):
        return 0, ""
    finally:
        connection.close()
