import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.command import clean_environment, command, faregate

LONG_TRACE = "TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-05 00:00:00,1,1\n2024-05-05 00:01:00,1,1\n"
STARTED_WITHIN_S = 30
GONE_WITHIN_S = 20


def test_a_walkthrough_that_finds_another_amount_says_so_and_ends_in_1(tmp_path: Path) -> None:
    changed = (
        "from faregate.apps.story.walkthrough import opening_steps, playing, running;"
        "opening_steps._RESOURCES = 9;"
        "playing.STEPS = (opening_steps.apply_catalog,);"
        "raise SystemExit(running.run_walkthrough(json=False))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", changed],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1, ended.stderr
    assert "✗ applied: created: calculated 9, found 8" in ended.stdout
    assert "4 of 4 checks differ" in ended.stdout


def children_of(pid: int) -> list[int]:
    """The processes whose parent is `pid` (proc(5): the parent follows the name in parentheses and the state)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            _, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if int(parent) == pid:
                found.append(int(entry.name))
    return found


@contextmanager
def started_by_a_shell(*, in_background: bool) -> Iterator[None]:
    """Let what is started here inherit what becomes of SIGINT: a shell's background jobs ignore it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if in_background else signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def starting(tmp_path: Path, *, in_background: bool = False) -> subprocess.Popen[str]:
    """A replay that waits for its second call, with its three processes running."""
    trace = tmp_path / "trace.csv"
    trace.write_text(LONG_TRACE)
    environment = clean_environment() | {"TMPDIR": str(tmp_path)}
    with started_by_a_shell(in_background=in_background):
        process = subprocess.Popen(
            command("replay", str(trace), "--speed", "1"),
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    deadline = time.monotonic() + STARTED_WITHIN_S
    while len(children_of(process.pid)) < 3:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process


def all_gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + GONE_WITHIN_S
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize(
    ("number", "in_background"), [(signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGTERM, True)]
)
def test_an_interrupted_replay_stops_what_it_started_and_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals, *, in_background: bool
) -> None:
    process = starting(tmp_path, in_background=in_background)
    children = children_of(process.pid)
    process.send_signal(number)
    out, errors = process.communicate(timeout=90)
    assert (process.returncode, out, errors) == (130, "", "")
    assert all_gone(children)
    assert [entry.name for entry in tmp_path.iterdir()] == ["trace.csv"]


def test_the_processes_of_a_story_end_with_it_even_when_it_is_killed(tmp_path: Path) -> None:
    process = starting(tmp_path)
    children = children_of(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    assert all_gone(children)


def test_a_stack_that_cannot_start_is_one_plain_line(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text(LONG_TRACE)
    ended = subprocess.run(
        command("replay", str(trace)),
        cwd=tmp_path,
        env=clean_environment() | {"PYTHONPATH": str(_broken(tmp_path))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr == "faregate: upstream ended with status 1; upstream wrote: broken on purpose\n"


def _broken(folder: Path) -> Path:
    """A module path that makes supervised children fail as they start."""
    modules = folder / "modules"
    modules.mkdir()
    (modules / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if os.environ.get('FAREGATE_SUPERVISED'):\n"
        "    sys.stderr.write('broken on purpose')\n"
        "    os._exit(1)\n"
    )
    return modules


def test_help_names_the_stories(tmp_path: Path) -> None:
    ended = faregate("--help", folder=tmp_path)
    assert "demo" in ended.stdout
    assert "replay" in ended.stdout
