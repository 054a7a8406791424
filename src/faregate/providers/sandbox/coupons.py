"""Coupons, and the discounts that come of them (docs.stripe.com/api/coupons, docs.stripe.com/api/discounts)."""

from __future__ import annotations

from typing import Any, Final

from stripe.params._coupon_create_params import CouponCreateParams
from stripe.params._coupon_delete_params import CouponDeleteParams
from stripe.params._coupon_list_params import CouponListParams
from stripe.params._coupon_retrieve_params import CouponRetrieveParams
from stripe.params._coupon_update_params import CouponUpdateParams

from faregate.providers.sandbox.asking import Asked, Route, Sandbox, changed, known_currency, page_of
from faregate.providers.sandbox.faults import Json, lacking, missing, refused
from faregate.providers.sandbox.subscription_periods import period_at

_MOST_PLACES: Final = 2
_WHOLE: Final = 100


def make_coupon(sandbox: Sandbox, asked: Asked) -> Json:
    """Make a coupon, under an id of the caller's if there is one."""
    sent = asked.parameters
    for name in ("applies_to", "currency_options"):
        if name in sent:
            raise refused(f"The sandbox does not know `{name}` of a coupon", param=name)
    identifier = sent.get("id") or sandbox.new_id("coupon").removeprefix("coupon_")
    if sandbox.store.known(identifier) is not None:
        raise refused(f"Coupon already exists: {identifier}", param="id", code="resource_already_exists")
    body: Json = {
        "id": identifier,
        "object": "coupon",
        "created": sandbox.now(),
        "livemode": False,
        "max_redemptions": sent.get("max_redemptions"),
        "metadata": sent.get("metadata") or {},
        "name": sent.get("name"),
        "redeem_by": sent.get("redeem_by"),
        "times_redeemed": 0,
    }
    body |= _off(sent) | _duration(sent)
    if body["max_redemptions"] is not None and body["max_redemptions"] < 1:
        raise refused("Invalid integer: must be greater than or equal to 1", param="max_redemptions")
    if body["redeem_by"] is not None and body["redeem_by"] <= sandbox.now():
        raise refused("`redeem_by` must be in the future.", param="redeem_by")
    sandbox.store.add(body)
    shown = _shown(sandbox, body)
    sandbox.tell("coupon.created", shown)
    return shown


def get_coupon(sandbox: Sandbox, asked: Asked) -> Json:
    """Return a coupon."""
    return _shown(sandbox, sandbox.store.get("coupon", asked.ids[0]))


def change_coupon(sandbox: Sandbox, asked: Asked) -> Json:
    """Change a coupon's name and metadata; never what it takes off."""
    body = sandbox.store.get("coupon", asked.ids[0])
    return _shown(sandbox, changed(sandbox, body, asked.parameters, event="coupon.updated"))


def delete_coupon(sandbox: Sandbox, asked: Asked) -> Json:
    """Delete a coupon; who has a discount of it keeps it."""
    body = sandbox.store.get("coupon", asked.ids[0])
    # Discounts go on naming what they take off: the object stays, under a kind that nobody asks for.
    sandbox.store.connection.execute("UPDATE object SET kind = 'deleted_coupon' WHERE id = ?", (body["id"],))
    sandbox.tell("coupon.deleted", _shown(sandbox, body))
    return {"id": body["id"], "object": "coupon", "deleted": True}


def list_coupons(sandbox: Sandbox, asked: Asked) -> Json:
    """List coupons."""
    return page_of(asked, (_shown(sandbox, body) for body in sandbox.store.newest_first("coupon")))


def redeem(sandbox: Sandbox, sent: list[Json], *, holder: Json) -> list[Json]:
    """Redeem coupons for a subscription or an invoice, and return its discounts, in order; raises `StripeFault`.

    `sent` is what a request says: a coupon each, or a discount that the holder has already.
    """
    discounts: list[Json] = []
    for place, one in enumerate(sent):
        at = f"discounts[{place}]"
        if "promotion_code" in one:
            raise refused("The sandbox has no promotion codes", param=f"{at}[promotion_code]")
        if ("coupon" in one) is ("discount" in one):
            raise refused("Send a `coupon` or a `discount`.", param=at, code="parameter_missing")
        if "discount" in one:
            discounts.append(discount(sandbox, one["discount"], param=f"{at}[discount]"))
        else:
            coupon = _redeemed(sandbox, one["coupon"], param=f"{at}[coupon]")
            discounts.append(_make_discount(sandbox, coupon, holder=holder))
    if len({each["source"]["coupon"] for each in discounts}) != len(discounts):
        raise refused("A coupon can be applied once.", param="discounts")
    _refuse_other_currencies(sandbox, discounts, holder)
    return discounts


