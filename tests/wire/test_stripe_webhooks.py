import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from faregate.base.errors import InvalidInput
from faregate.wire.stripe_webhooks import decode_event, require_signed

AT = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
AT_S = int(AT.timestamp())
SECRET = "whsec_of_the_tests"  # noqa: S105 - made up
BODY = b'{"id": "evt_1"}'


def signature(body: bytes, secret: str = SECRET, at_s: int = AT_S) -> str:
    return hmac.new(secret.encode(), b"%d.%b" % (at_s, body), hashlib.sha256).hexdigest()


def header(*signatures: str, at_s: int = AT_S) -> str:
    return ",".join([f"t={at_s}", *(f"v1={each}" for each in signatures)])


def refusal(body: bytes, sent: str, *secrets: str, now: datetime = AT) -> str:
    with pytest.raises(InvalidInput) as caught:
        require_signed(body, sent, secrets=secrets or (SECRET,), now=now)
    assert SECRET not in caught.value.message
    assert signature(body) not in caught.value.message
    return caught.value.message


@given(body=st.binary(max_size=300), secret=st.text(min_size=1, max_size=40))
def test_what_a_secret_has_signed_is_taken_by_it_alone_and_not_when_a_byte_is_another(body: bytes, secret: str) -> None:
    secret = secret.encode("utf-8", "ignore").decode()
    sent = header(signature(body, secret))
    require_signed(body, sent, secrets=[secret], now=AT)
    refusal(body, sent, secret + "x")
    refusal(body + b" ", sent, secret)
    refusal(body, sent.replace(f"t={AT_S}", f"t={AT_S + 1}"), secret)


@given(body=st.text(max_size=100))
def test_the_official_library_agrees(body: str) -> None:
    sent = header(signature(body.encode()))
    require_signed(body.encode(), sent, secrets=[SECRET], now=AT)
    assert stripe.WebhookSignature.verify_header(body, sent, SECRET, tolerance=None)


@given(sent=st.text(max_size=80))
def test_no_header_but_a_signed_one_is_taken_and_none_breaks_the_check(sent: str) -> None:
    refusal(BODY, sent)


def test_while_a_secret_is_rolled_any_of_the_signatures_and_any_of_the_secrets_will_do() -> None:
    both = header(signature(BODY, "whsec_old"), signature(BODY, "whsec_new"))
    for secrets in (["whsec_old"], ["whsec_new"], ["whsec_new", "whsec_old"]):
        require_signed(BODY, both, secrets=secrets, now=AT)
    require_signed(BODY, header(signature(BODY, "whsec_old")), secrets=["whsec_new", "whsec_old"], now=AT)
    assert "no webhook secret" in refusal(BODY, both, "whsec_third")


def test_without_a_secret_nothing_is_taken() -> None:
    with pytest.raises(InvalidInput):
        require_signed(BODY, header(signature(BODY)), secrets=[], now=AT)


def test_a_signature_of_another_scheme_is_none() -> None:
    assert "must be such as" in refusal(BODY, f"t={AT_S},v0={signature(BODY)}")


def test_a_signature_is_good_for_five_minutes() -> None:
    sent = header(signature(BODY))
    require_signed(BODY, sent, secrets=[SECRET], now=AT + timedelta(seconds=300))
    late = AT + timedelta(seconds=300, microseconds=1)
    assert "more than 300 s ago" in refusal(BODY, sent, now=late)


@pytest.mark.parametrize("at", ["", "x", "-1", "1e3", "²", "9" * 12, "0" * 12])
def test_a_time_that_is_none_is_refused(at: str) -> None:
    assert "must be such as" in refusal(BODY, f"t={at},v1={signature(BODY)}")


def test_a_snapshot_event_names_its_object() -> None:
    body = {"id": "evt_1", "object": "event", "type": "invoice.paid", "created": AT_S, "livemode": True}
    event = decode_event(json.dumps(body | {"data": {"object": {"id": "in_1", "total": 5}}}).encode())
    assert (event.event_id, event.kind, event.object_id) == ("evt_1", "invoice.paid", "in_1")
    assert (event.is_live, event.created_at) == (True, AT)


def test_a_thin_event_names_its_related_object_if_it_has_one() -> None:
    thin = {
        "id": "evt_2",
        "object": "v2.core.event",
        "type": "v1.billing.meter.error_report_triggered",
        "created": "2026-03-10T13:00:00+01:00",
        "livemode": False,
        "related_object": {"id": "mtr_1", "type": "billing.meter", "url": "/v1/billing/meters/mtr_1"},
    }
    event = decode_event(json.dumps(thin).encode())
    assert (event.object_id, event.created_at) == ("mtr_1", AT)
    thin |= {"related_object": None, "type": "v1.billing.meter.no_meter_found"}
    assert decode_event(json.dumps(thin).encode()).object_id == ""


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"id": "evt_1"}',
        b'{"id": "", "type": "x", "created": 1}',
        b'{"id": "evt_1", "type": "", "created": 1}',
        b'{"id": "evt_1", "type": "x", "created": -1}',
        b'{"id": "evt_1", "type": "x", "created": 1e300}',
        b'{"id": "evt_1", "type": "x", "created": "yesterday"}',
        b'{"id": "evt_1", "type": "x", "created": "2026-03-10T12:00:00"}',
        b'{"id": "evt\\u0000", "type": "x", "created": 1}',
        b'{"id": "' + b"e" * 129 + b'", "type": "x", "created": 1}',
        b'{"id": "evt_1", "type": "x", "created": 1, "data": {"object": {"id": 5}}}',
    ],
)
def test_what_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput, match="body: is no event"):
        decode_event(body)
