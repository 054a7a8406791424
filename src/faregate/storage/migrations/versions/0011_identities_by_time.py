"""Identities of calls that went through a gateway begin with the call's time: they are written at their index's end."""

import hashlib

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_SLICE = 1_000
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_ID_CHARACTERS = 30
_TIME_BYTES = 6


class _Facts(msgspec.Struct):
    request_id: str = ""
    attempt: int = 0


class _Sent(msgspec.Struct):
    faregate: _Facts | None = None


_SENT = msgspec.json.Decoder(_Sent)
_READ = sa.text(
    "SELECT position, application_id, body FROM event_log WHERE position > :after ORDER BY position LIMIT :most"
)
_CHANGE = sa.text(
    "UPDATE event_identity SET identity = :after WHERE application_id = :application_id AND identity = :before"
)


def upgrade() -> None:
    """Rewrite the identities of the events in the log. One whose event is gone stays: nothing can repeat it."""
    connection = op.get_bind()
    position = 0
    while rows := connection.execute(_READ, {"after": position, "most": _SLICE}).all():
        position = rows[-1].position
        changes = [change for row in rows if (change := _change(row.application_id, bytes(row.body)))]
        if changes:
            connection.execute(_CHANGE, changes)


def downgrade() -> None:
    """Refuse: a call would be counted again by who knows it under another identity."""
    raise NotImplementedError("identities cannot be undone; restore a backup instead")


def _change(application_id: str, body: bytes) -> dict[str, object] | None:
    try:
        facts = _SENT.decode(body).faregate
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if facts is None:
        return None
    begun = _time_part(facts.request_id)
    if begun is None:
        return None
    before = hashlib.blake2b(f"gateway\0{facts.request_id}\0{facts.attempt}".encode(), digest_size=16).digest()
    return {"application_id": application_id, "before": before, "after": begun + before[: 16 - _TIME_BYTES]}


def _time_part(request_id: str) -> bytes | None:
    if len(request_id) != _ID_CHARACTERS:
        return None
    number = 0
    for character in request_id[4:14]:
        digit = _ALPHABET.find(character)
        if digit < 0:
            return None
        number = number << 5 | digit
    return number.to_bytes(_TIME_BYTES, "big") if number >> 48 == 0 else None
