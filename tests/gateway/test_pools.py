"""Leases in memory: who may hold from them, in which order, and where each unit is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.apps.gateway.pools import Account, PriceNeed, Want
from faregate.wire.gateway_protocol import Lease

START = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2026, 2, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
NEED = PriceNeed(price_id="pri_1", per_input=1, per_output=2)


def lease(lease_id: str = "lea_1", units: int = 100, *, duration_ms: int = 1_000, price_id: str = "pri_1") -> Lease:
    return Lease(
        lease_id=lease_id,
        price_id=price_id,
        period_start=START,
        period_end=END,
        units=units,
        duration_ms=duration_ms,
    )


def want(*, units: int = 10, at: datetime = START, needs: tuple[PriceNeed, ...] = (NEED,)) -> Want:
    return Want(needs=needs, input=units, output=0, least_output=0, choices=1, occurred_at=at)


def account(*leases: Lease) -> Account:
    made = Account("sub_1")
    made.add(leases, asked_at_ms=0, now_ms=0)
    return made


@pytest.mark.parametrize(
    ("at", "held"),
    [(START - MICROSECOND, False), (START, True), (END - MICROSECOND, True), (END, False)],
)
def test_a_lease_serves_calls_of_its_period_only_up_to_its_very_borders(at: datetime, *, held: bool) -> None:
    assert (account(lease()).hold(want(at=at), 0, least=0) is not None) is held


@pytest.mark.parametrize(("now_ms", "held"), [(0, True), (799, True), (800, False), (1_000, False)])
def test_a_lease_is_held_from_for_four_fifths_of_its_duration(now_ms: int, *, held: bool) -> None:
    assert (account(lease()).hold(want(), now_ms, least=0) is not None) is held


def test_the_oldest_lease_is_used_up_first() -> None:
    pools = account(lease("lea_old", 15), lease("lea_new", 100))
    held = []
    for _ in range(3):
        hold = pools.hold(want(units=10), 0, least=0)
        assert hold is not None
        held.append([(part.units.lease.lease_id, part.count) for part in hold.parts])
    assert held == [[("lea_old", 10)], [("lea_old", 5), ("lea_new", 5)], [("lea_new", 10)]]


def test_a_call_that_lacks_one_price_holds_nothing_of_the_other() -> None:
    other = PriceNeed(price_id="pri_2", per_input=1, per_output=0)
    pools = account(lease(units=100), lease("lea_2", units=9, price_id="pri_2"))
    assert pools.hold(want(units=10, needs=(NEED, other)), 0, least=0) is None
    assert [units.idle for pool in pools.pools.values() for units in pool.leases] == [100, 9]
    assert pools.in_flight == 0


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 80)), max_size=12),
)
def test_a_unit_is_always_idle_held_or_drawn_and_never_two_of_them(
    granted: list[int], calls: list[tuple[int, int]]
) -> None:
    pools = account(*(lease(f"lea_{number}", units) for number, units in enumerate(granted)))
    drawn = 0
    for bound, used in calls:
        hold = pools.hold(want(units=bound), 0, least=0)
        if hold is None:
            assert sum(units.idle for pool in pools.pools.values() for units in pool.leases) < bound
            continue
        assert sum(part.count for part in hold.parts) == bound
        taken = sum(hold.settle({"pri_1": used}).values())
        assert taken + hold.uncovered == used
        drawn += taken
        leases = [units for pool in pools.pools.values() for units in pool.leases]
        assert sum(units.idle for units in leases) == sum(granted) - drawn
        assert all(units.held == 0 and units.idle >= 0 for units in leases)
    assert pools.in_flight == 0


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=4),
    st.lists(st.integers(1, 40), min_size=1, max_size=8),
    st.integers(0, 200),
)
def test_holds_that_became_one_are_settled_as_one(granted: list[int], slices: list[int], used: int) -> None:
    pools = account(*(lease(f"lea_{number}", units) for number, units in enumerate(granted)))
    held = pools.hold(want(units=slices[0]), 0, least=0)
    if held is None:
        return
    total = slices[0]
    for units in slices[1:]:
        more = pools.hold(want(units=units), 0, least=0)
        if more is not None:
            held.absorb(more)
            total += units
    assert pools.in_flight == 1
    leases = [units for pool in pools.pools.values() for units in pool.leases]
    # Each lease once, with all that is held of it.
    assert {part.units: part.count for part in held.parts} == {units: units.held for units in leases if units.held}
    drawn = held.settle({"pri_1": used})
    assert sum(drawn.values()) == min(used, sum(granted))
    assert (held.beyond, held.uncovered) == (max(0, used - total), max(0, used - sum(granted)))
    assert sum(units.idle for units in leases) == sum(granted) - sum(drawn.values())
    assert (pools.in_flight, [units.held for units in leases]) == (0, [0] * len(leases))


def test_holds_from_before_and_after_a_restore_that_became_one_leave_both_accounts_without_a_call() -> None:
    before, after = account(lease("lea_before")), account(lease("lea_after"))
    held, more = before.hold(want(), 0, least=0), after.hold(want(), 0, least=0)
    assert held is not None
    assert more is not None
    held.absorb(more)
    assert (before.in_flight, after.in_flight) == (1, 0)
    held.settle({"pri_1": 20})
    assert (before.in_flight, after.in_flight) == (0, 0)
