"""`/gateway/v1`: the control plane's side of `wire/gateway_protocol.py`."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from itertools import groupby
from typing import Final, TypeVar
from urllib.parse import parse_qs

import msgspec
import structlog
from msgspec import Raw, Struct

from faregate.apps.control.applying import Applying
from faregate.apps.control.asgi import Answer, Request, json_answer, read_body
from faregate.apps.control.collector import read_events_body, split_batch
from faregate.apps.control.counters import Counters
from faregate.apps.control.intake import Intake
from faregate.apps.control.lease_desk import LeaseDesk
from faregate.apps.control.rate_desk import RateDesk
from faregate.apps.control.state_feed import Follower, StateFeed
from faregate.base.clock import Clock
from faregate.base.errors import InvalidInput, Unauthorized
from faregate.base.limits import MAX_API_BODY_BYTES
from faregate.services.gateway_calls import (
    applications_of_routes,
    main_application,
    open_gateway,
    release_gateway,
)
from faregate.storage.database import Database
from faregate.wire.api.common import decode_body
from faregate.wire.gateway_epochs import OpenEpoch, ReleaseEarlierEpochs
from faregate.wire.gateway_protocol import (
    FIRST_DIALECTS,
    EventsAccepted,
    LeaseAnswer,
    LeaseRequest,
    Refused,
    StateSeen,
)
from faregate.wire.limit_protocol import RateReport

T = TypeVar("T")

_log: Final = structlog.stdlib.get_logger()

_URGENT: Final = b"urgent"
"""The query of events that end an account's credit: they are applied without gathering others."""

_CATCH_UP_S: Final = 2.0
"""How long a refusal waits for events that are logged and not yet applied: they may free what it lacks."""


class _Facts(Struct):
    route_id: str = ""


class _Sent(Struct):
    faregate: _Facts | None = None


_SENT: Final = msgspec.json.Decoder(_Sent)


