"""What a meter counted, and when: its definition is changed for later events, or corrected for earlier ones too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from faregate.base.periods import Period, Span
from faregate.domain.metering.meter import Meter


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterChange:
    """A meter as it was changed.

    So it counts every event after `position` of the log; and, where a re-rating corrected it, all kept events up to
    there, whether it had counted them or not, of the billing periods that touch `span`.
    """

    meter: Meter
    position: int
    span: Span | None = None


class CountedAs(NamedTuple):
    """The meter that counts an event: the one of `number` in `MeterHistory.meters`.

    `live`: only if the meter counted it when it came; one that was made later, or could not read it, did not.
    """

    number: int
    meter: Meter
    live: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterHistory:
    """A meter as it was made, and its changes in their order."""

    made: Meter
    changes: tuple[MeterChange, ...] = ()

    @property
    def meter_id(self) -> str:
        """Return the meter's id, which never changes."""
        return self.made.meter_id

    @property
    def meters(self) -> tuple[Meter, ...]:
        """Return the meter in every state that it has had."""
        return (self.made, *(change.meter for change in self.changes))

    def counted_as(self, position: int, period: Period) -> CountedAs:
        """Return the meter that counts an event of a billing period."""
        for number, change in reversed([*enumerate(self.changes, start=1)]):
            if position > change.position:
                return CountedAs(number, change.meter, live=True)
            if change.span is not None and change.span.touches(period):
                return CountedAs(number, change.meter, live=False)
        return CountedAs(0, self.made, live=True)

    def changed(self, change: MeterChange) -> MeterHistory:
        """Return the history with one more change."""
        return MeterHistory(made=self.made, changes=(*self.changes, change))
