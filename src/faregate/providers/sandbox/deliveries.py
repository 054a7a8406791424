"""Events on their way to webhook endpoints and event destinations (docs.stripe.com/webhooks).

A delivery is a row before it is a request: it is sent at least once, whatever dies. Each receiver has its own queue.
Times are the machine's, since a receiver checks a signature's age by its own clock.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import random
from collections.abc import Iterable
from typing import Final, NamedTuple

from faregate.providers.sandbox import faulty
from faregate.providers.sandbox.faults import Json
from faregate.providers.sandbox.store import Store

WEBHOOK_ENDPOINT: Final = "webhook_endpoint"
EVENT_DESTINATION: Final = "v2.core.event_destination"

_RETRIES_MS: Final = (60_000, 15 * 60_000, 2 * 3_600_000)
"""A test account's webhook is tried again three times in a few hours."""
_SPREAD: Final = 0.2
_AT_ONCE: Final = 8
_KEPT: Final = 10_000
"""Deliveries that ended are shown that long."""


class Due(NamedTuple):
    """A delivery to make now: post `body`, signed with every one of `secrets`."""

    place: int
    url: str
    body: bytes
    secrets: tuple[str, ...]


class Outcome(NamedTuple):
    """What came of a delivery: the receiver's status, or why there is none."""

    place: int
    status: int | None
    error: str | None

    @property
    def is_taken(self) -> bool:
        """Return whether the receiver took it: with any status of success."""
        return self.status is not None and self.status // 100 == 2  # noqa: PLR2004 - the class of success


def queue(store: Store, event: Json, *, now_ms: int) -> int:
    """Let an event be sent to every receiver that wants it; return to how many."""
    wanting = [receiver["id"] for receiver in _receivers(store, event) if _wants(receiver, event)]
    return sum(queue_for(store, receiver, event, now_ms=now_ms) for receiver in wanting)


def queue_for(store: Store, receiver: str, event: Json, *, now_ms: int) -> bool:
    """Let an event be sent to a receiver; False where a fault drops it."""
    delays_ms = faulty.delays_ms(store, event["type"])
    for delay_ms in delays_ms:
        _add(store, event=event["id"], receiver=receiver, due_ms=now_ms + delay_ms)
    if not delays_ms:
        _add(store, event=event["id"], receiver=receiver, due_ms=now_ms, state="dropped")
    return bool(delays_ms)


def due(store: Store, *, now_ms: int, busy: Iterable[str]) -> dict[str, list[Due]]:
    """Return what is to be sent now, by receiver, the oldest first; none for receivers that are `busy`."""
    waiting = store.connection.execute(
        "SELECT DISTINCT receiver FROM delivery WHERE state = 'pending' AND due_ms <= ?", (now_ms,)
    ).fetchall()
    found = {}
    for receiver in {row["receiver"] for row in waiting} - set(busy):
        url = _url(store, receiver)
        if url is None:
            _give_up_all(store, receiver)
        else:
            found[receiver] = _due_of(store, receiver, url=url, now_ms=now_ms)
    return found


def record(store: Store, outcomes: Iterable[Outcome], *, now_ms: int) -> None:
    """Write down what came of deliveries; what failed is due again later, or given up."""
    for outcome in outcomes:
        row = store.connection.execute(
            "SELECT event, attempts FROM delivery WHERE place = ? AND state = 'pending'", (outcome.place,)
        ).fetchone()
        if row is None:
            continue
        retries = row["attempts"] < len(_RETRIES_MS)
        state = "delivered" if outcome.is_taken else "pending" if retries else "gave_up"
        due_ms = now_ms if state != "pending" else now_ms + _pause_ms(row["attempts"])
        store.connection.execute(
            "UPDATE delivery SET state = ?, attempts = attempts + 1, due_ms = ?, attempted_ms = ?, status = ?,"
            " error = ? WHERE place = ?",
            (state, due_ms, now_ms, outcome.status, outcome.error, outcome.place),
        )
        _count_pending(store, row["event"])
    store.connection.execute(
        "DELETE FROM delivery WHERE state <> 'pending' AND place <= (SELECT max(place) FROM delivery) - ?", (_KEPT,)
    )


def send_again(store: Store, place: int, *, now_ms: int) -> bool:
    """Let a delivery be made once more, now; False where there is none."""
    row = store.connection.execute("SELECT event, receiver FROM delivery WHERE place = ?", (place,)).fetchone()
    if row is None:
        return False
    _add(store, event=row["event"], receiver=row["receiver"], due_ms=now_ms)
    _count_pending(store, row["event"])
    return True


def newest_first(store: Store, limit: int = 100) -> list[Json]:
    """Return the latest deliveries, each with its event's type."""
    rows = store.connection.execute(
        "SELECT delivery.place, event, receiver, state, attempts, due_ms, attempted_ms, status, error,"
        " json_extract(object.body, '$.type') AS type"
        " FROM delivery LEFT JOIN object ON object.id = delivery.event ORDER BY delivery.place DESC LIMIT ?",
        (limit,),
    )
    return [dict(row) for row in rows]


