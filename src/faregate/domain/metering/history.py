"""What a meter counted, and when: a re-rating corrects its definition for some billing periods and all later events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from faregate.base.periods import Period, Span
from faregate.domain.metering.meter import Meter


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """A meter as it was corrected.

    So it counts every event after `position` of the log, and all kept events up to there, whether it had counted them
    or not, of the billing periods that touch `span`.
    """

    meter: Meter
    position: int
    span: Span


class CountedAs(NamedTuple):
    """The meter that counts an event: the one of `number` in `MeterHistory.meters`.

    `live`: only if the meter counted it when it came; one that was made later, or could not read it, did not.
    """

    number: int
    meter: Meter
    live: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterHistory:
    """A meter as it was made, and its corrections in the order in which they were applied."""

    made: Meter
    corrections: tuple[Correction, ...] = ()

    @property
    def meter_id(self) -> str:
        """Return the meter's id, which never changes."""
        return self.made.meter_id

    @property
    def meters(self) -> tuple[Meter, ...]:
        """Return the meter in every state that it has had."""
        return (self.made, *(correction.meter for correction in self.corrections))

    def counted_as(self, position: int, period: Period) -> CountedAs:
        """Return the meter that counts an event of a billing period."""
        for number, correction in reversed([*enumerate(self.corrections, start=1)]):
            if position > correction.position:
                return CountedAs(number, correction.meter, live=True)
            if correction.span.touches(period):
                return CountedAs(number, correction.meter, live=False)
        return CountedAs(0, self.made, live=True)

    def corrected(self, correction: Correction) -> MeterHistory:
        """Return the history with one more correction."""
        return MeterHistory(made=self.made, corrections=(*self.corrections, correction))
