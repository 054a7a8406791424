"""The machine that figures were measured on: figures mean nothing without it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Final

from msgspec import Struct

from faregate.base.clock import SystemClock

_PACKAGES: Final = ("faregate", "granian", "pyreqwest", "msgspec", "sqlalchemy", "uvloop", "litestar")


class Machine(Struct, frozen=True, kw_only=True):
    """`measured_at`: RFC 3339, UTC. `load_before`: the load average of the minute before, 0 on an idle machine."""

    measured_at: str
    cpu: str
    cores: int
    memory_mb: int
    system: str
    python: str
    packages: dict[str, str]
    wrk: str | None
    revision: str | None
    load_before: float

    @property
    def title(self) -> str:
        """Return the machine and the moment in one line."""
        return f"{self.cpu}, {self.cores} cores, Python {self.python}, {self.measured_at}, load {self.load_before:.1f}"


def read_machine() -> Machine:
    """Return what this machine is, now."""
    return Machine(
        measured_at=SystemClock().now().isoformat(timespec="seconds"),
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        memory_mb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        packages={name: version(name) for name in _PACKAGES},
        wrk=_first_word_after("wrk", ["wrk", "-v"]),
        revision=_line(["git", "rev-parse", "HEAD"]),
        load_before=os.getloadavg()[0],
    )


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _first_word_after(word: str, command: list[str]) -> str | None:
    words = (_line(command) or "").split()
    return words[words.index(word) + 1] if word in words[:-1] else None


def _line(command: list[str]) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    lines = (done.stdout or done.stderr).splitlines()
    return lines[0] if lines else None