class GatewayLink:
    """Answers gateways that know the gateway token."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        intake: Intake,
        applying: Applying,
        feed: StateFeed,
        counters: Counters,
        rate_desk: RateDesk,
        gateway_token: str,
    ) -> None:
        self._rate_desk = rate_desk
        self._feed = feed
        self._database = database
        self._clock = clock
        self._intake = intake
        self._applying = applying
        self._counters = counters
        self._lease_desk = LeaseDesk(database=database, clock=clock, gateways=lambda: feed.gateways)
        self._credential = f"Bearer {gateway_token}".encode()
        self._applications: dict[str, str] = {}
        self.leases_waiting = 0
        """Lease requests that are being answered."""

    def authorize(self, request: Request) -> None:
        """Raise `Unauthorized` unless the request bears the gateway token."""
        if not hmac.compare_digest(request.headers.get(b"authorization", b""), self._credential):
            raise Unauthorized("Authorization must be 'Bearer ' and the gateway token")

    async def open_epoch(self, request: Request) -> Answer:
        """Answer `POST /gateway/v1/epochs`."""
        self.authorize(request)
        wanted = await read_question(request, OpenEpoch)
        # What is logged and not applied yet is not missing.
        is_all = await self._applying.catch_up(_CATCH_UP_S)
        opened = await self._database.write(lambda tx: open_gateway(tx, wanted, self._clock, is_all_applied=is_all))
        self._rate_desk.note_opened(wanted.gateway_id)
        _log.info("epoch.opened", gateway_id=wanted.gateway_id, epoch=opened.epoch, generation=opened.generation)
        return json_answer(opened)

    async def lease(self, request: Request) -> Answer:
        """Answer `POST /gateway/v1/leases`. It refuses for want of credit only after all logged events count."""
        self.authorize(request)
        wanted = await read_question(request, LeaseRequest)
        self.leases_waiting += 1
        try:
            answer = await self._answer_after_the_books(wanted)
        finally:
            self.leases_waiting -= 1
        self._counters.lease_answers[_outcome(answer)] += 1
        return json_answer(answer)

    async def rates(self, request: Request) -> Answer:
        """Answer `POST /gateway/v1/rates`."""
        self.authorize(request)
        return json_answer(await self._rate_desk.answer(await read_question(request, RateReport)))

    async def take_events(self, request: Request) -> Answer:
        """Answer `POST /gateway/v1/events`: 201 after the durable write."""
        self.authorize(request)
        events = split_batch(await read_events_body(request))
        owners = await self._owners(events)
        for application_id, pairs in groupby(zip(owners, events, strict=True), key=lambda pair: pair[0]):
            await self._intake.append(application_id, [bytes(event) for _, event in pairs])
        self._counters.events_accepted["gateway"] += len(events)
        if request.query == _URGENT:
            self._applying.hurry()
        return json_answer(EventsAccepted(accepted=len(events)), HTTPStatus.CREATED)

    async def release(self, request: Request) -> Answer:
        """Answer `POST /gateway/v1/release`."""
        self.authorize(request)
        wanted = await read_question(request, ReleaseEarlierEpochs)
        await self._database.write(lambda tx: release_gateway(tx, wanted, self._clock))
        return Answer(status=HTTPStatus.NO_CONTENT)

    async def _answer_after_the_books(self, wanted: LeaseRequest) -> LeaseAnswer:
        applied = self._applying.position
        answer = await self._lease_desk.answer(wanted)
        if answer.refused in {Refused.EXHAUSTED, Refused.INSUFFICIENT}:
            await self._applying.catch_up(_CATCH_UP_S)
            if self._applying.position != applied:
                answer = await self._lease_desk.answer(wanted)
        if answer.refused is not None and answer.outstanding:
            await self._feed.recall(wanted.subscription_id, for_gateway=wanted.gateway_id)
        return answer

    async def note_seen(self, request: Request) -> Answer:
        """Answer `POST /gateway/v1/seen`."""
        self.authorize(request)
        await self._feed.note_seen(await read_question(request, StateSeen))
        return Answer(status=HTTPStatus.NO_CONTENT)

    async def _owners(self, events: Sequence[Raw]) -> list[str]:
        """Return the application of each event: its route's, or the main one where the route is gone."""
        routes = [_route_of(event) for event in events]
        unknown = set(routes) - self._applications.keys()
        if unknown:
            found = await self._database.read(partial(applications_of_routes, route_ids=unknown))
            self._applications |= found
            if len(found) < len(unknown):
                fallback = await self._database.read(main_application)
                return [self._applications.get(route_id, fallback) for route_id in routes]
        return [self._applications[route_id] for route_id in routes]


def stated_follower(request: Request) -> Follower:
    """Return who follows, as the query says; `InvalidInput` where `after` is not a version."""
    values = parse_qs(request.query.decode("latin-1"))
    after, generation = (values.get(name, ["0"])[-1] for name in ("after", "generation"))
    if not after.isdecimal():
        raise InvalidInput.of("after", "must be the version of the last up_to_date message, a whole number")
    if not generation.isdecimal():
        raise InvalidInput.of("generation", "must be that of the last reset message, a whole number")
    dialects = values["dialects"][-1].split(",") if "dialects" in values else FIRST_DIALECTS
    return Follower(
        gateway_id=values.get("gateway_id", [""])[-1],
        after=int(after),
        generation=int(generation),
        dialects=frozenset(dialects),
    )


async def read_question(request: Request, kind: type[T]) -> T:
    """Return the body of a request; `InvalidInput` names the field that is not of the kind."""
    return decode_body(await read_body(request, MAX_API_BODY_BYTES), kind)


def _route_of(event: Raw) -> str:
    try:
        sent = _SENT.decode(event)
    except msgspec.DecodeError:
        return ""
    return sent.faregate.route_id if sent.faregate else ""


def _outcome(answer: LeaseAnswer) -> str:
    if answer.refused is not None:
        return answer.refused.value
    return "granted" if answer.leases else "returned"
