"""A subscription's billing cycle as one text: empty for the monthly one in UTC that most have."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from faregate.base.clock import from_microseconds, to_microseconds
from faregate.base.periods import Alignment, Cadence, CadenceUnit
from faregate.domain.customers.subscription import MONTHLY_CYCLE, BillingCycle, Pause

UTC_NAME: Final = "UTC"


class _Cycle(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    unit: CadenceUnit = CadenceUnit.MONTH
    count: int = 1
    time_zone: str = UTC_NAME
    alignment: Alignment = Alignment.ANNIVERSARY
    trial_ends_at: int | None = None
    ends_at: int | None = None
    pauses: list[tuple[int, int | None]] = []


def write_cycle(cycle: BillingCycle) -> str:
    """Return the cycle as text; instants are microseconds."""
    if cycle == MONTHLY_CYCLE:
        return ""
    kept = _Cycle(
        unit=cycle.cadence.unit,
        count=cycle.cadence.count,
        time_zone=zone_name(cycle.zone),
        alignment=cycle.alignment,
        trial_ends_at=_microseconds(cycle.trial_ends_at),
        ends_at=_microseconds(cycle.ends_at),
        pauses=[(to_microseconds(pause.start), _microseconds(pause.end)) for pause in cycle.pauses],
    )
    return msgspec.json.encode(kept).decode()


def read_cycle(text: str) -> BillingCycle:
    """Return the cycle that `write_cycle` wrote."""
    if not text:
        return MONTHLY_CYCLE
    kept = msgspec.json.decode(text, type=_Cycle)
    return BillingCycle(
        cadence=Cadence(unit=kept.unit, count=kept.count),
        zone=zone_named(kept.time_zone),
        alignment=kept.alignment,
        trial_ends_at=_instant(kept.trial_ends_at),
        ends_at=_instant(kept.ends_at),
        pauses=tuple(Pause(start=from_microseconds(start), end=_instant(end)) for start, end in kept.pauses),
    )


def zone_name(zone: tzinfo) -> str:
    """Return the zone's name in the IANA database."""
    return zone.key if isinstance(zone, ZoneInfo) else UTC_NAME


def zone_named(name: str) -> tzinfo:
    """Return the zone of which `zone_name` gave the name."""
    return UTC if name == UTC_NAME else ZoneInfo(name)


def _microseconds(instant: datetime | None) -> int | None:
    return None if instant is None else to_microseconds(instant)


def _instant(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else from_microseconds(microseconds)
