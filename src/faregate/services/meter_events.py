"""From events to quantities: every active meter is asked of every admitted event."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from faregate.domain.metering.aggregate import Aggregate
from faregate.domain.metering.dispatch import MeterTable
from faregate.domain.metering.event import Event, compile_field
from faregate.domain.metering.meter import GroupKey, Meter
from faregate.domain.metering.metric import Unmeterable
from faregate.services.admit_events import AdmittedEvent
from faregate.storage.database import Transaction
from faregate.storage.events import UnmeterableEvent
from faregate.storage.metered import read_all_meters
from faregate.storage.state_feed import latest_version
from faregate.wire.patterns import compile_pattern

_NO_METERS: Final = MeterTable((), compile_pattern, compile_field)


class Measured(NamedTuple):
    """What one event counts for on one meter, and whose usage it is.

    `amount`: its units on an additive meter, the state of that event alone on any other. A tuple, as everything that is
    made per event and meter: a frozen dataclass takes four times as long to make.
    """

    position: int
    meter: Meter
    company_id: str
    event: Event
    amount: Decimal | Aggregate
    group: GroupKey


class MeterSet:
    """The meters of every application, compiled once and again whenever one changes."""

    def __init__(self) -> None:
        self._version = -1
        self._tables: dict[str, MeterTable] = {}

    def of(self, transaction: Transaction, application_id: str) -> MeterTable:
        """Return an application's meters as the transaction sees them."""
        version = latest_version(transaction, "meter")
        if version != self._version:
            self._tables = {
                key: MeterTable(meters, compile_pattern, compile_field)
                for key, meters in read_all_meters(transaction).items()
            }
            self._version = version
        return self._tables.get(application_id, _NO_METERS)


def meter_events(
    application_id: str, meters: MeterTable, admitted: Sequence[AdmittedEvent]
) -> tuple[list[Measured], list[UnmeterableEvent]]:
    """Return what the events count for, and those that matched a meter but give it nothing, with the reason."""
    measured: list[Measured] = []
    unmeterable: list[UnmeterableEvent] = []
    for entry in admitted:
        for counting in meters.count(entry.event):
            meter, amount = counting.meter, counting.amount
            if entry.event.company_id is None:
                amount = Unmeterable("the caller belongs to no known company")
            if isinstance(amount, Unmeterable):
                unmeterable.append(
                    UnmeterableEvent(
                        position=entry.position,
                        meter_id=meter.meter_id,
                        application_id=application_id,
                        reason=amount.reason,
                    )
                )
                continue
            measured.append(
                Measured(entry.position, meter, entry.event.company_id or "", entry.event, amount, counting.group)
            )
    return measured, unmeterable
