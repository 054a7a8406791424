"""What gateways ask for their callers, over HTTP."""

from datetime import UTC, datetime, timedelta

import pytest

from faregate.base.clock import SystemClock
from faregate.services.gateway_calls import main_application
from tests.control.control_plane import GATEWAY_TOKEN, Handle
from tests.control.test_gateway_link import GATEWAY, event, lease, open_epoch
from tests.control.world import COMPANY, PRICE, SUBSCRIPTION, add_catalog, add_subscription, grant


def funded(control: Handle, amount: str = "5", pays: str = "prepaid") -> int:
    control.write(add_catalog)
    control.write(lambda tx: add_subscription(tx, pays))
    control.write(lambda tx: grant(tx, amount))
    return open_epoch(control)


def question(control: Handle, sequence: int = 0, **more: object) -> dict[str, object]:
    return {
        "application_id": control.read(main_application),
        "company_id": COMPANY,
        "as_of": {"gateway_id": GATEWAY, "sequence": sequence},
    } | more


def only(rows: object) -> dict[str, object]:
    assert isinstance(rows, list)
    (row,) = rows
    assert isinstance(row, dict)
    return row


def quote(control: Handle, *, tokens: tuple[int, int, int] = (100, 30, 50), idle: int = 0) -> dict[str, object]:
    units = [{"price_id": PRICE, "per_input": 1, "per_output": 1, "idle": idle}]
    reply = control.as_gateway(
        "POST",
        "/gateway/v1/quotes",
        question(
            control,
            occurred_at=SystemClock().now().isoformat(),
            input_tokens=tokens[0],
            input_estimate=tokens[1],
            output_tokens=tokens[2],
            accounts=[{"subscription_id": SUBSCRIPTION, "units": units}],
        ),
    )
    assert reply.status == 200, reply.body
    return only(reply.json()["subscriptions"])


def test_a_quote_says_what_is_held_and_the_longest_answer_that_is_paid_for(control: Handle) -> None:
    funded(control)
    found = quote(control, tokens=(1_500, 300, 600))
    assert found["lines"] == [
        {
            "price_id": PRICE,
            "name": "Input Tokens",
            "units": 2_100,
            "amount": "1.50",
            "hold": "1.50",
            "estimated_units": 900,
            "estimated_amount": "0.50",
        }
    ]
    assert (found["hold"], found["amount"], found["estimated_amount"]) == ("1.50", "1.50", "0.50")
    assert (found["available"], found["affordable"]) == ("5.00", True)
    assert found["affordable_output_tokens"] == 10_000 - 1_500


def test_what_a_quote_says_is_affordable_is_what_the_ledger_leases(control: Handle) -> None:
    epoch = funded(control)
    assert lease(control, epoch, "other", 4_200)["refused"] is None
    most = quote(control, tokens=(100, 30, 50))["affordable_output_tokens"]
    assert isinstance(most, int)
    assert lease(control, epoch, "too-much", 100 + most + 1)["refused"] == "insufficient"
    assert lease(control, epoch, "all", 100 + most)["refused"] is None


def test_units_idle_in_the_asking_gateway_are_free_for_the_call(control: Handle) -> None:
    epoch = funded(control, "0.50")
    assert lease(control, epoch, "all", 1_000)["refused"] is None
    elsewhere = quote(control, tokens=(100, 30, 900))
    assert (elsewhere["hold"], elsewhere["available"], elsewhere["affordable"]) == ("0.50", "0.00", False)
    assert elsewhere["affordable_output_tokens"] == -1
    found = quote(control, tokens=(100, 30, 900), idle=1_000)
    assert (found["hold"], found["available"], found["affordable_output_tokens"]) == ("0.50", "0.50", 900)


def test_only_prepaid_credit_limits_a_call(control: Handle) -> None:
    funded(control, "0.01", pays="credit_first")
    found = quote(control)
    assert (found["pays"], found["affordable"], found["affordable_output_tokens"]) == ("credit_first", True, None)


def test_a_quote_leaves_out_subscriptions_that_are_not_the_companys(control: Handle) -> None:
    funded(control)
    asked = question(
        control,
        occurred_at=SystemClock().now().isoformat(),
        input_tokens=1,
        input_estimate=1,
        output_tokens=1,
        accounts=[{"subscription_id": "sub_of_others"}],
    )
    reply = control.as_gateway("POST", "/gateway/v1/quotes", asked | {"company_id": "globex"})
    assert (reply.status, reply.json()) == (200, {"subscriptions": []})


