"""Grants in the ledger: burnt in order, begun and ended at their instants, whoever looks first."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faregate.base.errors import InvalidInput
from faregate.base.periods import Cadence, CadenceUnit, PeriodCalendar
from faregate.domain.ledger.burning import Grant, GrantKind
from faregate.domain.ledger.credit_run import Usage, open_credit, run_credit
from faregate.services.audit import audit_accounts
from faregate.services.posting import post_entry
from faregate.storage.database import Database
from faregate.storage.ledger import EntryKind, NewEntry
from faregate.wire.gateway_protocol import Drawn, LeaseReturn, Refused
from tests.services.world import APP, DOLLAR, NOW, SUBSCRIPTION, Call, World, make_world, need

HOUR = timedelta(hours=1)
HALF = DOLLAR // 2
MILLION = 1_000_000


def a_package(request_id: str = "req_1", **facts: object) -> Call:
    """A call that costs one package of input: half a dollar."""
    return Call(request_id=request_id, prompt_tokens=MILLION, completion_tokens=0, **facts)  # type: ignore[arg-type]


def test_each_debit_says_which_grants_it_burnt_in_burn_order(world: World) -> None:
    paid = world.grant("0.30", caller_id="paid")
    gift = world.grant("0.10", caller_id="gift", kind=GrantKind.PROMOTIONAL)
    late = world.grant("5", caller_id="late", priority=1)
    world.take(a_package())
    assert world.left() == {"paid": 0, "gift": 0, "late": 5 * DOLLAR - DOLLAR // 10}
    (debit,) = [row["entry_id"] for row in world.rows("ledger_entry") if row["kind"] == "debit"]
    burns = [row for row in world.rows("grant_movement") if row["entry_id"] == debit]
    burns.sort(key=lambda row: str(row["place"]))
    assert [(row["grant_id"], row["amount"]) for row in burns] == [
        (gift, -DOLLAR // 10),
        (paid, -3 * DOLLAR // 10),
        (late, -DOLLAR // 10),
    ]
    assert all(row["is_burn"] for row in burns)


def test_what_no_grant_pays_is_overage_and_the_next_grant_repays_it_first(world: World) -> None:
    world.grant("0.20", caller_id="first")
    world.take(a_package())
    assert (world.account().balance, world.left()) == (-3 * DOLLAR // 10, {"first": 0})
    world.grant("1", caller_id="second")
    assert (world.account().balance, world.left()) == (7 * DOLLAR // 10, {"first": 0, "second": 7 * DOLLAR // 10})


def test_a_repeated_batch_burns_nothing_twice(world: World) -> None:
    world.grant("2")
    world.take(a_package())
    world.take(a_package())
    assert (world.account().balance, world.left()) == (3 * HALF, {"grant-1": 3 * HALF})


def test_credit_that_has_not_begun_cannot_be_leased_and_begins_at_its_instant(world: World) -> None:
    world.open_epoch()
    world.grant("1", effective_at=NOW + HOUR)
    assert (world.account().balance, world.account().exhausted) == (0, True)
    assert world.ask(need("prc_in", 10)).refused is Refused.EXHAUSTED
    world.clock.at = NOW + HOUR
    assert world.ask(need("prc_in", 10), request_id="ask-2").refused is None
    assert world.entries() == [("grant", DOLLAR)]
    assert not world.account().exhausted


def test_credit_that_has_expired_cannot_be_leased_whatever_the_ticks_lateness(world: World) -> None:
    world.open_epoch()
    world.grant("1", expires_at=NOW + HOUR)
    world.clock.at = NOW + HOUR
    assert world.ask(need("prc_in", 10)).refused is Refused.EXHAUSTED
    assert world.entries() == [("grant", DOLLAR), ("expire", -DOLLAR)]
    assert world.account().exhausted
    (expired,) = [row for row in world.rows("ledger_entry") if row["kind"] == "expire"]
    assert expired["occurred_at"] == NOW + HOUR


def test_no_lease_reaches_beyond_the_end_of_credit_that_it_leans_on(world: World) -> None:
    world.open_epoch()
    world.grant("1", caller_id="stays")
    world.grant("1", caller_id="ends", expires_at=NOW + HOUR)
    assert world.lease("prc_in", 10).period_end == NOW + HOUR


def test_an_account_is_exhausted_as_its_last_credit_expires_and_gateways_hear_of_it(world: World) -> None:
    world.grant("1", expires_at=NOW + HOUR)
    assert not world.account().exhausted
    heard = len(world.rows("state_change"))
    world.clock.at = NOW + HOUR
    world.refresh()
    assert world.account().exhausted
    assert [row["kind"] for row in world.rows("state_change")[heard:]] == ["membership"]


def test_credit_that_a_running_call_leans_on_stays_until_its_units_come_back(world: World) -> None:
    world.open_epoch()
    world.grant("2", expires_at=NOW + HOUR)
    lease = world.lease("prc_in", 10)
    world.clock.at = NOW + HOUR
    world.refresh()
    assert (world.account().balance, world.account().reserved) == (HALF, HALF)
    assert not world.account().exhausted
    world.ask(returns=(LeaseReturn(lease_id=lease.lease_id, returned_units=10),), request_id="back")
    assert (world.account().balance, world.account().reserved) == (0, 0)
    assert world.entries("expire") == [("expire", -3 * HALF), ("expire", -HALF)]
    assert world.account().next_border_at is None


def test_a_call_that_ends_after_its_credit_expired_is_charged_to_it(world: World) -> None:
    world.open_epoch()
    world.grant("2", caller_id="ends", expires_at=NOW + HOUR)
    world.grant("2", caller_id="stays", priority=1)
    lease = world.lease("prc_in", 10)
    world.clock.at = NOW + HOUR
    world.refresh()
    assert world.left() == {"ends": HALF, "stays": 2 * DOLLAR}
    world.take(Call(prompt_tokens=10, completion_tokens=0, drawn=(Drawn(lease_id=lease.lease_id, units=10),)))
    assert world.left() == {"ends": 0, "stays": 2 * DOLLAR}
    assert world.account().next_border_at is None


def test_what_was_leased_after_the_end_leans_on_nothing_that_has_ended(world: World) -> None:
    world.open_epoch()
    world.grant("2", caller_id="ends", expires_at=NOW + HOUR)
    world.grant("2", caller_id="stays", priority=1)
    lease = world.lease("prc_in", 10)
    world.clock.at = NOW + HOUR
    world.lease("prc_out", 10, request_id="ask-2")
    world.ask(returns=(LeaseReturn(lease_id=lease.lease_id, returned_units=10),), request_id="back")
    assert world.left() == {"ends": 0, "stays": 2 * DOLLAR}
    assert world.account().available == HALF


def test_a_recurring_grant_is_full_again_in_each_period_and_late_ticks_make_up_for_all(world: World) -> None:
    daily = PeriodCalendar(anchor=NOW, cadence=Cadence(unit=CadenceUnit.DAY))
    world.grant("1", recurs=daily, rolls_over="0.20")
    world.take(a_package())
    world.clock.at = NOW + 49 * HOUR
    world.refresh()
    assert world.entries("grant", "expire") == [
        ("grant", DOLLAR),
        ("expire", -3 * DOLLAR // 10),
        ("grant", DOLLAR),
        ("expire", -DOLLAR),
        ("grant", DOLLAR),
    ]
    assert world.account().balance == sum(world.left().values()) == 6 * DOLLAR // 5
    assert world.account().next_border_at == NOW + 72 * HOUR


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("effective_at", {"effective_at": NOW - HOUR}),
        ("expires_at", {"expires_at": NOW}),
        ("rolls_over", {"rolls_over": "1"}),
    ],
)
def test_a_grant_that_cannot_be_is_refused_by_its_field(world: World, field: str, changes: dict[str, object]) -> None:
    with pytest.raises(InvalidInput) as refused:
        world.grant("1", **changes)  # type: ignore[arg-type]
    assert [fault.field for fault in refused.value.faults] == [field]
    assert world.rows("credit_grant") == []


def test_what_comes_back_after_its_used_up_grant_has_expired_goes_to_no_grant(world: World) -> None:
    world.grant("0.50", expires_at=NOW + HOUR)
    world.take(a_package())
    assert world.account().next_border_at is None
    world.clock.at = NOW + HOUR
    entry = NewEntry(
        application_id=APP,
        subscription_id=SUBSCRIPTION,
        kind=EntryKind.INCIDENT_CREDIT,
        amount=HALF,
        caller_id="given-back",
        description="",
        occurred_at=world.clock.at,
    )
    with world.database.begin() as transaction:
        assert post_entry(transaction, entry) is not None
        assert post_entry(transaction, entry) is None
    world.refresh()
    assert (world.account().balance, world.left()) == (HALF, {"grant-1": 0})


@given(data=st.data())
@settings(max_examples=12)
def test_stored_burns_are_the_pure_runs_in_whatever_order_events_come_and_repeat(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    grants = data.draw(
        st.lists(
            st.tuples(st.integers(1, 30), st.integers(0, 2), st.none() | st.integers(1, 6), st.integers(0, 5)),
            max_size=4,
        )
    )
    steps = data.draw(st.lists(st.lists(st.integers(1, 9), max_size=3), min_size=1, max_size=5))
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('run')}/run.sqlite3")
    try:
        world = make_world(database, input_size=1)
        terms = []
        for index, (halves, priority, ends, begins) in enumerate(grants):
            begins_at = NOW + begins * HOUR
            ends_at = None if ends is None else begins_at + ends * HOUR
            world.grant(
                str(Decimal(halves) / 2),
                caller_id=f"g{index}",
                priority=priority,
                effective_at=begins_at,
                expires_at=ends_at,
            )
            terms.append(
                Grant(
                    grant_id=f"g{index}",
                    amount=halves * HALF,
                    kind=GrantKind.PAID,
                    effective_at=begins_at,
                    sequence=index,
                    priority=priority,
                    expires_at=ends_at,
                )
            )
        usage = []
        for hour, units in enumerate(steps):
            world.clock.at = NOW + hour * HOUR
            calls = [
                Call(request_id=f"req_{hour}_{index}", prompt_tokens=count, completion_tokens=0, replay=True)
                for index, count in enumerate(units)
            ]
            world.take(*data.draw(st.permutations(calls + calls)))
            usage.append(Usage(at=world.clock.at, amount=sum(units) * HALF))
        world.clock.at = NOW + len(steps) * HOUR
        world.refresh()
        opened = open_credit(terms, NOW - HOUR)
        expected = run_credit(opened, terms, usage=usage, until=world.clock.at)
        left = {name: amount for name, amount in world.left().items() if amount}
        assert left == {name: amount for name, amount in expected.balances.items() if amount}
        assert world.account().balance == expected.balance
        assert world.debits() == sum(entry.amount for entry in usage)
        with database.snapshot() as transaction:
            assert audit_accounts(transaction, APP, after="", limit=9, now=world.clock.at).differences == []
    finally:
        database.close()
