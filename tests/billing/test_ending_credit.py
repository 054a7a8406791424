"""Credit that ends before the invoice is made pays what it burnt, the rest is invoiced, and nothing is paid twice."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from faregate.base.periods import PeriodCalendar
from faregate.services import grant_changes
from faregate.services.change import Change
from faregate.services.grant_changes import GrantPlace
from tests.billing.conftest import OpenDesk
from tests.billing.desk import Desk
from tests.services.world import APP, DOLLAR, NOW, PERIOD_START, SUBSCRIPTION

APRIL = datetime(2026, 4, 1, tzinfo=UTC)
MAY = datetime(2026, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)
MILLION = 1_000_000


@pytest.fixture
def credit_first(open_desk: OpenDesk) -> Desk:
    return open_desk("credit_first")


def a_change(desk: Desk) -> Change:
    return Change(application_id=APP, now=desk.world.clock.at, new_id=desk.world.new_id)


def paid(desk: Desk) -> list[tuple[int, int, int]]:
    """Total, credit applied and amount due of each invoice, in cents."""
    return [(invoice.total, invoice.credit_applied, invoice.amount_due) for invoice in desk.invoices()]


def test_credit_pays_first_and_the_rest_is_invoiced(credit_first: Desk) -> None:
    credit_first.world.grant("1.25")
    credit_first.use(4 * MILLION, 0)
    credit_first.close_month(APRIL)
    assert paid(credit_first) == [(200, 125, 75)]
    assert (credit_first.balance(), credit_first.world.left()) == (0, {"grant-1": 0})


def test_an_invoice_uses_of_credit_that_expired_what_was_burnt_before(credit_first: Desk) -> None:
    desk = credit_first
    desk.world.grant("10", expires_at=NOW + DAY)
    desk.use(2 * MILLION, 0)
    desk.move(NOW + DAY)
    desk.use(MILLION, 0, at=NOW + DAY)
    assert desk.balance() == -DOLLAR // 2
    desk.close_month(APRIL)
    assert paid(desk) == [(150, 100, 50)]
    assert desk.balance() == 0
    desk.world.grant("5", caller_id="next")
    desk.use(2 * MILLION, 0, at=APRIL)
    desk.close_month(MAY)
    assert paid(desk)[1] == (100, 100, 0)
    assert desk.balance() == 4 * DOLLAR


def test_a_tick_begins_and_ends_credit_of_accounts_that_nobody_touches(prepaid: Desk) -> None:
    prepaid.world.grant("2", caller_id="now", expires_at=NOW + DAY)
    prepaid.world.grant("3", caller_id="later", effective_at=NOW + 2 * DAY)
    for days, balance, exhausted in ((1, 0, True), (2, 3 * DOLLAR, False)):
        prepaid.move(NOW + days * DAY + timedelta(hours=1))
        prepaid.tick()
        assert (prepaid.balance(), prepaid.world.account().exhausted) == (balance, exhausted)
    assert [row["occurred_at"] for row in prepaid.world.rows("ledger_entry")] == [NOW, NOW + DAY, NOW + 2 * DAY]


def test_a_recurring_grant_does_not_pile_up_and_pays_what_the_month_before_still_owes(credit_first: Desk) -> None:
    desk = credit_first
    desk.world.grant("1", recurs=PeriodCalendar(anchor=PERIOD_START))
    desk.use(MILLION, 0)
    desk.close_month(APRIL)
    desk.use(4 * MILLION, 0, at=APRIL)
    desk.close_month(MAY)
    # April is not invoiced yet as May's credit begins: it is the next credit, and overage is paid of that first.
    assert paid(desk) == [(50, 50, 0), (200, 200, 0)]
    assert desk.balance() == 0


def test_what_is_refunded_and_corrected_pays_no_invoice(credit_first: Desk) -> None:
    desk = credit_first
    grant_id = desk.world.grant("10")
    place = GrantPlace(subscription_id=SUBSCRIPTION, grant_id=grant_id)
    desk.use(MILLION, 0)
    with desk.world.database.begin() as tx:
        grant_changes.refund_grant(tx, a_change(desk), place, amount=Decimal(9), reason="asked", caller_id="one")
        grant_changes.adjust_grant(tx, a_change(desk), place, amount=Decimal(-1), reason="wrong", caller_id="two")
    assert desk.balance() == -DOLLAR // 2
    desk.use(MILLION, 0)
    desk.close_month(APRIL)
    assert paid(desk) == [(100, 0, 100)]
    assert desk.balance() == 0


def test_credit_taken_back_after_invoices_used_it_is_owed_and_the_next_credit_repays_it(credit_first: Desk) -> None:
    desk = credit_first
    grant_id = desk.world.grant("1")
    desk.use(2 * MILLION, 0)
    desk.close_month(APRIL)
    assert paid(desk) == [(100, 100, 0)]
    place = GrantPlace(subscription_id=SUBSCRIPTION, grant_id=grant_id)
    with desk.world.database.begin() as tx:
        grant_changes.adjust_grant(tx, a_change(desk), place, amount=Decimal(-1), reason="dispute", caller_id="one")
    assert desk.balance() == -DOLLAR
    desk.world.grant("2.50", caller_id="next")
    desk.use(4 * MILLION, 0, at=APRIL)
    desk.close_month(MAY)
    assert paid(desk)[1] == (200, 150, 50)
    assert desk.balance() == 0
