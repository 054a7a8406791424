"""A private PostgreSQL for the tests: started, used and stopped by one test session, on loopback.

`python -m tests.support.postgres` prints where its programs are, or says what to install and exits 1.
"""

import contextlib
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

OLDEST_VERSION: Final = 15
MISSING: Final = (
    f"PostgreSQL {OLDEST_VERSION} or newer is missing, and the tests need it. "
    "On Debian, as root: apt-get install postgresql. On macOS: brew install postgresql@17."
)
_FOLDERS: Final = (
    "usr/lib/postgresql/*/bin",  # Debian
    "usr/pgsql-*/bin",  # Red Hat
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
)
_SUPERUSER: Final = "faregate"
_START_TIMEOUT_S: Final = 30.0
_START_ATTEMPTS: Final = 3
_STOP_TIMEOUT_S: Final = 20.0


class PostgresError(Exception):
    """The private PostgreSQL is missing, or did not start."""


def find_programs() -> Path:
    """Return the folder of the newest PostgreSQL here, at least `OLDEST_VERSION`; raise `PostgresError` if none."""
    folders = [folder for pattern in _FOLDERS for folder in Path("/").glob(pattern)]
    on_path = shutil.which("initdb")
    if on_path is not None:
        folders.append(Path(on_path).resolve().parent)
    by_version = {_version(folder): folder for folder in folders if (folder / "initdb").exists()}
    newest = max(by_version, default=0)
    if newest < OLDEST_VERSION:
        raise PostgresError(MISSING)
    return by_version[newest]


def _version(folder: Path) -> int:
    printed = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+)", printed)
    return int(found[1]) if found else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresServer:
    """A running PostgreSQL on 127.0.0.1:`port`; settings as shipped, but that it does not wait for the disk.

    What survives kill -9 of a process is the same, and no test takes the machine's power away.
    """

    port: int
    password: str = field(repr=False)

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of `database`."""
        return f"postgresql+psycopg://{_SUPERUSER}:{self.password}@127.0.0.1:{self.port}/{database}"

    @contextlib.contextmanager
    def database(self, *, template: str = "template0") -> Iterator[str]:
        """Make a database of its own, a copy of `template`; yield its name; drop it, whoever is still connected."""
        name = f"test_{secrets.token_hex(8)}"
        self._run(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        try:
            yield name
        finally:
            self._run(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _run(self, statement: sql.Composed) -> None:
        with self._connect() as connection:
            connection.execute(statement)

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=_SUPERUSER,
            password=self.password,
            dbname="postgres",
            autocommit=True,
            connect_timeout=5,
        )

    def answers(self) -> bool:
        """Return whether a client can log in."""
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True


@contextlib.contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Start a new, empty PostgreSQL in a temporary folder; stop it and remove the folder at the end.

    Raises `PostgresError`, with the server's own log, when it does not start.
    """
    programs = find_programs()
    owner = _unprivileged_user()
    # Not under pytest's folders: those are closed to the user that the server runs as.
    folder = Path(tempfile.mkdtemp(prefix="faregate-pg-"))
    try:
        password = _initialise(programs=programs, folder=folder, owner=owner)
        process, server = _start(programs=programs, folder=folder, owner=owner, password=password)
        try:
            yield server
        finally:
            _stop(process)
    finally:
        shutil.rmtree(folder)


def _unprivileged_user() -> pwd.struct_passwd | None:
    """Return whom to run the server as when we are root, whom PostgreSQL refuses; None when we are not."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _spawn(
    command: list[str | Path], *, folder: Path, owner: pwd.struct_passwd | None, log: Path
) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=folder,
            # Not ours: locale, PG* and coverage settings of the test session do not belong in the server.
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            user=None if owner is None else owner.pw_uid,
            group=None if owner is None else owner.pw_gid,
            extra_groups=None if owner is None else [],
            # Ctrl-C is for pytest, which then stops the server in order.
            process_group=0,
        )


def _initialise(*, programs: Path, folder: Path, owner: pwd.struct_passwd | None) -> str:
    """Make the data folder; return the superuser's password."""
    password = secrets.token_hex(16)
    password_file = folder / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    if owner is not None:
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        os.chown(password_file, owner.pw_uid, owner.pw_gid)
    log = folder / "initdb.log"
    initdb = _spawn(
        [
            programs / "initdb",
            f"--pgdata={folder / 'data'}",
            f"--username={_SUPERUSER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
        ],
        folder=folder,
        owner=owner,
        log=log,
    )
    if initdb.wait(timeout=120) != 0:
        message = f"initdb failed:\n{log.read_text()}"
        raise PostgresError(message)
    return password


def _start(
    *, programs: Path, folder: Path, owner: pwd.struct_passwd | None, password: str
) -> tuple[subprocess.Popen[bytes], PostgresServer]:
    log = folder / "server.log"
    for _ in range(_START_ATTEMPTS):
        server = PostgresServer(port=_free_port(), password=password)
        process = _spawn(
            [
                programs / "postgres",
                *("-D", folder / "data"),
                *("-p", str(server.port)),
                *("-c", "listen_addresses=127.0.0.1"),
                *("-c", f"unix_socket_directories={folder}"),
                *("-c", "shared_buffers=32MB"),
                *("-c", "fsync=off"),
                *("-c", "full_page_writes=off"),
            ],
            folder=folder,
            owner=owner,
            log=log,
        )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while process.poll() is None and time.monotonic() < deadline:
            if server.answers():
                return process, server
            time.sleep(0.05)
        # Another process may have taken the port since we looked: try another one.
        _stop(process)
    message = f"PostgreSQL did not start:\n{log.read_text()}"
    raise PostgresError(message)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)  # "fast": clients are disconnected, data is kept in order
    try:
        process.wait(timeout=_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGQUIT)  # "immediate"; SIGKILL would leave its children and shared memory
        process.wait(timeout=_STOP_TIMEOUT_S)


if __name__ == "__main__":
    try:
        print(find_programs())  # noqa: T201 - the answer that ./check asks for
    except PostgresError as error:
        sys.exit(str(error))
