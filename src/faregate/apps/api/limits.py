"""Limits, and what is used of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from litestar import delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from faregate.apps.api.call import Call
from faregate.apps.api.paging import Paging
from faregate.base.clock import from_microseconds, to_microseconds
from faregate.base.limits import MAX_ID_CHARACTERS
from faregate.services import limits
from faregate.storage import limits as stored
from faregate.storage.database import Transaction
from faregate.storage.limits import LimitUse, OwnedLimit
from faregate.wire.api.common import CursorInstant, Page, to_utc
from faregate.wire.api.limits import LimitChange, LimitCreate, LimitUseView, LimitView, limit_use_view, limit_view

OfSubject = Annotated[
    str | None,
    QueryParameter(
        name="subject_id", max_length=MAX_ID_CHARACTERS, description="Only what this key, user or company has used."
    ),
]
At = Annotated[
    datetime | None,
    QueryParameter(name="at", description="Only periods that hold this instant, for example now."),
]


@get("/limits", summary="List limits", tags=["Limits"])
async def list_all_limits(call: NamedDependency[Call], paging: NamedDependency[Paging]) -> Page[LimitView]:
    """Limits, in the order in which they were made."""
    rows = await call.read(
        lambda tx: stored.list_limits(tx, call.application_id, after=paging.after, limit=paging.rows)
    )
    return paging.page(rows, lambda row: row.limit.limit_id, _view)


@post("/limits", summary="Make a limit", tags=["Limits"])
async def make_limit(call: NamedDependency[Call], data: JSONBody[LimitCreate]) -> LimitView:
    """Limit a key, a user or a company, or each of them. It holds at once, and counts from now on."""
    return _view(await call.change(lambda tx, change: limits.create_limit(tx, change, data)))


@get("/limits/{limit_id:str}", summary="Get a limit", tags=["Limits"])
async def get_limit(call: NamedDependency[Call], limit_id: FromPath[str]) -> LimitView:
    """Return one limit."""
    return _view(await call.read(lambda tx: limits.find_existing(tx, call.application_id, limit_id)))


@patch("/limits/{limit_id:str}", summary="Change a limit", tags=["Limits"])
async def patch_limit(call: NamedDependency[Call], limit_id: FromPath[str], data: JSONBody[LimitChange]) -> LimitView:
    """Change a limit's name, amount, hardness or alerts; what is left out stays, and so does what is used of it."""
    return _view(await call.change(lambda tx, change: limits.change_limit(tx, change, data, limit_id=limit_id)))


@delete("/limits/{limit_id:str}", summary="Delete a limit", tags=["Limits"])
async def remove_limit(call: NamedDependency[Call], limit_id: FromPath[str]) -> None:
    """Delete a limit and what was counted of it: it refuses nothing from then on."""
    await call.change(lambda tx, change: limits.delete_limit(tx, change, limit_id))


@get("/limits/{limit_id:str}/usage", summary="Read what is used of a limit", tags=["Limits"])
async def read_limit_usage(
    *,
    call: NamedDependency[Call],
    paging: NamedDependency[Paging],
    limit_id: FromPath[str],
    of_subject: OfSubject = None,
    at: At = None,
) -> Page[LimitUseView]:
    """What each subject has used in each period, by subject and period. The gateways count a minute, so it is not here.

    A subject that has used nothing in a period is not in the list.
    """
    place = paging.place(tuple[str, CursorInstant])
    after = None if place is None else (place[0], from_microseconds(place[1]))

    def read(transaction: Transaction) -> tuple[OwnedLimit, list[LimitUse]]:
        owned = limits.find_existing(transaction, call.application_id, limit_id)
        instant = None if at is None else to_utc(at)
        uses = stored.list_uses(
            transaction, limit_id, subject_id=of_subject, at=instant, after=after, limit=paging.rows
        )
        return owned, uses

    owned, uses = await call.read(read)
    return paging.page(
        uses,
        lambda use: (use.key.subject_id, to_microseconds(use.key.period_start)),
        lambda use: _use_view(owned, use),
    )


def _view(owned: OwnedLimit) -> LimitView:
    return limit_view(owned.limit, owned.created_at)


def _use_view(owned: OwnedLimit, use: LimitUse) -> LimitUseView:
    return limit_use_view(
        owned.limit,
        subject_id=use.key.subject_id,
        company_id=use.company_id,
        start=use.key.period_start,
        end=use.period_end,
        used=use.used,
    )


HANDLERS = [list_all_limits, make_limit, get_limit, patch_limit, remove_limit, read_limit_usage]
