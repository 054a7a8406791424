"""The records that are joined by hand are the shapes that others read."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from faregate.apps.gateway.call_records import (
    drawn_rows,
    event_of,
    event_tail,
    held_rows,
    hold_remarks,
    origin_of,
    plan_parts,
    request_record,
    start_record,
)
from faregate.apps.gateway.pools import Account, HeldUnits, Hold, LeasedUnits, PriceNeed
from faregate.apps.gateway.spool_records import HeldRecord, NeedRecord, PlanRecord, StartRecord, sequence_of
from faregate.wire.dialects.openai_chat_request import RequestSummary
from faregate.wire.dialects.seam import AnswerRecord
from faregate.wire.event import WireEvent, WireRequest
from faregate.wire.gateway_protocol import Drawn, GatewayFacts, KeyState, Lease
from tests.gateway.control_plane import route_state

AT = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NEED = PriceNeed(price_id='pri "1"', per_input=1, per_output=2)


def leased(lease_id: str) -> LeasedUnits:
    lease = Lease(
        lease_id=lease_id, price_id=NEED.price_id, period_start=AT, period_end=AT, units=100, duration_ms=1_000
    )
    return LeasedUnits(lease, asked_at_ms=0)


@given(
    name=TEXTS,
    company_id=TEXTS,
    user_id=st.none() | TEXTS,
    replay=st.booleans(),
    estimated=st.booleans(),
    blocked_by=st.none() | TEXTS,
)
def test_a_start_and_an_event_decode_to_what_was_put_in(
    *, name: str, company_id: str, user_id: str | None, replay: bool, estimated: bool, blocked_by: str | None
) -> None:
    route = route_state("http://127.0.0.1:1/v1", name=name, route_id="rte %d")
    key = KeyState(
        key_id="key_1", application_id="app_1", key_hash="h", company_id=company_id, user_id=user_id, replay=replay
    )
    plan = plan_parts(route, key, [NEED], usage_names=("a", "b", ""))
    request = request_record(
        plan, occurred_at=AT, uri=f"http://a/{name}", verb="POST", ip_address=None, summary=RequestSummary(model=name)
    )
    units = leased(company_id)
    start_line = start_record("req_1", request, epoch=3, input_estimate=5, held=[HeldUnits(units, NEED, 7)])
    assert b"\n" not in plan.record + start_line
    assert msgspec.json.decode(plan.record, type=PlanRecord) == PlanRecord(
        attempt=1,
        route_id="rte %d",
        route=name,
        key_id="key_1",
        user_id=user_id,
        company_id=company_id,
        replay=replay,
        needs=[NeedRecord(NEED.price_id, 1, 2)],
        usage_names=("a", "b", ""),
    )
    start = msgspec.json.decode(start_line, type=StartRecord)
    assert msgspec.json.decode(start.request, type=WireRequest).uri == f"http://a/{name}"
    assert (start.request_id, start.epoch, start.input_estimate) == ("req_1", 3, 5)
    assert start.held == [HeldRecord(company_id, NEED.price_id, 7)]
    tail = event_tail(
        9,
        drawn=held_rows([HeldUnits(units, NEED, 7)], {units: 6}),
        estimated=estimated,
        answered_at=AT,
        status=200,
        summary=AnswerRecord(usage={"prompt_tokens": 1}),
        blocked_by=blocked_by,
    )
    assert sequence_of(tail) == 9
    event_line = event_of(plan, "req_1", request, origin=origin_of("gw_1", 3), tail=tail)
    assert b"\n" not in event_line
    event = msgspec.json.decode(event_line, type=WireEvent)
    assert event.request.body == {"model": name}
    assert (event.request.time, event.request.route, event.request.verb) == (AT, name, "POST")
    assert (event.user_id, event.company_id, event.blocked_by) == (user_id, company_id, blocked_by)
    assert event.response is not None
    assert (event.response.time, event.response.status) == (AT, 200)
    assert event.response.body == {"usage": {"prompt_tokens": 1}}
    assert event.faregate == GatewayFacts(
        gateway_id="gw_1",
        epoch=3,
        sequence=9,
        request_id="req_1",
        attempt=1,
        route_id="rte %d",
        key_id="key_1",
        drawn=[Drawn(lease_id=company_id, units=6, held=7)],
        estimated=estimated,
        replay=replay,
    )


def rows(text: bytes) -> list[Drawn]:
    return msgspec.json.decode(b"[" + text + b"]", type=list[Drawn])


def test_what_is_held_is_told_of_leases_that_nothing_was_drawn_from_too() -> None:
    first, second = leased("a"), leased("b")
    parts = [HeldUnits(first, NEED, 7), HeldUnits(second, NEED, 3)]
    assert rows(held_rows(parts, {first: 6})) == [
        Drawn(lease_id="a", units=6, held=7),
        Drawn(lease_id="b", units=0, held=3),
    ]
    assert rows(drawn_rows({first: 6})) == [Drawn(lease_id="a", units=6)]
    assert rows(drawn_rows({})) == rows(held_rows([], {})) == []


def test_units_drawn_beyond_the_hold_are_told_of_their_lease_and_parts_of_one_lease_add_up() -> None:
    first, beyond = leased("a"), leased("b")
    parts = [HeldUnits(first, NEED, 7), HeldUnits(first, NEED, 3)]
    assert rows(held_rows(parts, {first: 10, beyond: 5})) == [
        Drawn(lease_id="a", units=10, held=10),
        Drawn(lease_id="b", units=5, held=0),
    ]


def test_what_is_out_of_the_ordinary_with_a_hold_is_told() -> None:
    hold = Hold(Account("sub_1"), 5, [])
    assert hold_remarks(hold) == b""
    hold.clamped, hold.uncovered = True, 9
    assert hold_remarks(hold) == b',"clamped":true,"uncovered":9'
