"""Prices that lie below what their units cost upstream, told before a call is made.

A price and a cost are compared where both say what one unit of the same thing is worth: a price for each unit or
package, at its cheapest tier; a cost price for the same field, whose filter and the meter's can hold for one call. What
brings the price further down (included units, discounts) is left out: the margin of what was used tells it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import assert_never

from faregate.base.money import EXACT
from faregate.domain.catalog.models import (
    ByDimension,
    Flat,
    Graduated,
    LeafModel,
    Package,
    Percentage,
    PerUnit,
    PricingModel,
    Volume,
)
from faregate.domain.catalog.versions import AppliesTo, PriceSeries, PriceVersion
from faregate.domain.costing.cost import CostPrice, Rate, spans
from faregate.domain.costing.cost_table import ANSWERED_MODEL, ASKED_MODEL
from faregate.domain.metering.event import scalar_text
from faregate.domain.metering.filter import All, Filter, Is
from faregate.domain.metering.matching import MatcherFactory, may_match
from faregate.domain.metering.meter import Meter
from faregate.domain.metering.metric import Count, Metric, Sum, SumOf, paths_of

_MODELS = (ASKED_MODEL.text, ANSWERED_MODEL.text)
Known = dict[str, object]
"""What calls have in common, by path."""


@dataclass(frozen=True, slots=True)
class UnitAmount:
    """An amount for so many units."""

    amount: Decimal
    per: Decimal

    @property
    def each(self) -> Fraction:
        """Return what one unit is worth."""
        return Fraction(self.amount) / Fraction(self.per)

    def __str__(self) -> str:
        """Return it in words: `0.50 per 1000000`."""
        return f"{self.amount:f}" if self.per == 1 else f"{self.amount:f} per {self.per.normalize():f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BelowCost:
    """A price below a cost. `values` are those of the price's row, empty for a price without rows."""

    series: PriceSeries
    version: PriceVersion
    meter: Meter
    cost: CostPrice
    rate: Rate
    values: tuple[str, ...]
    model: str | None
    unit_price: UnitAmount
    unit_cost: UnitAmount


@dataclass(frozen=True, slots=True)
class _Sold:
    """One unit price, and what is known of the calls that pay it."""

    values: tuple[str, ...]
    known: Known
    unit: UnitAmount


def find_below_cost(
    series: Sequence[PriceSeries],
    meters: Sequence[Meter],
    costs: Iterable[CostPrice],
    *,
    matchers: MatcherFactory,
    at: datetime,
) -> Iterator[BelowCost]:
    """Yield every price that lies below a cost at an instant or later."""
    live = [span for span in spans(costs) if span.until is None or span.until > at]
    prices = {one.series_id: one for one in series}
    for meter in meters:
        priced = prices.get(meter.price_id)
        if priced is None:
            continue
        for version, until in _live_versions(priced, at):
            for span in live:
                starts, ends = max(version.effective_at, span.from_at), _earlier(until, span.until)
                if ends is None or starts < ends:
                    yield from _compared(priced, version, meter, cost=span.version, matchers=matchers)


def _compared(
    series: PriceSeries, version: PriceVersion, meter: Meter, *, cost: CostPrice, matchers: MatcherFactory
) -> Iterator[BelowCost]:
    terms = version.terms.get(cost.currency)
    rates = [rate for rate in cost.rates if _measured(rate.metric) == _measured(meter.metric)]
    if terms is None or not rates or _measured(meter.metric) is None:
        return
    costed = _equalities(cost.filter)
    if not may_match(meter.filter, costed, matchers):
        return
    for sold in _sold(terms.model, _equalities(meter.filter), meter=meter, costed=costed):
        if not may_match(cost.filter, sold.known, matchers):
            continue
        for rate in rates:
            unit_cost = UnitAmount(rate.amount, Decimal(rate.per))
            if sold.unit.each < unit_cost.each:
                yield BelowCost(
                    series=series,
                    version=version,
                    meter=meter,
                    cost=cost,
                    rate=rate,
                    values=sold.values,
                    model=_model_of(sold.known | costed),
                    unit_price=sold.unit,
                    unit_cost=unit_cost,
                )


def _sold(model: PricingModel, known: Known, *, meter: Meter, costed: Known) -> Iterator[_Sold]:
    if not isinstance(model, ByDimension):
        unit = _unit(model, meter)
        if unit is not None:
            yield _Sold((), known, unit)
        return
    for values, leaf in model.table.items():
        unit = _unit(leaf, meter)
        if unit is not None:
            yield _Sold(values, known | _aliased(dict(zip(model.fields, values, strict=True))), unit)
    unit = None if model.default is None else _unit(model.default, meter)
    named = tuple(str(costed.get(path)) for path in model.fields)
    if unit is not None and named not in model.table:
        yield _Sold((), known, unit)


def _unit(model: LeafModel, meter: Meter) -> UnitAmount | None:
    """Return the lowest that a unit of what the meter reads is sold for; None where it has no price of its own."""
    multiply = meter.units.multiply
    match model:
        case PerUnit(amount=amount):
            return UnitAmount(EXACT.multiply(amount, multiply), Decimal(1))
        case Package(amount=amount, size=size):
            return UnitAmount(EXACT.multiply(amount, multiply), size)
        case Graduated(tiers=tiers) | Volume(tiers=tiers):
            units = [UnitAmount(EXACT.multiply(tier.unit, multiply), tier.size or Decimal(1)) for tier in tiers]
            return min(units, key=lambda unit: unit.each)
        case Flat() | Percentage():
            return None
        case _:
            assert_never(model)


def _measured(metric: Metric) -> str | None:
    """Return what one unit of a metric is: a call, or one of the field that it begins with; None for a state."""
    match metric:
        case Count():
            return "calls"
        case Sum() | SumOf():
            return next(paths_of(metric)).text
        case _:
            return None


def _equalities(criteria: Filter) -> Known:
    parts = criteria.parts if isinstance(criteria, All) else (criteria,)
    return _aliased({part.path.text: scalar_text(part.value) for part in parts if isinstance(part, Is)})


def _aliased(known: Known) -> Known:
    """Return the same, with the model that was asked for and the one that answered taken for one."""
    named = next((known[path] for path in _MODELS if path in known), None)
    return known if named is None else dict.fromkeys(_MODELS, named) | known


def _model_of(known: Known) -> str | None:
    model = next((known[path] for path in _MODELS if path in known), None)
    return None if model is None else str(model)


def _live_versions(series: PriceSeries, at: datetime) -> Iterator[tuple[PriceVersion, datetime | None]]:
    """Yield the versions that somebody pays at the instant or later, and until when everybody may."""
    lasting = series.lasting
    for place, version in enumerate(lasting):
        ends = [
            max(later.effective_at, version.effective_at)
            for later in lasting[place + 1 :]
            if later.applies_to is AppliesTo.ALL and later.effective_at >= version.effective_at
        ]
        until = min(ends, default=None)
        if until is None or until > at:
            yield version, until


def _earlier(first: datetime | None, second: datetime | None) -> datetime | None:
    known = [instant for instant in (first, second) if instant is not None]
    return min(known, default=None)
