"""Processes that a bench starts: run, watch, kill and weigh them. Linux's /proc is read for CPU time and memory.

Each is in a process group of its own and holds the reading end of a pipe as its standard input, which ends with the
bench, so that none outlives it.
"""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"

_POLL_S: Final = 0.02
_STOP_WITHIN_S: Final = 20.0
_LOG_LINES: Final = 8
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_AFTER_NAME_UTIME: Final = 11
"""Place of `utime` among the fields of /proc/PID/stat that follow the name in brackets; `stime` is next (proc(5))."""


class BenchError(Exception):
    """A bench could not be run: something is missing, or a process did not do its part."""


class Child:
    """One process that can be started again after its end. `ready_path` is asked of its port until it answers 200."""

    def __init__(
        self, name: str, command: Sequence[str], *, environment: Mapping[str, str], folder: Path, port: int
    ) -> None:
        self.name = name
        self.port = port
        self.log_path = folder / f"{name}.log"
        self._command = command
        self._environment = environment
        self._lifeline: int | None = None
        self._held_open: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Return the process id of the running process."""
        if self._process is None:
            raise BenchError(f"{self.name} was not started")
        return self._process.pid

    @property
    def origin(self) -> str:
        """Return the URL of the process, without a path."""
        return f"http://{HOST}:{self.port}"

    def start(self, settings: Mapping[str, str] | None = None) -> None:
        """Start the process, `settings` added to its environment; its output is added to its log."""
        self._lifeline, self._held_open = os.pipe()
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env={**self._environment, **(settings or {})},
                stdin=self._lifeline,
                stdout=log,
                stderr=log,
                process_group=0,
            )

    def wait_ready(self, path: str, *, within_s: float = 60.0) -> None:
        """Return once `GET path` answers 200; `BenchError` with the end of the log where it does not."""
        wait_until(lambda: answers(self.port, path), within_s=within_s, what=f"{self.name} to be ready", child=self)

    def kill(self) -> None:
        """End the process with SIGKILL: it does nothing more."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask the process to end, and kill it where it does not in time."""
        self._end(signal.SIGTERM)

    def end_of_log(self) -> str:
        """Return the last lines that the process wrote."""
        lines = self.log_path.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        return "\n".join(f"  {self.name}: {line}" for line in lines)

    def exit_status(self) -> int | None:
        """Return the status of a process that has ended by itself, a signal's number below zero; None while it runs."""
        return None if self._process is None else self._process.poll()

    def has_ended(self) -> bool:
        """Return whether the process is not running."""
        return self._process is None or self._process.poll() is not None

    def _end(self, number: signal.Signals) -> None:
        process = self._process
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(number)
        try:
            process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for descriptor in (self._lifeline, self._held_open):
            if descriptor is not None:
                os.close(descriptor)
        self._process = self._lifeline = self._held_open = None


@contextmanager
def running(*children: tuple[Child, str]) -> Iterator[None]:
    """Run children, each with the path that says whether it is ready, while the context lasts; ends the last first."""
    try:
        for child, _ in children:
            child.start()
        for child, path in children:
            child.wait_ready(path)
        yield
    finally:
        for child, _ in reversed(children):
            child.stop()


def answers(port: int, path: str) -> bool:
    """Return whether `GET path` on a port of this machine is answered 200."""
    connection = http.client.HTTPConnection(HOST, port, timeout=2.0)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def wait_until(holds: Callable[[], bool], *, within_s: float, what: str, child: Child | None = None) -> None:
    """Return once `holds()` is true; `BenchError` where it is not in time or the child has ended."""
    deadline_s = time.monotonic() + within_s
    while not holds():
        if child is not None and child.has_ended():
            raise BenchError(f"{child.name} ended while it was waited for {what}\n{child.end_of_log()}")
        if time.monotonic() > deadline_s:
            log = "" if child is None else f"\n{child.end_of_log()}"
            raise BenchError(f"waited {within_s:g} s in vain for {what}{log}")
        time.sleep(_POLL_S)


def end_in_order() -> None:
    """Make SIGTERM end this process as Ctrl-C does: with its children stopped and its folders removed."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, all its threads included, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[_AFTER_NAME_UTIME]) + int(fields[_AFTER_NAME_UTIME + 1])) / _TICKS_PER_S


def pss_bytes(pid: int) -> int:
    """Return a process' proportional set size: its memory, what it shares counted in part."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1_024
    raise BenchError(f"/proc/{pid}/smaps_rollup tells no Pss")


def family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(folder.name))
    found = [pid]
    for member in found:
        found.extend(children.get(member, ()))
    return found
