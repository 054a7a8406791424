"""Streams that break off anywhere are billed by the policy, once: a part of what `bench/bars` runs in full."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import msgspec
from msgspec.structs import replace

from bench.aborts.cases import MOST_OUTPUT, Bill, Case, Speech, every_case, owed
from bench.aborts.stage import Target, staged
from faregate.wire.event import WireEvent
from faregate.wire.gateway_protocol import OnAbort
from tests.gateway.control_plane import ControlPlane
from tests.gateway.running import gateway, run
from tests.gateway.spoken import CHAT, EVERY, Spoken, every, is_estimated

EVERY_NTH = 3
PRICES = {"prc_input": "read", "prc_output": "written"}


def speech_of(spoken: Spoken, *, asks_usage: bool = True) -> Speech:
    ask = spoken.ask | {spoken.limit: MOST_OUTPUT, "stream": True}
    if spoken is CHAT and asks_usage:
        ask["stream_options"] = {"include_usage": True}
    return Speech(
        name=spoken.dialect.name,
        dialect=spoken.dialect,
        request=msgspec.json.encode(ask),
        events=spoken.stream.events,
        names=spoken.names,
    )


def add_cancelling_route(plane: ControlPlane) -> None:
    """Make a second route like the first, on the same prices, whose calls end when their callers leave."""
    drains = plane.entities["route", "rte_1"]
    plane.put("route", "rte_2", replace(drains, route_id="rte_2", name="/ai/cancel", on_abort=OnAbort.CANCEL))
    for meter in plane.meters:
        first, *others = meter.conditions
        conditions = [replace(first, value="/ai/cancel"), *others]
        plane.put("meter", f"{meter.meter_id}_2", replace(meter, meter_id=f"{meter.meter_id}_2", conditions=conditions))


def bill_of(event: WireEvent, names: tuple[str, str]) -> Bill:
    assert event.response is not None
    body = event.response.body or {}
    usage = body.get("usage") or {}
    read, written = (usage.get(name) for name in names)
    return Bill(status=event.response.status, read=read, written=written, estimated=is_estimated(event))


@every
def test_a_stream_that_breaks_off_anywhere_is_billed_by_the_policy_once(tmp_path: Path, spoken: Spoken) -> None:
    async def scenario() -> None:
        speeches = [speech_of(spoken)]
        if spoken is CHAT:
            speeches.append(speech_of(spoken, asks_usage=False))
        cases = every_case(speeches, every=EVERY_NTH)
        async with staged(cases) as stage:
            plane = ControlPlane()
            spoken.seed(plane, stage.origin, read_timeout_ms=20_000, total_timeout_ms=60_000)
            add_cancelling_route(plane)
            async with gateway(tmp_path, plane) as gate:
                plays = await stage.play(
                    gate.port, lambda case: Target(path="/ai/chat" if case.drains else "/ai/cancel", key="key-1")
                )
                events = await plane.events_arrived(len(cases), within_s=30)
            assert plane.accounts["sub_1"].outstanding() == 0
        found: dict[str, list[WireEvent]] = defaultdict(list)
        for event in events:
            assert event.faregate is not None
            found[event.faregate.request_id].append(event)
        faults = [f"{play.case.name}: {fault}" for play in plays for fault in play.faults]
        assert not faults
        for play in plays:
            assert len(play.request_ids) == 1, play.case.name
            bills = [bill_of(event, spoken.names) for event in found[play.request_ids[0]]]
            assert (play.case.name, bills) == (play.case.name, [owed(play.case)])
            if play.case.told is not None:
                assert (play.case.name, play.body) == (play.case.name, play.case.told)
        owed_units = {
            price: sum(getattr(owed(play.case), part) or 0 for play in plays) for price, part in PRICES.items()
        }
        assert plane.accounts["sub_1"].settled == owed_units
        assert plane.conflicts == 0
        assert len(events) == len(cases)

    run(scenario())


def test_nothing_that_was_sent_is_free() -> None:
    free = [case.name for case in every_case([speech_of(spoken) for spoken in EVERY]) if _is_free(case)]
    assert free == []


def _is_free(case: Case) -> bool:
    bill = owed(case)
    return bool(case.passes) and not (isinstance(bill.read, int) and bill.read > 0)
