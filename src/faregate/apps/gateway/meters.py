"""What a call counts for: the meters of its account's prices, read on the very event that is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from typing import Final

from faregate.domain.metering.event import Event
from faregate.domain.metering.filter import conditions_of
from faregate.domain.metering.meter import CompiledMeter, Meter, compile_meter, summed_field
from faregate.wire.patterns import compile_pattern

_DECIDED_BY: Final = frozenset(("request.route", "response.status"))
_USAGE: Final = "response.body.usage."
_MOST_UNITS: Final = 10**18


@dataclass(slots=True, kw_only=True)
class RouteMeter:
    """A meter that may count calls of this route; `sum_path` is empty where it is no plain sum of a field.

    Where it looks at route and status only, `usage_field` names the usage field it sums, and whether it counts a status
    is asked of the compiled meter once.
    """

    price_id: str
    sum_path: str
    read: CompiledMeter
    route: str
    usage_field: str | None
    _counts: dict[int, bool] = field(default_factory=dict)

    def counts(self, status: int) -> bool:
        """Return whether an answer of that status with a usage is counted; only where `usage_field` is given."""
        known = self._counts.get(status)
        if known is None:
            known = self._counts[status] = self._ask(status)
        return known

    def units(self, event: Event) -> int:
        """Return the whole units the event counts for; a part of a unit counts as one. 0 for what no total adds up."""
        quantity = self.read(event)
        return int(quantity.to_integral_value(rounding=ROUND_CEILING)) if isinstance(quantity, Decimal) else 0

    def _ask(self, status: int) -> bool:
        probe = Event(
            occurred_at=datetime(2000, 1, 1, tzinfo=UTC),
            company_id=None,
            user_id=None,
            blocked_by=None,
            fields={
                "request": {"route": self.route},
                "response": {"status": status, "body": {"usage": {self.usage_field: 1}}},
            },
        )
        return self.units(probe) == 1


def make_route_meter(meter: Meter, *, route: str) -> RouteMeter:
    """Compile a meter for the calls of one route."""
    sum_path = summed_field(meter) or ""
    simple = all(condition.path.text in _DECIDED_BY for condition in conditions_of(meter.filter))
    name = sum_path.removeprefix(_USAGE)
    return RouteMeter(
        price_id=meter.price_id,
        sum_path=sum_path,
        read=compile_meter(meter, compile_pattern),
        route=route,
        usage_field=name if simple and name != sum_path and "." not in name else None,
    )


def whole_units(quantity: object) -> int | None:
    """Return a usage field's units where it is plainly a whole number, None for every other value."""
    return quantity if type(quantity) is int and 0 <= quantity < _MOST_UNITS else None
