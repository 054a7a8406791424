"""What usage and quantities cost, exactly, as an invoice's lines (docs.stripe.com/products-prices/pricing-models)."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from faregate.base.money import currency
from faregate.providers.arithmetic import PriceStep, half_away_from_zero, packages_of, tier_parts
from faregate.providers.sandbox.asking import Sandbox
from faregate.providers.sandbox.faults import Json
from faregate.providers.sandbox.meters import METER, aggregated, reported


class RatedPart(NamedTuple):
    """One line: `slot` tells the lines of a price apart; `said` is how its price is told; amounts in minor units."""

    slot: str
    said: str
    quantity: int
    unit_amount_decimal: str | None
    amount: int


def used(sandbox: Sandbox, *, customer: str, price: Json, start: int, end: int) -> int:
    """Return what a customer used of a metered price's meter in [start, end), as reported until now; at least 0."""
    meter = sandbox.store.get(METER, price["recurring"]["meter"])
    values = [row["value"] for row in reported(sandbox, meter, customer=customer, start=start, end=end)]
    return max(0, aggregated(meter["default_aggregation"]["formula"], values)) if values else 0


def rated(price: Json, quantity: int) -> list[RatedPart]:
    """Return the lines of a quantity: one a price, or for tiers one for each tier's units and flat amount."""
    if price["billing_scheme"] == "tiered":
        return _tiered(price, quantity)
    unit = price["unit_amount_decimal"]
    transform = price["transform_quantity"]
    each = said_amount(unit, price["currency"])
    if transform is None:
        amount = half_away_from_zero(quantity * Fraction(unit))
        return [RatedPart("", f"at {each}", quantity, unit, amount)]
    packages = packages_of(Fraction(quantity), transform["divide_by"], is_rounded_up=transform["round"] == "up")
    said = f"at {each} per {transform['divide_by']}"
    return [RatedPart("", said, quantity, unit, half_away_from_zero(packages * Fraction(unit)))]


def said_amount(numeral: str, code: str) -> str:
    """Return an amount of minor units as a line's description tells it: `0.50 USD`."""
    unit = currency(code.upper())
    amount = Decimal(numeral).scaleb(-unit.minor_places)
    places = max(unit.minor_places, -int(amount.normalize().as_tuple().exponent))
    return f"{amount:.{places}f} {unit.code}"


def _tiered(price: Json, quantity: int) -> list[RatedPart]:
    steps = [
        PriceStep(
            up_to=None if tier["up_to"] is None else Fraction(tier["up_to"]),
            unit_amount=Fraction(tier["unit_amount_decimal"] or 0),
            flat_amount=Fraction(tier["flat_amount_decimal"] or 0),
        )
        for tier in price["tiers"]
    ]
    parts = []
    for part in tier_parts(Fraction(quantity), steps, is_graduated=price["tiers_mode"] == "graduated"):
        tier = price["tiers"][part.tier]
        is_flat = part.unit_amount is None
        numeral = (tier["flat_amount_decimal"] if is_flat else tier["unit_amount_decimal"]) or "0"
        slot = f"{part.tier + 1}{'f' if is_flat else ''}"
        said = f"Tier {part.tier + 1} at {said_amount(numeral, price['currency'])}"
        parts.append(RatedPart(slot, said, int(part.quantity), None if is_flat else numeral, part.amount))
    return parts or [RatedPart("1", "Tier 1", 0, "0", 0)]
