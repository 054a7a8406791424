import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import pytest

from faregate.apps.ports import claim_port
from faregate.apps.secret_files import CLI_TOKEN_FILE


@dataclass(frozen=True, kw_only=True)
class Up:
    """A running `faregate up`, and what it had printed when it was ready."""

    process: subprocess.Popen[str]
    port: int
    gateway_port: int
    printed: str

    def status(self, port: int, path: str, **headers: str) -> int:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path, headers=headers)
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()

    def child(self, name: str) -> int:
        """Return the process id of a child."""
        for pid in _children(self.process.pid):
            if name in Path(f"/proc/{pid}/cmdline").read_text().split("\0"):
                return pid
        raise AssertionError(name)


@contextmanager
def up(data: Path) -> Iterator[Up]:
    """`faregate up` as a process of its own, ready."""
    port, gateway_port = claim_port("127.0.0.1", 0), claim_port("127.0.0.1", 0)
    environment = {name: text for name, text in os.environ.items() if not name.startswith("FAREGATE_")}
    environment |= {"FAREGATE_PORT": str(port), "FAREGATE_GATEWAY_PORT": str(gateway_port)}
    command = [sys.executable, "-m", "faregate", "up", "--data", str(data)]
    with subprocess.Popen(
        command, env=environment, cwd=data.parent, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                if line.startswith("  data"):
                    break
            yield Up(process=process, port=port, gateway_port=gateway_port, printed="".join(lines))
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
        finally:
            process.kill()


def test_up_is_ready_with_both_processes_prints_its_secrets_once_and_finds_its_data_again(tmp_path: Path) -> None:
    data = tmp_path / "kept"
    with up(data) as first:
        assert "admin" in first.printed
        token = (data / CLI_TOKEN_FILE).read_text().strip()
        assert first.status(first.port, "/api/v1/plans", authorization=f"Bearer {token}") == 200
        assert first.status(first.gateway_port, "/readyz") == 200
        assert f"http://127.0.0.1:{first.gateway_port}" in first.printed
    with up(data) as second:
        assert "admin" not in second.printed
        assert second.status(second.port, "/api/v1/plans", authorization=f"Bearer {token}") == 200


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the children through /proc")
@pytest.mark.parametrize("name", ["serve", "gateway"])
def test_a_process_that_is_killed_comes_back(tmp_path: Path, name: str) -> None:
    with up(tmp_path / "kept") as running:
        killed = running.child(name)
        os.kill(killed, signal.SIGKILL)
        port = running.port if name == "serve" else running.gateway_port
        deadline_s = time.monotonic() + 20
        while running.status(port, "/readyz") != 200 or running.child(name) == killed:
            assert time.monotonic() < deadline_s
            time.sleep(0.1)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads memory from /proc")
def test_up_stays_within_its_memory(tmp_path: Path) -> None:
    with up(tmp_path / "kept") as running:
        supervisor_kb = _pss_kb(running.process.pid)
        children_kb = [_pss_kb(pid) for pid in _children(running.process.pid)]
    assert len(children_kb) == 2
    assert supervisor_kb < 25 * 1024
    assert supervisor_kb + sum(children_kb) < 300 * 1024


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _pss_kb(pid: int) -> int:
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])
