"""`POST /v1/events` and `/v1/events/batch`: events from Moesif's agents, and from anyone with a collector id.

201 is answered after the durable write, and for nothing else: agents repeat, or lose, what gets another status.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import msgspec
from msgspec import Raw

from faregate.apps.control.applying import Applying
from faregate.apps.control.asgi import Answer, Request, read_body
from faregate.apps.control.content_encoding import decompress
from faregate.apps.control.counters import Counters
from faregate.apps.control.intake import Intake
from faregate.base.errors import InvalidInput, TooLarge, Unauthorized
from faregate.base.limits import MAX_COLLECTOR_BODY_BYTES, MAX_EVENTS_PER_BATCH
from faregate.services.credentials import hash_secret
from faregate.storage.applications import find_application_of_collector
from faregate.storage.database import Database

_CREDENTIAL: Final = "X-Moesif-Application-Id"
_KNOWN_IDS: Final = 1_000

MOST_BEHIND_EVENTS: Final = 50_000
"""Beyond so many unmetered events senders are slowed, so that usage stays a few seconds behind at the most."""

_SLOWED_AT_MOST_S: Final = 2.0
"""Agents wait five seconds for an answer and send again after that."""

_BATCH: Final = msgspec.json.Decoder(list[Raw])
_ONE: Final = msgspec.json.Decoder(Raw)


_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])


class Collector:
    """Takes events in. One bad event never fails its batch: it is kept, and set aside when it is applied."""

    def __init__(self, *, database: Database, intake: Intake, applying: Applying, counters: Counters) -> None:
        self._database = database
        self._intake = intake
        self._applying = applying
        self._counters = counters
        self._applications: dict[str, str] = {}

    async def take_batch(self, request: Request) -> Answer:
        """Take a JSON array of events."""
        application_id = await self._application(request)
        return await self._take(application_id, split_batch(await read_events_body(request)))

    async def take_one(self, request: Request) -> Answer:
        """Take one event, a JSON object."""
        application_id = await self._application(request)
        body = await read_events_body(request)
        try:
            event = _ONE.decode(body)
        except msgspec.DecodeError as error:
            raise InvalidInput.of("body", f"not JSON: {error}") from error
        if not bytes(event).lstrip().startswith(b"{"):
            raise InvalidInput.of("body", "must be one event, a JSON object; arrays go to /v1/events/batch")
        return await self._take(application_id, [event])

    async def _take(self, application_id: str, events: list[Raw]) -> Answer:
        await self._applying.keep_up(MOST_BEHIND_EVENTS, _SLOWED_AT_MOST_S)
        await self._intake.append(application_id, [_without_claims(event) for event in events])
        self._counters.events_accepted["collector"] += len(events)
        return Answer(status=HTTPStatus.CREATED)

    async def _application(self, request: Request) -> str:
        collector_id = request.header(_CREDENTIAL.lower().encode())
        known = self._applications.get(collector_id)
        if known is not None:
            return known
        digest = hash_secret(collector_id)
        found = await self._database.read(lambda tx: find_application_of_collector(tx, digest))
        if found is None:
            raise Unauthorized(f"{_CREDENTIAL} must be the collector id of an application")
        if len(self._applications) >= _KNOWN_IDS:
            self._applications.clear()
        self._applications[collector_id] = found.application_id
        return found.application_id


async def read_events_body(request: Request) -> bytes:
    """Return the body, unpacked; `TooLarge` where it is over the limit packed or unpacked."""
    body = await read_body(request, MAX_COLLECTOR_BODY_BYTES)
    return decompress(body, request.header(b"content-encoding"), MAX_COLLECTOR_BODY_BYTES)


def split_batch(body: bytes) -> list[Raw]:
    """Return the elements of a JSON array, each as it was sent.

    Raises:
        InvalidInput: Not a JSON array.
        TooLarge: More than MAX_EVENTS_PER_BATCH elements.
    """
    try:
        events = _BATCH.decode(body)
    except msgspec.ValidationError as error:
        raise InvalidInput.of("body", "must be a JSON array of events") from error
    except msgspec.DecodeError as error:
        raise InvalidInput.of("body", f"not JSON: {error}") from error
    if len(events) > MAX_EVENTS_PER_BATCH:
        raise TooLarge(f"{len(events)} events are over the limit of {MAX_EVENTS_PER_BATCH} in one batch")
    return events


def _without_claims(event: Raw) -> bytes:
    """Return the event without `faregate` facts: only our gateways, on their own link, may state those."""
    sent = bytes(event)
    if b"faregate" not in sent and b"\\u" not in sent:
        # Neither the key nor an escape that could spell it.
        return sent
    try:
        fields = _FIELDS.decode(event)
    except msgspec.DecodeError:
        return sent
    if fields.pop("faregate", None) is None:
        return sent
    return msgspec.json.encode(fields)
