"""What the account holds, for whoever looks inside: kinds, objects of a kind, one object; never a secret."""

from __future__ import annotations

import json
from typing import Final, NamedTuple

from faregate.providers.sandbox.faults import Json
from faregate.providers.sandbox.store import Store

METER_EVENT: Final = "billing.meter_event"
_SAYING: Final = ("name", "display_name", "nickname", "email", "url", "number", "description", "type")
"""Fields that tell an object from others of its kind, the most telling first."""


class Kind(NamedTuple):
    """A kind and how many there are."""

    name: str
    amount: int


class Shown(NamedTuple):
    """An object in a list: `says` is what tells it from others, `place` its turn."""

    id: str
    says: str
    status: str
    place: int


def list_kinds(store: Store) -> list[Kind]:
    """Return what there is, by name; usage among it."""
    rows = store.connection.execute("SELECT kind, count(*) AS count FROM object GROUP BY kind").fetchall()
    usage = store.connection.execute("SELECT count(*) AS count FROM meter_event").fetchone()["count"]
    return sorted([*(Kind(row["kind"], row["count"]) for row in rows), *([Kind(METER_EVENT, usage)] if usage else [])])


def list_objects(store: Store, kind: str, *, before: int | None, limit: int) -> list[Shown]:
    """Return a part of a kind's objects, newest first: those before a place."""
    if kind == METER_EVENT:
        return _usage(store, before=before, limit=limit)
    rows = store.connection.execute(
        "SELECT place, id, body FROM object WHERE kind = ? AND place < ? ORDER BY place DESC LIMIT ?",
        (kind, _last(before), limit),
    )
    return [_shown(row["id"], json.loads(row["body"]), row["place"]) for row in rows]


def find_object(store: Store, identifier: str) -> Json | None:
    """Return an object, or the usage of an identifier."""
    found = store.known(identifier)
    if found is not None:
        return found
    row = store.connection.execute("SELECT * FROM meter_event WHERE identifier = ?", (identifier,)).fetchone()
    return None if row is None else {"object": METER_EVENT} | dict(row)


def _usage(store: Store, *, before: int | None, limit: int) -> list[Shown]:
    # Events have no place: the page of them is a look at the latest.
    rows = store.connection.execute(
        "SELECT identifier, event_name, customer, value, cancelled FROM meter_event WHERE created < ?"
        " ORDER BY created DESC, identifier LIMIT ?",
        (_last(before), limit),
    )
    return [
        Shown(
            id=row["identifier"],
            says=f"{row['value']} {row['event_name']} of {row['customer']}",
            status="cancelled" if row["cancelled"] else "",
            place=0,
        )
        for row in rows
    ]


def _last(before: int | None) -> int:
    return before if before is not None else 1 << 62


def _shown(identifier: str, body: Json, place: int) -> Shown:
    says = next((str(body[name]) for name in _SAYING if body.get(name)), "")
    return Shown(id=identifier, says=says, status=_status(body), place=place)


def _status(body: Json) -> str:
    if body.get("deleted"):
        return "deleted"
    return str(body.get("status") or ("archived" if body.get("active") is False else ""))
