"""What was held against what was used, counted with the events."""

from datetime import UTC, datetime, timedelta

from faregate.domain.ledger.bound_quality import BoundQuality
from faregate.services.bounds import count_bounds
from faregate.storage.database import Database
from faregate.wire.gateway_protocol import Held
from tests.services.world import NOW, Call, World


def held_call(number: int, *held: Held, **more: object) -> Call:
    fields: dict[str, object] = {"request_id": f"req-{number}", "sequence": number, "held": held}
    return Call(**(fields | more))  # type: ignore[arg-type]


def test_batches_add_up_by_route_price_and_day(world: World) -> None:
    world.take(
        held_call(1, Held("prc_in", 100, 10), Held("prc_out", 50, 50)),
        held_call(2, Held("prc_in", 100, 20), Held("prc_out", 50, 60), clamped=True),
    )
    world.take(
        held_call(3, Held("prc_in", 100, 30), estimated=True),
        held_call(4, Held("prc_in", 100, 30), occurred_at=NOW - timedelta(days=1)),
        held_call(5, Held("prc_in", 100, 30), route_id="rte_2"),
        held_call(6),
    )
    rows = {
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
    today = datetime(2026, 3, 10, tzinfo=UTC)
    assert rows == {
        ("rte_1", "prc_in", today): (3, "300", "60", 0, 1, 1),
        ("rte_1", "prc_out", today): (2, "100", "110", 1, 1, 0),
        ("rte_1", "prc_in", today - timedelta(days=1)): (1, "100", "30", 0, 0, 0),
        ("rte_2", "prc_in", today): (1, "100", "30", 0, 0, 0),
    }


def test_an_event_that_comes_again_is_counted_once(world: World) -> None:
    call = held_call(1, Held("prc_in", 100, 10))
    world.take(call, call)
    world.take(call)
    assert [row["calls"] for row in world.rows("bound_quality")] == [1]


def test_the_applier_says_what_its_last_batch_added(world: World) -> None:
    world.log(held_call(1, Held("prc_in", 100, 10)).body(), held_call(2, Held("prc_in", 100, 10)).body())
    for calls in (1, 1):
        with world.database.begin() as transaction:
            world.applier.apply_next(transaction, most=1)
        assert {place: quality.calls for place, quality in world.applier.bounds.items()} == {("rte_1", "prc_in"): calls}
    with world.database.begin() as transaction:
        assert world.applier.apply_next(transaction) == 0
    assert world.applier.bounds == {}


def test_a_batch_without_holds_reads_and_writes_nothing(database: Database) -> None:
    with database.begin() as transaction:
        assert count_bounds(transaction, "app_1", []) == {}


def test_sums_beyond_64_bits_are_kept(world: World) -> None:
    for number in range(1, 12):
        world.take(held_call(number, Held("prc_in", 10**18, 10**18)))
    (row,) = world.rows("bound_quality")
    assert str(row["held"]) == str(11 * 10**18)


def test_beside_an_event_that_cannot_be_applied_the_others_are_counted_once(world: World) -> None:
    world.log(
        held_call(1, Held("prc_in", 100, 10)).body(),
        held_call(2, Held("prc_in", 100, 10), prompt_tokens=10**29).body(),
        held_call(3, Held("prc_in", 100, 10)).body(),
    )
    with world.database.begin() as transaction:
        world.applier.apply_next(transaction)
    assert [row["reason"] for row in world.rows("set_aside")] == ["unappliable"]
    expected = BoundQuality()
    for _ in range(2):
        expected.add(100, 10, clamped=False, estimated=False)
    assert world.applier.bounds == {("rte_1", "prc_in"): expected}
    assert [row["calls"] for row in world.rows("bound_quality")] == [2]
