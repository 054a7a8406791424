"""Bad input over real HTTP: each is answered by a problem document naming the field, and stores nothing by halves."""

from __future__ import annotations

import http.client
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from bench.calling import Api, Line
from bench.crash.evidence import reading
from bench.stack import running_control_plane
from faregate.apps.control.settings import DATABASE_FILE

_MEDIA_TYPE: Final = "application/problem+json"
_TOO_MANY_BYTES: Final = 20 << 20
_PACKAGE: Final = {"type": "package", "amount": "0.50", "size": 1_000_000, "round": "up"}
_COMPANY: Final = "acme"
_CLIENT_ERRORS: Final = range(400, 500)


class BadInput(Struct, frozen=True, kw_only=True):
    """What came of one bad request. `faults`: what is not as it must be; none, or it failed."""

    name: str
    status: int
    fields: list[str]
    faults: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A request that must be refused, and the field that the problem must name."""

    name: str
    path: str
    body: bytes
    names: str
    headers: dict[str, str] = field(default_factory=dict)


class _ProblemField(Struct, frozen=True):
    field: str
    message: str


class _Problem(Struct, frozen=True):
    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[_ProblemField]


def run_bad_input(show: Callable[[str], None] = lambda _: None) -> list[BadInput]:
    """Send every bad request to a control plane that holds a plan with a price."""
    with running_control_plane() as (control_plane, folder, token, collector_id):
        api = Api(control_plane.port, token)
        plan_id = api.post("/plans", {"name": "My AI API Plan"})["plan_id"]
        api.post("/prices", {"plan_id": plan_id, "name": "Input Tokens", "model": _PACKAGE, "currency": "USD"})
        api.post("/companies", {"company_id": _COMPANY})
        api.close()
        found = []
        for case in cases(plan_id, token=token, collector_id=collector_id):
            show(f"bad input: {case.name}")
            found.append(_send(case, control_plane.port, folder / DATABASE_FILE))
        return found


def cases(plan_id: str, *, token: str, collector_id: str) -> Iterator[Case]:
    """Yield the bad requests: each alone, and those of a catalog also in a file whose other parts are good."""
    managing = {"authorization": f"Bearer {token}", "content-type": "application/json", "idempotency-key": "bad-input"}
    collecting = {"x-moesif-application-id": collector_id, "content-type": "application/json"}
    price = {"plan_id": plan_id, "name": "Output Tokens", "model": _PACKAGE, "currency": "USD"}
    negative = {**_PACKAGE, "amount": "-0.50"}
    huge = b'{"name": "' + b"x" * _TOO_MANY_BYTES + b'"}'

    def managed(name: str, path: str, document: object, *, names: str) -> Case:
        return Case(name=name, path=f"/api/v1{path}", body=msgspec.json.encode(document), names=names, headers=managing)

    yield managed("unknown plan, price", "/prices", {**price, "plan_id": "plan_unknown"}, names="plan_id")
    subscription = {"company_id": _COMPANY, "plan_id": "plan_unknown", "pays": "prepaid"}
    yield managed("unknown plan, subscription", "/subscriptions", subscription, names="plan_id")
    yield managed("negative price", "/prices", {**price, "model": negative}, names="model.amount")
    yield managed("two prices of one name", "/prices", {**price, "name": "Input Tokens"}, names="name")
    regex = {
        "template": "block_when_no_available_credits",
        "block_what": [{"field": "request.route", "pattern": "/ai/(chat"}],
    }
    yield managed("bad regex", "/rules", regex, names="block_what[0].pattern")
    for name, prices, names in (
        ("negative price in a catalog", [_listed("Good", "0.50"), _listed("Bad", "-0.50")], "prices[1].model.amount"),
        ("two prices of one name in a catalog", [_listed("Twin", "0.50"), _listed("Twin", "1.50")], "prices[1].name"),
    ):
        yield managed(name, "/catalog/apply", {"catalog": _catalog(prices)}, names=names)
    broken = b'{"name": "My other pl'
    yield Case(name="malformed JSON, API", path="/api/v1/plans", body=broken, names="body", headers=managing)
    yield Case(
        name="malformed JSON, collector",
        path="/v1/events/batch",
        body=b'[{"request": ',
        names="body",
        headers=collecting,
    )
    yield Case(name="20 MB, API", path="/api/v1/plans", body=huge, names="body", headers=managing)
    yield Case(
        name="20 MB, collector", path="/v1/events/batch", body=b"[" + huge + b"]", names="body", headers=collecting
    )


def _listed(name: str, amount: str) -> dict[str, Any]:
    return {"name": name, "model": {**_PACKAGE, "amount": amount}, "currency": "USD"}


def _catalog(prices: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"plans": [{"name": "A good plan", "prices": []}, {"name": "Another plan", "prices": list(prices)}]}


def _send(case: Case, port: int, database: Path) -> BadInput:
    before = count_rows(database)
    line = Line(port)
    try:
        reply = line.call("POST", case.path, body=case.body, headers=case.headers)
    except (OSError, http.client.HTTPException) as error:
        return BadInput(name=case.name, status=0, fields=[], faults=[f"no answer: {error!r}"])
    finally:
        line.close()
    faults = []
    media_type = reply.headers.get("content-type", "").partition(";")[0]
    if reply.status not in _CLIENT_ERRORS or media_type != _MEDIA_TYPE:
        faults.append(f"answered {reply.status} {media_type}, not a problem document")
    try:
        fields = [error.field for error in msgspec.json.decode(reply.body, type=_Problem).errors]
    except msgspec.DecodeError as error:
        fields, faults = [], [*faults, f"not a problem document: {error}"]
    if not any(named == case.names or named.endswith(f".{case.names}") for named in fields):
        faults.append(f"names {fields}, not {case.names}")
    after = count_rows(database)
    faults += [
        f"{name}: {before.get(name, 0)} rows before, {rows} after"
        for name, rows in after.items()
        if rows != before.get(name)
    ]
    return BadInput(name=case.name, status=reply.status, fields=fields, faults=faults)


def count_rows(database: Path) -> dict[str, int]:
    """Return how many rows each table has."""
    with reading(database) as connection:
        connection.execute("BEGIN")
        return {name: _rows(connection, name) for name in _tables(connection)}


def _tables(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    return [name for (name,) in rows]


def _rows(connection: sqlite3.Connection, table: str) -> int:
    rows: int = connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]  # noqa: S608 - the schema's names
    return rows
