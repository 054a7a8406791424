"""Where the year is billed: the embedded provider, or the sandbox by the official SDK; and what it has at the end."""

from __future__ import annotations

import asyncio
import http.client
import json
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from bench.children import HOST, BenchError
from faregate.apps.control.main import SANDBOX_FILE, RunningControlPlane, running_control_plane
from faregate.apps.control.settings import ControlSettings
from faregate.apps.secret_files import SANDBOX_KEY_FILE, read_secret
from faregate.base.clock import Clock
from faregate.domain.billing.provider import BillingProvider
from faregate.domain.billing.provider_catalog import CatalogProvider
from faregate.providers.embedded.provider import EmbeddedProvider
from faregate.providers.stripe.billing import StripeProvider
from faregate.providers.stripe.catalog import StripeCatalog
from faregate.providers.stripe.client import connect

_START_WITHIN_S: Final = 30.0
_FAULTS: Final = (("rate_limited", 1), ("failed", 2), ("lost", 3))


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What the provider has. `invoices`: subtotal and amount due in cents, by id; `charges`: cents that were taken."""

    invoices: dict[str, tuple[int, int]]
    meter_events: list[str]
    charges: list[int]


class Place(Protocol):
    """A provider that processes reach one after the other, by a file or over HTTP."""

    @contextmanager
    def provider(self) -> Iterator[BillingProvider]:
        """Give the provider while the context lasts."""

    def catalog(self) -> CatalogProvider | None:
        """Return where the catalog has to be before usage is taken, if it has to."""

    def books(self) -> Books:
        """Return what it has."""


class EmbeddedPlace:
    """The embedded provider's file."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "provider.sqlite3"

    @contextmanager
    def provider(self) -> Iterator[BillingProvider]:
        """Open the file while the context lasts."""
        with closing(EmbeddedProvider(self._file)) as provider:
            yield provider

    def catalog(self) -> None:
        """Return nothing: the catalog comes with the usage."""

    def books(self) -> Books:
        """Read the file."""
        with closing(sqlite3.connect(self._file)) as connection:
            invoices = connection.execute("SELECT id, subtotal, amount_due FROM invoice").fetchall()
            events = connection.execute("SELECT identifier FROM meter_event").fetchall()
            charges = connection.execute("SELECT amount FROM payment_intent WHERE failure IS NULL").fetchall()
        return Books(
            invoices={of: (subtotal, due) for of, subtotal, due in invoices},
            meter_events=[row[0] for row in events],
            charges=[row[0] for row in charges],
        )


class SandboxPlace:
    """A sandbox on the year's clock, in a thread of its own, that refuses requests and loses answers."""

    def __init__(self, folder: Path, running: RunningControlPlane) -> None:
        self._file = folder / SANDBOX_FILE
        key = read_secret(folder / SANDBOX_KEY_FILE)
        if key is None:
            raise BenchError(f"the sandbox has no key in {folder}")
        self._key, self._port = key, running.port
        self._connecting = partial(connect, key, base_url=f"http://{HOST}:{running.port}/sandbox")

    def strike(self, share: str, seed: int) -> None:
        """Have a share of all requests fail from now on, in each of three ways."""
        for answer, number in _FAULTS:
            body = json.dumps(
                {"on": "request", "answer": answer, "share": share, "seed": seed + number, "path": "/v1/*"}
            )
            connection = http.client.HTTPConnection(HOST, self._port, timeout=10)
            with closing(connection):
                headers = {"authorization": f"Bearer {self._key}", "content-type": "application/json"}
                connection.request("POST", "/sandbox/control/faults", body, headers)
                answered = connection.getresponse()
                if answered.status != http.HTTPStatus.OK:
                    raise BenchError(f"no fault was taken: {answered.read()!r}")

    @contextmanager
    def provider(self) -> Iterator[BillingProvider]:
        """Connect with the official SDK."""
        yield StripeProvider(self._connecting)

    def catalog(self) -> CatalogProvider:
        """Connect with the official SDK."""
        return StripeCatalog(self._connecting)

    def books(self) -> Books:
        """Read the sandbox's file."""
        with closing(sqlite3.connect(self._file)) as connection:
            invoices = _objects(connection, "invoice")
            intents = _objects(connection, "payment_intent")
            events = connection.execute("SELECT identifier FROM meter_event WHERE NOT cancelled").fetchall()
        return Books(
            invoices={body["id"]: (body["subtotal"], body["amount_due"]) for body in invoices},
            meter_events=[row[0] for row in events],
            charges=[body["amount"] for body in intents if body["status"] == "succeeded"],
        )


def _objects(connection: sqlite3.Connection, kind: str) -> list[Any]:
    return [json.loads(row[0]) for row in connection.execute("SELECT body FROM object WHERE kind = ?", (kind,))]


@contextmanager
def sandbox_place(folder: Path, clock: Clock) -> Iterator[SandboxPlace]:
    """Run a sandbox while the context lasts."""
    began, stops, running = threading.Event(), list[Any](), list[RunningControlPlane]()

    async def run() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        stops.append(lambda: loop.call_soon_threadsafe(stop.set))
        settings = ControlSettings(port=0, data=folder, gateway_token=secrets.token_hex())
        async with running_control_plane(settings, clock=clock) as found:
            running.append(found)
            began.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    if not began.wait(_START_WITHIN_S):
        raise BenchError("the sandbox did not start")
    try:
        yield SandboxPlace(folder, running[0])
    finally:
        stops[0]()
        thread.join(_START_WITHIN_S)
