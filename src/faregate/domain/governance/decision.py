"""The decision: does an active rule that covers this route hold this company?"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from faregate.domain.governance.rule import Cohort, Rule

Matcher = Callable[[str], bool]
"""Whether a compiled pattern is found in a text, in time linear in the text."""

MatcherFactory = Callable[[str], Matcher]
"""Compiles a pattern; raises `InvalidInput` on field `pattern` if it is not one."""


def rules_covering(rules: Iterable[Rule], route: str, compile_pattern: MatcherFactory) -> tuple[Rule, ...]:
    """Return the active rules that block `route`, in the order they are asked: priority, then id."""
    covering = (rule for rule in rules if rule.active and _covers(rule, route, compile_pattern))
    return tuple(sorted(covering, key=lambda rule: (rule.priority, rule.rule_id)))


def decide(covering: tuple[Rule, ...], cohorts: Collection[Cohort]) -> Rule | None:
    """Return the first covering rule whose cohort the company is in, or None: the call may pass."""
    for rule in covering:
        if rule.cohort in cohorts:
            return rule
    return None


def _covers(rule: Rule, route: str, compile_pattern: MatcherFactory) -> bool:
    return not rule.block_what or any(compile_pattern(criterion.pattern)(route) for criterion in rule.block_what)
