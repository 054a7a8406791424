"""Try a draft meter on kept events: what it would count, what not and why, and what its price would charge.

Read only, a slice of events a transaction, so that everything else gets its turn. The slices are consistent: an
admitted event never changes, and those that come later are left out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from typing import Final

from faregate.base.clock import from_microseconds, to_microseconds
from faregate.base.errors import FieldFault, InvalidInput
from faregate.base.limits import MAX_TRIAL_RANGE, MAX_TRIAL_SAMPLES
from faregate.domain.catalog.versions import PriceSeries
from faregate.domain.metering.aggregate import Aggregate
from faregate.domain.metering.event import Event, FieldPath, compile_field
from faregate.domain.metering.filter import EVERYTHING
from faregate.domain.metering.matching import Mismatch, compile_filter, explain_mismatch, shown
from faregate.domain.metering.meter import Meter, compile_group, compile_meter_for, fields_of_meter
from faregate.domain.metering.metric import Unmeterable
from faregate.services.trial_totals import TrialTotals, fields_of_prices
from faregate.storage.catalog import find_plan_by_name
from faregate.storage.database import Transaction
from faregate.storage.kept_events import KeptEvent, KeptRange, count_kept, newest_admitted, read_kept
from faregate.storage.metered import find_series, series_of_plan
from faregate.wire.api.common import plain
from faregate.wire.api.meter_trials import (
    MeterDraft,
    MeterTest,
    MeterTrialView,
    MismatchView,
    ReasonView,
    SampleView,
    TrialProgress,
    TrialSamples,
)
from faregate.wire.api.meters import MeterCreate, to_meter
from faregate.wire.event import decode_event, to_event
from faregate.wire.metered_fields import MeteredFields
from faregate.wire.patterns import compile_pattern

FIRST_SLICE: Final = 200
SLICE: Final = 5_000
_ROUTE: Final = compile_field(FieldPath("request.route"))
_STATUS: Final = compile_field(FieldPath("response.status"))
_UNKNOWN_COMPANY: Final = "the caller belongs to no known company"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What is tried, and on which events."""

    meter: Meter
    series: PriceSeries | None
    kept: KeptRange
    total: int


def read_draft(transaction: Transaction, application_id: str, request: MeterTest) -> Draft:
    """Return the draft with its price and the number of events; `InvalidInput` names what cannot be."""
    from_at, to_at = request.from_at, request.to_at
    if not from_at < to_at <= from_at + MAX_TRIAL_RANGE:
        raise InvalidInput.of("to", f"must be after 'from', by at most {MAX_TRIAL_RANGE.days} days")
    draft = request.meter
    series = _series(transaction, application_id, draft)
    meter = _meter(
        MeterCreate(
            name="draft",
            price_id="none" if series is None else series.series_id,
            filter=draft.filter,
            filter_text=draft.filter_text,
            metric=draft.metric,
            group_by=draft.group_by,
            units=draft.units,
            reporting_period=draft.reporting_period,
        )
    )
    through = newest_admitted(transaction)
    kept = KeptRange(application_id=application_id, from_at=from_at, to_at=to_at, through=through)
    return Draft(meter=meter, series=series, kept=kept, total=count_kept(transaction, kept))


def _series(transaction: Transaction, application_id: str, draft: MeterDraft) -> PriceSeries | None:
    if isinstance(draft.price_id, str):
        found = find_series(transaction, application_id, draft.price_id)
        if found is None:
            raise InvalidInput.of("meter.price_id", f"there is no price {draft.price_id!r}")
        return found
    if not isinstance(draft.price, str) and not isinstance(draft.plan, str):
        return None
    plan = find_plan_by_name(transaction, application_id, draft.plan) if isinstance(draft.plan, str) else None
    if plan is None:
        raise InvalidInput.of("meter.plan", "must be the name of a plan, beside the name of its price")
    named = next((series for series in series_of_plan(transaction, plan.plan_id) if series.name == draft.price), None)
    if named is None:
        raise InvalidInput.of("meter.price", f"must be the name of a price of the plan {plan.name!r}")
    return named


def _meter(request: MeterCreate) -> Meter:
    try:
        return to_meter(request, "draft")
    except InvalidInput as error:
        faults = [FieldFault(field=f"meter.{fault.field}", message=fault.message) for fault in error.faults]
        raise InvalidInput(*faults) from error


