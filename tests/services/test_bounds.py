"""What was held against what was used, counted with the events."""

from datetime import UTC, datetime, timedelta

import pytest

from faregate.domain.ledger.bound_quality import BoundQuality
from faregate.wire.gateway_protocol import Drawn
from tests.services.world import NOW, Call, World


@pytest.fixture
def funded(world: World) -> World:
    world.open_epoch()
    world.grant("1000")
    return world


def leases_of(world: World, units: int = 1_000) -> tuple[str, str]:
    """Return a lease of input units and one of output units."""
    return tuple(  # type: ignore[return-value]
        world.lease(price_id, units, request_id=world.new_id("ask")).lease_id for price_id in ("prc_in", "prc_out")
    )


def held_call(number: int, *drawn: Drawn, **more: object) -> Call:
    fields: dict[str, object] = {"request_id": f"req-{number}", "sequence": number, "drawn": drawn}
    return Call(**(fields | more))  # type: ignore[arg-type]


def held(lease_id: str, units: int, used: int) -> Drawn:
    return Drawn(lease_id=lease_id, units=used, held=units)


def counted(world: World) -> dict[tuple[object, ...], tuple[object, ...]]:
    return {
        (row["route_id"], row["price_id"], row["day_at"]): (
            row["calls"],
            str(row["held"]),
            str(row["used"]),
            row["overshoots"],
            row["clamped"],
            row["estimated"],
        )
        for row in world.rows("bound_quality")
    }


def test_batches_add_up_by_route_price_and_day(funded: World) -> None:
    tokens_in, tokens_out = leases_of(funded)
    funded.take(
        held_call(1, held(tokens_in, 100, 10), held(tokens_out, 50, 50)),
        held_call(2, held(tokens_in, 100, 20), held(tokens_out, 50, 60), clamped=True),
    )
    funded.take(
        held_call(3, held(tokens_in, 100, 30), estimated=True),
        held_call(4, held(tokens_in, 100, 30), occurred_at=NOW - timedelta(days=1)),
        held_call(5, held(tokens_in, 100, 0), route_id="rte_2"),
        held_call(6),
        held_call(7, Drawn(lease_id=tokens_in, units=7)),
    )
    today = datetime(2026, 3, 10, tzinfo=UTC)
    assert counted(funded) == {
        ("rte_1", "prc_in", today): (3, "300", "60", 0, 1, 1),
        ("rte_1", "prc_out", today): (2, "100", "110", 1, 1, 0),
        ("rte_1", "prc_in", today - timedelta(days=1)): (1, "100", "30", 0, 0, 0),
        ("rte_2", "prc_in", today): (1, "100", "0", 0, 0, 0),
    }


def test_several_leases_of_a_price_are_one_hold_of_a_call(funded: World) -> None:
    (first, _), (second, _) = leases_of(funded), leases_of(funded)
    funded.take(held_call(1, held(first, 60, 60), held(second, 40, 10)))
    assert [row["by_step"] for row in funded.rows("bound_quality")] == ["[0,0,0,0,0,0,0,0,0,0,0,0,0,1,0,0,0,0,0,0,0]"]


def test_units_that_no_lease_had_are_an_overshoot_of_the_price_that_used_up_its_hold(funded: World) -> None:
    tokens_in, tokens_out = leases_of(funded)
    funded.take(held_call(1, held(tokens_in, 100, 10), held(tokens_out, 50, 50), uncovered=5))
    day = datetime(2026, 3, 10, tzinfo=UTC)
    assert counted(funded) == {
        ("rte_1", "prc_in", day): (1, "100", "10", 0, 0, 0),
        ("rte_1", "prc_out", day): (1, "50", "55", 1, 0, 0),
    }


def test_an_event_that_comes_again_is_counted_once(funded: World) -> None:
    call = held_call(1, held(leases_of(funded)[0], 100, 10))
    funded.take(call, call)
    funded.take(call)
    assert [row["calls"] for row in funded.rows("bound_quality")] == [1]


def test_the_applier_says_what_its_last_batch_added(funded: World) -> None:
    lease_id = leases_of(funded)[0]
    funded.log(held_call(1, held(lease_id, 100, 10)).body(), held_call(2, held(lease_id, 100, 10)).body())
    for _ in range(2):
        with funded.database.begin() as transaction:
            funded.applier.apply_next(transaction, most=1)
        assert [quality.calls for quality in funded.applier.bounds.values()] == [1]
    with funded.database.begin() as transaction:
        assert funded.applier.apply_next(transaction) == 0
    assert funded.applier.bounds == {}


def test_a_lease_that_nobody_knows_counts_for_nothing(world: World) -> None:
    world.take(held_call(1, held("lse_of_nobody", 100, 10)))
    assert world.rows("bound_quality") == []


def test_beside_an_event_that_cannot_be_applied_the_others_are_counted_once(funded: World) -> None:
    lease_id = leases_of(funded)[0]
    funded.log(
        held_call(1, held(lease_id, 100, 10)).body(),
        held_call(2, held(lease_id, 100, 10), prompt_tokens=10**29).body(),
        held_call(3, held(lease_id, 100, 10)).body(),
    )
    with funded.database.begin() as transaction:
        funded.applier.apply_next(transaction)
    assert [row["reason"] for row in funded.rows("set_aside")] == ["unappliable"]
    expected = BoundQuality()
    for _ in range(2):
        expected.add(100, 10, clamped=False, estimated=False)
    assert funded.applier.bounds == {("rte_1", "prc_in"): expected}
    assert [row["calls"] for row in funded.rows("bound_quality")] == [2]
