"""Which limits a call counts for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.base.money import currency
from faregate.domain.customers.subscription import BillingCycle, Pays, Subscription
from faregate.domain.limits.counting import LimitPeriods, LimitTable, Subjects, subscription_for, tokens_used
from faregate.domain.limits.limit import Limit, Per, Subject
from tests.domain.limits.test_limit import LIMIT, NOW, matcher

WHO: Subjects = {Subject.KEY: "key_1", Subject.USER: None, Subject.COMPANY: "acme"}
ONE = Subscription(
    subscription_id="sub_1",
    company_id="acme",
    plan_id="pln_1",
    pays=Pays.PREPAID,
    currency=currency("USD"),
    started_at=datetime(2026, 1, 10, tzinfo=UTC),
    payment_terms=timedelta(days=30),
)
OTHER = replace(ONE, subscription_id="sub_2", plan_id="pln_2", started_at=datetime(2026, 2, 1, tzinfo=UTC))


def found(*limits: Limit, who: Subjects = WHO, route: str = "/ai/chat", plans: tuple[str, ...] = ()) -> list[str]:
    table = LimitTable(limits, matcher)
    assert bool(table) is bool(limits)
    return [f"{limit.limit_id}/{subject_id}" for limit, subject_id in table.of(who, route, frozenset(plans))]


def test_a_call_counts_for_the_limits_of_its_key_user_and_company() -> None:
    each = replace(LIMIT, limit_id="each")
    mine = replace(LIMIT, limit_id="mine", subject_id="key_1")
    anothers = replace(LIMIT, limit_id="other", subject_id="key_2")
    users = replace(LIMIT, limit_id="user", subject=Subject.USER)
    company = replace(LIMIT, limit_id="company", subject=Subject.COMPANY)
    assert found(each, mine, anothers, users, company) == ["mine/key_1", "each/key_1", "company/acme"]
    assert found() == []


def test_a_call_counts_on_the_routes_and_plans_of_a_limit_alone() -> None:
    chat = replace(LIMIT, limit_id="chat", routes=("chat",))
    plan = replace(LIMIT, limit_id="plan", plan_id="pln_1")
    assert found(chat, plan, route="/ai/embeddings") == []
    assert found(chat, plan, plans=("pln_1",)) == ["chat/key_1", "plan/key_1"]
    table = LimitTable([chat], matcher)
    assert [list(table.of(WHO, "/ai/chat", frozenset())) for _ in range(2)] == [[(chat, "key_1")]] * 2


def test_billing_periods_are_those_of_the_first_living_subscription_or_of_the_limits_plan() -> None:
    assert subscription_for(LIMIT, [OTHER, ONE], NOW) is ONE
    assert subscription_for(replace(LIMIT, plan_id="pln_2"), [OTHER, ONE], NOW) is OTHER
    ended = replace(ONE, cycle=BillingCycle(ends_at=NOW))
    assert subscription_for(LIMIT, [OTHER, ended], NOW) is OTHER
    assert subscription_for(LIMIT, [], NOW) is None


@given(st.lists(st.tuples(st.sampled_from(Per), st.integers(0, 200), st.booleans())))
def test_a_period_that_is_remembered_is_the_one_of_the_instant(calls: list[tuple[Per, int, bool]]) -> None:
    periods, trial = LimitPeriods(), replace(ONE, cycle=BillingCycle(trial_ends_at=NOW, ends_at=NOW + timedelta(90)))
    for per, day, has_trial in calls:
        limit, at = replace(LIMIT, limit_id=per.value, per=per), datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)
        theirs = [trial, OTHER] if has_trial else [OTHER]
        assert periods.at(limit, theirs, at) == limit.period_at(at, subscription_for(limit, theirs, at))


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({"tokens": {"total": 12}, "usage": {"prompt_tokens": 1}}, 12),
        ({"tokens": {"total": 0}}, 0),
        ({"usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 99}}, 7),
        ({"usage": {"input_tokens": 5}}, 5),
        ({"usage": {"prompt_tokens": -3, "completion_tokens": 4}}, 4),
        ({"usage": {"prompt_tokens": "3"}}, 0),
        ({"usage": None}, 0),
        ("text", 0),
        (None, 0),
    ],
)
def test_tokens_are_what_the_answer_reports_of_input_and_output(body: object, tokens: int) -> None:
    assert tokens_used(body) == tokens
