import pytest

from faregate.domain.governance.rule import Cohort, Template
from faregate.domain.governance.template import rule_from_template

templates = pytest.mark.parametrize("template", list(Template))


@templates
def test_a_rule_from_a_template_is_active_and_blocks_every_route(template: Template) -> None:
    rule = rule_from_template(template, rule_id="rul_1")
    assert rule.active
    assert rule.block_what == ()
    assert (rule.rule_id, rule.template) == ("rul_1", template)


@templates
def test_a_blocked_call_is_answered_402_and_told_not_to_retry(template: Template) -> None:
    refusal = rule_from_template(template, rule_id="rul_1").refusal
    assert refusal.status == 402
    assert refusal.headers == {"x-should-retry": "false"}
    assert refusal.error_type == "insufficient_quota"


@pytest.mark.parametrize(
    ("template", "name", "cohort", "code"),
    [
        (
            Template.BLOCK_WHEN_NO_AVAILABLE_CREDITS,
            "Block When No Available Credits",
            Cohort.NO_AVAILABLE_CREDITS,
            "credit_balance_exhausted",
        ),
        (Template.BLOCK_ON_UNPAID_INVOICES, "Block On Unpaid Invoices", Cohort.UNPAID_INVOICES, "invoice_overdue"),
    ],
)
def test_a_template_names_its_rule_cohort_and_code(template: Template, name: str, cohort: Cohort, code: str) -> None:
    rule = rule_from_template(template, rule_id="rul_1")
    assert (rule.name, rule.cohort, rule.refusal.error_code) == (name, cohort, code)


def test_a_rule_may_have_a_name_of_its_own() -> None:
    rule = rule_from_template(Template.BLOCK_ON_UNPAID_INVOICES, rule_id="rul_1", name="Pay first")
    assert rule.name == "Pay first"


def test_an_overdue_invoice_is_told_before_missing_credit() -> None:
    overdue = rule_from_template(Template.BLOCK_ON_UNPAID_INVOICES, rule_id="rul_1")
    no_credit = rule_from_template(Template.BLOCK_WHEN_NO_AVAILABLE_CREDITS, rule_id="rul_2")
    assert overdue.priority < no_credit.priority
