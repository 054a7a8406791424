"""What people type into the sandbox's hosted pages, and what these show of money and cards."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from faregate.base.money import currency, from_minor_units
from faregate.providers.sandbox.asking import Sandbox
from faregate.providers.sandbox.faults import Json, refused
from faregate.providers.sandbox.payment_methods import make_of_account, make_of_number

_EXPIRY: Final = re.compile(r"\s*(\d{1,2})\s*/\s*(?:20)?(\d{2})\s*")
_NUMBER: Final = re.compile(r"[\d -]{12,30}")
_CVC: Final = re.compile(r"\d{3,4}")
_CENTURY: Final = 2_000
_MONTHS: Final = 12


def submitted_method(sandbox: Sandbox, form: Mapping[str, str], *, customer: str | None, email: str | None) -> Json:
    """Return the payment method of a form: one that is kept, a card, or a bank account.

    Raises `StripeFault` for what is incomplete, `Declined` for a card that is none of the test cards.
    """
    kept = form.get("saved")
    if kept:
        found = sandbox.store.get("payment_method", kept, param="saved")
        if customer is None or found["customer"] != customer:
            raise refused("This card is not yours.", param="saved")
        return found
    billing = {"email": email, "name": form.get("name")}
    if form.get("account"):
        return make_of_account(sandbox, form["account"].strip(), billing=billing)
    number = form.get("number", "")
    if not _NUMBER.fullmatch(number.strip()):
        raise refused("Your card number is incomplete.", param="number", code="incomplete_number")
    expiry = _EXPIRY.fullmatch(form.get("expiry", ""))
    if expiry is None or not 1 <= int(expiry[1]) <= _MONTHS:
        raise refused("Your card's expiration date is incomplete: month / year.", param="expiry")
    if not _CVC.fullmatch(form.get("cvc", "").strip()):
        raise refused("Your card's security code is incomplete.", param="cvc", code="incomplete_cvc")
    month, year = int(expiry[1]), _CENTURY + int(expiry[2])
    return make_of_number(sandbox, number=number, month=month, year=year, billing=billing)


def money(amount: int, code: str) -> str:
    """Return an amount in minor units for people, such as `20.00 USD`."""
    unit = currency(code.upper())
    return f"{from_minor_units(amount, unit):,f} {unit.code}"


def label_of(method: Json) -> str:
    """Return what people know a payment method by, such as `Visa ending in 4242`."""
    details = method[method["type"]]
    name = details["brand"].capitalize() if method["type"] == "card" else details["bank_name"].title()
    return f"{name} ending in {details['last4']}"
