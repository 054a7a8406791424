"""Grants that are ended, refunded and corrected, accounts that may go below zero, and companies' grants."""

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import insert

from faregate.base.errors import Conflict, InvalidInput, NotFound
from faregate.base.periods import PeriodCalendar
from faregate.domain.ledger.burning import GrantKind
from faregate.services import grant_changes
from faregate.services.change import Change
from faregate.services.company_grants import Share, give_company_grant
from faregate.services.credit import NewGrant
from faregate.services.credit_limits import set_overdraft
from faregate.services.grant_changes import GrantPlace
from faregate.storage import tables
from faregate.storage.credit import GrantRow
from faregate.wire.gateway_protocol import LeaseReturn, Refused
from tests.services.world import APP, COMPANY, DOLLAR, NOW, SUBSCRIPTION, Call, World, add_subscription, need

HOUR = timedelta(hours=1)
HALF = DOLLAR // 2


def a_change(world: World) -> Change:
    return Change(application_id=APP, now=world.clock.at, new_id=world.new_id)


def a_place(grant_id: str) -> GrantPlace:
    return GrantPlace(subscription_id=SUBSCRIPTION, grant_id=grant_id)


def void(world: World, grant_id: str) -> GrantRow:
    with world.database.begin() as tx:
        return grant_changes.void_grant(tx, a_change(world), a_place(grant_id), reason="by mistake")


def refund(world: World, grant_id: str, amount: str | None = None, *, key: str = "one") -> GrantRow:
    wanted = None if amount is None else Decimal(amount)
    with world.database.begin() as tx:
        return grant_changes.refund_grant(
            tx, a_change(world), a_place(grant_id), amount=wanted, reason="asked for", caller_id=key
        )


def adjust(world: World, grant_id: str, amount: str, *, key: str = "one") -> GrantRow:
    with world.database.begin() as tx:
        return grant_changes.adjust_grant(
            tx, a_change(world), a_place(grant_id), amount=Decimal(amount), reason="miscounted", caller_id=key
        )


def overdraw(world: World, amount: str) -> None:
    with world.database.begin() as tx:
        set_overdraft(tx, a_change(world), SUBSCRIPTION, overdraft=Decimal(amount))


def one_package() -> Call:
    return Call(prompt_tokens=1_000_000, completion_tokens=0)


def test_a_voided_grant_gives_up_what_is_left_and_a_repeat_changes_nothing(world: World) -> None:
    grant_id = world.grant("2")
    world.take(one_package())
    for _ in range(2):
        row = void(world, grant_id)
        assert (row.kept.remaining, row.kept.grant.voided_at) == (0, NOW)
    assert world.entries() == [("grant", 2 * DOLLAR), ("debit", -HALF), ("void", -3 * HALF)]
    assert (world.account().balance, world.account().exhausted) == (0, True)
    assert [row["description"] for row in world.rows("ledger_entry") if row["kind"] == "void"] == ["by mistake"]


def test_what_running_calls_lean_on_is_voided_as_they_end(world: World) -> None:
    world.open_epoch()
    grant_id = world.grant("2")
    world.clock.at = NOW + HOUR
    lease = world.lease("prc_in", 10)
    world.clock.at = NOW + 2 * HOUR
    assert void(world, grant_id).kept.remaining == HALF
    world.ask(returns=(LeaseReturn(lease_id=lease.lease_id, returned_units=10),), request_id="back")
    assert world.entries("void") == [("void", -3 * HALF), ("void", -HALF)]
    assert world.account().balance == 0


def test_a_grant_that_ended_by_itself_or_is_unknown_cannot_be_voided(world: World) -> None:
    grant_id = world.grant("2", expires_at=NOW + HOUR)
    world.clock.at = NOW + HOUR
    with pytest.raises(Conflict):
        void(world, grant_id)
    with pytest.raises(NotFound):
        void(world, "grn_unknown")


def test_a_scheduled_grant_that_is_voided_never_begins(world: World) -> None:
    grant_id = world.grant("2", effective_at=NOW + HOUR)
    void(world, grant_id)
    world.clock.at = NOW + 2 * HOUR
    world.refresh()
    assert (world.account().balance, world.entries()) == (0, [])


def test_a_refund_takes_what_is_neither_used_nor_reserved(world: World) -> None:
    world.open_epoch()
    grant_id = world.grant("2")
    world.take(one_package())
    world.lease("prc_out", 10)
    with pytest.raises(Conflict, match="reserved"):
        refund(world, grant_id)
    assert world.account().available == 0


