"""Credit notes: giving back part of an invoiced fee with its tax."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from faregate.base.money import quantize_share


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditNote:
    """Minor units: `total` is the sum of the two rounded parts."""

    subtotal: int
    tax: int

    @property
    def total(self) -> int:
        """Return what is given back."""
        return self.subtotal + self.tax


def credit_note(fee: int, *, share: Fraction, tax_percent: Decimal, credited: CreditNote | None = None) -> CreditNote:
    """Return a credit note for a share of a fee (minor units), with tax on the exact part.

    `credited` is what earlier notes gave back: together they never give back more than was invoiced.
    """
    before = credited or CreditNote(subtotal=0, tax=0)
    tax_share = Fraction(tax_percent) / 100
    invoiced_tax = quantize_share(Decimal(fee), tax_share, 0)
    return CreditNote(
        subtotal=min(quantize_share(Decimal(fee), share, 0), fee - before.subtotal),
        tax=min(quantize_share(Decimal(fee), share * tax_share, 0), invoiced_tax - before.tax),
    )
