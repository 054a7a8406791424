"""What becomes of the units that a gateway held and will not give back."""

from __future__ import annotations

from enum import StrEnum


class LostUnits(StrEnum):
    """`keep`: they stay reserved. `release`: free, as if nothing was used. `charge`: paid for, as if all were."""

    KEEP = "keep"
    RELEASE = "release"
    CHARGE = "charge"
