"""How the billing provider's invoices know of credit that was paid for in advance."""

from __future__ import annotations

from enum import StrEnum


class PrepaidBilling(StrEnum):
    """How usage that credit pays for stands on the provider's invoice: never as something to pay twice.

    `mirror`: each grant is a credit grant there too, and what it cannot pay is a line. `zero_out`: one line takes off
    what our ledger debited.
    """

    MIRROR = "mirror"
    ZERO_OUT = "zero_out"
