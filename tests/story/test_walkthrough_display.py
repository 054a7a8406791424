from rich.console import Console

from faregate.apps.story.walkthrough.display import Display, summary
from faregate.apps.story.walkthrough.record import CallRecord, Charge, StepRecord, WalkthroughRecord
from tests.story.screen import shown


def step() -> StepRecord:
    return StepRecord(step="c", title="Credit", about="A grant lets the next call through.")


def call(**changed: object) -> CallRecord:
    made = CallRecord(
        name="the first call",
        customer="acme",
        stream=False,
        tokens_in=400_000,
        tokens_out=50_000,
        status=200,
        request_id="req_1",
        first_ms=10,
        whole_ms=1_234,
        text="The cat saw a red boat.",
        charges=[
            Charge(price="Input Tokens", quantity="400000", amount="0.50"),
            Charge(price="Output Tokens", quantity="50000", amount="1.50"),
        ],
        balance="2.00",
        paid_ahead={"Input Tokens": "600000", "Output Tokens": "950000"},
    )
    for name, value in changed.items():
        setattr(made, name, value)
    return made


def page_of(shown_step: StepRecord) -> str:
    console = Console(width=80, highlight=False)
    with console.capture() as capture:
        Display(console, console.status("")).shown(shown_step)
    return capture.get()


def test_a_call_shows_what_was_asked_what_came_what_it_cost_and_what_is_left() -> None:
    charged = step()
    charged.calls.append(call())
    charged.check("balance", expected="2.00", found="2.00")
    page = page_of(charged)
    assert "POST /ai/chat  400,000 in · 50,000 out" in page
    assert "200  1.23 s" in page
    assert "charged $0.50 for 400,000 input + $1.50 for 50,000 output" in page
    assert "balance $2.00   paid ahead 600,000 input · 950,000 output" in page
    assert "✓ 1 as calculated by hand" in page


def test_a_refusal_shows_its_type_code_and_message() -> None:
    refused = step()
    refused.calls.append(
        call(
            status=402,
            type="insufficient_quota",
            code="invoice_overdue",
            message="Pay it.",
            charges=[],
            balance="-2.00",
        )
    )
    page = page_of(refused)
    assert "402" in page
    assert "insufficient_quota / invoice_overdue" in page
    assert "“Pay it.”" in page
    assert "balance -$2.00" in page


def test_an_amount_that_differs_is_shown_with_both_figures() -> None:
    wrong = step()
    wrong.check("balance", expected="2.00", found="1.99")
    assert "✗ balance: calculated 2.00, found 1.99" in page_of(wrong)
    record = WalkthroughRecord(ok=wrong.held, checks=1, took_s=1.0, steps=[wrong])
    assert not record.ok
    assert "1 of 1 checks differ: c: balance" in shown(summary(record))


def test_amounts_are_compared_to_the_last_digit() -> None:
    near = step()
    near.check("balance", expected="2.00", found="2.000000001")
    near.check("balance", expected="2.00", found="2")
    near.check("units", expected=2, found="2")
    assert [check.held for check in near.checks] == [False, False, True]