def test_balance_and_usage_count_the_asking_gateways_events_that_are_shipped(control: Handle) -> None:
    epoch = funded(control)
    for sequence in range(1, 6):
        sent = event(sequence, epoch=epoch, tokens=1_000)
        assert control.as_gateway("POST", "/gateway/v1/events", [sent]).status == 201
        balances = control.as_gateway("POST", "/gateway/v1/balances", question(control, sequence)).json()
        found = only(balances["subscriptions"])
        spent = sequence * 50
        assert found["balance"] == f"{(500 - spent) // 100}.{(500 - spent) % 100:02}"
        usage = control.as_gateway("POST", "/gateway/v1/usage", question(control, sequence)).json()
        price = only(usage["prices"])
        assert (price["name"], price["quantity"], price["currency"]) == ("Input Tokens", str(1_000 * sequence), "USD")
        assert usage["days"] is None


def test_an_answer_goes_without_events_that_do_not_come(control: Handle) -> None:
    funded(control)
    as_of = {"gateway_id": GATEWAY, "sequence": 99, "within_ms": 50}
    reply = control.as_gateway("POST", "/gateway/v1/balances", question(control) | {"as_of": as_of})
    assert reply.status == 200


def test_usage_by_day(control: Handle) -> None:
    epoch = funded(control)
    assert (
        control.as_gateway("POST", "/gateway/v1/events", [event(1, epoch=epoch), event(2, epoch=epoch)]).status == 201
    )
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    asked = question(control, 2, from_at=today.isoformat(), to_at=(today + timedelta(days=2)).isoformat())
    days = control.as_gateway("POST", "/gateway/v1/usage", asked).json()["days"]
    assert isinstance(days, list)
    assert sum(int(day["quantity"]) for day in days) == 20
    assert {(day["price_id"], day["name"]) for day in days} == {(PRICE, "Input Tokens")}


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"from_at": "2026-03-01T00:00:00Z"}, "to"),
        ({"to_at": "2026-03-01T00:00:00Z"}, "from"),
        ({"from_at": "2026-03-01T00:00:01Z", "to_at": "2026-03-02T00:00:00Z"}, "from"),
        ({"from_at": "2026-03-01T00:00:00Z", "to_at": "2026-03-02T00:30:00Z"}, "to"),
        ({"from_at": "2026-03-01T00:00:00Z", "to_at": "2026-03-01T00:00:00Z"}, "to"),
        ({"from_at": "2026-03-01T00:00:00Z", "to_at": "2026-07-01T00:00:00Z"}, "to"),
    ],
)
def test_days_that_cannot_be_told_are_named(control: Handle, asked: dict[str, object], field: str) -> None:
    control.write(add_catalog)
    reply = control.as_gateway("POST", "/gateway/v1/usage", question(control) | asked)
    assert reply.status == 400
    assert only(reply.json()["errors"])["field"] == field


def test_what_a_call_cost_is_told_to_its_own_company_alone(control: Handle) -> None:
    epoch = funded(control)
    assert control.as_gateway("POST", "/gateway/v1/events", [event(1, epoch=epoch, tokens=1_200)]).status == 201
    reply = control.as_gateway("POST", "/gateway/v1/costs", question(control, 1, request_id="req-1"))
    assert reply.status == 200
    cost = reply.json()
    assert (cost["currency"], cost["cost"], cost["balance"]) == ("USD", "1.00", "4.00")
    assert (cost["route"], cost["status"], cost["estimated"]) == ("/ai/chat", 200, False)
    assert cost["lines"] == [{"price_id": PRICE, "name": "Input Tokens", "quantity": "1200", "amount": "1.00"}]
    others = question(control, 1, request_id="req-1") | {"company_id": "globex"}
    assert control.as_gateway("POST", "/gateway/v1/costs", others).status == 404
    assert control.as_gateway("POST", "/gateway/v1/costs", question(control, 0, request_id="req-9")).status == 404


@pytest.mark.parametrize("path", ["quotes", "balances", "usage", "costs"])
def test_callers_questions_need_the_gateway_token_and_a_body_that_fits(control: Handle, path: str) -> None:
    assert control.ask("POST", f"/gateway/v1/{path}", b"{}", authorization="Bearer nobody").status == 401
    assert control.as_gateway("POST", f"/gateway/v1/{path}", {"company_id": 7}).status == 400


@pytest.mark.parametrize("path", ["/gateway/v1/leases", "/gateway/v1/balances"])
@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"[", "body"),
        (b"[" * 100_000, "body"),
        (b'{"company_id": "\xff", "gateway_id": "\xff"}', "body"),
        (b'{"gateway_id": 1, "company_id": 1}', "y_id"),
    ],
)
def test_what_cannot_be_read_is_the_askers_fault(control: Handle, path: str, body: bytes, field: str) -> None:
    reply = control.ask("POST", path, body, authorization=f"Bearer {GATEWAY_TOKEN}")
    assert (reply.status, str(only(reply.json()["errors"])["field"])[-4:]) == (400, field)
