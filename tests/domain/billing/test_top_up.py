from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.domain.billing.top_up import (
    FAILURE_COOL_OFF,
    LIMITED_OVER,
    MOST_FAILURES,
    EarlierTopUp,
    TopUpPause,
    TopUpStatus,
    TopUpTerms,
    why_none_begins,
)

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
OUTCOMES = st.sampled_from([TopUpStatus.PAID, TopUpStatus.FAILED])


def terms(
    *, below: int = 100, amount: int = 1_000, most: int | None = None, cool_off: timedelta = 10 * MINUTE
) -> TopUpTerms:
    return TopUpTerms(below=below, amount=amount, most=most, cool_off=cool_off, set_at=NOW - timedelta(days=90))


def top_up(ago: timedelta, status: TopUpStatus = TopUpStatus.PAID, *, amount: int = 1_000) -> EarlierTopUp:
    return EarlierTopUp(amount=amount, status=status, began_at=NOW - ago)


def why(wanted: TopUpTerms, *earlier: EarlierTopUp, balance: int = 99) -> TopUpPause | None:
    return why_none_begins(wanted, balance=balance, earlier=earlier, now=NOW)


@pytest.mark.parametrize(("balance", "pause"), [(100, TopUpPause.ENOUGH), (99, None), (-5, None)])
def test_a_top_up_begins_below_the_threshold_and_not_at_it(balance: int, pause: TopUpPause | None) -> None:
    assert why(terms(), balance=balance) is pause


def test_one_payment_at_a_time_is_under_way() -> None:
    assert why(terms(), top_up(timedelta(days=2), TopUpStatus.PENDING)) is TopUpPause.PENDING


def test_the_cool_off_runs_from_the_last_beginning_to_its_very_end() -> None:
    assert why(terms(), top_up(10 * MINUTE - timedelta(microseconds=1))) is TopUpPause.COOLING_OFF
    assert why(terms(), top_up(10 * MINUTE)) is None


def test_a_failed_payment_is_followed_by_an_hour_of_nothing() -> None:
    assert why(terms(), top_up(FAILURE_COOL_OFF - MINUTE, TopUpStatus.FAILED)) is TopUpPause.COOLING_OFF
    assert why(terms(), top_up(FAILURE_COOL_OFF, TopUpStatus.FAILED)) is None


def test_a_longer_cool_off_holds_after_a_failure_too() -> None:
    wanted = terms(cool_off=2 * FAILURE_COOL_OFF)
    assert why(wanted, top_up(FAILURE_COOL_OFF, TopUpStatus.FAILED)) is TopUpPause.COOLING_OFF


def test_three_failures_in_a_row_stop_it_for_good() -> None:
    failed = [top_up(timedelta(days=day), TopUpStatus.FAILED) for day in (9, 8, 7)]
    assert why(terms(), *failed) is TopUpPause.STOPPED
    assert why(terms(), *failed[:2]) is None
    assert why(terms(), *failed[:2], top_up(timedelta(days=7)), failed[2]) is None


def test_setting_the_terms_again_forgives_earlier_failures_and_their_cool_off() -> None:
    failed = [top_up(MINUTE * count, TopUpStatus.FAILED) for count in (3, 2, 1)]
    anew = TopUpTerms(below=100, amount=1_000, most=None, cool_off=10 * MINUTE, set_at=NOW)
    assert why(anew, *failed) is None


def test_a_limit_counts_what_was_bought_in_the_last_thirty_days() -> None:
    wanted = terms(most=2_500)
    inside = LIMITED_OVER - MINUTE
    assert why(wanted, top_up(inside)) is None
    assert why(wanted, top_up(inside), top_up(timedelta(days=1))) is TopUpPause.LIMIT_REACHED
    assert why(wanted, top_up(LIMITED_OVER), top_up(timedelta(days=1))) is None


def test_a_failed_payment_uses_up_nothing_of_the_limit() -> None:
    assert why(terms(most=1_000), top_up(timedelta(days=1), TopUpStatus.FAILED)) is None


@given(
    steps=st.lists(
        st.tuples(
            st.integers(1, 72 * 60), st.integers(-50, 150), st.sampled_from([TopUpStatus.PAID, TopUpStatus.FAILED])
        ),
        max_size=60,
    ),
    most=st.one_of(st.none(), st.integers(1_000, 5_000)),
    cool_off=st.integers(0, 24 * 60),
)
def test_whatever_happens_no_limit_is_passed_and_no_failure_loops(
    steps: list[tuple[int, int, TopUpStatus]], most: int | None, cool_off: int
) -> None:
    wanted = terms(most=most, cool_off=cool_off * MINUTE)
    now, done = NOW, list[EarlierTopUp]()
    for minutes, balance, outcome in steps:
        now += minutes * MINUTE
        if why_none_begins(wanted, balance=balance, earlier=done, now=now) is None:
            assert balance < wanted.below
            if done:
                assert now - done[-1].began_at >= wanted.cool_off
            done.append(EarlierTopUp(amount=wanted.amount, status=outcome, began_at=now))
    paid = [one for one in done if one.status is TopUpStatus.PAID]
    if most is not None:
        for last in paid:
            span = [one for one in paid if last.began_at - LIMITED_OVER < one.began_at <= last.began_at]
            assert sum(one.amount for one in span) <= most
    statuses = [one.status for one in done]
    for place in range(len(statuses) - MOST_FAILURES):
        assert TopUpStatus.PAID in statuses[place : place + MOST_FAILURES + 1]
