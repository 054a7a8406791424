"""A stack of its own for one story: control plane, gateway and demo upstream as processes, on free ports.

They are the same processes that `faregate up` runs. Their standard input is a pipe that only this process holds open:
they end with it, even when it is killed.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from pyreqwest.client import Client
from pyreqwest.exceptions import PyreqwestError

from faregate.apps.control.opening import prepare
from faregate.apps.control.settings import Billing, ControlSettings
from faregate.apps.ports import claim_port, origin
from faregate.apps.secret_files import CLI_TOKEN_FILE, ensure_gateway_token, read_secret
from faregate.apps.story.ending import stay_cancelled
from faregate.base.clock import SystemClock
from faregate.base.errors import Unavailable
from faregate.services.start_clock import start_clock
from faregate.storage.database import Database

HOST: Final = "127.0.0.1"

_READY_WITHIN_S: Final = 30.0
_STOP_WITHIN_S: Final = 15.0
_POLL_S: Final = 0.05
_LOG_LINES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Where the processes of a story answer, each without a path, and the token of the management API."""

    api: str
    gateway: str
    upstream: str
    api_token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One process: its name, its command after the interpreter, and the URL that says whether it is ready."""

    name: str
    command: tuple[str, ...]
    ready_url: str


@asynccontextmanager
async def running_stack(
    client: Client,
    *,
    data: Path,
    starts_at: datetime | None = None,
    show: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[Stack]:
    """Run a stack in the new folder `data` while the context lasts.

    `starts_at`: where the application's business time begins, in place of the present. `show` is told what goes on.

    Raises:
        Unavailable: A process ended, or was not ready in time; the message holds the end of its log.
    """
    if starts_at is not None:
        await _prepare_at(data, starts_at)
    ports = {name: claim_port(HOST, 0) for name in ("serve", "gateway", "upstream")}
    origins = {name: origin(HOST, port) for name, port in ports.items()}
    environment = _environment(data, ports=ports, control_plane=origins["serve"])
    parts = (
        _Part(
            name="upstream",
            command=("-m", "faregate.apps.upstream", "--port", str(ports["upstream"])),
            ready_url=f"{origins['upstream']}/healthz",
        ),
        _Part(name="serve", command=("-m", "faregate", "serve"), ready_url=f"{origins['serve']}/readyz"),
        _Part(name="gateway", command=("-m", "faregate", "gateway"), ready_url=f"{origins['gateway']}/readyz"),
    )
    show("starting control plane, gateway and demo upstream")
    async with _running(parts, environment, data) as processes:
        await _all_ready(client, processes, data)
        yield Stack(
            api=origins["serve"],
            gateway=origins["gateway"],
            upstream=origins["upstream"],
            api_token=read_secret(data / CLI_TOKEN_FILE) or "",
        )


async def _prepare_at(data: Path, starts_at: datetime) -> None:
    """Make the application before any process runs, with its business time at `starts_at`."""
    clock = SystemClock()
    settings = ControlSettings(data=data, gateway_token=ensure_gateway_token(data))
    with closing(Database(settings.resolved_database_url())) as database:
        await prepare(database, data=data, clock=clock)
        await database.write(lambda tx: start_clock(tx, clock, at=starts_at))


def _environment(data: Path, *, ports: Mapping[str, int], control_plane: str) -> dict[str, str]:
    """Return the processes' environment: ours without any setting of the user's own Faregate, and theirs."""
    told = {
        "HOST": HOST,
        "PORT": str(ports["serve"]),
        "GATEWAY_PORT": str(ports["gateway"]),
        "CONTROL_PLANE_URL": control_plane,
        "DATA": str(data),
        "GATEWAY_TOKEN": ensure_gateway_token(data),
        "LOG_FORMAT": "console",
        "LOG_LEVEL": "warning",
        "BILLING": Billing.SANDBOX.value,
        "CONFIG": os.devnull,
        "SUPERVISED": "1",
    }
    ours = {name: value for name, value in os.environ.items() if not name.startswith("FAREGATE_")}
    return ours | {f"FAREGATE_{name}": value for name, value in told.items()}


@asynccontextmanager
async def _running(
    parts: tuple[_Part, ...], environment: Mapping[str, str], data: Path
) -> AsyncIterator[dict[_Part, asyncio.subprocess.Process]]:
    lifeline, held_open = os.pipe()
    processes: dict[_Part, asyncio.subprocess.Process] = {}
    try:
        for part in parts:
            with _log_path(data, part).open("ab") as log:
                processes[part] = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *part.command,
                    env=environment,
                    stdin=lifeline,
                    stdout=log,
                    stderr=log,
                    # Ctrl-C is for us, who then stop the processes in order.
                    start_new_session=True,
                )
        yield processes
    finally:
        # The gateway first: it hands its last events to a control plane that still listens.
        for process in reversed(processes.values()):
            await _stop(process)
        os.close(lifeline)
        os.close(held_open)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_STOP_WITHIN_S):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _all_ready(client: Client, processes: dict[_Part, asyncio.subprocess.Process], data: Path) -> None:
    try:
        async with asyncio.timeout(_READY_WITHIN_S):
            for part, process in processes.items():
                while not await _is_ready(client, part.ready_url):
                    if process.returncode is not None:
                        raise Unavailable(
                            f"{part.name} ended with status {process.returncode}{_end_of_log(data, part)}"
                        )
                    await asyncio.sleep(_POLL_S)
    except TimeoutError as error:
        ends = "".join(_end_of_log(data, part) for part in processes)
        raise Unavailable(f"the processes were not ready within {_READY_WITHIN_S:g} s{ends}") from error


async def _is_ready(client: Client, url: str) -> bool:
    try:
        status = (await client.get(url).build().send()).status
    except PyreqwestError:
        status = None
    stay_cancelled()
    return status == 200  # noqa: PLR2004 - the protocol's


def _log_path(data: Path, part: _Part) -> Path:
    return data / f"{part.name}.log"


def _end_of_log(data: Path, part: _Part) -> str:
    lines = _log_path(data, part).read_text(errors="replace").splitlines()[-_LOG_LINES:]
    return f"; {part.name} wrote: {' / '.join(lines)}" if lines else ""
