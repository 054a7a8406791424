"""Credit kept grant by grant, beside the run that knows all usage at once."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from faregate.domain.ledger.burning import Burn, Grant
from faregate.domain.ledger.credit_account import (
    CreditAccount,
    CreditChangeKind,
    GrantPhase,
    KeptGrant,
    Movement,
    spread,
    standing_burns,
    voided,
)
from faregate.domain.ledger.credit_run import Usage, open_credit, run_credit
from tests.builders import NOON
from tests.domain.ledger.grants import DAILY, HOUR, a_grant, draw_grant, hours, some_usage

START, END = NOON - HOUR, NOON + 101 * HOUR


def nothing_out(_: datetime) -> int:
    return 0


def so_much_out(amount: int) -> Callable[[datetime], int]:
    return lambda _: amount


def an_account(*grants: Grant, at: datetime = NOON) -> CreditAccount:
    account = CreditAccount(0, [])
    for grant in grants:
        account.add(KeptGrant(grant=grant))
    account.cross(at, nothing_out)
    return account


def left(account: CreditAccount) -> dict[str, int]:
    return {grant_id: kept.remaining for grant_id, kept in account.grants.items()}


@st.composite
def some_grants(draw: st.DrawFn) -> list[Grant]:
    places = range(draw(st.integers(0, 5)))
    return [draw_grant(draw, index, least=1, rolls_over=draw(st.integers(0, 50))) for index in places]


@given(some_grants(), some_usage, st.lists(hours, max_size=4))
def test_what_is_posted_as_it_comes_is_what_a_run_over_everything_says(
    grants: list[Grant], usage: list[Usage], looks: list[datetime]
) -> None:
    account = CreditAccount(0, [])
    for grant in grants:
        account.add(KeptGrant(grant=grant))
    posted = sorted([*((entry.at, entry.amount) for entry in usage), *((at, 0) for at in looks)])
    for at, amount in posted:
        account.cross(at, nothing_out)
        account.post(-amount)
    account.cross(END, nothing_out)
    expected = run_credit(open_credit(grants, START), grants, usage=usage, until=END)
    active = {grant_id: kept.remaining for grant_id, kept in account.grants.items() if kept.remaining}
    assert active == {grant_id: amount for grant_id, amount in expected.balances.items() if amount}
    assert (account.balance, account.overage) == (expected.balance, expected.overage)


@given(some_grants(), st.lists(st.tuples(hours, st.integers(-60, 60)), max_size=12), st.integers(0, 80))
def test_entries_and_movements_add_up_to_balances_and_remainders(
    grants: list[Grant], posted: list[tuple[datetime, int]], out: int
) -> None:
    account = CreditAccount(0, [])
    for grant in grants:
        account.add(KeptGrant(grant=grant))
    entries, movements = 0, list[Movement]()
    for at, amount in [*sorted(posted), (END, 0)]:
        for change in account.cross(at, so_much_out(out)):
            entries += change.amount
            movements += change.movements
        entries += amount
        movements += account.post(amount, list(reversed(movements)))
    assert account.balance == entries
    for grant_id, kept in account.grants.items():
        own = [movement for movement in movements if movement.grant_id == grant_id]
        assert kept.remaining == sum(movement.amount for movement in own) >= 0
        assert kept.burnt == -sum(movement.amount for movement in own if movement.is_burn) >= 0
        assert kept.is_live or kept.remaining == 0
    spendable = [kept for kept in account.grants.values() if kept.phase is GrantPhase.ACTIVE and kept.remaining]
    assert account.overage <= 0 or not spendable


@given(some_grants(), st.lists(st.integers(1, 60), max_size=8), st.data())
def test_what_is_given_back_leaves_what_burning_less_would_have_left(
    grants: list[Grant], amounts: list[int], data: st.DataObject
) -> None:
    lasting = [replace(grant, effective_at=NOON, expires_at=None, voided_at=None, recurs=None) for grant in grants]
    account, movements = an_account(*lasting), list[Movement]()
    for amount in amounts:
        movements += account.post(-amount)
    back = data.draw(st.integers(0, sum(amounts)))
    account.post(back, reversed(movements))
    expected = an_account(*lasting)
    expected.post(back - sum(amounts))
    assert left(account) == left(expected)
    assert account.overage == expected.overage


def test_credit_goes_back_to_the_grant_it_came_from_last_and_never_twice() -> None:
    account = an_account(a_grant(5, "first"), a_grant(10, "second", priority=1))
    movements = list(account.post(-8))
    movements += account.post(2, reversed(movements))
    assert left(account) == {"first": 0, "second": 9}
    movements += account.post(3, reversed(movements))
    assert left(account) == {"first": 2, "second": 10}
    given = Movement(grant_id="first", amount=5)
    assert list(standing_burns([*reversed(movements), given])) == [Burn(grant_id="first", amount=3)]


def test_what_comes_back_after_its_grant_ended_is_credit_without_a_grant_and_burns_first() -> None:
    account = an_account(a_grant(10, "over", expires_at=NOON + HOUR), a_grant(5, "other", priority=1))
    account.post(-10)
    account.cross(NOON + HOUR, nothing_out)
    account.post(4)
    assert (left(account), account.overage, account.balance) == ({"over": 0, "other": 5}, -4, 9)
    account.post(-6)
    assert (left(account), account.overage) == ({"over": 0, "other": 3}, 0)


def test_the_next_credit_pays_overage_first() -> None:
    account = an_account(a_grant(5, "small"))
    account.post(-8)
    assert account.overage == 3
    account.add(KeptGrant(grant=a_grant(10, "next", effective_at=NOON + HOUR)))
    (change,) = account.cross(NOON + HOUR, nothing_out)
    assert (change.kind, change.amount) == (CreditChangeKind.GRANTED, 10)
    assert [(movement.amount, movement.is_burn) for movement in change.movements] == [(10, False), (-3, True)]
    assert (account.balance, left(account)) == (7, {"small": 0, "next": 7})


def test_credit_that_units_out_lean_on_stays_until_they_come_back_and_expires_then() -> None:
    account = an_account(a_grant(10, "ends", expires_at=NOON + HOUR), a_grant(10, "stays", priority=1))
    assert account.next_border_at == NOON + HOUR
    (change,) = account.cross(NOON + HOUR, so_much_out(4))
    assert (change.kind, change.amount, account.balance) == (CreditChangeKind.EXPIRED, -6, 14)
    assert account.next_border_at == NOON + HOUR
    account.post(-1)
    (change,) = account.cross(NOON + 2 * HOUR, nothing_out)
    assert (change.amount, change.at, account.balance) == (-3, NOON + 2 * HOUR, 10)
    assert account.next_border_at is None


def test_a_voided_grant_says_so_and_a_grant_voided_before_it_began_gives_nothing() -> None:
    account = an_account(a_grant(10, "now"), a_grant(10, "later", effective_at=NOON + 2 * HOUR))
    for grant_id in ("now", "later"):
        account.replace_grant(voided(account.grants[grant_id].grant, NOON + HOUR))
    (change,) = account.cross(NOON + HOUR, nothing_out)
    assert (change.kind, change.grant_id, change.amount) == (CreditChangeKind.VOIDED, "now", -10)
    assert account.cross(END, nothing_out) == []
    assert account.balance == 0


def test_a_recurring_grant_keeps_what_may_roll_over_and_the_rest_expires() -> None:
    account = an_account(a_grant(10, "daily", recurs=DAILY, rolls_over=3))
    account.post(-2)
    lost, again = account.cross(NOON + 24 * HOUR, nothing_out)
    assert (lost.kind, lost.amount) == (CreditChangeKind.EXPIRED, -5)
    assert (again.kind, again.amount, account.balance) == (CreditChangeKind.GRANTED, 10, 13)
    account.post(-12)
    (again,) = account.cross(NOON + 48 * HOUR, nothing_out)
    assert account.balance == 11


def test_a_grant_is_made_smaller_and_larger_by_what_is_decided() -> None:
    account = an_account(a_grant(10))
    assert account.withdraw("g", 4) == (Movement(grant_id="g", amount=-4),)
    account.post(-8)
    assert (account.balance, account.overage) == (-2, 2)
    assert account.enlarge("g", 5) == (
        Movement(grant_id="g", amount=5),
        Movement(grant_id="g", amount=-2, is_burn=True),
    )
    assert (account.balance, left(account)) == (3, {"g": 3})


@given(st.integers(0, 10**18), st.lists(st.integers(1, 1_000), min_size=1, max_size=20))
def test_shares_add_up_and_none_is_a_unit_off(amount: int, weights: list[int]) -> None:
    shares = spread(amount, weights)
    assert sum(shares) == amount
    for share, weight in zip(shares, weights, strict=True):
        assert amount * weight // sum(weights) <= share <= -(-amount * weight // sum(weights))


def test_what_does_not_divide_goes_to_the_largest_remainders() -> None:
    assert spread(10, [1, 1, 1]) == [4, 3, 3]
    assert spread(10, [1, 2, 4]) == [1, 3, 6]