def test_a_refund_is_made_once_for_a_key_and_never_above_what_is_free(world: World) -> None:
    grant_id = world.grant("2")
    world.take(one_package())
    with pytest.raises(InvalidInput) as refused:
        refund(world, grant_id, "1.51")
    assert [fault.field for fault in refused.value.faults] == ["amount"]
    assert "1.50" in refused.value.faults[0].message
    for _ in range(2):
        assert refund(world, grant_id, "0.25").kept.remaining == 5 * DOLLAR // 4
    assert refund(world, grant_id, key="two").kept.remaining == 0
    assert world.entries("refund") == [("refund", -DOLLAR // 4), ("refund", -5 * DOLLAR // 4)]
    assert world.account().balance == 0


def test_what_nobody_paid_for_is_not_refunded(world: World) -> None:
    grant_id = world.grant("2", kind=GrantKind.PROMOTIONAL)
    with pytest.raises(Conflict, match="promotional"):
        refund(world, grant_id)


def test_a_correction_upwards_makes_a_grant_larger_and_pays_overage_first(world: World) -> None:
    grant_id = world.grant("0.20")
    world.take(one_package())
    for _ in range(2):
        assert adjust(world, grant_id, "1").kept.remaining == 7 * DOLLAR // 10
    assert world.account().balance == 7 * DOLLAR // 10
    assert world.entries("adjust") == [("adjust", DOLLAR)]


def test_a_correction_downwards_takes_the_grants_own_first_then_other_credit_then_the_next(world: World) -> None:
    grant_id = world.grant("1", caller_id="wrong", priority=1)
    world.grant("1", caller_id="other", priority=2)
    world.take(one_package())
    adjust(world, grant_id, "-2.50")
    assert (world.account().balance, world.left()) == (-DOLLAR, {"wrong": 0, "other": 0})
    world.grant("3", caller_id="next")
    assert world.left() == {"wrong": 0, "other": 0, "next": 2 * DOLLAR}


def test_a_recurring_grant_is_not_made_larger(world: World) -> None:
    grant_id = world.grant("1", recurs=PeriodCalendar(anchor=NOW))
    with pytest.raises(Conflict, match="recurs"):
        adjust(world, grant_id, "1")
    assert adjust(world, grant_id, "-0.25").kept.remaining == 3 * DOLLAR // 4


@pytest.mark.parametrize("amount", ["0", "NaN", "0.0000000001", "9999999999"])
def test_a_correction_that_cannot_be_is_refused(world: World, amount: str) -> None:
    grant_id = world.grant("1")
    with pytest.raises(InvalidInput) as refused:
        adjust(world, grant_id, amount)
    assert [fault.field for fault in refused.value.faults] == ["amount"]


def test_an_overdraft_is_spendable_and_no_more_than_it(world: World) -> None:
    world.open_epoch()
    world.grant("0.25")
    overdraw(world, "0.25")
    assert world.account().available == HALF
    world.lease("prc_in", 1_000_000)
    assert world.account().available == 0
    assert world.ask(need("prc_in", 1), request_id="ask-2").refused is Refused.INSUFFICIENT
    overdraw(world, "0")
    assert world.account().available == -DOLLAR // 4


def test_an_account_with_an_overdraft_is_not_exhausted_at_zero(world: World) -> None:
    assert world.account().exhausted
    overdraw(world, "1.50")
    assert not world.account().exhausted


def test_an_overdraft_is_for_those_who_pay_before(world: World) -> None:
    with world.database.begin() as tx:
        tx.exec_driver_sql("UPDATE subscription SET pays = 'postpaid'")
    with pytest.raises(InvalidInput, match="prepaid"):
        overdraw(world, "1")


def spread_over(world: World, amount: str, *shares: Share) -> list[GrantRow]:
    wanted = NewGrant(
        application_id=APP,
        subscription_id=SUBSCRIPTION,
        amount=Decimal(amount),
        kind=GrantKind.PAID,
        description="for all",
        caller_id="all",
    )
    with world.database.begin() as tx:
        return give_company_grant(tx, a_change(world), COMPANY, wanted=wanted, shares=shares)


def with_another_subscription(world: World, company_id: str = COMPANY, number: int = 2) -> None:
    """Add `sub_2`, on a plan of its own, or the one of another number."""
    with world.database.begin() as tx:
        plan = {"plan_id": f"pln_{number}", "application_id": APP, "name": f"Plan {number}", "created_at": NOW}
        tx.execute(insert(tables.plan).values(plan))
        add_subscription(tx, f"sub_{number}", company_id, "prepaid", plan_id=f"pln_{number}")


def test_a_companys_grant_is_spread_to_the_last_unit_and_once(world: World) -> None:
    with_another_subscription(world)
    for _ in range(2):
        rows = spread_over(world, "1", Share(SUBSCRIPTION, 2), Share("sub_2", 1))
        assert [row.kept.grant.amount for row in rows] == [666_666_667, 333_333_333]
    assert world.account().balance + world.account("sub_2").balance == DOLLAR


@pytest.mark.parametrize(
    ("amount", "shares", "field"),
    [
        ("1", [Share(SUBSCRIPTION, 1), Share(SUBSCRIPTION, 1)], "shares[1].subscription_id"),
        ("1", [Share(SUBSCRIPTION, 1), Share("sub_2", 1)], "shares[1].subscription_id"),
        ("0.000000001", [Share(SUBSCRIPTION, 1), Share("sub_3", 1)], "amount"),
    ],
)
def test_shares_that_cannot_be_are_refused_and_nothing_is_given(
    world: World, amount: str, shares: list[Share], field: str
) -> None:
    with_another_subscription(world, company_id="other")
    with_another_subscription(world, number=3)
    with pytest.raises(InvalidInput) as refused:
        spread_over(world, amount, *shares)
    assert [fault.field for fault in refused.value.faults] == [field]
    assert world.rows("credit_grant") == []
