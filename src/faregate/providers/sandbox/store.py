"""The sandbox's file: objects as Stripe shows them, what finds them again, and answers kept for repeats."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from faregate.providers.sandbox.faults import Json, missing
from faregate.providers.sqlite_file import SqliteFile

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS object (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS object_kind ON object (kind, place);

CREATE TABLE IF NOT EXISTS found_by (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (kind, name, value, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS found_by_id ON found_by (id);

CREATE TABLE IF NOT EXISTS kept_answer (
    idempotency_key TEXT PRIMARY KEY,
    request TEXT NOT NULL,
    status INTEGER NOT NULL,
    body TEXT NOT NULL,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS meter_event (
    identifier TEXT PRIMARY KEY,
    event_name TEXT NOT NULL,
    customer TEXT NOT NULL,
    value INTEGER NOT NULL,
    timestamp INTEGER NOT NULL,
    created INTEGER NOT NULL,
    cancelled INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS meter_event_usage ON meter_event (event_name, customer, timestamp);

CREATE TABLE IF NOT EXISTS delivery (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    event TEXT NOT NULL,
    receiver TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_ms INTEGER NOT NULL,
    attempted_ms INTEGER,
    status INTEGER,
    error TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS delivery_due ON delivery (receiver, due_ms, place) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS delivery_event ON delivery (event);

CREATE TABLE IF NOT EXISTS meter_error (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    meter TEXT NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    request TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS meter_session (
    token_digest TEXT PRIMARY KEY,
    until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS fault (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    rule TEXT NOT NULL,
    seen INTEGER NOT NULL DEFAULT 0,
    struck INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE IF NOT EXISTS signing_secret (
    receiver TEXT NOT NULL,
    secret TEXT NOT NULL,
    until_ms INTEGER,
    PRIMARY KEY (receiver, secret)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS due (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    clock TEXT NOT NULL,
    at INTEGER NOT NULL,
    work TEXT NOT NULL,
    id TEXT NOT NULL,
    UNIQUE (id, work)
) STRICT;
CREATE INDEX IF NOT EXISTS due_next ON due (clock, at, place);
"""


class KeptAnswer(NamedTuple):
    """What a request with an idempotency key was answered; `request` tells requests apart."""

    request: str
    status: int
    body: str


class DueWork(NamedTuple):
    """What is to be done with an object at an instant, in seconds; `work` names it."""

    at: int
    work: str
    id: str


class Store(SqliteFile):
    """The file of the sandbox, with its tables."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.connection.executescript(_SCHEMA)

    def add(self, body: Json, **found_by: str | None) -> None:
        """Keep a new object under its own `id`, to be found by these names again."""
        self.connection.execute(
            "INSERT INTO object (id, kind, body) VALUES (?, ?, ?)", (body["id"], body["object"], json.dumps(body))
        )
        self.index(body, **found_by)

    def put(self, body: Json) -> None:
        """Keep an object in place of the one with its id."""
        self.connection.execute("UPDATE object SET body = ? WHERE id = ?", (json.dumps(body), body["id"]))

    def remove(self, body: Json) -> None:
        """Forget an object."""
        self.connection.execute("DELETE FROM found_by WHERE id = ?", (body["id"],))
        self.connection.execute("DELETE FROM object WHERE id = ?", (body["id"],))

    def index(self, body: Json, **found_by: str | None) -> None:
        """Find an object by these names from now on, and by what they were before no more; None: by that name not."""
        for name, value in found_by.items():
            self.connection.execute("DELETE FROM found_by WHERE id = ? AND name = ?", (body["id"], name))
            if value is not None:
                self.connection.execute(
                    "INSERT INTO found_by (kind, name, value, id) VALUES (?, ?, ?, ?)",
                    (body["object"], name, value, body["id"]),
                )

    def get(self, kind: str, identifier: str, *, param: str = "id") -> Json:
        """Return an object; raises `StripeFault` where there is none, naming the parameter it was sent in."""
        row = self.connection.execute(
            "SELECT body FROM object WHERE id = ? AND kind = ?", (identifier, kind)
        ).fetchone()
        if row is None:
            raise missing(kind.rpartition(".")[2], identifier, param=param)
        body: Json = json.loads(row["body"])
        return body

    def known(self, identifier: str) -> Json | None:
        """Return an object of any kind, if there is one of this id."""
        row = self.connection.execute("SELECT body FROM object WHERE id = ?", (identifier,)).fetchone()
        return None if row is None else dict(json.loads(row["body"]))

    def find(self, kind: str, name: str, value: str) -> list[Json]:
        """Return the objects that are found by a name, newest first."""
        rows = self.connection.execute(
            "SELECT body FROM object JOIN found_by ON found_by.id = object.id"
            " WHERE found_by.kind = ? AND found_by.name = ? AND found_by.value = ? ORDER BY place DESC",
            (kind, name, value),
        )
        return [json.loads(row["body"]) for row in rows]

    def newest_first(self, kind: str) -> Iterator[Json]:
        """Yield all objects of a kind."""
        for row in self.connection.execute("SELECT body FROM object WHERE kind = ? ORDER BY place DESC", (kind,)):
            yield json.loads(row["body"])

    def kept_answer(self, idempotency_key: str) -> KeptAnswer | None:
        """Return what a request with this key was answered, if there was one."""
        row = self.connection.execute(
            "SELECT request, status, body FROM kept_answer WHERE idempotency_key = ?", (idempotency_key,)
        ).fetchone()
        return None if row is None else KeptAnswer(*row)

    def keep_answer(self, idempotency_key: str, answer: KeptAnswer, *, created: int) -> None:
        """Answer a repeat with the same from now on."""
        self.connection.execute(
            "INSERT INTO kept_answer (idempotency_key, request, status, body, created) VALUES (?, ?, ?, ?, ?)",
            (idempotency_key, *answer, created),
        )

    def plan(self, work: str, identifier: str, *, at: int, clock: str) -> None:
        """Do a work of an object at an instant of a clock (its id; empty: the account's), instead of when it was."""
        self.forget(work, identifier)
        self.connection.execute(
            "INSERT INTO due (clock, at, work, id) VALUES (?, ?, ?, ?)", (clock, at, work, identifier)
        )

    def forget(self, work: str, identifier: str) -> None:
        """Plan a work no more."""
        self.connection.execute("DELETE FROM due WHERE id = ? AND work = ?", (identifier, work))

    def next_due(self, clock: str) -> DueWork | None:
        """Return what is due first on a clock; of one instant, what was planned first."""
        row = self.connection.execute(
            "SELECT at, work, id FROM due WHERE clock = ? ORDER BY at, place LIMIT 1", (clock,)
        ).fetchone()
        return None if row is None else DueWork(*row)