def _refuse_other_currencies(sandbox: Sandbox, discounts: list[Json], holder: Json) -> None:
    for place, each in enumerate(discounts):
        code = coupon_of(sandbox, each)["currency"]
        if code not in {None, holder["currency"]}:
            what = f"the {holder['object']} is in {holder['currency']}"
            raise refused(f"The coupon takes off an amount in {code}; {what}.", param=f"discounts[{place}][coupon]")


def discount(sandbox: Sandbox, identifier: str, *, param: str = "discounts") -> Json:
    """Return a discount; `source.coupon` is a coupon's id. Raises `StripeFault`."""
    return sandbox.store.get("discount", identifier, param=param)


def is_running(body: Json, at: int) -> bool:
    """Return whether a discount takes something off what is drawn up at an instant."""
    return body["end"] is None or bool(body["end"] > at)


def coupon_of(sandbox: Sandbox, body: Json) -> Json:
    """Return the coupon of a discount, also one that was deleted since."""
    coupon = sandbox.store.known(body["source"]["coupon"])
    if coupon is None:
        raise missing("coupon", body["source"]["coupon"])
    return coupon


def _redeemed(sandbox: Sandbox, identifier: str, *, param: str) -> Json:
    coupon = sandbox.store.get("coupon", identifier, param=param)
    if not _is_valid(sandbox, coupon):
        raise refused(f"Coupon expired: {identifier}", param=param, code="coupon_expired")
    coupon["times_redeemed"] += 1
    sandbox.store.put(coupon)
    return coupon


def _make_discount(sandbox: Sandbox, coupon: Json, *, holder: Json) -> Json:
    now = sandbox.now()
    months = coupon["duration_in_months"]
    repeated = {"interval": "month", "interval_count": months}
    body: Json = {
        "id": sandbox.new_id("di"),
        "object": "discount",
        "checkout_session": None,
        "customer": holder["customer"],
        "customer_account": None,
        "end": None if months is None else period_at(now, repeated, now)[1],
        "invoice": None,
        "invoice_item": None,
        "promotion_code": None,
        "source": {"coupon": coupon["id"], "type": "coupon"},
        "start": now,
        "subscription": None,
        "subscription_item": None,
    }
    body[holder["object"]] = holder["id"]
    sandbox.store.add(body)
    sandbox.tell("customer.discount.created", body)
    return body


def _is_valid(sandbox: Sandbox, coupon: Json) -> bool:
    most, until = coupon["max_redemptions"], coupon["redeem_by"]
    return (most is None or coupon["times_redeemed"] < most) and (until is None or sandbox.now() <= until)


def _shown(sandbox: Sandbox, coupon: Json) -> Json:
    return coupon | {"valid": _is_valid(sandbox, coupon)}


def _off(sent: Json) -> Json:
    percent, amount = sent.get("percent_off"), sent.get("amount_off")
    if (percent is None) is (amount is None):
        raise refused("You must pass either `percent_off` or `amount_off`.", param="percent_off")
    if percent is not None:
        places = -percent.as_tuple().exponent
        if not 0 < percent <= _WHOLE or places > _MOST_PLACES:
            message = f"Invalid decimal: must be above 0 and at most 100, with at most {_MOST_PLACES} places"
            raise refused(message, param="percent_off")
        whole = percent == percent.to_integral_value()
        return {"percent_off": int(percent) if whole else float(percent), "amount_off": None, "currency": None}
    if amount is None or amount < 1:
        raise refused("Invalid positive integer", param="amount_off")
    return {"percent_off": None, "amount_off": amount, "currency": _currency(sent)}


def _currency(sent: Json) -> str:
    if "currency" not in sent:
        raise lacking("currency")
    return known_currency(sent["currency"])


def _duration(sent: Json) -> dict[str, Any]:
    duration, months = sent.get("duration", "once"), sent.get("duration_in_months")
    if (duration == "repeating") is (months is None):
        message = "`duration_in_months` belongs to `duration=repeating`, and to it alone."
        raise refused(message, param="duration_in_months")
    if months is not None and months < 1:
        raise refused("Invalid positive integer", param="duration_in_months")
    return {"duration": duration, "duration_in_months": months}


ROUTES = [
    Route(method="POST", path="/v1/coupons", parameters=CouponCreateParams, answer=make_coupon),
    Route(method="GET", path="/v1/coupons", parameters=CouponListParams, answer=list_coupons),
    Route(method="GET", path="/v1/coupons/{}", parameters=CouponRetrieveParams, answer=get_coupon),
    Route(method="POST", path="/v1/coupons/{}", parameters=CouponUpdateParams, answer=change_coupon),
    Route(method="DELETE", path="/v1/coupons/{}", parameters=CouponDeleteParams, answer=delete_coupon),
]