class MeterTrial:
    """A trial on its way: `step` until it says that nothing is left."""

    def __init__(self, transaction: Transaction, draft: Draft) -> None:
        self._draft = draft
        meter = draft.meter
        fields = MeteredFields({*fields_of_meter(meter), *fields_of_prices(draft.series)})
        self._fields = fields
        self._matches = compile_filter(meter.filter, compile_pattern, fields.reading)
        self._read = compile_meter_for(replace(meter, filter=EVERYTHING), compile_pattern, fields.reading)
        self._group = compile_group(meter, fields.reading)
        self._totals = TrialTotals(
            transaction, draft.kept.application_id, meter=meter, series=draft.series, reading=cache(fields.reading)
        )
        self._after = (to_microseconds(draft.kept.from_at), 0)
        self._done = 0
        self._unmatched = 0
        self._reasons: Counter[str] = Counter()
        self._samples: dict[str, list[SampleView]] = {"matched": [], "unmatched": [], "unmeterable": []}

    def step(self, transaction: Transaction) -> bool:
        """Try the next slice of events, a small one first; return whether there may be more."""
        most = SLICE if self._done else FIRST_SLICE
        rows = read_kept(transaction, self._draft.kept, after=self._after, limit=most)
        for row in rows:
            self._try(row)
        if rows:
            self._after = rows[-1].occurred_at_us, rows[-1].position
            self._done += len(rows)
        return len(rows) == most

    @property
    def progress(self) -> TrialProgress:
        """Return how far the trial is."""
        unmeterable = self._reasons.total()
        return TrialProgress(
            read=self._done,
            total=self._draft.total,
            matched=self._done - self._unmatched,
            unmatched=self._unmatched,
            unmeterable=unmeterable,
        )

    @property
    def samples(self) -> TrialSamples:
        """Return the first events of each kind so far."""
        return TrialSamples(**{kind: list(found) for kind, found in self._samples.items()})

    def result(self) -> MeterTrialView:
        """Return what came of all events that were tried."""
        windows, left_out = self._totals.windows()
        return MeterTrialView(
            progress=self.progress,
            samples=self.samples,
            reasons=[ReasonView(reason=reason, event_count=count) for reason, count in self._reasons.most_common(100)],
            totals=self._totals.totals(),
            windows=windows,
            windows_left_out=left_out,
        )

    def _try(self, row: KeptEvent) -> None:
        tree = self._fields.decode(row.body)
        tree.company_id = row.company_id
        if tree.blocked_by is not None or not self._matches(tree):
            self._unmatched += 1
            if len(self._samples["unmatched"]) < MAX_TRIAL_SAMPLES:
                self._samples["unmatched"].append(self._unmatched_sample(row))
            return
        event = self._fields.event_of(tree, from_microseconds(row.occurred_at_us))
        amount = self._read(event)
        if row.company_id is None or amount is None:
            amount = Unmeterable(_UNKNOWN_COMPANY)
        if isinstance(amount, Unmeterable):
            self._cannot(row, amount)
            return
        unpriced = self._totals.add(event, row.occurred_at_us, amount, group=self._group(event))
        if unpriced is not None:
            self._cannot(row, unpriced)
            return
        if len(self._samples["matched"]) < MAX_TRIAL_SAMPLES:
            self._samples["matched"].append(_sample(row, quantity=self._quantity(event, amount)))

    def _cannot(self, row: KeptEvent, why: Unmeterable) -> None:
        self._reasons[why.reason] += 1
        if len(self._samples["unmeterable"]) < MAX_TRIAL_SAMPLES:
            self._samples["unmeterable"].append(_sample(row, reason=why.reason))

    def _quantity(self, event: Event, amount: Decimal | Aggregate) -> str:
        return plain(self._totals.quantity_of(amount, event))

    def _unmatched_sample(self, row: KeptEvent) -> SampleView:
        event = _whole_event(row)
        if event.blocked_by is not None:
            found = [Mismatch(field="blocked_by", actual=event.blocked_by, expected="no rule refused the call")]
        else:
            found = explain_mismatch(self._draft.meter.filter, compile_pattern, event.fields)
        views = [MismatchView(field=one.field, actual=one.actual, expected=one.expected) for one in found]
        return _sample(row, mismatches=views)


def _whole_event(row: KeptEvent) -> Event:
    return to_event(decode_event(row.body), row.company_id)


def _sample(
    row: KeptEvent,
    *,
    quantity: str | None = None,
    reason: str | None = None,
    mismatches: list[MismatchView] | None = None,
) -> SampleView:
    fields = _whole_event(row).fields
    status = _STATUS(fields)
    return SampleView(
        position=row.position,
        occurred_at=from_microseconds(row.occurred_at_us),
        company_id=row.company_id,
        route=shown(_ROUTE(fields)),
        status=status if isinstance(status, int) else None,
        quantity=quantity,
        reason=reason,
        mismatches=mismatches or [],
    )
