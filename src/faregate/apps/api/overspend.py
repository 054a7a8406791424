"""Overspend: what prepaid subscriptions spent that they did not have, and why."""

from __future__ import annotations

from litestar import get
from litestar.di import NamedDependency

from faregate.apps.api.call import Call
from faregate.apps.api.paging import Paging
from faregate.base.money import currency, from_ledger_units
from faregate.domain.ledger.overspend import OverspendCause
from faregate.storage.overspend import OverspendRow, list_overspend
from faregate.wire.api.common import Page, plain
from faregate.wire.api.overspend import OverspendView


@get("/overspend", summary="List overspend", tags=["Credit"])
async def list_all_overspend(call: NamedDependency[Call], paging: NamedDependency[Paging]) -> Page[OverspendView]:
    """What prepaid subscriptions spent that they did not have, by subscription and cause. On strict routes: nothing."""
    subscription_id, _, cause = paging.after.rpartition("/")
    rows = await call.read(
        lambda tx: list_overspend(tx, call.application_id, after=(subscription_id, cause), limit=paging.rows)
    )
    return paging.page(rows, lambda row: f"{row.subscription_id}/{row.cause}", _view)


def _view(row: OverspendRow) -> OverspendView:
    return OverspendView(
        subscription_id=row.subscription_id,
        company_id=row.company_id,
        cause=OverspendCause(row.cause),
        amount=plain(from_ledger_units(row.amount, currency(row.currency))),
        currency=row.currency,
        times=row.times,
        last_at=row.last_at,
    )


HANDLERS = [list_all_overspend]
