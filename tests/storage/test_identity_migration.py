"""Identities from before they began with the call's time."""

import hashlib
from collections.abc import Iterator
from contextlib import closing

import msgspec
import pytest
from sqlalchemy import text

from faregate.base.ids import new_id
from faregate.storage.database import Database
from faregate.storage.events import find_identities
from faregate.storage.schema import migrate
from faregate.wire.event import call_identity
from tests.storage.test_price_migration import migrate_to

EARLIER_ID = "req_of another make, kept as it"


@pytest.fixture
def old(empty_database_url: str) -> Iterator[Database]:
    with closing(Database(empty_database_url)) as database:
        with database.begin() as transaction:
            migrate_to(transaction, "0010")
        yield database


def test_a_call_that_was_counted_before_is_still_known(old: Database) -> None:
    request_id = new_id("req")
    bodies = [_body(request_id), b"no JSON", b"{}", _body(EARLIER_ID)]
    with old.begin() as transaction:
        for position, body in enumerate(bodies, start=1):
            transaction.execute(
                text("INSERT INTO event_log (position, application_id, ingested_at, body) VALUES (:p, 'app_1', 0, :b)"),
                {"p": position, "b": body},
            )
            transaction.execute(
                text("INSERT INTO event_identity VALUES ('app_1', :identity, :hash, :p)"),
                {"p": position, "identity": _old_identity(body, request_id), "hash": b"h" * 16},
            )
        migrate(transaction)
    wanted = [call_identity(request_id, 1), call_identity(EARLIER_ID, 1)]
    with old.snapshot() as transaction:
        found = find_identities(transaction, "app_1", wanted)
        assert transaction.execute(text("SELECT count(*) FROM event_identity")).scalar() == len(bodies)
    assert {identity: seen.position for identity, seen in found.items()} == {wanted[0]: 1, wanted[1]: 4}


def _body(request_id: str) -> bytes:
    return msgspec.json.encode({"faregate": {"request_id": request_id, "attempt": 1}})


def _old_identity(body: bytes, request_id: str) -> bytes:
    for known in (request_id, EARLIER_ID):
        if body == _body(known):
            return hashlib.blake2b(f"gateway\0{known}\x001".encode(), digest_size=16).digest()
    return hashlib.blake2b(body, digest_size=16).digest()
