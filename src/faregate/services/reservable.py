"""Zero overspend is only claimed where a call's cost has a bound before the call.

The combination that has none can arise from four sides (a meter, a route, a subscription, or all at once from a file),
so each of them asks here, after its write and in the same transaction.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from faregate.base.errors import InvalidInput
from faregate.domain.catalog.versions import PriceSeries
from faregate.domain.ledger.reserve import why_unreservable
from faregate.domain.metering.matching import may_match
from faregate.domain.metering.meter import Meter, summed_field
from faregate.services.change import Change
from faregate.services.routes import route_from_row
from faregate.storage.database import Transaction
from faregate.storage.metered import read_all_prices
from faregate.storage.meters import meters_of_application
from faregate.storage.routes import routes_of_application
from faregate.storage.subscriptions import prepaid_plan_ids
from faregate.wire.dialects.registry import dialect_of
from faregate.wire.gateway_protocol import Enforce, RouteState
from faregate.wire.patterns import compile_pattern

_OWN_FIELDS: Final = "response.body.usage."


@dataclass(frozen=True, slots=True, kw_only=True)
class Unbounded:
    """A meter of a prepaid plan whose sum, or its price, has no bound before a call to a strict route.

    `unreservable`: what the price is, where the price is at fault.
    """

    meter: Meter
    route: RouteState
    unreservable: str | None = None

    @property
    def message(self) -> str:
        """Return what is wrong, and the two ways out."""
        if self.unreservable is not None:
            return (
                f"the strict route {self.route.name!r} would hold credit for the meter {self.meter.name!r} of a "
                f"prepaid plan, but its price {self.unreservable}; give it another price, or set the "
                f"route's enforce to 'none'"
            )
        field = summed_field(self.meter)
        what = f"a call's {field}" if field is not None else "what it counts of a call"
        bounded = ", ".join(name for name in _bounded_fields(self.route) if name.startswith(_OWN_FIELDS))
        return (
            f"the strict route {self.route.name!r} would hold credit for the meter {self.meter.name!r} of a prepaid "
            f"plan, but {what} has no bound before the call; sum one of "
            f"{bounded}, or set the route's enforce to 'none'"
        )


def require_reservable(transaction: Transaction, change: Change, field: str) -> None:
    """Raise `InvalidInput` on `field` if a strict route may feed a prepaid plan with a sum that has no bound."""
    unbounded = None if change.is_part else find_unbounded(transaction, change.application_id)
    if unbounded is not None:
        raise InvalidInput.of(field, unbounded.message)


def find_unbounded(transaction: Transaction, application_id: str) -> Unbounded | None:
    """Return the first combination of a meter and a route that cannot be."""
    prices = read_all_prices(transaction)
    routes = [route_from_row(row) for row in routes_of_application(transaction, application_id)]
    strict = [(route, _bounded_fields(route)) for route in routes if route.enforce is Enforce.STRICT]
    if not strict:
        return None
    prepaid = prepaid_plan_ids(transaction, application_id)
    for meter in meters_of_application(transaction, application_id):
        series = prices.series_of(meter.price_id)
        if series is None or series.plan_id not in prepaid:
            continue
        reason, summed = _unreservable(series), None if meter.group_by else summed_field(meter)
        for route, bounded in strict:
            if (reason is not None or summed not in bounded) and may_match(
                meter.filter, {"request.route": route.name}, compile_pattern
            ):
                return Unbounded(meter=meter, route=route, unreservable=reason)
    return None


def _bounded_fields(route: RouteState) -> Collection[str]:
    """Return the fields whose sums can be bounded from a request before it is sent on."""
    dialect = dialect_of(route)
    return () if dialect is None else dialect.bounds


def _unreservable(series: PriceSeries) -> str | None:
    """Return why a price has no bound, in any version and currency: a later one takes effect by itself."""
    for version in series.every_version:
        for unit in version.terms:
            reason = why_unreservable(series.price(version, unit))
            if reason is not None:
                return reason
    return None
