"""Why an amount is what it is: a line's parts, for `explain` and invoices. They add up to the line, exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import assert_never

from faregate.base.money import EXACT, from_minor_units
from faregate.domain.catalog.models import Flat, Graduated, LeafModel, Package, Percentage, PerUnit, Volume
from faregate.domain.catalog.price import Price
from faregate.domain.pricing.adjusting import adjusting_steps
from faregate.domain.pricing.package import packages_charged
from faregate.domain.pricing.rating import (
    DimensionKey,
    Totals,
    gross_amount,
    line_amount,
    priced_units,
    rate_period,
    untouched,
)
from faregate.domain.pricing.tiers import graduated_parts, volume_tier

_NOTHING = Decimal(0)


class PartKind(StrEnum):
    """What a part of a line comes from, in the order in which parts stand in it."""

    USAGE = "usage"
    TIER = "tier"
    DISCOUNT = "discount"
    OVERAGE = "overage"
    MAXIMUM = "maximum"
    TRUE_UP = "true_up"
    ROUNDING = "rounding"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinePart:
    """One part. `quantity`: units, or None where the part has none; `tier` counts from 1; `amount` in major units."""

    kind: PartKind
    amount: Decimal
    dimension: DimensionKey = ()
    quantity: Decimal | None = None
    tier: int | None = None


def line_parts(price: Price, totals: Totals) -> list[LinePart]:
    """Return what a period's line is made of: usage by dimension and tier, adjustments in their order, rounding."""
    parts: list[LinePart] = []
    gross = _NOTHING
    for key, model, units in priced_units(price, totals or untouched(price)):
        parts += _usage_parts(model, units, key)
        gross = EXACT.add(gross, gross_amount(model, units))
    usage = gross
    for step, after in adjusting_steps(price.adjustments, gross):
        if after != usage:
            parts.append(LinePart(kind=PartKind(step.value), amount=EXACT.subtract(after, usage)))
        usage = after
    period = rate_period(price, totals)
    if period != usage:
        parts.append(LinePart(kind=PartKind.TRUE_UP, amount=EXACT.subtract(period, usage)))
    rounding = EXACT.subtract(from_minor_units(line_amount(price, totals), price.currency), period)
    if rounding:
        parts.append(LinePart(kind=PartKind.ROUNDING, amount=rounding))
    return parts


def _usage_parts(model: LeafModel, units: Decimal, key: DimensionKey) -> Iterator[LinePart]:
    match model:
        case Flat(amount=amount):
            yield LinePart(kind=PartKind.USAGE, amount=amount, dimension=key)
        case PerUnit() | Percentage():
            yield LinePart(kind=PartKind.USAGE, amount=gross_amount(model, units), dimension=key, quantity=units)
        case Package():
            charged = EXACT.multiply(packages_charged(model, units), model.size)
            yield LinePart(kind=PartKind.USAGE, amount=gross_amount(model, units), dimension=key, quantity=charged)
        case Graduated():
            for index, (entered, amount) in enumerate(graduated_parts(model, units), start=1):
                yield LinePart(kind=PartKind.TIER, amount=amount, dimension=key, quantity=entered, tier=index)
        case Volume():
            tier = volume_tier(model, units)
            if tier is not None:
                amount = gross_amount(model, units)
                yield LinePart(kind=PartKind.TIER, amount=amount, dimension=key, quantity=units, tier=tier + 1)
        case _:
            assert_never(model)
