"""All meters of an application as one table by route, so that an event is asked only of meters that may count it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, NamedTuple

from faregate.domain.metering.aggregate import Aggregate
from faregate.domain.metering.event import Event, FieldPath, scalar_text
from faregate.domain.metering.filter import NOTHING, Condition, Filter, In, Is, IsNot, conditions_of, simplify
from faregate.domain.metering.matching import MatcherFactory, simplify_known
from faregate.domain.metering.meter import CompiledMeter, GroupKey, Meter, compile_group, compile_meter_for
from faregate.domain.metering.metric import Unmeterable

ROUTE: Final = FieldPath("request.route")


@dataclass(frozen=True, slots=True)
class ActiveMeter:
    """A meter, compiled for the events of some route."""

    meter: Meter
    read: CompiledMeter
    group: Callable[[Event], GroupKey]


class Counting(NamedTuple):
    """A meter that an event matched, and what it counts for there."""

    meter: Meter
    amount: Decimal | Aggregate | Unmeterable
    group: GroupKey


class MeterTable:
    """Meters by the routes that their filters name; what a filter says of the route is decided here, once."""

    def __init__(
        self,
        meters: Iterable[Meter],
        matchers: MatcherFactory,
        reading: Callable[[FieldPath], Callable[..., object]],
    ) -> None:
        self._reading = reading
        self._matchers = matchers
        self._route_of = reading(ROUTE)
        listed = list(meters)
        named = {meter.meter_id: _named_routes(meter.filter) for meter in listed}
        elsewhere = {meter.meter_id: simplify(meter.filter, _outcome_elsewhere) for meter in listed}
        self._others = tuple(
            self._active(meter, elsewhere[meter.meter_id]) for meter in listed if elsewhere[meter.meter_id] != NOTHING
        )
        self._by_route = {
            route: self._of_route(
                route,
                [meter for meter in listed if route in named[meter.meter_id] or elsewhere[meter.meter_id] != NOTHING],
            )
            for route in sorted(set().union(*named.values()))
        }

    def active(self, route: object) -> Sequence[ActiveMeter]:
        """Return the meters that may count events of the route, in the meters' order."""
        found = self._by_route.get(route) if isinstance(route, str) else None
        return self._others if found is None else found

    def count(self, event: Event) -> list[Counting]:
        """Return the meters that the event matches, in the meters' order."""
        found = []
        for active in self.active(self._route_of(event.fields)):
            amount = active.read(event)
            if amount is not None:
                found.append(Counting(active.meter, amount, active.group(event)))
        return found

    def _of_route(self, route: str, meters: Sequence[Meter]) -> tuple[ActiveMeter, ...]:
        active = []
        for meter in meters:
            left = simplify_known(meter.filter, {ROUTE.text: route}, self._matchers)
            if left != NOTHING:
                active.append(self._active(meter, left))
        return tuple(active)

    def _active(self, meter: Meter, left: Filter) -> ActiveMeter:
        reduced = replace(meter, filter=left)
        return ActiveMeter(
            meter, compile_meter_for(reduced, self._matchers, self._reading), compile_group(meter, self._reading)
        )


def _named_routes(criteria: Filter) -> set[str]:
    """Return the routes that conditions name as equal or not equal."""
    routes: set[str] = set()
    for condition in conditions_of(criteria):
        match condition:
            case Is(path=path, value=value) | IsNot(path=path, value=value) if path == ROUTE:
                routes.add(str(scalar_text(value)))
            case In(path=path, values=values) if path == ROUTE:
                routes.update(str(scalar_text(value)) for value in values)
            case _:
                pass
    return routes


def _outcome_elsewhere(condition: Condition) -> bool | None:
    """Return the outcome of a condition for the routes that no filter names."""
    if condition.path != ROUTE:
        return None
    match condition:
        case Is() | In():
            return False
        case IsNot():
            return True
        case _:
            return None
