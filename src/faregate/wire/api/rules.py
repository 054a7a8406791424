"""Governance rules on the wire."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from faregate.base.limits import MAX_CONDITIONS, MAX_PATTERN_CHARACTERS
from faregate.domain.governance.rule import Cohort, Criterion, Rule, Template
from faregate.wire.api.common import Headers, Name, Text

Status = Annotated[int, Meta(ge=400, le=599)]
Priority = Annotated[int, Meta(ge=0, le=1_000_000)]
Pattern = Annotated[str, Meta(min_length=1, max_length=MAX_PATTERN_CHARACTERS, examples=["/ai/chat"])]


class CriterionShape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A regular expression (RE2's syntax) that must be found in the field, anywhere in it."""

    field: Literal["request.route"]
    pattern: Pattern


BlockWhat = Annotated[list[CriterionShape], Meta(max_length=MAX_CONDITIONS)]
"""One criterion that fits is enough; an empty list blocks every route."""


class RefusalChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of the answer to a blocked call; what is left out stays."""

    status: Status | UnsetType = UNSET
    headers: Headers | UnsetType = UNSET
    message: Text | UnsetType = UNSET


class RefusalView(Struct, frozen=True, kw_only=True):
    """The answer to a blocked call: status, headers, and OpenAI's error object."""

    status: int
    headers: dict[str, str]
    message: str
    error_type: str
    error_code: str


class RuleCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule to make from a template: active at once, and for every route until `block_what` is set."""

    template: Template
    name: Name | UnsetType = UNSET
    block_what: BlockWhat | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    refusal: RefusalChange | UnsetType = UNSET


class RuleChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a rule; what is left out stays."""

    name: Name | UnsetType = UNSET
    block_what: BlockWhat | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    refusal: RefusalChange | UnsetType = UNSET


class RuleView(Struct, frozen=True, kw_only=True):
    """A governance rule. Rules that cover a route are asked in the order of `priority`, lower first."""

    rule_id: str
    name: str
    template: Template
    cohort: Cohort
    block_what: list[CriterionShape]
    active: bool
    priority: int
    refusal: RefusalView


def rule_view(rule: Rule) -> RuleView:
    """Return a rule as it travels."""
    return RuleView(
        rule_id=rule.rule_id,
        name=rule.name,
        template=rule.template,
        cohort=rule.cohort,
        block_what=[CriterionShape(field="request.route", pattern=criterion.pattern) for criterion in rule.block_what],
        active=rule.active,
        priority=rule.priority,
        refusal=RefusalView(
            status=rule.refusal.status,
            headers=dict(rule.refusal.headers),
            message=rule.refusal.message,
            error_type=rule.refusal.error_type,
            error_code=rule.refusal.error_code,
        ),
    )


def to_criteria(shapes: list[CriterionShape]) -> tuple[Criterion, ...]:
    """Return what is to be blocked; the patterns are not compiled here."""
    return tuple(Criterion(field=shape.field, pattern=shape.pattern) for shape in shapes)
