"""What an event tells of its hold, and how it adds up."""

from __future__ import annotations

from pathlib import Path

import msgspec

from faregate.storage.tables import bound_quality
from faregate.wire.event import WireEvent
from tests.gateway.control_plane import ControlPlane
from tests.gateway.running import ASK, run
from tests.gateway.scripted import DONE, answer_json, chunk, completion, scripted, stream, usage_chunk
from tests.gateway.spoken import CHAT
from tests.gateway.whole import whole

BOUND = len(msgspec.json.encode(ASK)) + 2 * 16


def told(plane: ControlPlane, event: WireEvent) -> list[tuple[str, int, int]]:
    """Return price, held and used of an event's leases."""
    assert event.faregate is not None
    prices = plane.accounts["sub_1"].lease_price
    return sorted((prices[drawn.lease_id], drawn.held, drawn.units) for drawn in event.faregate.drawn)


def test_a_held_calls_event_says_what_was_held_and_used_of_each_price(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with CHAT.serve(tmp_path, answer_json(completion(12, 40))) as (gate, _):
            assert (await gate.call(ASK)).status == 200
            (event,) = await gate.plane.events_arrived(1)
        assert told(gate.plane, event) == [("prc_input", BOUND, 12), ("prc_output", 100, 40)]

    run(scenario())


def test_a_streamed_call_tells_it_too(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with CHAT.serve(tmp_path, stream(chunk("a"), usage_chunk(7, 0), DONE)) as (gate, _):
            assert (await gate.call(ASK | {"stream": True})).status == 200
            (event,) = await gate.plane.events_arrived(1)
        assert [(price_id, used) for price_id, _, used in told(gate.plane, event)] == [
            ("prc_input", 7),
            ("prc_output", 0),
        ]

    run(scenario())


def test_a_call_that_failed_without_a_usage_tells_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with CHAT.serve(tmp_path, answer_json(b'{"error":"no"}', status=500)) as (gate, _):
            assert (await gate.call(ASK)).status == 500
            (event,) = await gate.plane.events_arrived(1)
        assert told(gate.plane, event) == []

    run(scenario())


def test_holds_add_up_to_the_routes_quality_of_bounds(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            scripted(answer_json(completion(12, 40))) as upstream,
            whole(tmp_path, upstream.origin, granted="0.80") as both,
        ):
            assert (await both.gate.call(ASK | {"max_tokens": 500})).status == 200
            assert (await both.gate.call(ASK)).status == 200
            assert upstream.requests[0].json["max_tokens"] == 300
            await both.gate.call(path="/v1/balance", method="GET")
            rows = await both.plane.database.read(lambda tx: tx.execute(bound_quality.select()).mappings().all())
        found = {row["price_id"]: (row["calls"], str(row["held"]), str(row["used"]), row["clamped"]) for row in rows}
        assert found == {"prc_in": (2, str(2 * BOUND), "24", 1), "prc_out": (2, "400", "80", 1)}

    run(scenario())
