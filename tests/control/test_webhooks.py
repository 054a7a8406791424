import hashlib
import hmac
import json
import time

from sqlalchemy import select

from faregate.base.limits import MAX_WEBHOOK_BODY_BYTES
from faregate.storage.tables import provider_event
from tests.control.control_plane import WEBHOOK_SECRET, Handle, Reply


def post(control: Handle, body: bytes, secret: str = WEBHOOK_SECRET) -> Reply:
    at_s = int(time.time())
    signature = hmac.new(secret.encode(), b"%d.%b" % (at_s, body), hashlib.sha256).hexdigest()
    return control.ask("POST", "/webhooks/stripe", body, stripe_signature=f"t={at_s},v1={signature}")


def event(event_id: str, **more: object) -> bytes:
    # Spaces as Stripe sends them: what is signed is the raw body, not what it means.
    body = {"id": event_id, "type": "invoice.paid", "created": 1, "data": {"object": {"id": "in_1"}}}
    return json.dumps(body | more, indent=2).encode()


def kept(control: Handle) -> list[str]:
    statement = select(provider_event.c.event_id).order_by(provider_event.c.event_id)
    return control.read(lambda tx: list(tx.execute(statement).scalars()))


def test_a_signed_event_is_kept_once_and_every_delivery_of_it_is_answered_200(control: Handle) -> None:
    for _ in range(2):
        reply = post(control, event("evt_1"))
        assert (reply.status, reply.json()) == (200, {"received": True})
    assert kept(control) == ["evt_1"]


def test_what_nobody_we_know_has_signed_is_refused_and_leaves_nothing(control: Handle) -> None:
    reply = post(control, event("evt_1"), secret="whsec_of_another")
    assert (reply.status, reply.json()["code"]) == (400, "invalid_input")
    assert WEBHOOK_SECRET.encode() not in reply.body
    assert control.ask("POST", "/webhooks/stripe", event("evt_1")).status == 400
    assert post(control, b"signed, and no event").status == 400
    assert kept(control) == []


def test_a_webhook_has_a_limit_and_a_method(control: Handle) -> None:
    assert post(control, event("evt_1", padding="x" * MAX_WEBHOOK_BODY_BYTES)).status == 413
    largest = event("evt_2", padding="")
    largest = event("evt_2", padding="x" * (MAX_WEBHOOK_BODY_BYTES - len(largest)))
    assert post(control, largest).status == 200
    assert control.ask("GET", "/webhooks/stripe").status == 405
    assert control.ask("POST", "/webhooks/other", b"{}").status == 404
    assert kept(control) == ["evt_2"]
