"""Trying a meter on kept events, on the wire."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Struct, UnsetType

from faregate.domain.metering.windows import ReportingPeriod
from faregate.wire.api.common import DecimalText, Identifier, Instant, Name
from faregate.wire.api.filters import FilterShape, FilterText
from faregate.wire.api.meters import GroupFields, MetricShape, UnitsShape


class MeterDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A meter that need not exist: what it would count, and the price it would feed, if any.

    The price goes by its id, or by the names of plan and price as in a catalog file; the draft's own name says nothing.
    """

    name: Name | UnsetType = UNSET
    plan: Name | UnsetType = UNSET
    price: Name | UnsetType = UNSET
    filter: FilterShape | UnsetType = UNSET
    filter_text: FilterText | UnsetType = UNSET
    metric: MetricShape
    group_by: GroupFields = []
    units: UnitsShape = UnitsShape()
    reporting_period: ReportingPeriod = ReportingPeriod.FIVE_MINUTES
    price_id: Identifier | UnsetType = UNSET


class MeterTest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A draft to try on the events that happened from `from` until before `to`. Nothing is billed or kept."""

    meter: MeterDraft
    from_at: Instant = msgspec.field(name="from")
    to_at: Instant = msgspec.field(name="to")


class BackfillCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fill a meter from the events that happened from `from` until before `to`, and that it has not counted yet."""

    from_at: Instant = msgspec.field(name="from")
    to_at: Instant = msgspec.field(name="to")


class BackfillView(Struct, frozen=True, kw_only=True):
    """How far a backfill is: `read` of `total` events, of which the meter `counted` some. It goes on by itself."""

    backfill_id: str
    meter_id: str
    from_at: Instant = msgspec.field(name="from")
    to_at: Instant = msgspec.field(name="to")
    total: int
    read: int
    counted: int
    created_at: Instant
    ended_at: Instant | None


class MismatchView(Struct, frozen=True, kw_only=True):
    """A condition that kept an event out: what its field was (null: missing), and what would have matched."""

    field: str
    actual: str | None
    expected: str


class SampleView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event, and what the draft makes of it: a quantity (its own, where it matched), or why there is none."""

    position: int
    occurred_at: Instant
    company_id: str | None
    route: str | None
    status: int | None
    quantity: DecimalText | None = None
    reason: str | None = None
    mismatches: list[MismatchView] = []


class ReasonView(Struct, frozen=True, kw_only=True):
    """How many events matched without a quantity, for one reason."""

    reason: str
    event_count: int


class TrialWindowView(Struct, frozen=True, kw_only=True):
    """What a company would have used in a usage window; `group`: the values of the fields that the draft groups by."""

    company_id: str
    start: Instant
    end: Instant
    group: list[str]
    quantity: DecimalText
    event_count: int


class TrialTotalView(Struct, frozen=True, kw_only=True):
    """What a company would have used in a billing period (a calendar month, where it is on no plan of the price).

    `amount`: what the draft's price charges for it, in the version of `price_id`, as if nothing else had been used;
    both are null without a price.
    """

    company_id: str
    subscription_id: str | None
    price_id: str | None
    period_start: Instant
    period_end: Instant
    quantity: DecimalText
    event_count: int
    amount: DecimalText | None
    currency: str | None


class TrialProgress(Struct, frozen=True, kw_only=True, tag="progress"):
    """How far the trial is, of `total` events."""

    read: int
    total: int
    matched: int
    unmatched: int
    unmeterable: int


class TrialSamples(Struct, frozen=True, kw_only=True, tag="samples"):
    """The first events of each kind."""

    matched: list[SampleView]
    unmatched: list[SampleView]
    unmeterable: list[SampleView]


class MeterTrialView(Struct, frozen=True, kw_only=True, tag="result"):
    """What a draft makes of all events in the range. `windows` are the first ones; `windows_left_out` more exist."""

    progress: TrialProgress
    samples: TrialSamples
    reasons: list[ReasonView]
    totals: list[TrialTotalView]
    windows: list[TrialWindowView]
    windows_left_out: int


TrialLine = Annotated[
    TrialProgress | TrialSamples | MeterTrialView,
    "A line of the answer that is streamed: progress and samples as they come, the result at last.",
]
