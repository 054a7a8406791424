"""One entry of a catalog file, made so: coupons, and those that a subscription is to have."""

from __future__ import annotations

from collections.abc import Sequence

from faregate.base.errors import Conflict, FieldFault, InvalidInput
from faregate.services.catalog_differences import compared, created, differing_fields
from faregate.services.change import Change
from faregate.services.coupons import coupons_of, create_coupon, give_coupon
from faregate.storage.coupons import find_coupon
from faregate.storage.database import Transaction
from faregate.wire.api.catalog_document import ResourceDifference
from faregate.wire.api.coupons import CouponCreate, terms_view, to_offer


def apply_coupon(transaction: Transaction, change: Change, entry: CouponCreate) -> ResourceDifference:
    """Offer the coupon; `InvalidInput` where the file wants a coupon to change."""
    standing = find_coupon(transaction, change.application_id, entry.coupon_id)
    if standing is None:
        create_coupon(transaction, change, entry)
        return created("coupon", entry.coupon_id)
    wanted = to_offer(entry)
    before = terms_view(standing.offer)
    if wanted == standing.offer:  # 10 and 10.00 are one number, written twice
        return compared("coupon", entry.coupon_id, before=before, after=before)
    raise InvalidInput(
        *(
            FieldFault(
                field=difference.field,
                message=f"of a coupon never changes; it is {difference.before}. Archive it and make another one",
            )
            for difference in differing_fields(before, terms_view(wanted))
        )
    )


def give_missing(transaction: Transaction, change: Change, wanted: Sequence[str], *, subscription_id: str) -> list[str]:
    """Give a subscription the coupons that it was never given; return all of `wanted` that it had before.

    Raises `InvalidInput` on `coupons[n]` for one that cannot be given.
    """
    had = {given.offer.coupon_id for given in coupons_of(transaction, subscription_id)}
    faults = []
    for index, coupon_id in enumerate(wanted):
        if coupon_id in had:
            continue
        try:
            give_coupon(
                transaction,
                change,
                subscription_id=subscription_id,
                coupon_id=coupon_id,
                caller_id=f"catalog:{coupon_id}",
            )
        except InvalidInput as error:
            faults.append(FieldFault(field=f"coupons[{index}]", message=error.faults[0].message))
        except Conflict as error:
            faults.append(FieldFault(field=f"coupons[{index}]", message=error.reason))
    if faults:
        raise InvalidInput(*faults)
    return [coupon_id for coupon_id in wanted if coupon_id in had]
