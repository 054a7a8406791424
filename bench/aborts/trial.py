"""All cases through the real gateway and control plane; the books say what was billed."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Struct

from bench.aborts.cases import Bill, Case, Speech, every_case, owed
from bench.aborts.speeches import OWN, all_speeches
from bench.aborts.stage import Play, Target, staged
from bench.calling import Api
from bench.cases import GREAT_BALANCE, Customer, Offer, Sold, make_customer, make_offer, make_rules, package
from bench.chat_line import wait_until_known
from bench.crash.evidence import read_charged, read_set_aside, reading
from bench.stack import Stack, running_stack
from faregate.wire.dialects.registry import ANTHROPIC_MESSAGES, GenericJson

_KNOWN_WITHIN_S: Final = 20.0


class Aborted(Struct, frozen=True, kw_only=True):
    """What a stream's cases came to."""

    speech: str
    cases: int
    estimated: int
    faults: list[str]


class _Facts(Struct, frozen=True):
    request_id: str
    estimated: bool = False


class _Body(Struct, frozen=True):
    usage: dict[str, object] | None = None


class _Response(Struct, frozen=True):
    status: int
    body: _Body | None = None


class _Event(Struct, frozen=True):
    response: _Response
    faregate: _Facts


_EVENT: Final = msgspec.json.Decoder(_Event)


class _Booked(Struct, frozen=True, kw_only=True):
    """An applied event: as it was sent, and what its meters charged by usage field."""

    event: _Event
    charged: Mapping[str, Decimal]


def run_aborts(*, every: int, show: Callable[[str], None] = lambda _: None) -> list[Aborted]:
    """Play one of `every` cases, and judge."""
    with running_stack() as stack:
        speeches = all_speeches(stack.upstream.port)
        cases = every_case(speeches, every=every)
        show(f"{len(cases)} streams that break off")
        plays, offers = asyncio.run(_play(stack, speeches, cases))
        stack.wait_applied()
        with reading(stack.database) as books:
            booked = _read_books(books, offers)
            aside = read_set_aside(books)
        return [_judge(speech, plays, booked=booked, aside=aside) for speech in speeches]


async def _play(stack: Stack, speeches: Sequence[Speech], cases: Sequence[Case]) -> tuple[list[Play], list[Offer]]:
    async with staged(cases) as stage:
        with closing(stack.api()) as api:
            make_rules(api)
            sold = {
                (speech.name, drains): _sell(api, speech, stage.origin, drains=drains, number=number)
                for number, speech in enumerate(speeches)
                for drains in (True, False)
            }
        for offer, customer in sold.values():
            wait_until_known(stack.gateway.port, offer, customer, within_s=_KNOWN_WITHIN_S)

        def target(case: Case) -> Target:
            offer, customer = sold[case.speech.name, case.drains]
            return Target(path=offer.route, key=customer.key)

        return await stage.play(stack.gateway.port, target), [offer for offer, _ in sold.values()]


def _sell(api: Api, speech: Speech, origin: str, *, drains: bool, number: int) -> tuple[Offer, Customer]:
    policy = "drain" if drains else "cancel"
    route = f"/ai/abort-{number}-{policy}"
    prices = [Sold(name=name, model=package("0.50", 1_000_000), field=name) for name in speech.names]
    own = isinstance(speech.dialect, GenericJson)
    settings: dict[str, Any] = {
        "dialect": speech.dialect.name,
        "on_abort": policy,
        "upstream_url": origin if speech.dialect is ANTHROPIC_MESSAGES else f"{origin}/v1",
        "generic_json": OWN if own else None,
    }
    offer = make_offer(api, prices, upstream=origin, route=route, **settings)
    return offer, make_customer(api, offer, f"abort-{number}-{policy}", credit=GREAT_BALANCE)


def _read_books(books: sqlite3.Connection, offers: Sequence[Offer]) -> dict[str, list[_Booked]]:
    found: dict[str, list[_Booked]] = defaultdict(list)
    for _, body, charged in read_charged(books, [meter for offer in offers for meter in offer.meters]):
        event = _EVENT.decode(body)
        found[event.faregate.request_id].append(_Booked(event=event, charged=charged))
    return found


def _judge(
    speech: Speech, plays: Sequence[Play], *, booked: Mapping[str, list[_Booked]], aside: Sequence[str]
) -> Aborted:
    mine = [play for play in plays if play.case.speech is speech]
    faults = [f"{play.case.name}: {fault}" for play in mine for fault in _faults(play, booked)]
    return Aborted(
        speech=speech.name,
        cases=len(mine),
        estimated=sum(owed(play.case).estimated for play in mine),
        faults=[*faults, *aside],
    )


def _faults(play: Play, booked: Mapping[str, list[_Booked]]) -> list[str]:
    case, faults = play.case, list(play.faults)
    if len(play.request_ids) != 1:
        return [*faults, f"the upstream was asked {len(play.request_ids)} times"]
    if case.told is not None and play.body != case.told:
        faults.append(f"the caller got {play.body!r}")
    events = booked.get(play.request_ids[0], [])
    if len(events) != 1:
        return [*faults, f"{len(events)} events were applied"]
    event, expected = events[0], owed(case)
    bill = _bill(event.event, case.speech.names)
    if bill != expected:
        faults.append(f"billed {bill}, not {expected}")
    wanted = dict(zip(case.speech.names, (expected.read, expected.written), strict=True))
    if any(event.charged.get(name, Decimal(0)) != (value or 0) for name, value in wanted.items()):
        faults.append(f"charged {dict(event.charged)}, not {wanted}")
    return faults


def _bill(event: _Event, names: tuple[str, str]) -> Bill:
    body = event.response.body
    usage = {} if body is None or body.usage is None else body.usage
    return Bill(
        status=event.response.status,
        read=usage.get(names[0]),
        written=usage.get(names[1]),
        estimated=event.faregate.estimated,
    )
