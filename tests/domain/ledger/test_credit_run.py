from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.domain.ledger.burning import Grant, Rollover
from faregate.domain.ledger.credit_run import Reset, Usage, open_credit, run_credit
from tests.builders import NOON
from tests.domain.ledger.grants import DAILY, HOUR, a_grant, draw_grant, hours, some_usage

END = NOON + 100 * HOUR


@st.composite
def some_grants(draw: st.DrawFn) -> list[Grant]:
    def rollover() -> Rollover:
        return Rollover(least=draw(st.integers(0, 10)), most=draw(st.integers(10, 200)))

    places = range(draw(st.integers(0, 5)))
    return [draw_grant(draw, index, least=0, rollover=rollover()) for index in places]


some_resets = st.lists(st.builds(Reset, at=hours, preserve_overage=st.booleans()), max_size=3)


@given(some_grants(), some_usage, some_resets, st.lists(hours, max_size=4))
def test_stopping_on_the_way_never_changes_the_answer(
    grants: list[Grant], usage: list[Usage], resets: list[Reset], stops: list[datetime]
) -> None:
    opened = open_credit(grants, NOON)
    at_once = run_credit(opened, grants, usage=usage, until=END, resets=resets)
    state = opened
    for stop in sorted(stops):
        state = run_credit(state, grants, usage=usage, until=stop, resets=resets)
    assert run_credit(state, grants, usage=usage, until=END, resets=resets) == at_once


@given(some_grants(), some_usage, st.data())
def test_the_order_in_which_things_are_told_changes_nothing(
    grants: list[Grant], usage: list[Usage], data: st.DataObject
) -> None:
    opened = open_credit(grants, NOON)
    told = run_credit(opened, grants, usage=usage, until=END)
    shuffled = run_credit(
        opened, data.draw(st.permutations(grants)), usage=data.draw(st.permutations(usage)), until=END
    )
    assert (shuffled.balances, shuffled.overage, shuffled.used) == (told.balances, told.overage, told.used)


@given(some_grants(), some_usage)
def test_no_grant_is_below_zero_and_overage_means_that_all_are_empty(grants: list[Grant], usage: list[Usage]) -> None:
    done = run_credit(open_credit(grants, NOON), grants, usage=usage, until=END)
    assert all(balance >= 0 for balance in done.balances.values())
    assert not done.overage or not any(done.balances.values())
    assert done.balance == sum(done.balances.values()) - done.overage


@given(st.lists(st.integers(0, 50), max_size=5), some_usage)
def test_grants_that_do_not_end_pay_all_they_can(amounts: list[int], usage: list[Usage]) -> None:
    grants = [a_grant(amount, grant_id=f"g{index}") for index, amount in enumerate(amounts)]
    used = sum(entry.amount for entry in usage if entry.at < END)
    done = run_credit(open_credit(grants, NOON), grants, usage=usage, until=END)
    assert done.balance == sum(amounts) - used
    assert done.used == used


def test_overage_is_paid_by_the_next_grant_that_begins() -> None:
    grant = a_grant()
    opened = open_credit([grant], NOON - 24 * HOUR)
    before = run_credit(opened, [grant], usage=[Usage(at=NOON - HOUR, amount=25)], until=NOON - timedelta(seconds=1))
    assert before.overage == 25
    assert run_credit(before, [grant], usage=[], until=NOON).balances == {"g": 75}


def test_a_recurring_grant_is_full_again_and_pays_what_was_missing() -> None:
    grant = a_grant(recurs=DAILY)
    done = run_credit(
        open_credit([grant], NOON), [grant], usage=[Usage(at=NOON + HOUR, amount=120)], until=NOON + 25 * HOUR
    )
    assert (done.balances, done.overage) == ({"g": 80}, 0)


def test_usage_at_the_instant_of_an_end_is_no_longer_paid_by_the_grant() -> None:
    grant = a_grant(expires_at=NOON + HOUR)
    done = run_credit(
        open_credit([grant], NOON), [grant], usage=[Usage(at=NOON + HOUR, amount=1)], until=NOON + 2 * HOUR
    )
    assert (done.balances, done.overage) == ({}, 1)


@pytest.mark.parametrize(
    ("rollover", "used", "left"),
    [
        (Rollover(), 10, 0),
        (Rollover(most=50), 10, 50),
        (Rollover(most=50), 70, 30),
        (Rollover(least=40, most=50), 70, 40),
    ],
)
def test_a_reset_leaves_what_the_rollover_says(rollover: Rollover, used: int, left: int) -> None:
    grant = a_grant(rollover=rollover)
    done = run_credit(
        open_credit([grant], NOON),
        [grant],
        usage=[Usage(at=NOON, amount=used)],
        until=NOON + HOUR,
        resets=[Reset(at=NOON + HOUR)],
    )
    assert (done.balances, done.used) == ({"g": left}, 0)


@pytest.mark.parametrize(("preserve", "overage"), [(False, 0), (True, 5)])
def test_a_reset_forgives_overage_unless_it_is_preserved(preserve: bool, overage: int) -> None:  # noqa: FBT001
    done = run_credit(
        open_credit([], NOON),
        [],
        usage=[Usage(at=NOON, amount=5)],
        until=NOON + HOUR,
        resets=[Reset(at=NOON + HOUR, preserve_overage=preserve)],
    )
    assert done.overage == overage
