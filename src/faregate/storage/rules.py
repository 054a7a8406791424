"""Governance rules."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, delete, insert, select, update

from faregate.domain.governance.rule import Cohort, Criterion, Refusal, Rule, Template
from faregate.storage.database import Transaction
from faregate.storage.tables import rule


def insert_rule(transaction: Transaction, application_id: str, new: Rule, *, created_at: datetime) -> None:
    """Keep a new rule."""
    transaction.execute(
        insert(rule).values(
            rule_id=new.rule_id,
            application_id=application_id,
            template=new.template.value,
            cohort=new.cohort.value,
            created_at=created_at,
            **_changeable(new),
        )
    )


def update_rule(transaction: Transaction, changed: Rule) -> None:
    """Replace everything of a rule but its template and cohort."""
    transaction.execute(update(rule).where(rule.c.rule_id == changed.rule_id).values(**_changeable(changed)))


def delete_rule(transaction: Transaction, rule_id: str) -> None:
    """Forget a rule."""
    transaction.execute(delete(rule).where(rule.c.rule_id == rule_id))


def find_rule(transaction: Transaction, application_id: str, rule_id: str) -> Rule | None:
    """Return the rule with the id."""
    return next(iter(_rules(transaction, application_id, rule.c.rule_id == rule_id)), None)


def find_rule_by_name(transaction: Transaction, application_id: str, name: str) -> Rule | None:
    """Return the rule with the name."""
    return next(iter(_rules(transaction, application_id, rule.c.name == name)), None)


def list_rules(transaction: Transaction, application_id: str, *, after: str, limit: int) -> list[Rule]:
    """Return rules in id order, from the first one after `after`."""
    return _rules(transaction, application_id, rule.c.rule_id > after, limit=limit)


def rule_from_row(row: Row[tuple[object, ...]]) -> Rule:
    """Return a row of `rule` as the core's rule."""
    return Rule(
        rule_id=row.rule_id,
        name=row.name,
        template=Template(row.template),
        cohort=Cohort(row.cohort),
        block_what=msgspec.json.decode(row.block_what, type=tuple[Criterion, ...]),
        refusal=msgspec.json.decode(row.refusal, type=Refusal),
        active=row.active,
        priority=row.priority,
    )


def _changeable(of: Rule) -> dict[str, Any]:
    return {
        "name": of.name,
        "block_what": msgspec.json.encode(of.block_what).decode(),
        "refusal": msgspec.json.encode(of.refusal).decode(),
        "active": of.active,
        "priority": of.priority,
    }


def _rules(
    transaction: Transaction, application_id: str, *conditions: ColumnElement[bool], limit: int | None = None
) -> list[Rule]:
    statement = (
        select(rule).where(rule.c.application_id == application_id, *conditions).order_by(rule.c.rule_id).limit(limit)
    )
    return [rule_from_row(row) for row in transaction.execute(statement)]
