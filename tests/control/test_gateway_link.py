import json
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from faregate.base.clock import SystemClock
from faregate.services.gateway_calls import main_application
from faregate.storage.tables import event_log
from tests.control.control_plane import Handle
from tests.control.world import COMPANY, PRICE, SUBSCRIPTION, add_catalog, add_subscription, grant

GATEWAY = "gtw_1"


def open_epoch(control: Handle) -> int:
    epoch = control.as_gateway("POST", "/gateway/v1/epochs", {"gateway_id": GATEWAY}).json()["epoch"]
    assert isinstance(epoch, int)
    return epoch


def lease(control: Handle, epoch: int, request_id: str = "ask-1", units: int = 100) -> dict[str, object]:
    need = {"price_id": PRICE, "floor": units, "call": units, "slice": units}
    reply = control.as_gateway(
        "POST",
        "/gateway/v1/leases",
        {
            "lease_request_id": request_id,
            "gateway_id": GATEWAY,
            "epoch": epoch,
            "subscription_id": SUBSCRIPTION,
            "units": [need],
        },
    )
    assert reply.status == 200
    return reply.json()


def event(sequence: int, *, epoch: int = 1, tokens: int = 10, drawn: list[object] | None = None) -> dict[str, object]:
    return {
        "request": {
            "time": SystemClock().now().isoformat(),
            "uri": "http://gateway/ai/chat",
            "verb": "POST",
            "route": "/ai/chat",
        },
        "response": {"status": 200, "body": {"usage": {"prompt_tokens": tokens}}},
        "company_id": COMPANY,
        "faregate": {
            "gateway_id": GATEWAY,
            "epoch": epoch,
            "sequence": sequence,
            "request_id": f"req-{sequence}",
            "attempt": 1,
            "route_id": "rte_of_nobody",
            "drawn": drawn or [],
        },
    }


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/gateway/v1/epochs"),
        ("POST", "/gateway/v1/leases"),
        ("POST", "/gateway/v1/events"),
        ("POST", "/gateway/v1/release"),
        ("GET", "/gateway/v1/state"),
    ],
)
def test_every_call_of_the_link_needs_the_gateway_token(control: Handle, method: str, path: str) -> None:
    for credential in ("", "Bearer ", "Bearer fg_gateway_of_somebody", "Basic eDp5"):
        reply = control.ask(method, path, b"{}", authorization=credential)
        assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")


def test_each_start_of_a_gateway_gets_the_next_epoch(control: Handle) -> None:
    assert [open_epoch(control), open_epoch(control)] == [1, 2]


def test_units_are_leased_and_a_repeat_gets_the_same_lease(control: Handle) -> None:
    control.write(add_catalog)
    control.write(add_subscription)
    control.write(lambda tx: grant(tx, "5"))
    epoch = open_epoch(control)
    first = lease(control, epoch)
    assert first["refused"] is None
    assert lease(control, epoch) == first


def test_a_fenced_process_gets_no_lease(control: Handle) -> None:
    old = open_epoch(control)
    open_epoch(control)
    assert lease(control, old)["refused"] == "fenced"


def test_a_body_that_does_not_fit_is_a_problem_that_names_the_field(control: Handle) -> None:
    reply = control.as_gateway("POST", "/gateway/v1/epochs", {"gateway_id": 7})
    assert reply.status == 400
    assert "gateway_id" in reply.body.decode()


def test_events_are_acknowledged_after_the_durable_write_and_metered(control: Handle) -> None:
    control.write(add_catalog)
    control.write(lambda tx: add_subscription(tx, pays="postpaid"))
    reply = control.as_gateway("POST", "/gateway/v1/events", [event(1), event(2)])
    assert (reply.status, reply.json()) == (201, {"accepted": 2})
    owners = control.read(lambda tx: set(tx.execute(select(event_log.c.application_id)).scalars()))
    assert owners == {control.read(main_application)}


def test_a_refusal_for_want_of_credit_counts_events_that_are_logged_and_not_yet_applied(control: Handle) -> None:
    control.write(add_catalog)
    control.write(add_subscription)
    control.write(lambda tx: grant(tx, "0.50"))
    epoch = open_epoch(control)
    for turn in range(10):
        # All that is left, 1,000 tokens less what was used, is leased, used in part, and asked for again at once.
        units = 1000 - 10 * turn
        answer = lease(control, epoch, f"ask-{turn}", units)
        assert answer["refused"] is None, (turn, answer)
        leases = answer["leases"]
        assert isinstance(leases, list)
        used = event(turn + 1, epoch=epoch, tokens=10, drawn=[{"lease_id": leases[0]["lease_id"], "units": 10}])
        assert control.as_gateway("POST", "/gateway/v1/events", [used]).status == 201
        control.as_gateway(
            "POST",
            "/gateway/v1/leases",
            {
                "lease_request_id": f"return-{turn}",
                "gateway_id": GATEWAY,
                "epoch": epoch,
                "returns": [{"lease_id": leases[0]["lease_id"], "returned_units": units - 10}],
            },
        )


def test_earlier_epochs_are_released_once_their_events_are_applied(control: Handle) -> None:
    control.write(add_catalog)
    control.write(add_subscription)
    control.write(lambda tx: grant(tx, "0.50"))
    assert lease(control, open_epoch(control), "ask-1", 1000)["refused"] is None
    epoch = open_epoch(control)
    assert lease(control, epoch, "ask-2", 1000)["refused"] == "insufficient"
    told = {"gateway_id": GATEWAY, "epoch": epoch, "through_sequence": 0}
    assert control.as_gateway("POST", "/gateway/v1/release", told).status == 204
    assert lease(control, epoch, "ask-3", 1000)["refused"] is None


def test_an_event_that_is_no_event_is_kept_with_the_others(control: Handle) -> None:
    reply = control.as_gateway("POST", "/gateway/v1/events", [event(1), {"faregate": 7}])
    assert reply.status == 201
    assert [json.loads(body).get("faregate") is not None for body in control.logged_events()] == [True, True]


def test_instants_of_leases_are_utc(control: Handle) -> None:
    control.write(add_catalog)
    control.write(add_subscription)
    control.write(lambda tx: grant(tx, "5"))
    leases = lease(control, open_epoch(control))["leases"]
    assert isinstance(leases, list)
    start = datetime.fromisoformat(leases[0]["period_start"])
    assert (start.tzinfo, start.day) == (UTC, 1)
