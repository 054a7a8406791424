"""From events to quantities: every active meter is asked of every admitted event."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from faregate.domain.catalog.price import Price
from faregate.domain.metering.meter import CompiledMeter, Meter, compile_meter
from faregate.domain.metering.metric import Unmeterable
from faregate.services.admit_events import AdmittedEvent
from faregate.storage.database import Transaction
from faregate.storage.events import UnmeterableEvent
from faregate.storage.metered import read_all_meters, read_all_prices
from faregate.storage.state_feed import latest_version


class Measured(NamedTuple):
    """What one event counts for on one meter, and whose usage it is.

    A tuple, as everything that is made per event and meter: a frozen dataclass takes four times as long to make.
    """

    position: int
    meter: Meter
    company_id: str
    occurred_at: datetime
    quantity: Decimal


class MeterSet:
    """The meters of every application, compiled, and the prices they feed: read again whenever a meter changes."""

    def __init__(self) -> None:
        self._version = -1
        self._compiled: dict[str, list[tuple[Meter, CompiledMeter]]] = {}
        self.prices: dict[str, Price] = {}

    def of(self, transaction: Transaction, application_id: str) -> list[tuple[Meter, CompiledMeter]]:
        """Return an application's meters as the transaction sees them; `prices` are as new as they are."""
        version = latest_version(transaction, "meter")
        if version != self._version:
            # Prices are immutable, and one without a meter is charged for nothing.
            self.prices = read_all_prices(transaction)
            self._compiled = {
                key: [(meter, compile_meter(meter)) for meter in meters]
                for key, meters in read_all_meters(transaction).items()
            }
            self._version = version
        return self._compiled.get(application_id, [])


def meter_events(
    application_id: str, meters: Sequence[tuple[Meter, CompiledMeter]], admitted: Sequence[AdmittedEvent]
) -> tuple[list[Measured], list[UnmeterableEvent]]:
    """Return what the events count for, and those that matched a meter but give it nothing, with the reason."""
    measured: list[Measured] = []
    unmeterable: list[UnmeterableEvent] = []
    for position, event, _ in admitted:
        company_id = event.company_id
        for meter, read in meters:
            quantity = read(event)
            if quantity is None:
                continue
            if company_id is None:
                quantity = Unmeterable("the caller belongs to no known company")
            if isinstance(quantity, Unmeterable):
                unmeterable.append(
                    UnmeterableEvent(
                        position=position,
                        meter_id=meter.meter_id,
                        application_id=application_id,
                        reason=quantity.reason,
                    )
                )
            elif company_id is not None:
                measured.append(Measured(position, meter, company_id, event.occurred_at, quantity))
    return measured, unmeterable
