"""Zero overspend is only claimed where a call's cost has a bound before the call.

The combination that has none can arise from four sides (a meter, a route, a subscription, or all at once from a file),
so each of them asks here, after its write and in the same transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from faregate.base.errors import InvalidInput
from faregate.domain.metering.matching import may_match
from faregate.domain.metering.meter import Meter, summed_field
from faregate.services.change import Change
from faregate.services.routes import route_from_row
from faregate.storage.catalog import find_price
from faregate.storage.database import Transaction
from faregate.storage.meters import meters_of_application
from faregate.storage.routes import routes_of_application
from faregate.storage.subscriptions import prepaid_plan_ids
from faregate.wire.gateway_protocol import Enforce, RouteState
from faregate.wire.patterns import compile_pattern

BOUNDED_FIELDS: Final = (
    "response.body.usage.prompt_tokens",
    "response.body.usage.completion_tokens",
    "response.body.usage.total_tokens",
)
"""Sums of these can be bounded from a chat request before it is sent on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unbounded:
    """A meter of a prepaid plan whose sum has no bound before a call to a strict route."""

    meter: Meter
    route: RouteState

    @property
    def message(self) -> str:
        """Return what is wrong, and the two ways out."""
        field = summed_field(self.meter)
        what = f"a call's {field}" if field is not None else "what it counts of a call"
        return (
            f"the strict route {self.route.name!r} would hold credit for the meter {self.meter.name!r} of a prepaid "
            f"plan, but {what} has no bound before the call; sum one of "
            f"{', '.join(BOUNDED_FIELDS)}, or set the route's enforce to 'none'"
        )


def require_reservable(transaction: Transaction, change: Change, field: str) -> None:
    """Raise `InvalidInput` on `field` if a strict route may feed a prepaid plan with a sum that has no bound."""
    unbounded = None if change.is_part else find_unbounded(transaction, change.application_id)
    if unbounded is not None:
        raise InvalidInput.of(field, unbounded.message)


def find_unbounded(transaction: Transaction, application_id: str) -> Unbounded | None:
    """Return the first combination of a meter and a route that cannot be."""
    meters = [
        meter
        for meter in meters_of_application(transaction, application_id)
        if summed_field(meter) not in BOUNDED_FIELDS or meter.group_by
    ]
    if not meters:
        return None
    prepaid = prepaid_plan_ids(transaction, application_id)
    routes = [route_from_row(row) for row in routes_of_application(transaction, application_id)]
    for meter in meters:
        price = find_price(transaction, application_id, meter.price_id)
        if price is None or price.plan_id not in prepaid:
            continue
        for route in routes:
            if route.enforce is Enforce.STRICT and may_match(
                meter.filter, {"request.route": route.name}, compile_pattern
            ):
                return Unbounded(meter=meter, route=route)
    return None
