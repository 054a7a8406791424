"""The rules an operator starts from. Statuses and codes: what official OpenAI clients understand and do not retry."""

from __future__ import annotations

from typing import assert_never

from faregate.domain.governance.rule import Cohort, Refusal, Rule, Template

TEMPLATE_NAMES = {
    Template.BLOCK_WHEN_NO_AVAILABLE_CREDITS: "Block When No Available Credits",
    Template.BLOCK_ON_UNPAID_INVOICES: "Block On Unpaid Invoices",
}


def rule_from_template(template: Template, *, rule_id: str, name: str | None = None) -> Rule:
    """Return the template's rule: active at once and blocking every route until `block_what` is set."""
    cohort, refusal, priority = _parts(template)
    return Rule(
        rule_id=rule_id,
        name=name or TEMPLATE_NAMES[template],
        template=template,
        cohort=cohort,
        block_what=(),
        refusal=refusal,
        active=True,
        priority=priority,
    )


def _parts(template: Template) -> tuple[Cohort, Refusal, int]:
    match template:
        case Template.BLOCK_WHEN_NO_AVAILABLE_CREDITS:
            return (
                Cohort.NO_AVAILABLE_CREDITS,
                _payment_required("credit_balance_exhausted", "You have no credit left. Add credit to go on."),
                20,
            )
        case Template.BLOCK_ON_UNPAID_INVOICES:
            return (
                Cohort.UNPAID_INVOICES,
                _payment_required("invoice_overdue", "An invoice is overdue. Pay it to go on."),
                10,
            )
        case _:
            assert_never(template)


def _payment_required(code: str, message: str) -> Refusal:
    return Refusal(
        status=402,
        headers={"x-should-retry": "false"},
        error_type="insufficient_quota",
        error_code=code,
        message=message,
    )
