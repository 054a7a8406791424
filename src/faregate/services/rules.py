"""Make, change and delete governance rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from msgspec import UNSET

from faregate.base.errors import Conflict, FieldFault, InvalidInput, NotFound
from faregate.domain.catalog.validation import require
from faregate.domain.governance.rule import Criterion, Refusal, Rule
from faregate.domain.governance.template import rule_from_template
from faregate.services.change import Change
from faregate.storage import rules as stored
from faregate.storage.database import Transaction
from faregate.storage.state_feed import record_change
from faregate.wire.api.rules import RefusalChange, RuleChange, RuleCreate, to_criteria
from faregate.wire.patterns import compile_pattern


def create_rule(transaction: Transaction, change: Change, request: RuleCreate) -> Rule:
    """Make a rule from a template, with what is given in place of the template's.

    Raises `InvalidInput` on a pattern that RE2 refuses, and `Conflict` on `name`.
    """
    rule = wanted_rule(request, change.new_id("rul"))
    _require_free_name(transaction, change, rule.name)
    stored.insert_rule(transaction, change.application_id, rule, created_at=change.now)
    record_change(transaction, "rule", rule.rule_id)
    return rule


def change_rule(transaction: Transaction, change: Change, request: RuleChange, *, rule_id: str) -> Rule:
    """Change what is given of a rule; errors as `create_rule`, and `NotFound`."""
    before = find_existing(transaction, change.application_id, rule_id)
    after = changed_rule(before, request)
    if after.name != before.name:
        _require_free_name(transaction, change, after.name)
    replace_rule(transaction, before, after)
    return after


def replace_rule(transaction: Transaction, before: Rule, after: Rule) -> None:
    """Put a rule in the place of the one of the same id, where they differ."""
    if after != before:
        stored.update_rule(transaction, after)
        record_change(transaction, "rule", after.rule_id)


def delete_rule(transaction: Transaction, change: Change, rule_id: str) -> None:
    """Delete a rule: it blocks nothing from now on."""
    find_existing(transaction, change.application_id, rule_id)
    stored.delete_rule(transaction, rule_id)
    record_change(transaction, "rule", rule_id)


def find_existing(transaction: Transaction, application_id: str, rule_id: str) -> Rule:
    """Return the rule; `NotFound` if there is none of that id."""
    rule = stored.find_rule(transaction, application_id, rule_id)
    if rule is None:
        raise NotFound("rule", rule_id)
    return rule


def wanted_rule(request: RuleCreate, rule_id: str) -> Rule:
    """Return the template's rule with what is given in place; errors as `changed_rule`."""
    return changed_rule(
        rule_from_template(request.template, rule_id=rule_id),
        RuleChange(
            name=request.name,
            block_what=request.block_what,
            active=request.active,
            priority=request.priority,
            refusal=request.refusal,
        ),
    )


def changed_rule(rule: Rule, request: RuleChange) -> Rule:
    """Return the rule with what is given in place; `InvalidInput` names each pattern that RE2 refuses."""
    after = replace(
        rule,
        name=rule.name if request.name is UNSET else request.name,
        block_what=rule.block_what if request.block_what is UNSET else to_criteria(request.block_what),
        active=rule.active if request.active is UNSET else request.active,
        priority=rule.priority if request.priority is UNSET else request.priority,
        refusal=rule.refusal if request.refusal is UNSET else _changed_refusal(rule.refusal, request.refusal),
    )
    require(_pattern_faults(after.block_what))
    return after


def _changed_refusal(refusal: Refusal, request: RefusalChange) -> Refusal:
    return replace(
        refusal,
        status=refusal.status if request.status is UNSET else request.status,
        headers=refusal.headers if request.headers is UNSET else request.headers,
        message=refusal.message if request.message is UNSET else request.message,
    )


def _pattern_faults(criteria: Sequence[Criterion]) -> list[FieldFault]:
    faults = []
    for index, criterion in enumerate(criteria):
        try:
            compile_pattern(criterion.pattern)
        except InvalidInput as error:
            faults.append(FieldFault(field=f"block_what[{index}].pattern", message=error.faults[0].message))
    return faults


def _require_free_name(transaction: Transaction, change: Change, name: str) -> None:
    if stored.find_rule_by_name(transaction, change.application_id, name) is not None:
        raise Conflict("name", f"there is already a rule {name!r}")
