"""All cost prices of an application, compiled to one question: what did this event cost?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from faregate.base.clock import to_microseconds
from faregate.base.errors import InvalidInput
from faregate.domain.costing.cost import CostPrice, Rate, Span, cost_of, spans, unit_cost
from faregate.domain.metering.event import FieldPath, scalar_text
from faregate.domain.metering.filter import NOTHING, conditions_of
from faregate.domain.metering.matching import MatcherFactory, compile_filter, simplify_known
from faregate.domain.metering.metric import Unmeterable, compile_quantity, paths_of

Reading = Callable[[FieldPath], Callable[[Any], object]]

ROUTE: Final = FieldPath("request.route")
ASKED_MODEL: Final = FieldPath("request.body.model")
ANSWERED_MODEL: Final = FieldPath("response.body.model")
_KNOWN: Final = (ROUTE, ASKED_MODEL, ANSWERED_MODEL)
_MOST_PLACES: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Active:
    """A version, compiled: when it holds in microseconds, whether it matches, and what it comes to."""

    currency: str
    from_us: int
    until_us: int | None
    matches: Callable[[Any], bool]
    rates: tuple[Callable[[Any, int], int | None], ...]

    def cost(self, fields: object, weight: int) -> int | None:
        """Return the cost of an event that matches; None where one of its quantities is not there, or below zero."""
        total = 0
        for rate in self.rates:
            cost = rate(fields, weight)
            if cost is None:
                return None
            total += cost
        return total


class CostTable:
    """Cost prices by route and model, which are what their filters mostly name: decided once for each."""

    def __init__(self, costs: Iterable[CostPrice], matchers: MatcherFactory, reading: Reading) -> None:
        self._spans = spans(costs)
        self._matchers = matchers
        self._reading = reading
        self._known = [(path.text, reading(path)) for path in _KNOWN]
        self._places: dict[tuple[object, ...], Sequence[_Active]] = {}

    def cost(self, fields: object, at_us: int, *, weight: int, currency: str | None) -> tuple[str, int] | None:
        """Return an event's cost with its currency, in 10**-`cost_places`; None where it is uncosted.

        `currency` is what the event is charged in, and chooses among cost prices; for an event that is charged to
        nobody, the first one that matches chooses.
        """
        total = None
        for active in self._active(fields):
            if (
                (currency is not None and active.currency != currency)
                or at_us < active.from_us
                or (active.until_us is not None and at_us >= active.until_us)
                or not active.matches(fields)
            ):
                continue
            cost = active.cost(fields, weight)
            if cost is None:
                return None
            currency = active.currency
            total = (total or 0) + cost
        return None if total is None or currency is None else (currency, total)

    def _active(self, fields: object) -> Sequence[_Active]:
        values = tuple(_known_value(read(fields)) for _, read in self._known)
        found = self._places.get(values)
        if found is None:
            if len(self._places) >= _MOST_PLACES:
                self._places.clear()
            pairs = zip(self._known, values, strict=True)
            known = {text: value for (text, _), value in pairs if value is not Ellipsis}
            found = self._places[values] = tuple(self._compiled(known))
        return found

    def _compiled(self, known: dict[str, object]) -> Iterator[_Active]:
        for span in self._spans:
            left = simplify_known(span.version.filter, known, self._matchers)
            if left != NOTHING:
                yield _Active(
                    currency=span.version.currency.code,
                    from_us=to_microseconds(span.from_at),
                    until_us=None if span.until is None else to_microseconds(span.until),
                    matches=compile_filter(left, self._matchers, self._reading),
                    rates=tuple(self._rate(span, rate) for rate in span.version.rates),
                )

    def _rate(self, span: Span, rate: Rate) -> Callable[[Any, int], int | None]:
        quantity_of, each = compile_quantity(rate.metric, self._reading), unit_cost(rate, span.version.currency)

        def cost(fields: object, weight: int) -> int | None:
            quantity = quantity_of(fields, weight)
            if isinstance(quantity, Unmeterable) or quantity < 0:
                return None
            try:
                return cost_of(each, quantity)
            except InvalidInput:
                return None

        return cost


def fields_of_costs(costs: Iterable[CostPrice]) -> set[FieldPath]:
    """Return every path that the table reads."""
    paths = set(_KNOWN)
    for cost in costs:
        paths.update(condition.path for condition in conditions_of(cost.filter))
        for rate in cost.rates:
            paths.update(paths_of(rate.metric))
    return paths


def _known_value(value: object) -> object:
    """Return a scalar as what it is compared by, None where there is none; `...` for any other value."""
    text = scalar_text(value)
    return Ellipsis if text is None and value is not None else text
