"""Usage at Stripe: meter events, which count once an identifier, and what they came to.

Sources: https://docs.stripe.com/api/billing/meter-event/create, https://docs.stripe.com/api/billing/meter-event-summary/list
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from faregate.base.clock import from_microseconds, to_microseconds
from faregate.base.errors import InvalidInput
from faregate.domain.billing.provider_usage import UsageSummary
from faregate.providers.stripe.client import asked

if TYPE_CHECKING:
    from stripe import StripeClient
    from stripe.params.billing import MeterEventSummaryListParams

_TAKEN: Final = "already exists with identifier"
_SECOND: Final = 1_000_000
_DAY_US: Final = 86_400 * _SECOND
_PAGE: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeUsage:
    """Units that a customer, by Stripe's id, used of the meter that has this event name."""

    event_name: str
    customer: str
    value: Decimal
    identifier: str
    timestamp: datetime


def send_usage(client: StripeClient, usage: StripeUsage) -> None:
    """Report usage; a repeat counts once. An identifier that Stripe has taken before is delivered.

    The identifier is the idempotency key too: what Stripe tells later of usage that it lost names only that key. Raises
    `InvalidInput` on `value` for what is no whole number, and as `asked` does.
    """
    if usage.value != usage.value.to_integral_value():
        raise InvalidInput.of("value", f"{usage.value:f} must be a whole number: Stripe counts no fractions")
    try:
        asked(
            lambda: client.v1.billing.meter_events.create(
                {
                    "event_name": usage.event_name,
                    "payload": {"stripe_customer_id": usage.customer, "value": str(int(usage.value))},
                    "identifier": usage.identifier,
                    "timestamp": _seconds(usage.timestamp),
                },
                {"idempotency_key": usage.identifier},
            )
        )
    except InvalidInput as error:
        # The code of this refusal is not documented: its words are.
        if _TAKEN not in error.message:
            raise


def usage_summaries(
    client: StripeClient, *, meter: str, customer: str, start: datetime, end: datetime
) -> list[UsageSummary]:
    """Return what a customer used of a meter in [start, end), oldest first, without days on which nothing was used.

    Day by day in UTC where both are days' borders, else as one; both must be at a minute's border.
    """
    wanted: MeterEventSummaryListParams = {
        "customer": customer,
        "start_time": _seconds(start),
        "end_time": _seconds(end),
        "limit": _PAGE,
    }
    if not any(to_microseconds(instant) % _DAY_US for instant in (start, end)):
        wanted["value_grouping_window"] = "day"
    return sorted(_summaries(client, meter, wanted), key=lambda summary: summary.start)


def _summaries(client: StripeClient, meter: str, wanted: MeterEventSummaryListParams) -> Iterator[UsageSummary]:
    while True:
        page = asked(lambda: client.v1.billing.meters.event_summaries.list(meter, wanted))
        for row in page.data:
            yield UsageSummary(
                start=from_microseconds(row.start_time * _SECOND),
                end=from_microseconds(row.end_time * _SECOND),
                quantity=Decimal(str(row.aggregated_value)),
            )
        if not page.has_more:
            return
        wanted["starting_after"] = page.data[-1].id


def _seconds(instant: datetime) -> int:
    return to_microseconds(instant) // _SECOND
