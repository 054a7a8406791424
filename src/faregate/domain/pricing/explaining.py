"""The arithmetic of a line in steps: what was used, what of it is free, units x price, adjustments, rounding.

Each step says by how much it moves the amount and where the amount stands after it; the last one stands at the line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from functools import reduce
from typing import assert_never

from faregate.base.money import EXACT, from_minor_units
from faregate.domain.catalog.adjustments import Adjustments, Discount, PercentDiscount
from faregate.domain.catalog.models import (
    Flat,
    Graduated,
    LeafModel,
    Package,
    PackageRounding,
    Percentage,
    PerUnit,
    Tier,
    Volume,
)
from faregate.domain.catalog.price import Price
from faregate.domain.pricing.adjusting import Adjusting, adjusting_steps
from faregate.domain.pricing.package import packages_begun, packages_charged
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


class StepKind(StrEnum):
    """What a step does, in the order in which steps stand; an adjustment's line has the last two kinds alone."""

    USED = "used"
    INCLUDED = "included"
    FLAT = "flat"
    UNITS = "units"
    PACKAGES = "packages"
    TIER = "tier"
    EVENTS = "events"
    DISCOUNT = "discount"
    OVERAGE = "overage"
    MAXIMUM = "maximum"
    MINIMUM = "minimum"
    COMMITMENT = "commitment"
    ROUNDING = "rounding"
    ADJUSTMENT = "adjustment"
    CARRIED = "carried"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step; `amount` and `subtotal` in major units.

    `quantity`: the units that the step is about. What it charges is `charged` (units, or packages) x `unit_amount` +
    `flat`, at most `cap`; None where it charges nothing so. `tier` counts from 1.
    """

    kind: StepKind
    words: str
    amount: Decimal = _NOTHING
    subtotal: Decimal = _NOTHING
    dimension: DimensionKey = ()
    quantity: Decimal | None = None
    charged: Decimal | None = None
    unit_amount: Decimal | None = None
    flat: Decimal | None = None
    cap: Decimal | None = None
    tier: int | None = None


def line_steps(price: Price, totals: Totals) -> list[Step]:
    """Return how a period's totals come to the line's amount, step by step."""
    steps: list[Step] = []
    gross = _NOTHING
    of_keys = totals or untouched(price)
    for key, model, billable in priced_units(price, of_keys):
        steps += _usage_steps(model, key, used=of_keys[key], billable=billable)
        gross = EXACT.add(gross, gross_amount(model, billable))
    steps += _adjustments(price.adjustments, gross)
    usage = reduce(EXACT.add, (step.amount for step in steps), _NOTHING)
    period = rate_period(price, totals)
    if period != usage:
        steps.append(_least(price.adjustments, amount=EXACT.subtract(period, usage)))
    line = from_minor_units(line_amount(price, totals), price.currency)
    if line != period:
        words = f"rounded once to {price.currency.code}'s minor unit, half away from zero"
        steps.append(Step(kind=StepKind.ROUNDING, words=words, amount=EXACT.subtract(line, period)))
    return list(_with_subtotals(steps))


def adjustment_steps(line: Decimal, causes: Iterable[tuple[str, Decimal, Decimal]]) -> list[Step]:
    """Return how adjustments of a period come to a line: each cause in words, with its amount and its units.

    What rounds the whole, and what of it is left to another invoice, is the last step.
    """
    steps = [
        Step(kind=StepKind.ADJUSTMENT, words=words, amount=amount, quantity=quantity)
        for words, amount, quantity in causes
    ]
    rest = EXACT.subtract(line, reduce(EXACT.add, (step.amount for step in steps), _NOTHING))
    if rest:
        words = "rounded as part of the whole period, or left to another invoice"
        steps.append(Step(kind=StepKind.CARRIED, words=words, amount=rest))
    return list(_with_subtotals(steps))


def _usage_steps(model: LeafModel, key: DimensionKey, *, used: Decimal, billable: Decimal) -> Iterator[Step]:
    """Yield what was used of a row, what of it is included, and what the rest costs."""
    if isinstance(model, Percentage):
        yield Step(
            kind=StepKind.EVENTS,
            words=f"the events' own amounts, added up: {_percentage_words(model)}",
            amount=gross_amount(model, billable),
            dimension=key,
        )
        return
    yield Step(kind=StepKind.USED, words=f"{_plain(used)} units metered", dimension=key, quantity=used)
    if billable != used:
        included = EXACT.subtract(used, billable)
        words = f"{_plain(included)} of them included: {_plain(billable)} left to pay"
        yield Step(kind=StepKind.INCLUDED, words=words, dimension=key, quantity=included)
    yield from _charges(model, key, billable)


def _charges(model: Flat | PerUnit | Package | Graduated | Volume, key: DimensionKey, units: Decimal) -> Iterator[Step]:
    match model:
        case Flat(amount=amount):
            yield Step(kind=StepKind.FLAT, words=f"{_plain(amount)} a period", amount=amount, dimension=key)
        case PerUnit(amount=amount):
            charged = max(units, _NOTHING)
            yield Step(
                kind=StepKind.UNITS,
                words=f"{_plain(charged)} units x {_plain(amount)}",
                amount=EXACT.multiply(charged, amount),
                dimension=key,
                quantity=charged,
                charged=charged,
                unit_amount=amount,
            )
        case Package():
            yield _packages(model, key, units)
        case Graduated():
            for index, (entered, _) in enumerate(graduated_parts(model, units)):
                yield _tier(model.tiers[index], key, number=index + 1, units=entered)
        case Volume():
            found = volume_tier(model, units)
            if found is not None:
                yield _tier(model.tiers[found], key, number=found + 1, units=units)
        case _:
            assert_never(model)


def _packages(model: Package, key: DimensionKey, units: Decimal) -> Step:
    charged = packages_charged(model, units)
    how = "begun" if model.rounding is PackageRounding.UP else "filled"
    return Step(
        kind=StepKind.PACKAGES,
        words=f"{_plain(units)} / {_plain(model.size)}: {_plain(charged)} packages {how} x {_plain(model.amount)}",
        amount=EXACT.multiply(charged, model.amount),
        dimension=key,
        quantity=units,
        charged=charged,
        unit_amount=model.amount,
    )


def _tier(tier: Tier, key: DimensionKey, *, number: int, units: Decimal) -> Step:
    charged = units if tier.size is None else packages_begun(units, tier.size)
    amount = EXACT.add(EXACT.multiply(charged, tier.unit), tier.flat)
    words = f"tier {number}: {_plain(units)} units"
    words += "" if tier.size is None else f" in {_plain(charged)} packages of {_plain(tier.size)}"
    words += f" x {_plain(tier.unit)}"
    words += f" + {_plain(tier.flat)}" if tier.flat else ""
    if tier.cap is not None and amount > tier.cap:
        words, amount = f"{words}, at most {_plain(tier.cap)}", tier.cap
    return Step(
        kind=StepKind.TIER,
        words=words,
        amount=amount,
        dimension=key,
        quantity=units,
        charged=charged,
        unit_amount=tier.unit,
        flat=tier.flat,
        cap=tier.cap,
        tier=number,
    )


def _adjustments(adjustments: Adjustments, gross: Decimal) -> Iterator[Step]:
    before = gross
    discounts = iter(adjustments.discounts)
    for adjusting, after in adjusting_steps(adjustments, gross):
        match adjusting:
            case Adjusting.DISCOUNT:
                kind, words = StepKind.DISCOUNT, _discount_words(next(discounts), before)
            case Adjusting.OVERAGE:
                kind, words = StepKind.OVERAGE, "usage beyond what is committed costs a multiple of its price"
            case Adjusting.MAXIMUM:
                kind, words = StepKind.MAXIMUM, f"at most {_plain(after)} a period"
            case _:
                assert_never(adjusting)
        if after != before:
            yield Step(kind=kind, words=words, amount=EXACT.subtract(after, before))
        before = after


def _least(adjustments: Adjustments, *, amount: Decimal) -> Step:
    if adjustments.commitment is not None:
        words = f"what usage lacks of the {_plain(adjustments.commitment.amount)} that are committed"
        return Step(kind=StepKind.COMMITMENT, words=words, amount=amount)
    words = f"what usage lacks of the least, {_plain(adjustments.minimum_spend or _NOTHING)}"
    return Step(kind=StepKind.MINIMUM, words=words, amount=amount)


def _discount_words(discount: Discount, before: Decimal) -> str:
    if isinstance(discount, PercentDiscount):
        return f"{_plain(discount.percent)} % off {_plain(before)}"
    return f"{_plain(discount.amount)} off {_plain(before)}"


def _percentage_words(model: Percentage) -> str:
    parts = [f"{_plain(model.percent)} % of its value"]
    parts += [f"+ {_plain(model.fixed)}"] if model.fixed else []
    parts += [f"at least {_plain(model.minimum)}"] if model.minimum is not None else []
    parts += [f"at most {_plain(model.maximum)}"] if model.maximum is not None else []
    parts += [f"the first {model.free_events} events free"] if model.free_events is not None else []
    parts += [f"the first {_plain(model.free_value)} of value free"] if model.free_value is not None else []
    return ", ".join(parts)


def _with_subtotals(steps: list[Step]) -> Iterator[Step]:
    subtotal = _NOTHING
    for step in steps:
        subtotal = EXACT.add(subtotal, step.amount)
        yield replace(step, subtotal=subtotal)


def _plain(number: Decimal) -> str:
    return f"{number:f}"
