"""Usage at Stripe: meter events, which count once an identifier, and what they came to.

Sources: https://docs.stripe.com/api/billing/meter-event/create, https://docs.stripe.com/api/billing/meter-event-summary/list
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, cast

from faregate.base.clock import to_microseconds
from faregate.base.errors import InvalidInput
from faregate.domain.billing.provider_usage import UsageSummary
from faregate.providers.stripe.client import created
from faregate.providers.stripe.shapes import every, from_page, from_seconds, to_seconds

if TYPE_CHECKING:
    from stripe import ListObject, StripeClient
    from stripe.billing import MeterEventSummary
    from stripe.params.billing import MeterEventSummaryListParams

_TAKEN: Final = "already exists with identifier"
_DAY_US: Final = 86_400_000_000


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

    The identifier begins the series of idempotency keys too: what Stripe tells later of usage that it lost names only
    such a key. Raises `InvalidInput` on `value` for what is no whole number, and as `asked` does.
    """
    if usage.value != usage.value.to_integral_value():
        raise InvalidInput.of("value", f"{usage.value:f} must be a whole number: Stripe counts no fractions")
    try:
        created(
            lambda key: client.v1.billing.meter_events.create(
                {
                    "event_name": usage.event_name,
                    "payload": {"stripe_customer_id": usage.customer, "value": str(int(usage.value))},
                    "identifier": usage.identifier,
                    "timestamp": to_seconds(usage.timestamp),
                },
                {"idempotency_key": key},
            ),
            key=usage.identifier,
            find=lambda: None,
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
    wanted: dict[str, Any] = {"customer": customer, "start_time": to_seconds(start), "end_time": to_seconds(end)}
    if not any(to_microseconds(instant) % _DAY_US for instant in (start, end)):
        wanted["value_grouping_window"] = "day"

    def listed(after: str | None) -> ListObject[MeterEventSummary]:
        page = cast("MeterEventSummaryListParams", {**wanted, **from_page(after)})
        return client.v1.billing.meters.event_summaries.list(meter, page)

    found = [
        UsageSummary(
            start=from_seconds(row.start_time),
            end=from_seconds(row.end_time),
            quantity=Decimal(str(row.aggregated_value)),
        )
        for row in every(listed)
    ]
    return sorted(found, key=lambda summary: summary.start)
