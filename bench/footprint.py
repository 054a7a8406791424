"""What `faregate up` takes (g): the time until both processes are ready, and the memory of all its processes, idle."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct

from bench.children import HOST, Child, answers, family, pss_bytes, wait_until
from bench.profiles import Profile
from bench.stack import READY, clean_environment
from faregate.apps.ports import claim_port

_READY_WITHIN_S: Final = 60.0


class Footprint(Struct, frozen=True, kw_only=True):
    """`pss_mb`: sum over all `processes`, in MB of 10^6 bytes, `idle_s` after they were ready."""

    ready_s: float
    idle_s: float
    pss_mb: float
    processes: list[float]


def measure_footprint(profile: Profile, show: Callable[[str], None]) -> Footprint:
    """Start `faregate up` in a new folder, as a user would, and weigh it after the profile's idle time."""
    show(f"memory of faregate up, {profile.idle_s:g} s after it is ready")
    with tempfile.TemporaryDirectory(prefix="faregate-bench-") as temporary:
        folder = Path(temporary)
        ports = claim_port(HOST, 0), claim_port(HOST, 0)
        command = (
            *(sys.executable, "-m", "faregate", "up", "--data", str(folder / "data")),
            *("--port", str(ports[0]), "--gateway-port", str(ports[1])),
        )
        environment = clean_environment() | {"FAREGATE_CONFIG": os.devnull}
        supervisor = Child("up", command, environment=environment, folder=folder, port=ports[1])
        started_s = time.monotonic()
        supervisor.start()
        try:
            wait_until(
                lambda: all(answers(port, READY) for port in ports),
                within_s=_READY_WITHIN_S,
                what="both processes to be ready",
                child=supervisor,
            )
            ready_s = time.monotonic() - started_s
            time.sleep(profile.idle_s)
            sizes = [pss_bytes(pid) / 1_000_000 for pid in family(supervisor.pid)]
        finally:
            supervisor.stop()
    return Footprint(
        ready_s=round(ready_s, 2),
        idle_s=profile.idle_s,
        pss_mb=round(sum(sizes), 1),
        processes=[round(size, 1) for size in sizes],
    )
