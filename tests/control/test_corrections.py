import json
import time

from faregate.base.clock import SystemClock
from tests.control.control_plane import Handle
from tests.control.world import COMPANY, add_catalog, add_subscription


def test_a_correction_is_applied_at_once_by_the_running_control_plane(control: Handle) -> None:
    control.write(add_catalog)
    control.write(lambda tx: add_subscription(tx, "postpaid"))
    event = {
        "request": {"time": f"{SystemClock().now():%Y-%m-%dT%H:%M:%S}", "uri": "http://a/ai/chat", "verb": "POST"},
        "response": {"status": 200, "body": {"usage": {"prompt_tokens": 7}}},
        "company_id": COMPANY,
    }
    assert control.collect(json.dumps([event]).encode()).status == 201
    assert _has_charges(control, 1)
    secrets = control.running.first_secrets
    assert secrets is not None
    change = {"event": {"response": {"body": {"usage": {"prompt_tokens": 9}}}}}
    reply = control.ask(
        "POST",
        "/api/v1/events/evt_1/correct",
        json.dumps(change).encode(),
        authorization=f"Bearer {secrets.api_token}",
        Idempotency_Key="c1",
    )
    assert reply.status == 201, reply.body
    assert _has_charges(control, 3)


def _has_charges(control: Handle, wanted: int) -> bool:
    for _ in range(200):
        if control.counted() == (wanted, 0):
            return True
        time.sleep(0.05)
    return False
