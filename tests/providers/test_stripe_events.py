from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from faregate.base.errors import NotFound
from faregate.domain.billing.invoice import InvoiceStatus
from faregate.domain.billing.provider_events import ProviderEvent
from faregate.domain.billing.standing import Collection, CustomerStanding, DisputePhase
from faregate.providers.stripe.client import connect
from faregate.providers.stripe.events import StripeReadings
from tests.providers.stripe_stand_in import Scripted, StandIn, standing_in

AT = datetime(2026, 3, 10, 12, tzinfo=UTC)
AT_S = int(AT.timestamp())


@pytest.fixture
def stripe() -> Iterator[StandIn]:
    with standing_in() as server:
        yield server


@pytest.fixture
def readings(stripe: StandIn) -> StripeReadings:
    return StripeReadings(lambda: connect("sk_test_x", base_url=stripe.url), account=lambda: "acct_1")


def answers(stripe: StandIn, *bodies: dict[str, Any]) -> None:
    stripe.script += [Scripted(200, body) for body in bodies]


def an_event(event_id: str, **object_: str) -> dict[str, Any]:
    return {
        "id": event_id,
        "object": "event",
        "type": "invoice.paid",
        "created": AT_S,
        "livemode": False,
        "data": {"object": {"object": "invoice"} | object_},
    }


def test_all_pages_of_events_are_read(stripe: StandIn, readings: StripeReadings) -> None:
    page = {"object": "list", "url": "/v1/events"}
    answers(
        stripe,
        page | {"data": [an_event("evt_2", id="in_1")], "has_more": True},
        page | {"data": [an_event("evt_1")], "has_more": False},
    )
    first, second = readings.events_since(AT)
    assert first == ProviderEvent(event_id="evt_2", kind="invoice.paid", object_id="in_1", is_live=False, created_at=AT)
    assert second.object_id == ""


def test_a_customer_is_read_with_our_id_and_a_deleted_one_as_such(stripe: StandIn, readings: StripeReadings) -> None:
    customer = {"id": "cus_1", "object": "customer", "email": "a@b.test", "name": None}
    answers(
        stripe,
        customer | {"metadata": {"faregate_id": "app_1/acme"}, "name": "Acme"},
        customer | {"metadata": {}},
        {"id": "cus_1", "object": "customer", "deleted": True},
    )
    read = [readings.read_customer("cus_1") for _ in range(3)]
    assert read == [
        CustomerStanding(customer_id="cus_1", faregate_id="app_1/acme", name="Acme"),
        CustomerStanding(customer_id="cus_1", faregate_id="", name="a@b.test"),
        CustomerStanding(customer_id="cus_1", faregate_id="", name="", is_deleted=True),
    ]


INVOICE: dict[str, Any] = {
    "id": "in_1",
    "object": "invoice",
    "customer": "cus_1",
    "number": "ACME-0001",
    "currency": "jpy",
    "status": "open",
    "collection_method": "charge_automatically",
    "amount_due": 250,
    "amount_paid": 50,
    "amount_remaining": 200,
    "attempted": True,
    "attempt_count": 2,
    "created": AT_S,
    "due_date": None,
    "status_transitions": {"paid_at": None},
    "hosted_invoice_url": "https://invoice.stripe.test/in_1",
}


def test_an_invoice_is_read_as_it_stands(stripe: StandIn, readings: StripeReadings) -> None:
    due_s = AT_S + 86_400
    answers(
        stripe,
        INVOICE,
        INVOICE | {"attempted": False, "status": "draft"},
        INVOICE
        | {
            "customer": {"id": "cus_2", "object": "customer"},
            "status": "paid",
            "collection_method": "send_invoice",
            "due_date": due_s,
            "status_transitions": {"paid_at": AT_S},
        },
    )
    open_, draft, paid = (readings.read_invoice("in_1") for _ in range(3))
    assert (open_.status, open_.attempts, open_.currency) == (InvoiceStatus.OPEN, 2, "JPY")
    assert (open_.amount_due, open_.amount_paid, open_.amount_remaining) == (250, 50, 200)
    assert (open_.collection, open_.due_at, open_.paid_at) == (Collection.CHARGE_AUTOMATICALLY, None, None)
    assert (draft.status, draft.attempts) == (None, 0)
    assert (paid.status, paid.paid_at, paid.customer_id) == (InvoiceStatus.PAID, AT, "cus_2")
    assert (paid.collection, paid.due_at) == (Collection.SEND_INVOICE, AT + timedelta(days=1))


