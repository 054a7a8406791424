"""Coupons, and those on subscriptions."""

from __future__ import annotations

from typing import Annotated

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter, JSONBody
from litestar.status_codes import HTTP_200_OK

from faregate.apps.api.call import Call
from faregate.apps.api.paging import Paging
from faregate.services import coupons, subscriptions
from faregate.storage import coupons as stored
from faregate.storage.coupons import CouponRow
from faregate.storage.database import Transaction
from faregate.wire.api.common import Page
from faregate.wire.api.coupons import CouponCreate, CouponGive, CouponView, GivenCouponView, coupon_view, given_view

IdempotencyKey = Annotated[
    str,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern="^[\\x21-\\x7e]+$",
        description="A text of your own for this giving: sending it again gives nothing more.",
    ),
]


@get("/coupons", summary="List coupons", tags=["Coupons"])
async def list_coupons(call: NamedDependency[Call], paging: NamedDependency[Paging]) -> Page[CouponView]:
    """Coupons, archived ones too, in the order of their ids."""
    rows = await call.read(
        lambda tx: stored.list_coupons(tx, call.application_id, after=paging.after, limit=paging.rows)
    )
    return paging.page(rows, lambda row: row.offer.coupon_id, _coupon)


@post("/coupons", summary="Make a coupon", tags=["Coupons"])
async def make_coupon(call: NamedDependency[Call], data: JSONBody[CouponCreate]) -> CouponView:
    """Offer a coupon under an id of your own. A repeat answers with the first one; other terms need another id."""
    return _coupon(await call.change(lambda tx, change: coupons.create_coupon(tx, change, data)))


@get("/coupons/{coupon_id:str}", summary="Get a coupon", tags=["Coupons"])
async def get_coupon(call: NamedDependency[Call], coupon_id: FromPath[str]) -> CouponView:
    """Return one coupon."""
    return _coupon(await call.read(lambda tx: coupons.find_coupon(tx, call.application_id, coupon_id)))


@post("/coupons/{coupon_id:str}/archive", summary="Archive a coupon", tags=["Coupons"], status_code=HTTP_200_OK)
async def archive_coupon(call: NamedDependency[Call], coupon_id: FromPath[str]) -> CouponView:
    """Let a coupon be given no more; subscriptions that have it keep it. A repeat changes nothing."""
    return _coupon(await call.change(lambda tx, change: coupons.archive_coupon(tx, change, coupon_id)))


@get("/subscriptions/{subscription_id:str}/coupons", summary="List given coupons", tags=["Coupons"])
async def list_given_coupons(call: NamedDependency[Call], subscription_id: FromPath[str]) -> Page[GivenCouponView]:
    """Every coupon that the subscription was given, in the order in which they come off its invoices, in one part."""

    def read(transaction: Transaction) -> list[GivenCouponView]:
        subscriptions.find_existing(transaction, call.application_id, subscription_id)
        return [given_view(given, subscription_id) for given in coupons.coupons_of(transaction, subscription_id)]

    return Page(data=await call.read(read), next_cursor=None)


@post("/subscriptions/{subscription_id:str}/coupons", summary="Give a coupon", tags=["Coupons"])
async def give_coupon(
    *,
    call: NamedDependency[Call],
    subscription_id: FromPath[str],
    data: JSONBody[CouponGive],
    idempotency_key: IdempotencyKey,
) -> GivenCouponView:
    """Give a subscription a coupon: it comes off the open period's invoice first.

    A repeat with the same Idempotency-Key answers with the first giving.
    """
    given = await call.change(
        lambda tx, change: coupons.give_coupon(
            tx, change, subscription_id=subscription_id, coupon_id=data.coupon_id, caller_id=idempotency_key
        )
    )
    return given_view(given, subscription_id)


@delete(
    "/subscriptions/{subscription_id:str}/coupons/{coupon_id:str}",
    summary="Take a coupon away",
    tags=["Coupons"],
)
async def remove_given_coupon(
    call: NamedDependency[Call], subscription_id: FromPath[str], coupon_id: FromPath[str]
) -> None:
    """Take a coupon off a subscription: invoices from the open period's on are without it. It stays in the list."""
    await call.change(
        lambda tx, change: coupons.remove_coupon(tx, change, subscription_id=subscription_id, coupon_id=coupon_id)
    )


def _coupon(row: CouponRow) -> CouponView:
    return coupon_view(row.offer, redemptions=row.redemptions, created_at=row.created_at, archived_at=row.archived_at)


HANDLERS = [
    list_coupons,
    make_coupon,
    get_coupon,
    archive_coupon,
    list_given_coupons,
    give_coupon,
    remove_given_coupon,
]
