"""A real control plane in a thread of the test's process, and a plain HTTP client for it."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from sqlalchemy import func, select

from faregate.apps.control.main import RunningControlPlane, running_control_plane
from faregate.apps.control.settings import Billing, ControlSettings
from faregate.storage.database import Transaction
from faregate.storage.tables import charge, event_log, set_aside

T = TypeVar("T")

GATEWAY_TOKEN = "fg_gateway_of_the_tests"  # noqa: S105 - made up
WEBHOOK_SECRET = "whsec_of_the_tests"  # noqa: S105 - made up
GATEWAY = "gw_of_the_tests"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer, read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, object]:
        decoded = json.loads(self.body)
        assert isinstance(decoded, dict)
        return decoded


@dataclass(kw_only=True)
class Handle:
    """A running control plane."""

    running: RunningControlPlane
    loop: asyncio.AbstractEventLoop
    collector_id: str

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        """Send one request on a connection of its own; `x_y` names the header `x-y`."""
        connection = HTTPConnection("127.0.0.1", self.running.port, timeout=20)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
            return _reply(connection.getresponse())
        finally:
            connection.close()

    def collect(self, body: bytes, path: str = "/v1/events/batch", **headers: str) -> Reply:
        """Send events as an agent does."""
        return self.ask("POST", path, body, **({"x_moesif_application_id": self.collector_id} | headers))

    def as_gateway(self, method: str, path: str, body: object = None) -> Reply:
        """Send a gateway's request."""
        sent = None if body is None else json.dumps(body).encode()
        return self.ask(method, path, sent, authorization=f"Bearer {GATEWAY_TOKEN}")

    def follow(self, after: int = 0, dialects: str | None = None) -> "StateStream":
        """Open the state stream; without `dialects` as a gateway that knows the first ones only."""
        return StateStream(self.running.port, after, "" if dialects is None else f"&dialects={dialects}")

    def write(self, work: Callable[[Transaction], T]) -> T:
        """Run one function in a transaction on the control plane's own writing thread."""
        return asyncio.run_coroutine_threadsafe(self.running.database.write(work), self.loop).result(10)

    def read(self, work: Callable[[Transaction], T]) -> T:
        """Run one function in a snapshot."""
        return asyncio.run_coroutine_threadsafe(self.running.database.read(work), self.loop).result(10)

    def logged_events(self) -> list[bytes]:
        return self.read(lambda tx: list(tx.execute(select(event_log.c.body).order_by(event_log.c.position)).scalars()))

    def counted(self) -> tuple[int, int]:
        """Return how many charges there are, and how many events were set aside."""
        return self.read(
            lambda tx: (
                tx.execute(select(func.count()).select_from(charge)).scalar_one(),
                tx.execute(select(func.count()).select_from(set_aside)).scalar_one(),
            )
        )


@dataclass
class StateStream:
    """Reads messages of `GET /gateway/v1/state` as they come."""

    port: int
    after: int = 0
    query: str = ""
    connection: HTTPConnection = field(init=False)
    response: HTTPResponse = field(init=False)

    def __enter__(self) -> Self:
        self.connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        self.connection.request(
            "GET",
            f"/gateway/v1/state?after={self.after}&generation=1&gateway_id={GATEWAY}{self.query}",
            headers={"authorization": f"Bearer {GATEWAY_TOKEN}"},
        )
        self.response = self.connection.getresponse()
        assert self.response.status == 200
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.response.close()
        self.connection.close()

    def message(self) -> dict[str, object] | None:
        """Return the next message, None at the stream's end."""
        line = self.response.readline()
        if not line:
            return None
        decoded = json.loads(line)
        assert isinstance(decoded, dict)
        return decoded

    def ends(self) -> bool:
        """Return whether the stream ends, in order or cut, instead of saying more."""
        try:
            return self.message() is None
        except HTTPException:
            return True

    def burst(self) -> list[dict[str, object]]:
        """Return messages up to and with the next `up_to_date`."""
        messages: list[dict[str, object]] = []
        while not messages or messages[-1]["type"] != "up_to_date":
            message = self.message()
            assert message is not None, "the stream ended"
            messages.append(message)
        return messages


@contextmanager
def started(
    data: Path,
    database_url: str | None = None,
    *,
    billing: Billing = Billing.EMBEDDED,
    webhook_secret: str = WEBHOOK_SECRET,
    stripe_poll_s: int = 3_600,
) -> Iterator[Handle]:
    """Run a control plane while the context lasts."""
    settings = ControlSettings(
        port=0,
        data=data,
        database_url=database_url,
        gateway_token=GATEWAY_TOKEN,
        billing=billing,
        stripe_webhook_secrets=(webhook_secret,),
        stripe_poll_s=stripe_poll_s,
    )
    started_up = threading.Event()
    box: list[Handle | BaseException] = []
    stops: list[Callable[[], object]] = []

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        stops.append(lambda: loop.call_soon_threadsafe(stop.set))
        async with running_control_plane(settings) as running:
            secrets = running.first_secrets
            box.append(Handle(running=running, loop=loop, collector_id=secrets.collector_id if secrets else ""))
            started_up.set()
            await stop.wait()

    def main() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:  # noqa: BLE001 - raised again in the test's own thread
            box.insert(0, error)
        finally:
            started_up.set()

    thread = threading.Thread(target=main)
    thread.start()
    assert started_up.wait(20)
    if isinstance(box[0], BaseException):
        thread.join()
        raise box[0]
    try:
        yield box[0]
    finally:
        stops[0]()
        thread.join(20)
        assert not thread.is_alive()
    if isinstance(box[0], BaseException):
        raise box[0]


def _reply(response: HTTPResponse) -> Reply:
    return Reply(
        status=response.status,
        headers={name.lower(): text for name, text in response.getheaders()},
        body=response.read(),
    )