def test_a_subscription_that_ends_with_its_period_ends_where_its_items_do(
    stripe: StandIn, readings: StripeReadings
) -> None:
    def item(product: str, days: int) -> dict[str, Any]:
        return {
            "id": f"si_{product}",
            "object": "subscription_item",
            "current_period_end": AT_S + days * 86_400,
            "price": {"id": "price_1", "object": "price", "product": product},
        }

    subscription: dict[str, Any] = {
        "id": "sub_1",
        "object": "subscription",
        "customer": "cus_1",
        "metadata": {"faregate_id": "sub_ours"},
        "status": "trialing",
        "currency": "usd",
        "start_date": AT_S,
        "trial_end": AT_S + 86_400,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "ended_at": None,
        "collection_method": "send_invoice",
        "days_until_due": 14,
        "items": {"object": "list", "data": [item("prod_1", 3), item("prod_1", 5)], "has_more": False, "url": "/"},
    }
    answers(stripe, subscription, subscription | {"cancel_at_period_end": True})
    going_on, ending = (readings.read_subscription("sub_1") for _ in range(2))
    assert (going_on.faregate_id, going_on.product_ids, going_on.days_until_due) == ("sub_ours", ("prod_1",), 14)
    assert (going_on.trial_ends_at, going_on.cancel_at) == (AT + timedelta(days=1), None)
    assert ending.cancel_at == AT + timedelta(days=5)


def test_what_stripe_does_not_have_is_not_found(stripe: StandIn, readings: StripeReadings) -> None:
    stripe.script.append(Scripted.error(404, "No such invoice: 'in_9'", code="resource_missing"))
    with pytest.raises(NotFound, match="in_9"):
        readings.read_invoice("in_9")


def test_a_charge_is_read_with_the_refunds_that_have_ended(stripe: StandIn, readings: StripeReadings) -> None:
    intent = {"id": "pi_1", "object": "payment_intent", "metadata": {"faregate_id": "top_1"}}
    charge = {"id": "ch_1", "object": "charge", "currency": "usd", "metadata": {}, "payment_intent": intent}
    refunds = [
        {"id": f"re_{status}", "object": "refund", "amount": 500, "status": status}
        for status in ("succeeded", "pending", "failed")
    ]
    answers(stripe, charge, {"object": "list", "data": refunds, "has_more": False, "url": "/v1/refunds"})
    read = readings.read_charge("ch_1")
    assert (read.faregate_id, read.currency) == ("top_1", "USD")
    ended = [(refund.refund_id, refund.amount, refund.has_failed) for refund in read.refunds]
    assert ended == [("re_succeeded", 500, False), ("re_failed", 500, True)]


def test_a_refund_of_no_payment_is_not_found(stripe: StandIn, readings: StripeReadings) -> None:
    answers(stripe, {"id": "re_1", "object": "refund", "charge": None})
    with pytest.raises(NotFound, match="re_1"):
        readings.read_refunded("re_1")


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ("warning_needs_response", DisputePhase.INQUIRY),
        ("needs_response", DisputePhase.OPEN),
        ("under_review", DisputePhase.OPEN),
        ("won", DisputePhase.WON),
        ("lost", DisputePhase.LOST),
        ("prevented", DisputePhase.INQUIRY),
    ],
)
def test_a_dispute_is_read_with_what_it_has_taken(
    stripe: StandIn, readings: StripeReadings, status: str, phase: DisputePhase
) -> None:
    dispute = {"id": "dp_1", "object": "dispute", "currency": "usd", "amount": 2_000, "status": status}
    answers(stripe, dispute | {"payment_intent": None})
    read = readings.read_dispute("dp_1")
    assert (read.phase, read.amount, read.faregate_id) == (phase, 2_000, "")


def test_a_report_of_errors_names_what_was_lost(stripe: StandIn, readings: StripeReadings) -> None:
    def kind(code: str, *keys: str) -> dict[str, Any]:
        samples = [{"error_message": "no", "request": {"identifier": key}} for key in keys]
        return {"code": code, "error_count": len(keys), "sample_errors": samples}

    kinds = [kind("archived_meter", "a", "b~2"), kind("meter_event_invalid_value", "c")]
    thin = {"id": "evt_1", "object": "v2.core.event", "type": "v1.billing.meter.error_report_triggered"}
    answers(stripe, thin | {"data": {"reason": {"error_count": 3, "error_types": kinds}}}, thin)
    read = [(error.identifier, error.code, error.message) for error in readings.read_meter_errors("evt_1")]
    assert read == [
        ("a", "archived_meter", "no"),
        ("b", "archived_meter", "no"),
        ("c", "meter_event_invalid_value", "no"),
    ]
    assert readings.read_meter_errors("evt_1") == []
