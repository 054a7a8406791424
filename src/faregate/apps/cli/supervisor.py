"""Keeps the processes of `faregate up` running. Standard library only and no event loop: it waits, and little else.

A child that crashes is started again, ever more slowly; one that says its settings cannot work ends all. Children end
with the supervisor, even when it is killed: their standard input is a pipe that only it holds open.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

REFUSED: Final = 2
"""A child's exit status where starting it again would not help."""

_POLL_S: Final = 0.05
_IDLE_S: Final = 1.0
_PROBE_S: Final = 1.0
_STOP_WITHIN_S: Final = 10.0
_SHORTEST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
_STEADY_AFTER_S: Final = 60.0


@dataclass(slots=True, kw_only=True)
class Child:
    """A process, and where it says whether it is ready."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)
    host: str
    port: int
    ready_path: str = "/readyz"
    process: subprocess.Popen[bytes] | None = None
    is_ready: bool = False
    started_at_s: float = 0.0
    start_at_s: float = 0.0
    pause_s: float = _SHORTEST_PAUSE_S


class Supervisor:
    """Starts its children one after the other, each when the one before is ready; stops them in the reverse order."""

    def __init__(self, children: Sequence[Child], *, when_ready: Callable[[], None]) -> None:
        self._children = children
        self._when_ready = when_ready
        self._announced = False
        self._stop_signals = 0
        self._lifeline, self._held_open = os.pipe()
        self._woken, self._waking = os.pipe()

    def run(self) -> int:
        """Run until SIGINT, SIGTERM or SIGHUP; return the exit status."""
        os.set_blocking(self._waking, False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: self._count_stop())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waking, warn_on_full_buffer=False)
        try:
            status = self._watch()
        finally:
            self._stop_all()
        return status

    def _watch(self) -> int:
        while not self._stop_signals:
            for child in self._children:
                status = self._tend(child)
                if status is not None:
                    return status
                if not child.is_ready and not self._announced:
                    break
            else:
                if not self._announced:
                    self._announced = True
                    self._when_ready()
            self._wait(_IDLE_S if self._announced else _POLL_S)
        return 0

    def _tend(self, child: Child) -> int | None:
        """Start the child, or look after it; return an exit status where all must end."""
        now_s = time.monotonic()
        if child.process is None:
            if now_s >= child.start_at_s:
                self._start(child)
            return None
        status = child.process.poll()
        if status is None:
            child.is_ready = child.is_ready or _is_ready(child)
            return None
        if status == REFUSED:
            return REFUSED
        steady = now_s - child.started_at_s > _STEADY_AFTER_S
        child.pause_s = _SHORTEST_PAUSE_S if steady else min(child.pause_s * 2, _LONGEST_PAUSE_S)
        child.process, child.is_ready, child.start_at_s = None, False, now_s + child.pause_s
        print(
            f"faregate: {child.name} ended with status {status}; starting it again in {child.pause_s:g} s",
            file=sys.stderr,
            flush=True,
        )
        return None

    def _start(self, child: Child) -> None:
        child.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            child.command,
            env=child.environment,
            stdin=self._lifeline,
            # Ctrl-C is for us, who then stop the children in order.
            process_group=0,
        )
        child.started_at_s = time.monotonic()

    def _stop_all(self) -> None:
        for child in reversed(self._children):
            if child.process is not None and child.process.poll() is None:
                child.process.terminate()
                self._await_end(child.process)

    def _await_end(self, process: subprocess.Popen[bytes]) -> None:
        deadline_s = time.monotonic() + _STOP_WITHIN_S
        while process.poll() is None:
            if self._stop_signals > 1 or time.monotonic() > deadline_s:
                process.kill()
                process.wait()
                return
            self._wait(_POLL_S)

    def _count_stop(self) -> None:
        self._stop_signals += 1

    def _wait(self, seconds: float) -> None:
        """Return after the time, or as soon as a signal comes."""
        ready, _, _ = select.select([self._woken], [], [], seconds)
        if ready:
            os.read(self._woken, 512)


def _is_ready(child: Child) -> bool:
    """Return whether the child answers that it is ready. Spelt out: http.client would double this process' memory."""
    request = f"GET {child.ready_path} HTTP/1.1\r\nHost: {child.host}\r\nConnection: close\r\n\r\n".encode()
    try:
        with socket.create_connection((child.host, child.port), timeout=_PROBE_S) as connection:
            connection.sendall(request)
            return connection.recv(64).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False
