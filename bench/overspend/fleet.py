"""The processes: a control plane, several gateways with spools of their own, and the upstream that keeps a log."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.calling import Api
from bench.children import HOST, BenchError, Child, running
from bench.overspend.books import Books, open_books
from bench.stack import HEALTHY, READY, UPSTREAM_LOG, process_environment, wait_applied, wait_at_rest
from faregate.apps.control.settings import DATABASE_FILE
from faregate.apps.ports import claim_port
from faregate.apps.secret_files import CLI_TOKEN_FILE, ensure_gateway_token, read_secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Upstream and control plane answer; the gateways are started by `start_gateways`."""

    control_plane: Child
    gateways: tuple[Child, ...]
    upstream: Child
    folder: Path
    upstream_log: Path
    api_token: str
    books: Books

    def api(self) -> Api:
        """Return a connection to the management API."""
        return Api(self.control_plane.port, self.api_token)

    def start_gateways(self) -> None:
        """Start them and wait until they have the whole state."""
        for gateway in self.gateways:
            gateway.start()
        for gateway in self.gateways:
            gateway.wait_ready(READY)

    def restart_all(self) -> None:
        """Kill every gateway and the control plane, and start all of them again."""
        for child in (*self.gateways, self.control_plane):
            child.kill()
        self.control_plane.start()
        self.start_gateways()
        self.control_plane.wait_ready(READY)

    def wait_applied(self, *, within_s: float) -> None:
        """Return once every event is shipped by its gateway and applied by the control plane."""
        wait_applied(self.control_plane, self.gateways, within_s=within_s)

    def wait_at_rest(self) -> float:
        """Return the seconds until all is applied and nothing is held; where something stays, the judge says so."""
        return wait_at_rest(self.control_plane, self.gateways, self._is_held)

    def _is_held(self) -> bool:
        return any(row.reserved or row.leased_units for row in self.books.accounts().values())


@contextmanager
def running_fleet(*, gateways: int, on_postgres: bool, keep: Path | None = None) -> Iterator[Fleet]:
    """Run a new fleet, its gateways not started yet; its folder is removed after, unless `keep` says where it is."""
    with ExitStack() as stack:
        temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix="faregate-bench-"))
        folder = keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        url = stack.enter_context(_database(folder, on_postgres=on_postgres))
        control_plane, fleet, upstream = _children(folder, url, gateways=gateways)
        for gateway in fleet:
            stack.callback(gateway.stop)
        stack.enter_context(running((upstream, HEALTHY), (control_plane, READY)))
        books = stack.enter_context(open_books(url))
        yield Fleet(
            control_plane=control_plane,
            gateways=fleet,
            upstream=upstream,
            folder=folder,
            upstream_log=folder / UPSTREAM_LOG,
            api_token=read_secret(folder / CLI_TOKEN_FILE) or "",
            books=books,
        )


@contextmanager
def _database(folder: Path, *, on_postgres: bool) -> Iterator[str]:
    if not on_postgres:
        yield f"sqlite:///{folder / DATABASE_FILE}"
        return
    try:
        from tests.support.postgres import running_postgres  # noqa: PLC0415 - needs PostgreSQL, which SQLite does not
    except ImportError as error:
        raise BenchError(f"--postgres needs the tests' folder and its requirements: {error}") from error
    with running_postgres() as server, server.database() as name:
        yield server.url(name)


def _children(folder: Path, url: str, *, gateways: int) -> tuple[Child, tuple[Child, ...], Child]:
    serve_port, upstream_port = claim_port(HOST, 0), claim_port(HOST, 0)
    token = ensure_gateway_token(folder)

    def child(name: str, *command: str, port: int, data: Path = folder, **settings: str) -> Child:
        environment = process_environment(
            data, serve_port=serve_port, gateway_token=token, DATABASE_URL=url, **settings
        )
        return Child(name, (sys.executable, "-m", *command), environment=environment, folder=folder, port=port)

    def gateway(name: str, port: int) -> Child:
        return child(name, "faregate", "gateway", port=port, data=folder / name, GATEWAY_PORT=str(port))

    log = ("--log", str(folder / UPSTREAM_LOG))
    return (
        child("serve", "faregate", "serve", port=serve_port),
        tuple(gateway(f"gateway-{number}", claim_port(HOST, 0)) for number in range(gateways)),
        child("upstream", "faregate.apps.upstream", "--port", str(upstream_port), *log, port=upstream_port),
    )
