"""The audit names every figure that is not what the ledger makes it."""

from datetime import timedelta

import pytest

from faregate.base.periods import PeriodCalendar
from faregate.domain.ledger.burning import GrantKind
from faregate.services.audit import audit_accounts
from faregate.wire.gateway_protocol import Drawn
from tests.services.world import APP, DOLLAR, NOW, PERIOD_START, SUBSCRIPTION, Call, World, add_subscription

DAY = timedelta(days=1)


def a_lived_life(world: World) -> None:
    """Grants that burn, recur and end, a lease half used, a call after its credit ended."""
    world.open_epoch()
    world.grant("0.75", caller_id="gift", kind=GrantKind.PROMOTIONAL, expires_at=NOW + DAY)
    world.grant("3", caller_id="paid")
    world.grant("1", caller_id="monthly", priority=1, recurs=PeriodCalendar(anchor=PERIOD_START))
    world.grant("1", caller_id="later", effective_at=NOW + 2 * DAY)
    world.take(Call(prompt_tokens=1_000_000, completion_tokens=3))
    lease = world.lease("prc_out", 1_000_000)
    world.clock.at = NOW + DAY
    world.refresh()
    drawn = (Drawn(lease_id=lease.lease_id, units=7),)
    world.take(Call(request_id="req_2", sequence=2, prompt_tokens=1, completion_tokens=7, drawn=drawn))
    world.clock.at = NOW + 3 * DAY
    world.refresh()


def test_nothing_differs_after_a_lived_life(world: World) -> None:
    a_lived_life(world)
    assert world.account().reserved > 0
    assert world.audit() == []


@pytest.mark.parametrize(
    ("corrupted", "figures"),
    [
        ("UPDATE account SET balance = balance + 1", [("balance", "")]),
        ("UPDATE account SET reserved = reserved + 1", [("reserved", "")]),
        ("UPDATE account SET exhausted = NOT exhausted", [("exhausted", "")]),
        ("UPDATE account SET next_border_at = 1", [("next border", "")]),
        ("UPDATE credit_grant SET burnt = burnt + 1 WHERE caller_id = 'paid'", [("grant burnt", "grn_000002")]),
        (
            "UPDATE credit_grant SET remaining = remaining + 1 WHERE caller_id = 'paid'",
            [("grant remaining", "grn_000002")],
        ),
        (
            "UPDATE price_total SET outstanding = outstanding + 2000000 WHERE price_id = 'prc_out'",
            [("units out", "prc_out from 2026-03-01T00:00:00+00:00"), ("reserved", "prc_out from")],
        ),
        (
            "UPDATE price_total SET debited = debited + 1 WHERE price_id = 'prc_in'",
            [("debited", "prc_in from"), ("entries", "prc_in from")],
        ),
        ("UPDATE price_total SET settled = '5' WHERE price_id = 'prc_in'", [("quantity", "prc_in")]),
        ("UPDATE charge SET amount = amount + 1 WHERE price_id = 'prc_in' AND amount > 0", [("charges", "prc_in")]),
    ],
)
def test_a_figure_that_was_changed_is_named(world: World, corrupted: str, figures: list[tuple[str, str]]) -> None:
    a_lived_life(world)
    world.is_whole = False
    with world.database.begin() as transaction:
        transaction.exec_driver_sql(corrupted)
    found = [(difference.figure, difference.of) for difference in world.audit()]
    assert {difference.subscription_id for difference in world.audit()} == {SUBSCRIPTION}
    for figure, of in figures:
        assert any(name == figure and place.startswith(of) for name, place in found), found


def test_credit_left_beside_what_nobody_paid_is_named(world: World) -> None:
    world.grant("1")
    world.is_whole = False
    with world.database.begin() as transaction:
        transaction.exec_driver_sql("UPDATE account SET balance = 5")
    assert ("overage", DOLLAR - 5, 0) in [(found.figure, found.kept, found.rebuilt) for found in world.audit()]


def test_an_audit_goes_on_where_its_last_part_ended(world: World) -> None:
    with world.database.begin() as transaction:
        add_subscription(transaction, "sub_2", "other", "prepaid")
    with world.database.snapshot() as transaction:
        first = audit_accounts(transaction, APP, after="", limit=1, now=NOW)
        second = audit_accounts(transaction, APP, after=first.last, limit=1, now=NOW)
        third = audit_accounts(transaction, APP, after=second.last, limit=1, now=NOW)
    assert [(part.accounts, part.last) for part in (first, second, third)] == [(1, "sub_1"), (1, "sub_2"), (0, "")]