def is_receiver(store: Store, identifier: str) -> bool:
    """Return whether there is an endpoint or a destination of this id."""
    body = store.known(identifier)
    return body is not None and body["object"] in {WEBHOOK_ENDPOINT, EVENT_DESTINATION}


def add_secret(store: Store, receiver: str, secret: str, *, old_until_ms: int) -> None:
    """Sign with a secret from now on, and with those before it until `old_until_ms`."""
    store.connection.execute(
        "UPDATE signing_secret SET until_ms = ? WHERE receiver = ? AND until_ms IS NULL", (old_until_ms, receiver)
    )
    store.connection.execute("INSERT INTO signing_secret (receiver, secret) VALUES (?, ?)", (receiver, secret))


def forget_receiver(store: Store, receiver: str) -> None:
    """Send a receiver nothing more."""
    store.connection.execute("DELETE FROM signing_secret WHERE receiver = ?", (receiver,))
    _give_up_all(store, receiver)


def signature(body: bytes, secrets: Iterable[str], *, at_s: int) -> str:
    """Return the header `Stripe-Signature` (docs.stripe.com/webhooks/signatures); one `v1` for each secret."""
    signed = f"{at_s}.".encode() + body
    marks = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={at_s}", *(f"v1={mark}" for mark in marks)])


def _receivers(store: Store, event: Json) -> list[Json]:
    """Return who takes events of this kind: thin ones are for destinations that ask for them."""
    destinations = list(store.newest_first(EVENT_DESTINATION))
    if event["object"] == "event":
        snapshot = [body for body in destinations if body["event_payload"] == "snapshot"]
        return [*store.newest_first(WEBHOOK_ENDPOINT), *snapshot]
    return [body for body in destinations if body["event_payload"] == "thin"]


def _wants(receiver: Json, event: Json) -> bool:
    types = receiver["enabled_events"]
    return receiver["status"] == "enabled" and (event["type"] in types or "*" in types)


def _add(store: Store, *, event: str, receiver: str, due_ms: int, state: str = "pending") -> None:
    store.connection.execute(
        "INSERT INTO delivery (event, receiver, state, due_ms) VALUES (?, ?, ?, ?)", (event, receiver, state, due_ms)
    )


def _url(store: Store, receiver: str) -> str | None:
    """Return where a receiver is; None for one that is disabled or gone."""
    body = store.known(receiver)
    if body is None or body["status"] != "enabled":
        return None
    url: str = body["webhook_endpoint"]["url"] if body["object"] == EVENT_DESTINATION else body["url"]
    return url


def _due_of(store: Store, receiver: str, *, url: str, now_ms: int) -> list[Due]:
    rows = store.connection.execute(
        "SELECT place, event FROM delivery WHERE receiver = ? AND state = 'pending' AND due_ms <= ?"
        " ORDER BY due_ms, place LIMIT ?",
        (receiver, now_ms, _AT_ONCE),
    ).fetchall()
    secrets = store.connection.execute(
        "SELECT secret FROM signing_secret WHERE receiver = ? AND (until_ms IS NULL OR until_ms > ?)"
        " ORDER BY until_ms IS NOT NULL, secret",
        (receiver, now_ms),
    ).fetchall()
    found = []
    for row in rows:
        event = store.known(row["event"])
        if event is not None:
            body = json.dumps(_as_sent(event), indent=2).encode()
            found.append(Due(place=row["place"], url=url, body=body, secrets=tuple(each["secret"] for each in secrets)))
    return found


def _as_sent(event: Json) -> Json:
    """Return an event as its receivers get it: of a thin one, without what is to be fetched."""
    return event if event["object"] == "event" else {name: value for name, value in event.items() if name != "data"}


def _give_up_all(store: Store, receiver: str) -> None:
    waiting = store.connection.execute(
        "SELECT DISTINCT event FROM delivery WHERE receiver = ? AND state = 'pending'", (receiver,)
    ).fetchall()
    store.connection.execute(
        "UPDATE delivery SET state = 'gave_up', error = 'the endpoint is disabled or deleted'"
        " WHERE receiver = ? AND state = 'pending'",
        (receiver,),
    )
    for row in waiting:
        _count_pending(store, row["event"])


def _count_pending(store: Store, event_id: str) -> None:
    event = store.known(event_id)
    if event is not None and "pending_webhooks" in event:
        row = store.connection.execute(
            "SELECT count(DISTINCT receiver) AS waiting FROM delivery WHERE event = ? AND state = 'pending'",
            (event_id,),
        ).fetchone()
        store.put(event | {"pending_webhooks": row["waiting"]})


def _pause_ms(attempts: int) -> int:
    # Receivers that were away together are not asked together again.
    return round(_RETRIES_MS[attempts] * random.uniform(1 - _SPREAD, 1 + _SPREAD))  # noqa: S311 - not a secret
