import re
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.domain.governance.decision import Matcher, decide, rules_covering
from faregate.domain.governance.rule import Cohort, Rule
from tests.builders import a_rule

some_rules = st.lists(
    st.builds(
        a_rule,
        st.integers(min_value=1, max_value=99).map("rul_{:02}".format),
        cohort=st.sampled_from(Cohort),
        active=st.booleans(),
        priority=st.integers(min_value=1, max_value=3),
    ),
    max_size=6,
    unique_by=lambda rule: rule.rule_id,
)


def found_in(pattern: str) -> Matcher:
    return lambda text: re.search(pattern, text) is not None


def covering(*rules: Rule, route: str = "/ai/chat") -> list[str]:
    return [rule.rule_id for rule in rules_covering(rules, route, found_in)]


def test_a_rule_without_block_what_covers_every_route() -> None:
    assert covering(a_rule(), route="/ai/chat") == covering(a_rule(), route="/") == ["rul_1"]


@pytest.mark.parametrize("route", ["/ai/chat", "/v2/ai/chat", "/ai/chat/completions"])
def test_a_pattern_is_found_anywhere_in_the_route(route: str) -> None:
    assert covering(a_rule(patterns=("/ai/chat",)), route=route) == ["rul_1"]


def test_a_rule_does_not_cover_a_route_that_none_of_its_patterns_is_found_in() -> None:
    assert covering(a_rule(patterns=("/ai/chat", "^/billing$")), route="/ai/images") == []


def test_one_matching_pattern_is_enough() -> None:
    assert covering(a_rule(patterns=("^/billing$", "/ai/chat"))) == ["rul_1"]


def test_an_inactive_rule_covers_nothing() -> None:
    assert covering(a_rule(active=False)) == []


def test_rules_are_asked_by_priority_then_id_however_they_come() -> None:
    rules = (a_rule("rul_b", priority=10), a_rule("rul_a", priority=20), a_rule("rul_c", priority=10))
    assert {tuple(covering(*order)) for order in permutations(rules)} == {("rul_b", "rul_c", "rul_a")}


def test_the_first_rule_whose_cohort_holds_the_company_decides() -> None:
    unpaid = a_rule("rul_1", cohort=Cohort.UNPAID_INVOICES, priority=10)
    no_credit = a_rule("rul_2", cohort=Cohort.NO_AVAILABLE_CREDITS, priority=20)
    rules = rules_covering([no_credit, unpaid], "/ai/chat", found_in)
    assert decide(rules, {Cohort.NO_AVAILABLE_CREDITS, Cohort.UNPAID_INVOICES}) == unpaid
    assert decide(rules, {Cohort.NO_AVAILABLE_CREDITS}) == no_credit


def test_a_company_in_no_cohort_may_pass() -> None:
    assert decide((a_rule(),), frozenset()) is None


def test_without_a_covering_rule_every_company_may_pass() -> None:
    assert decide((), set(Cohort)) is None


@given(some_rules, st.sets(st.sampled_from(Cohort)))
def test_a_call_is_blocked_only_when_an_active_rule_holds_the_company(rules: list[Rule], cohorts: set[Cohort]) -> None:
    holding = [rule for rule in rules if rule.active and rule.cohort in cohorts]
    first = min(holding, key=lambda rule: (rule.priority, rule.rule_id), default=None)
    assert decide(rules_covering(rules, "/ai/chat", found_in), cohorts) == first
