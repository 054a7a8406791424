"""What usage costs, rated a second time: integers of a billionth of a dollar, and none of the product's code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

NANOS_PER_DOLLAR = 10**9


def dollars(nanos: int) -> str:
    """Return an amount from 0 as the API takes it and reports show it, to the last billionth."""
    return f"{nanos // NANOS_PER_DOLLAR}.{nanos % NANOS_PER_DOLLAR:09d}"


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """`each` for every unit."""

    each: int

    def cost(self, units: int) -> int:
        """Return what a period's total costs."""
        return self.each * units

    def borders(self) -> Iterable[int]:
        """Return totals after which the cost may fall."""
        return ()


@dataclass(frozen=True, slots=True)
class PackagePrice:
    """`each` for every begun package of `size` units."""

    each: int
    size: int

    def cost(self, units: int) -> int:
        """Return what a period's total costs."""
        return -(-units // self.size) * self.each

    def borders(self) -> Iterable[int]:
        """Return totals after which the cost may fall."""
        return ()


@dataclass(frozen=True, slots=True)
class TieredPrice:
    """Tiers as (last unit, price of each), the last without an end. `whole`: all units cost what the last one does."""

    tiers: tuple[tuple[int | None, int], ...]
    whole: bool

    def cost(self, units: int) -> int:
        """Return what a period's total costs."""
        if self.whole:
            return units * next(each for last, each in self.tiers if last is None or units <= last)
        total, below = 0, 0
        for last, each in self.tiers:
            if units <= below:
                break
            top = units if last is None else min(units, last)
            total += (top - below) * each
            below = top
        return total

    def borders(self) -> Iterable[int]:
        """Return totals after which the cost may fall."""
        return [last for last, _ in self.tiers if last is not None] if self.whole else ()


Price = UnitPrice | PackagePrice | TieredPrice


def most_cost(price: Price, settled: int, further: int) -> int:
    """Return the highest cost of any total from `settled` to `settled + further` units."""
    reached = settled + further
    highest = max(price.cost(settled), price.cost(reached))
    return max([highest, *(price.cost(border) for border in price.borders() if settled < border < reached)])
