"""The pricing models: a closed union. Each says what a quantity costs; `pricing` computes it.

Amounts are in major units of the price's currency and exact. `rate` never falls below zero; where a model can fall as
the total grows (volume), the ledger reserves the highest point on the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class PackageRounding(StrEnum):
    """Whether a begun package counts (`up`) or only a full one (`down`)."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flat:
    """`amount` a period, whatever is used."""

    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class PerUnit:
    """`amount` for every unit; fractions of a unit cost their part."""

    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """`amount` for every package of `size` units; the period's total is rounded once, never a slice of it."""

    amount: Decimal
    size: Decimal
    rounding: PackageRounding = PackageRounding.UP


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Units up to and including `up_to` (None: all further ones).

    `unit` for every unit, or for every begun package of `size` units where a size is given; `flat` once when the tier
    is entered; at most `cap`, flat included, where one is given.
    """

    up_to: Decimal | None
    unit: Decimal
    flat: Decimal = Decimal(0)
    size: Decimal | None = None
    cap: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Graduated:
    """Each unit costs what its own tier says. The first tier is entered at zero: its `flat` is always due."""

    tiers: tuple[Tier, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """All units cost what the tier says that the total falls in; nothing at a total of zero."""

    tiers: tuple[Tier, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentage:
    """`percent` of each event's value plus `fixed`, at least `minimum` and at most `maximum` an event.

    The period's first `free_events` events and the first `free_value` of their values cost nothing, as far as
    whichever of the two ends first; an event whose whole value is free costs no `fixed` and no `minimum` either. What
    an event adds to the total is its amount: the total is money.
    """

    percent: Decimal
    fixed: Decimal = Decimal(0)
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    free_events: int | None = None
    free_value: Decimal | None = None


LeafModel = Flat | PerUnit | Package | Graduated | Volume | Percentage


@dataclass(frozen=True, slots=True, kw_only=True)
class ByDimension:
    """A price table by fields of the event: token prices by model, or by model and region.

    `table` is keyed by the fields' values, in the order of `fields`; `default` prices the values it does not name.
    Without a default they are not priced: the event is unmeterable, and says which value is unknown. Totals, and
    lines, are kept per key; all values that the default prices share one.
    """

    fields: tuple[str, ...]
    table: Mapping[tuple[str, ...], LeafModel]
    default: LeafModel | None


PricingModel = LeafModel | ByDimension
