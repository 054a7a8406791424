import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faregate.apps.ports import claim_port

CHILD = textwrap.dedent("""
    import os, signal, sys, threading
    from http.server import BaseHTTPRequestHandler, HTTPServer
    name, port, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]

    def note(word):
        with open(f"{folder}/notes", "a") as notes:
            notes.write(f"{name} {word} {os.getpid()}\\n")

    class Ready(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()
        def log_message(self, *_):
            pass

    def end(*_):
        note("stopped")
        os._exit(0)

    def follow():
        os.read(0, 1)
        note("abandoned")
        os._exit(0)

    note("started")
    if os.path.exists(f"{folder}/{name}.refuses"):
        sys.exit(2)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if os.path.exists(f"{folder}/{name}.hangs") else end)
    threading.Thread(target=follow, daemon=True).start()
    HTTPServer(("127.0.0.1", port), Ready).serve_forever()
""")

SUPERVISING = textwrap.dedent("""
    import os, sys
    from faregate.apps.cli.supervisor import Child, Supervisor
    folder, ports = sys.argv[1], [int(port) for port in sys.argv[2:]]
    children = [
        Child(name=name, command=(sys.executable, f"{folder}/child.py", name, str(port), folder),
              environment=dict(os.environ), host="127.0.0.1", port=port)
        for name, port in zip(("one", "two"), ports)
    ]
    sys.exit(Supervisor(children, when_ready=lambda: print("ready", flush=True)).run())
""")


@contextmanager
def supervised(folder: Path, *, until_ready: bool = True) -> Iterator[subprocess.Popen[str]]:
    """A supervisor of two small children, as a process of its own."""
    (folder / "child.py").write_text(CHILD)
    ports = [str(claim_port("127.0.0.1", 0)) for _ in range(2)]
    command = [sys.executable, "-c", SUPERVISING, str(folder), *ports]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            if until_ready:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def notes(folder: Path) -> list[tuple[str, str, int]]:
    lines = (folder / "notes").read_text().splitlines()
    return [(name, word, int(pid)) for name, word, pid in map(str.split, lines)]


def wait_for_note(folder: Path, name: str, word: str, times: int = 1) -> int:
    deadline_s = time.monotonic() + 20
    while True:
        found = [pid for noted, said, pid in notes(folder) if (noted, said) == (name, word)]
        if len(found) >= times:
            return found[-1]
        assert time.monotonic() < deadline_s, notes(folder)
        time.sleep(0.02)


def test_children_start_in_order_and_stop_in_the_reverse_one(tmp_path: Path) -> None:
    with supervised(tmp_path) as process:
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert [(name, word) for name, word, _ in notes(tmp_path)] == [
        ("one", "started"),
        ("two", "started"),
        ("two", "stopped"),
        ("one", "stopped"),
    ]


def test_a_child_that_crashes_is_started_again(tmp_path: Path) -> None:
    with supervised(tmp_path) as process:
        os.kill(wait_for_note(tmp_path, "two", "started"), signal.SIGKILL)
        wait_for_note(tmp_path, "two", "started", times=2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert "two ended with status -9; starting it again" in process.stderr.read()
    assert [name for name, word, _ in notes(tmp_path) if word == "started"] == ["one", "two", "two"]


def test_a_child_whose_settings_cannot_work_ends_all(tmp_path: Path) -> None:
    (tmp_path / "two.refuses").touch()
    with supervised(tmp_path, until_ready=False) as process:
        assert process.wait(10) == 2
    assert [(name, word) for name, word, _ in notes(tmp_path)][-1] == ("one", "stopped")


def test_a_second_signal_ends_at_once_what_hangs(tmp_path: Path) -> None:
    (tmp_path / "two.hangs").touch()
    with supervised(tmp_path) as process:
        wait_for_note(tmp_path, "two", "started")
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        begun_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert time.monotonic() - begun_s < 5


def test_children_end_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    with supervised(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        wait_for_note(tmp_path, "one", "abandoned")
        wait_for_note(tmp_path, "two", "abandoned")
