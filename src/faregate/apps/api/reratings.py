"""Re-ratings: correct a price or a meter for usage that is rated already, after a look at what that changes."""

from __future__ import annotations

import msgspec
from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from faregate.apps.api.call import Call
from faregate.apps.api.paging import Paging
from faregate.base.clock import to_microseconds
from faregate.base.money import currency, from_ledger_units
from faregate.services.business_clock import business_now
from faregate.services.rerating import (
    ReratingRun,
    begin_applying,
    cancel_rerating,
    draft_rerating,
    find_existing_rerating,
    keep_draft,
)
from faregate.services.rerating_preview import ReratingPreview
from faregate.storage.database import Transaction
from faregate.storage.reratings import (
    Difference,
    DifferenceSum,
    Rerating,
    ReratingStatus,
    list_reratings,
    read_differences,
    sum_differences,
)
from faregate.wire.api.common import CursorInstant, Page, plain
from faregate.wire.api.reratings import CurrencyDifferenceView, DifferenceView, ReratingCreate, ReratingView


@post("/reratings", summary="Draft a re-rating", tags=["Re-rating"])
async def make_rerating(call: NamedDependency[Call], data: JSONBody[ReratingCreate]) -> ReratingView:
    """Correct a price or a meter: a draft with the difference that it makes to every customer. Nothing is changed.

    Every billing period that has an instant in [`from`, `to`) is rated again as a whole, from the kept events.
    """
    rerating_id = call.backend.new_id("rrt")

    def begin(tx: Transaction) -> ReratingPreview:
        now = business_now(tx, call.application_id, call.backend.clock)
        return ReratingPreview(tx, draft_rerating(tx, call.application_id, data, rerating_id=rerating_id, now=now))

    preview = await call.read(begin)
    while await call.read(preview.step):
        pass
    await call.change(lambda tx, _: keep_draft(tx, preview))
    return await _shown(call, rerating_id)


@get("/reratings", summary="List re-ratings", tags=["Re-rating"])
async def list_all_reratings(call: NamedDependency[Call], paging: NamedDependency[Paging]) -> Page[ReratingView]:
    """Re-ratings, in the order in which they were drafted."""
    rows = await call.read(
        lambda tx: [
            (row, sum_differences(tx, row.rerating_id))
            for row in list_reratings(tx, call.application_id, after=paging.after, limit=paging.rows)
        ]
    )
    return paging.page(rows, lambda row: row[0].rerating_id, lambda row: _view(*row))


@get("/reratings/{rerating_id:str}", summary="Get a re-rating", tags=["Re-rating"])
async def get_rerating(call: NamedDependency[Call], rerating_id: FromPath[str]) -> ReratingView:
    """Return one re-rating, with what its differences add up to."""
    return await _shown(call, rerating_id)


@get("/reratings/{rerating_id:str}/differences", summary="List what a re-rating changes", tags=["Re-rating"])
async def list_differences(
    call: NamedDependency[Call], rerating_id: FromPath[str], paging: NamedDependency[Paging]
) -> Page[DifferenceView]:
    """What its preview showed: every subscription and billing period in which something changes."""
    after = paging.place(tuple[str, str, CursorInstant])

    def read(tx: Transaction) -> list[Difference]:
        find_existing_rerating(tx, call.application_id, rerating_id)
        return read_differences(tx, rerating_id, after=after, limit=paging.rows)

    rows = await call.read(read)
    return paging.page(
        rows,
        lambda row: (row.company_id, row.subscription_id, to_microseconds(row.period_start)),
        _difference_view,
    )


@post("/reratings/{rerating_id:str}/apply", status_code=200, summary="Apply a re-rating", tags=["Re-rating"])
async def apply_rerating(call: NamedDependency[Call], rerating_id: FromPath[str]) -> ReratingView:
    """Post the differences, and let the correction hold from now on. Repeated, it goes on where it stopped.

    Events that came since the draft are rated by the correction too. Where anything else has changed what the preview
    showed, it is refused and says what. Periods that are invoiced are billed by adjustments of the next invoice.
    """
    rerating = await call.read(lambda tx: find_existing_rerating(tx, call.application_id, rerating_id))
    if rerating.status is ReratingStatus.APPLIED:
        return await _shown(call, rerating_id)
    if rerating.status is not ReratingStatus.APPLYING:
        again = await call.read(lambda tx: ReratingPreview(tx, rerating))
        while await call.read(again.step):
            pass
        rerating = await call.change(lambda tx, change: begin_applying(tx, change, again))
    run = await call.read(lambda tx: ReratingRun(tx, rerating))
    while run.more:
        while await call.read(run.count):
            pass
        await call.change(run.bring)
    return await _shown(call, rerating_id)


@delete("/reratings/{rerating_id:str}", status_code=200, summary="Cancel a draft", tags=["Re-rating"])
async def remove_rerating(call: NamedDependency[Call], rerating_id: FromPath[str]) -> ReratingView:
    """Cancel a draft. It stays readable; one that was applied is corrected by another one."""
    await call.change(lambda tx, change: cancel_rerating(tx, change, rerating_id))
    return await _shown(call, rerating_id)


async def _shown(call: Call, rerating_id: str) -> ReratingView:
    return await call.read(
        lambda tx: _view(find_existing_rerating(tx, call.application_id, rerating_id), sum_differences(tx, rerating_id))
    )


def _view(rerating: Rerating, sums: list[DifferenceSum]) -> ReratingView:
    return ReratingView(
        rerating_id=rerating.rerating_id,
        status=rerating.status.value,
        description=rerating.description,
        price_id=rerating.series_id,
        corrected_version_id=rerating.price_id,
        meter_id=rerating.meter_id,
        before=msgspec.json.decode(rerating.before),
        after=msgspec.json.decode(rerating.after),
        from_at=rerating.span.start,
        to_at=rerating.span.end,
        rated_from=min((found.first_start for found in sums), default=None),
        rated_to=max((found.last_end for found in sums), default=None),
        totals=[
            CurrencyDifferenceView(
                currency=found.currency,
                amount_before=_amount(found.amount_before, found.currency),
                amount_after=_amount(found.amount_after, found.currency),
                difference=_amount(found.amount_after - found.amount_before, found.currency),
                difference_count=found.count,
                company_count=found.companies,
            )
            for found in sums
        ],
        created_at=rerating.created_at,
        started_at=rerating.started_at,
        applied_at=rerating.applied_at,
    )


def _difference_view(row: Difference) -> DifferenceView:
    return DifferenceView(
        company_id=row.company_id,
        subscription_id=row.subscription_id,
        period_start=row.period_start,
        period_end=row.period_end,
        is_invoiced=row.is_invoiced,
        quantity_before=plain(row.quantity_before),
        quantity_after=plain(row.quantity_after),
        quantity_difference=plain(row.quantity_after - row.quantity_before),
        amount_before=_amount(row.amount_before, row.currency),
        amount_after=_amount(row.amount_after, row.currency),
        difference=_amount(row.amount_after - row.amount_before, row.currency),
        currency=row.currency,
    )


def _amount(units: int, code: str) -> str:
    return plain(from_ledger_units(units, currency(code)))


HANDLERS = [
    make_rerating,
    list_all_reratings,
    get_rerating,
    list_differences,
    apply_rerating,
    remove_rerating,
]
