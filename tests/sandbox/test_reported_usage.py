"""Usage as Faregate reports it to Stripe, and reads back what came of it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from stripe import StripeClient

from faregate.apps.secret_files import SANDBOX_KEY_FILE
from faregate.base.errors import InvalidInput, NotFound
from faregate.domain.billing.provider_usage import UsageSummary
from faregate.providers.stripe.client import connect
from faregate.providers.stripe.usage import StripeUsage, send_usage, usage_summaries
from tests.control.control_plane import Handle

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
YESTERDAY = TODAY - timedelta(days=1)


@pytest.fixture(scope="module")
def client(data: Path, control: Handle) -> StripeClient:
    return connect((data / SANDBOX_KEY_FILE).read_text().strip(), base_url=f"{control.running.origin}/sandbox")


@pytest.fixture(scope="module")
def meter(client: StripeClient) -> str:
    made = client.v1.billing.meters.create(
        {
            "display_name": "Tokens",
            "event_name": "reported_tokens",
            "default_aggregation": {"formula": "sum"},
            "value_settings": {"event_payload_key": "value"},
            "customer_mapping": {"type": "by_id", "event_payload_key": "stripe_customer_id"},
        }
    )
    return made.id


def usage_of(client: StripeClient, value: str, *, identifier: str, at: datetime = YESTERDAY) -> StripeUsage:
    customer = client.v1.customers.create({"name": "Acme"}).id
    return StripeUsage(
        event_name="reported_tokens", customer=customer, value=Decimal(value), identifier=identifier, timestamp=at
    )


def test_usage_is_counted_once_however_often_it_is_reported(client: StripeClient, meter: str) -> None:
    usage = usage_of(client, "42", identifier="once")
    for _ in range(3):
        send_usage(client, usage)
    found = usage_summaries(client, meter=meter, customer=usage.customer, start=YESTERDAY, end=TODAY)
    assert found == [UsageSummary(start=YESTERDAY, end=TODAY, quantity=Decimal(42))]


def test_an_identifier_that_was_taken_under_another_key_is_delivered(client: StripeClient, meter: str) -> None:
    usage = usage_of(client, "7", identifier="taken")
    client.v1.billing.meter_events.create(
        {
            "event_name": usage.event_name,
            "payload": {"stripe_customer_id": usage.customer, "value": "7"},
            "identifier": "taken",
            "timestamp": int(YESTERDAY.timestamp()),
        }
    )
    send_usage(client, usage)
    found = usage_summaries(client, meter=meter, customer=usage.customer, start=YESTERDAY, end=TODAY)
    assert [summary.quantity for summary in found] == [7]


def test_a_correction_below_zero_is_taken_off_its_own_day(client: StripeClient, meter: str) -> None:
    usage = usage_of(client, "100", identifier="corrected")
    send_usage(client, usage)
    less = StripeUsage(
        event_name=usage.event_name,
        customer=usage.customer,
        value=Decimal(-30),
        identifier="corrected:r1",
        timestamp=usage.timestamp + timedelta(minutes=1),
    )
    send_usage(client, less)
    days = usage_summaries(client, meter=meter, customer=usage.customer, start=YESTERDAY, end=TODAY)
    first = usage_summaries(
        client, meter=meter, customer=usage.customer, start=YESTERDAY, end=YESTERDAY + timedelta(minutes=1)
    )
    assert [[summary.quantity for summary in found] for found in (days, first)] == [[70], [100]]


def test_what_is_refused_is_told_with_the_parameter(client: StripeClient, meter: str) -> None:
    del meter
    with pytest.raises(InvalidInput, match="whole number"):
        send_usage(client, usage_of(client, "0.5", identifier="half"))
    with pytest.raises(InvalidInput, match="timestamp: "):
        send_usage(client, usage_of(client, "1", identifier="old", at=TODAY - timedelta(days=36)))
    unknown = StripeUsage(
        event_name="reported_tokens", customer="cus_none", value=Decimal(1), identifier="none", timestamp=YESTERDAY
    )
    with pytest.raises(NotFound):
        send_usage(client, unknown)


def test_days_are_read_page_by_page(client: StripeClient, meter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faregate.providers.stripe.shapes.PAGE", 2)
    first = usage_of(client, "1", identifier="day-0", at=TODAY - timedelta(days=5))
    for day in range(5):
        send_usage(
            client,
            StripeUsage(
                event_name=first.event_name,
                customer=first.customer,
                value=Decimal(day + 1),
                identifier=f"day-{day}",
                timestamp=first.timestamp + timedelta(days=day),
            ),
        )
    found = usage_summaries(client, meter=meter, customer=first.customer, start=first.timestamp, end=TODAY)
    assert [summary.quantity for summary in found] == [1, 2, 3, 4, 5]
