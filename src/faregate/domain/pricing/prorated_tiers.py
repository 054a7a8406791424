"""Graduated tiers over units that count for part of a period: full units choose the tier, prorated ones are paid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from faregate.domain.catalog.models import Graduated, Tier


@dataclass(frozen=True, slots=True, kw_only=True)
class ProratedUnits:
    """Units added (or, below zero, taken away) by one event, and what of them the rest of the period counts for."""

    full: Decimal
    prorated: Decimal


def prorated_graduated_amount(model: Graduated, changes: Iterable[ProratedUnits]) -> Fraction:
    """Return the exact amount, in major units, of a period's changes in their order.

    Each change moves the number of full units from one total to another; the part of it in a tier pays that tier's
    price for its share of the prorated units. A tier's `flat` is due once, if the number of full units ever entered
    it.
    """
    amount, total, highest = Fraction(0), Fraction(0), Fraction(0)
    for change in changes:
        after = total + Fraction(change.full)
        if change.full:
            per_unit = Fraction(change.prorated) / Fraction(change.full)
            for unit, part in _parts(model, min(total, after), max(total, after)):
                amount += unit * part * per_unit * (1 if change.full > 0 else -1)
        total, highest = after, max(highest, after)
    return amount + sum(Fraction(tier.flat) for tier, start in _starts(model) if start == 0 or start < highest)


def _parts(model: Graduated, start: Fraction, end: Fraction) -> Iterator[tuple[Fraction, Fraction]]:
    """Yield the price and the number of the units between two totals, tier by tier."""
    for tier, below in _starts(model):
        top = end if tier.up_to is None else min(end, Fraction(tier.up_to))
        part = top - max(start, below)
        if part > 0:
            yield Fraction(tier.unit), part


def _starts(model: Graduated) -> Iterator[tuple[Tier, Fraction]]:
    below = Fraction(0)
    for tier in model.tiers:
        yield tier, below
        if tier.up_to is not None:
            below = Fraction(tier.up_to)
