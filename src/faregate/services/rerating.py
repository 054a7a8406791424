"""Correct a price or a meter for usage that is rated already: drafted, shown, and only then applied.

    draft_rerating    what is asked for, checked
    ReratingPreview   the difference of every customer (rerating_preview.py); `keep_draft` keeps it
    begin_applying    from here on the correction holds for every event that comes
    ReratingRun       brings one subscription after another to it (bring_usage.py)

A run that was cut short goes on where it stopped, when it is asked for again; a subscription is brought once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from msgspec import UNSET, UnsetType

from faregate.base.errors import Conflict, FieldFault, InvalidInput, NotFound
from faregate.base.money import currency as currency_of
from faregate.base.money import from_ledger_units
from faregate.base.periods import Span
from faregate.domain.catalog.terms_text import write_terms
from faregate.domain.catalog.versions import PriceSeries, PriceVersion
from faregate.domain.metering.definition import write_definition
from faregate.domain.metering.meter import Meter
from faregate.services.bring_usage import Bringing, bring_usage
from faregate.services.change import Change
from faregate.services.meters import follow_meter
from faregate.services.recount import ROWS, Recount
from faregate.services.rerated import corrected_meter, read_rerated, replacement
from faregate.services.rerating_preview import ReratingPreview
from faregate.services.reservable import require_reservable
from faregate.storage.catalog import find_plan_by_name, insert_version
from faregate.storage.corrections import corrections_between
from faregate.storage.database import Transaction
from faregate.storage.events import applied_position, consumer_position
from faregate.storage.metered import find_series, series_of_plan
from faregate.storage.meters import add_meter_change, find_meter, find_meter_by_name, update_meter
from faregate.storage.reratings import (
    Difference,
    Rerating,
    ReratingStatus,
    find_rerating,
    insert_rerating,
    read_differences,
    reratings_begun,
    update_rerating,
)
from faregate.storage.subscriptions import SubscriptionRow, find_subscription
from faregate.wire.api.catalog import PriceVersionCreate, to_terms
from faregate.wire.api.common import plain, to_utc
from faregate.wire.api.filters import to_filter
from faregate.wire.api.meters import to_metric, to_units
from faregate.wire.api.reratings import MeterCorrection, PriceCorrection, ReratingCreate

SUBSCRIPTIONS: Final = 100
"""Subscriptions whose windows are in memory at once while they are brought."""
_SHOWN_CHANGES: Final = 5


def draft_rerating(
    transaction: Transaction, application_id: str, request: ReratingCreate, *, rerating_id: str, now: datetime
) -> Rerating:
    """Return what is asked for, ready for a preview; nothing is kept. `InvalidInput` names what cannot be."""
    span = _span(request, now=now)
    drafted = Rerating(
        rerating_id=rerating_id,
        application_id=application_id,
        description=request.description,
        status=ReratingStatus.DRAFT,
        series_id="",
        meter_id=None,
        price_id=None,
        before="",
        after="",
        span=span,
        through=applied_position(transaction),
        digest="",
        position=None,
        done_through="",
        created_at=now,
        started_at=None,
        applied_at=None,
    )
    match request.price, request.meter:
        case PriceCorrection() as correction, UnsetType():
            return _price_draft(transaction, drafted, correction)
        case UnsetType(), MeterCorrection() as correction:
            return _meter_draft(transaction, drafted, correction)
        case _:
            raise InvalidInput.of("price", "must be given, or 'meter'; one of the two")


def keep_draft(transaction: Transaction, preview: ReratingPreview) -> Rerating:
    """Keep a draft with what its preview showed."""
    drafted = replace(preview.rerating, digest=preview.digest)
    insert_rerating(transaction, drafted, preview.differences)
    return drafted


def find_existing_rerating(transaction: Transaction, application_id: str, rerating_id: str) -> Rerating:
    """Return the re-rating; `NotFound` if there is none of that id."""
    found = find_rerating(transaction, application_id, rerating_id)
    if found is None:
        raise NotFound("rerating", rerating_id)
    return found


def cancel_rerating(transaction: Transaction, change: Change, rerating_id: str) -> Rerating:
    """Cancel a draft; it stays readable. `Conflict` on `status` for one that was begun."""
    found = find_existing_rerating(transaction, change.application_id, rerating_id)
    if found.status is ReratingStatus.CANCELLED:
        return found
    if found.status is not ReratingStatus.DRAFT:
        raise Conflict("status", f"is {found.status.value!r}: only a draft can be cancelled; correct it by another one")
    cancelled = replace(found, status=ReratingStatus.CANCELLED)
    update_rerating(transaction, cancelled)
    return cancelled


def begin_applying(transaction: Transaction, change: Change, again: ReratingPreview) -> Rerating:
    """Let the correction hold from now on, if its preview, computed again up to where it was seen, shows the same.

    Raises `Conflict` on `status` for one that is no draft any more, and on `preview` with what changed since.
    """
    found = find_existing_rerating(transaction, change.application_id, again.rerating.rerating_id)
    if found.status is not ReratingStatus.DRAFT:
        raise Conflict("status", f"is {found.status.value!r}, no draft")
    _require_same(transaction, found, again)
    position = consumer_position(transaction)
    started = replace(found, status=ReratingStatus.APPLYING, started_at=change.now, position=position)
    if found.meter_id is not None:
        _correct_meter(transaction, change, found)
    else:
        _replace_version(transaction, change, found)
    update_rerating(transaction, started)
    return started


class ReratingRun:
    """The bringing of all subscriptions, on its way: `count` in snapshots, then `bring` one a transaction.

    `while run.more: while run.count(reading): pass; run.bring(writing, change)`
    """

    def __init__(self, transaction: Transaction, rerating: Rerating) -> None:
        self._rerated = read_rerated(transaction, rerating)
        self._left = [
            row for row in self._rerated.subscriptions if row.subscription.subscription_id > rerating.done_through
        ]
        self._group: list[SubscriptionRow] = []
        self._recount: Recount | None = None
        self._begun_at = 0
        self.more = True

    def count(self, transaction: Transaction, *, most: int = ROWS) -> bool:
        """Count the next events of the next subscriptions; return whether there may be more before they are brought."""
        if not self._group:
            self._group, self._left = self._left[:SUBSCRIPTIONS], self._left[SUBSCRIPTIONS:]
            self._recount = None
            self._begun_at = applied_position(transaction)
        if not self._group:
            return False
        applied = applied_position(transaction)
        return self._current(transaction, applied).step(transaction, through=applied, most=most)

    def bring(self, transaction: Transaction, change: Change) -> Rerating:
        """Bring the next subscription, with what came since it was counted; the last one ends the re-rating."""
        applied = consumer_position(transaction)  # and its lock keeps the applier out
        rerating = find_existing_rerating(transaction, change.application_id, self._rerated.rerating.rerating_id)
        if self._group:
            subscription_id = self._group[0].subscription.subscription_id
            if subscription_id > rerating.done_through:
                recount = self._current(transaction, applied)
                self._bring(transaction, change, subscription_id, recount=recount)
                rerating = replace(rerating, done_through=subscription_id)
            self._group = self._group[1:]
        self.more = bool(self._group or self._left)
        if not self.more and rerating.applied_at is None:
            rerating = replace(rerating, status=ReratingStatus.APPLIED, applied_at=change.now)
        update_rerating(transaction, rerating)
        return rerating

    def _current(self, transaction: Transaction, applied: int) -> Recount:
        """Return the recount, begun anew where an event that it may have counted was taken back since."""
        if self._recount is None or corrections_between(transaction, self._begun_at + 1, applied):
            self._recount = Recount(self._rerated.scope(self._group, with_windows=True))
            self._begun_at = applied
        return self._recount

    def _bring(self, transaction: Transaction, change: Change, subscription_id: str, *, recount: Recount) -> None:
        while recount.step(transaction, through=applied_position(transaction)):
            pass
        row = find_subscription(transaction, change.application_id, subscription_id)
        if row is not None:
            bring_usage(transaction, Bringing(rerated=self._rerated, recount=recount, row=row, now=change.now))


def _span(request: ReratingCreate, *, now: datetime) -> Span:
    start = to_utc(request.from_at)
    end = None if request.to_at is UNSET else to_utc(request.to_at)
    if start > now:
        raise InvalidInput.of("from", "must not be ahead: for usage to come, change the price or the meter itself")
    if end is not None and end <= start:
        raise InvalidInput.of("to", "must be after 'from'")
    return Span(start, end)


def _price_draft(transaction: Transaction, drafted: Rerating, correction: PriceCorrection) -> Rerating:
    series = _series(transaction, drafted.application_id, correction)
    wrong = _wrong_version(series, correction, at=drafted.span.start)
    try:
        terms = to_terms(
            PriceVersionCreate(
                model=correction.model,
                adjustments=correction.adjustments,
                currency_options=correction.currency_options,
            ),
            series.currencies[0],
        )
    except InvalidInput as error:
        raise _within("price", error) from error
    for unit in series.currencies:
        if unit not in terms:
            raise InvalidInput.of(f"price.currency_options.{unit.code}", "is required: the price has that currency")
    return replace(
        drafted,
        series_id=series.series_id,
        price_id=wrong.price_id,
        before=write_terms(wrong.terms),
        after=write_terms(terms),
    )


def _series(transaction: Transaction, application_id: str, correction: PriceCorrection) -> PriceSeries:
    if isinstance(correction.price_id, str):
        found = find_series(transaction, application_id, correction.price_id)
        if found is None:
            raise InvalidInput.of("price.price_id", f"there is no price {correction.price_id!r}")
        return found
    plan = find_plan_by_name(transaction, application_id, correction.plan) if isinstance(correction.plan, str) else None
    if plan is None:
        raise InvalidInput.of("price.plan", "must be the name of a plan, beside the name of its price")
    named = [series for series in series_of_plan(transaction, plan.plan_id) if series.name == correction.price]
    if not named:
        raise InvalidInput.of("price.price", f"must be the name of a price of the plan {plan.name!r}")
    return named[0]


def _wrong_version(series: PriceSeries, correction: PriceCorrection, *, at: datetime) -> PriceVersion:
    if correction.version is UNSET:
        begun = [version for version in series.versions if version.effective_at <= at]
        return max(begun or series.versions[:1], key=lambda version: (version.effective_at, version.number))
    for version in series.versions:
        if version.number == correction.version:
            return version
    numbers = ", ".join(str(version.number) for version in series.versions)
    raise InvalidInput.of("price.version", f"must be one of {numbers}; a replacement is corrected by correcting those")


def _meter_draft(transaction: Transaction, drafted: Rerating, correction: MeterCorrection) -> Rerating:
    application_id = drafted.application_id
    before = find_meter(transaction, application_id, correction.meter) or find_meter_by_name(
        transaction, application_id, correction.meter
    )
    if before is None:
        raise InvalidInput.of("meter.meter", f"there is no meter {correction.meter!r}")
    try:
        after = _meter(before, correction)
    except InvalidInput as error:
        raise _within("meter", error) from error
    if _kind(before) != _kind(after):
        raise InvalidInput.of(
            "meter.metric",
            f"of a meter that {_kind(before)} cannot become one that {_kind(after)}: what it keeps of usage is another"
            " thing; make another meter, test it, and fill it from kept events",
        )
    return replace(
        drafted,
        series_id=before.price_id,
        meter_id=before.meter_id,
        before=write_definition(before.definition),
        after=write_definition(after.definition),
    )


def _meter(before: Meter, correction: MeterCorrection) -> Meter:
    return replace(
        before,
        filter=before.filter
        if correction.filter is correction.filter_text
        else to_filter(correction.filter, correction.filter_text),
        metric=before.metric if correction.metric is UNSET else to_metric(correction.metric),
        units=before.units if correction.units is UNSET else to_units(correction.units),
    )


def _kind(meter: Meter) -> str:
    """Return what a meter keeps of usage, in words."""
    if meter.is_additive:
        return "adds numbers up"
    if meter.units.rounding is not None and type(meter.metric).__name__ in {"Count", "Sum", "SumOf"}:
        return "rounds a sum"
    return f"keeps a state of the kind {type(meter.metric).__name__}"


def _within(field: str, error: InvalidInput) -> InvalidInput:
    return InvalidInput(*(FieldFault(field=f"{field}.{fault.field}", message=fault.message) for fault in error.faults))


def _require_same(transaction: Transaction, found: Rerating, again: ReratingPreview) -> None:
    for other in reratings_begun(transaction, found.series_id):
        if other.status is ReratingStatus.APPLYING:
            raise Conflict("preview", f"the re-rating {other.rerating_id} of the same price is being applied")
        if other.started_at is not None and other.started_at >= found.created_at:
            raise Conflict("preview", f"the re-rating {other.rerating_id} of the same price was applied since")
    if again.digest == found.digest:
        return
    shown = read_differences(transaction, found.rerating_id, after=None, limit=None)
    changes = _changes(shown, again.differences)
    raise Conflict(
        "preview",
        "what it showed has changed since, beyond new events; draft it again and look at the differences"
        + "".join(f"; {change}" for change in changes[:_SHOWN_CHANGES])
        + (f"; and {len(changes) - _SHOWN_CHANGES} more" if len(changes) > _SHOWN_CHANGES else ""),
    )


def _changes(shown: Sequence[Difference], now: Sequence[Difference]) -> list[str]:
    earlier = {(row.subscription_id, row.period_start): row for row in shown}
    words = []
    for row in now:
        before = earlier.get((row.subscription_id, row.period_start))
        if before is None or _after(before) != _after(row):
            was = "not shown" if before is None else _after(before)
            words.append(
                f"{row.company_id}, period from {row.period_start.date().isoformat()}: was {was}, is {_after(row)}"
            )
    return words


def _after(row: Difference) -> str:
    amount = plain(from_ledger_units(row.amount_after, currency_of(row.currency)))
    return f"{row.quantity_after:f} units = {amount} {row.currency}{', invoiced' if row.is_invoiced else ''}"


def _correct_meter(transaction: Transaction, change: Change, found: Rerating) -> None:
    before = find_meter(transaction, change.application_id, found.meter_id or "")
    if before is None or write_definition(before.definition) != found.before:
        raise Conflict("preview", "the meter was changed since; draft it again")
    after = corrected_meter(before, found)
    position = consumer_position(transaction)
    add_meter_change(transaction, before, after, position=position, span=found.span)
    update_meter(transaction, after)
    follow_meter(transaction, change, after)


def _replace_version(transaction: Transaction, change: Change, found: Rerating) -> None:
    series = find_series(transaction, change.application_id, found.series_id)
    if series is None:
        raise NotFound("price", found.series_id)
    version = replacement(series, found, price_id=change.new_id("prc"))
    insert_version(transaction, change.application_id, version, of=series, created_at=change.now)
    require_reservable(transaction, change, "price.model")
