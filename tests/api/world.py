"""The management API over a real database, as an operator's program talks to it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, cast

import msgspec
from httpx import Response
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import func, select

from faregate.apps.api import create_api
from faregate.base.ids import new_id
from faregate.providers.embedded.provider import EmbeddedProvider
from faregate.services.apply_events import EventApplier
from faregate.services.ingest import append_events
from faregate.services.setup import FirstSecrets, ensure_application
from faregate.storage.database import Database
from faregate.storage.tables import metadata
from tests.services.world import Call, SteppedClock
from tests.support.tables import ensure_tables

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
ROUTE = "/ai/chat"

Json = dict[str, Any]
"""A JSON object, as a test reads it."""

SEED: dict[str, Any] = {
    "plans": [
        {
            "name": "My AI API Plan",
            "prices": [
                {
                    "name": "Input Tokens",
                    "model": {"type": "package", "amount": "0.50", "size": 1000000},
                    "currency": "USD",
                },
                {
                    "name": "Output Tokens",
                    "model": {"type": "package", "amount": "1.50", "size": 1000000},
                    "currency": "USD",
                },
            ],
        }
    ],
    "meters": [
        {
            "name": f"{side} Token Meter",
            "plan": "My AI API Plan",
            "price": f"{side} Tokens",
            "filter": {
                "all": [
                    {"field": "request.route", "operator": "is", "value": ROUTE},
                    {"field": "response.status", "operator": "is", "value": 200},
                ]
            },
            "metric": {"type": "sum", "field": f"response.body.usage.{field}"},
            "reporting_period": "5m",
        }
        for side, field in (("Input", "prompt_tokens"), ("Output", "completion_tokens"))
    ],
    "routes": [{"name": ROUTE, "upstream_url": "http://127.0.0.1:9000/v1"}],
    "rules": [
        {"template": template, "block_what": [{"field": "request.route", "pattern": ROUTE}]}
        for template in ("block_when_no_available_credits", "block_on_unpaid_invoices")
    ],
}


@dataclass
class Api:
    """A client with a token, and the database behind it."""

    client: TestClient[Any]
    database: Database
    clock: SteppedClock
    secrets: FirstSecrets

    def ask(self, method: str, path: str, *, body: bytes | None = None, **headers: str) -> Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.request(method, f"/api/v1{path}", content=body, headers=sent)

    def get(self, path: str) -> Json:
        answer = self.ask("GET", path)
        assert answer.status_code == 200, answer.text
        decoded: Json = answer.json()
        return decoded

    def post(self, path: str, body: object = None, **headers: str) -> Json:
        answer = self.ask("POST", path, body=None if body is None else msgspec.json.encode(body), **headers)
        assert answer.status_code in {200, 201}, answer.text
        decoded: Json = answer.json()
        return decoded

    def patch(self, path: str, body: object) -> Json:
        answer = self.ask("PATCH", path, body=msgspec.json.encode(body))
        assert answer.status_code == 200, answer.text
        decoded: Json = answer.json()
        return decoded

    def refused(self, path: str, body: object, *, status: int = 400, method: str = "POST") -> dict[str, str]:
        """Return the fields that a refused request is told of, with what would be right."""
        return problem(self.ask(method, path, body=msgspec.json.encode(body)), status)

    def seed(self, **more: object) -> None:
        self.post("/catalog/apply", {"catalog": SEED | more})

    def subscribe(self, *, pays: str = "prepaid", company_id: str = "acme") -> str:
        """Make the seed's catalog, a company and its subscription; return the subscription's id."""
        subscription = {"plan": "My AI API Plan", "pays": pays, "started_at": "2026-03-01T00:00:00Z"}
        self.seed(companies=[{"company_id": company_id, "subscriptions": [subscription]}])
        subscription_id: str = self.get(f"/subscriptions?company_id={company_id}")["data"][0]["subscription_id"]
        return subscription_id

    def grant(self, subscription_id: str, amount: str, *, key: str = "one") -> Json:
        return self.post(f"/subscriptions/{subscription_id}/grants", {"amount": amount}, idempotency_key=key)

    def take(self, *calls: Call) -> None:
        """Have events taken in and applied."""
        self.take_bodies(*(call.body() for call in calls))

    def take_bodies(self, *bodies: bytes) -> None:
        """As `take`, of events as they travel."""
        applier = EventApplier(self.clock)
        with self.database.begin() as transaction:
            append_events(transaction, application_id=self.secrets.application_id, bodies=bodies, now=self.clock.now())
        while True:
            with self.database.begin() as transaction:
                if not applier.apply_next(transaction):
                    return

    def row_counts(self) -> dict[str, int]:
        """Return how many rows every table has."""
        with self.database.snapshot() as transaction:
            return {
                table.name: transaction.execute(select(func.count()).select_from(table)).scalar_one()
                for table in metadata.sorted_tables
            }


def problem(answer: Response, status: int) -> dict[str, str]:
    """Return the fields of a problem document, after checking that it is a whole one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["type"] == f"/problems/{document['code']}"
    assert document["title"]
    assert document["detail"]
    return {error["field"]: error["message"] for error in document["errors"]}


async def no_gateways(subscription_id: str) -> None:
    """Nobody holds anything of it."""


@dataclass
class _Ground:
    """What the application stands on at the moment: what the running test has opened."""

    database: Database
    clock: SteppedClock
    provider: EmbeddedProvider


class _Part:
    """A part of the ground, whichever it is when it is used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:  # noqa: ANN401 - whatever the part has
        return getattr(getattr(_grounds[-1], self._name), attribute)


_grounds: list[_Ground] = []


@cache
def _application() -> Litestar:
    """The application, made once a process: that takes longer than most tests, and it keeps no state of its own."""
    return create_api(
        cast("Database", _Part("database")),
        cast("SteppedClock", _Part("clock")),
        cast("EmbeddedProvider", _Part("provider")),
        after_append=lambda: None,
        call_back=no_gateways,
    )


@contextmanager
def opened_api(
    database_url: str, folder: Path, *, provider_type: type[EmbeddedProvider] = EmbeddedProvider
) -> Iterator[Api]:
    """Open the API on a new database, with a billing provider of its own in `folder`."""
    clock = SteppedClock(at=NOW)
    with (
        closing(Database(database_url)) as database,
        closing(provider_type(folder / "provider.sqlite3")) as provider,
    ):
        with database.begin() as transaction:
            ensure_tables(transaction)
            secrets = ensure_application(transaction, new_id=new_id, now=clock.now())
        assert secrets is not None
        _grounds.append(_Ground(database=database, clock=clock, provider=provider))
        try:
            with TestClient(_application()) as client:
                client.headers["authorization"] = f"Bearer {secrets.api_token}"
                yield Api(client=client, database=database, clock=clock, secrets=secrets)
        finally:
            _grounds.pop()
