"""The real processes of a bench: control plane, gateway and demo upstream, on free ports, in a folder of their own."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.calling import Api, read_metrics
from bench.children import HOST, BenchError, Child, running, wait_until
from faregate.apps.control.settings import DATABASE_FILE
from faregate.apps.ports import claim_port
from faregate.apps.secret_files import CLI_TOKEN_FILE, ensure_gateway_token, read_secret

READY: Final = "/readyz"
HEALTHY: Final = "/healthz"
UPSTREAM_LOG: Final = "upstream.jsonl"

_AT_REST_WITHIN_S: Final = 90.0
"""A lease's duration, its grace, and room: after it nothing may be held any more."""

_COLLECTOR_ID: Final = re.compile(r"collector id\s+(\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Processes that answer. `upstream_log`: the demo upstream's own record, where one was asked for."""

    folder: Path
    control_plane: Child
    gateway: Child
    upstream: Child
    upstream_log: Path | None
    api_token: str
    collector_id: str

    @property
    def database(self) -> Path:
        """Return the control plane's SQLite file."""
        return self.folder / DATABASE_FILE

    def api(self) -> Api:
        """Return a connection to the management API."""
        return Api(self.control_plane.port, self.api_token)

    def wait_applied(self, *, within_s: float = 60.0) -> None:
        """Return once every event is shipped by the gateway and applied by the control plane."""
        wait_applied(self.control_plane, (self.gateway,), within_s=within_s)


@contextmanager
def running_stack(*, log_upstream: bool = False, keep: Path | None = None, **settings: str) -> Iterator[Stack]:
    """Run a new stack while the context lasts; its folder is removed after, unless `keep` names where it is to be.

    `settings` are those of the processes, by their names in the environment.
    """
    with tempfile.TemporaryDirectory(prefix="faregate-bench-") as temporary:
        folder = keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        upstream_log = folder / UPSTREAM_LOG if log_upstream else None
        control_plane, gateway, upstream = _children(folder, upstream_log, **settings)
        with running((upstream, HEALTHY), (control_plane, READY), (gateway, READY)):
            yield Stack(
                folder=folder,
                control_plane=control_plane,
                gateway=gateway,
                upstream=upstream,
                upstream_log=upstream_log,
                api_token=read_secret(folder / CLI_TOKEN_FILE) or "",
                collector_id=_collector_id(control_plane),
            )


@contextmanager
def running_control_plane() -> Iterator[tuple[Child, Path, str, str]]:
    """Run a control plane alone; yields it, its folder, an API token and the collector id."""
    with tempfile.TemporaryDirectory(prefix="faregate-bench-") as temporary:
        folder = Path(temporary)
        control_plane = _children(folder, None)[0]
        with running((control_plane, READY)):
            token = read_secret(folder / CLI_TOKEN_FILE) or ""
            yield control_plane, folder, token, _collector_id(control_plane)


@contextmanager
def running_script(folder: Path, name: str, *arguments: str) -> Iterator[Child]:
    """Run one of the benches' own servers, told its port and `arguments`, while the context lasts."""
    port = claim_port(HOST, 0)
    command = (sys.executable, str(Path(__file__).with_name(f"{name}.py")), str(port), *arguments)
    child = Child(name, command, environment=clean_environment(), folder=folder, port=port)
    with running((child, HEALTHY)):
        yield child


def wait_applied(control_plane: Child, gateways: Sequence[Child], *, within_s: float = _AT_REST_WITHIN_S) -> None:
    """Return once every event is shipped by its gateway and applied by the control plane."""

    def is_applied() -> bool:
        for gateway in gateways:
            metrics = read_metrics(gateway.port)
            if metrics["faregate_gateway_open_calls"] or metrics["faregate_gateway_unshipped_events"]:
                return False
        return read_metrics(control_plane.port)["faregate_events_unapplied"] == 0

    wait_until(is_applied, within_s=within_s, what="all events to be applied")


def wait_at_rest(control_plane: Child, gateways: Sequence[Child], holds: Callable[[], bool]) -> float:
    """Return the seconds until all is applied and nothing is held; where something stays, a judge says so."""
    started_s = time.monotonic()
    wait_applied(control_plane, gateways)
    while time.monotonic() - started_s < _AT_REST_WITHIN_S and holds():
        time.sleep(0.2)
    return time.monotonic() - started_s


def clean_environment() -> dict[str, str]:
    """Return our environment without any setting of the user's own Faregate."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FAREGATE_")}


def process_environment(data: Path, *, serve_port: int, gateway_token: str, **settings: str) -> dict[str, str]:
    """Return what a process of a bench is told: its folder, its control plane, and `settings` more, by their names."""
    told = {
        "HOST": HOST,
        "PORT": str(serve_port),
        "CONTROL_PLANE_URL": f"http://{HOST}:{serve_port}",
        "DATA": str(data),
        "GATEWAY_TOKEN": gateway_token,
        "LOG_LEVEL": "warning",
        "CONFIG": os.devnull,
        "SUPERVISED": "1",
        **settings,
    }
    return clean_environment() | {f"FAREGATE_{name}": value for name, value in told.items()}


def _children(folder: Path, upstream_log: Path | None, **settings: str) -> tuple[Child, Child, Child]:
    ports = {name: claim_port(HOST, 0) for name in ("serve", "gateway", "upstream")}
    environment = process_environment(
        folder,
        serve_port=ports["serve"],
        gateway_token=ensure_gateway_token(folder),
        GATEWAY_PORT=str(ports["gateway"]),
        **settings,
    )
    logged = () if upstream_log is None else ("--log", str(upstream_log))
    commands = {
        "serve": (sys.executable, "-m", "faregate", "serve"),
        "gateway": (sys.executable, "-m", "faregate", "gateway"),
        "upstream": (sys.executable, "-m", "faregate.apps.upstream", "--port", str(ports["upstream"]), *logged),
    }
    made = {
        name: Child(name, command, environment=environment, folder=folder, port=ports[name])
        for name, command in commands.items()
    }
    return made["serve"], made["gateway"], made["upstream"]


def _collector_id(control_plane: Child) -> str:
    def find() -> re.Match[str] | None:
        return _COLLECTOR_ID.search(control_plane.log_path.read_text(errors="replace"))

    wait_until(lambda: find() is not None, within_s=10.0, what="the first start's secrets", child=control_plane)
    found = find()
    if found is None:
        raise BenchError("the control plane printed no collector id")
    return found[1]
