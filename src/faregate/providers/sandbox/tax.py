"""Tax rates, and the taxes of an invoice's lines (docs.stripe.com/api/tax_rates, docs.stripe.com/tax)."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from stripe.params._tax_rate_create_params import TaxRateCreateParams
from stripe.params._tax_rate_list_params import TaxRateListParams
from stripe.params._tax_rate_retrieve_params import TaxRateRetrieveParams
from stripe.params._tax_rate_update_params import TaxRateUpdateParams

from faregate.providers.arithmetic import half_away_from_zero
from faregate.providers.sandbox.asking import Asked, Route, Sandbox, changed, created_in, is_as_sent, page_of, retrieved
from faregate.providers.sandbox.faults import Json, refused

_MOST_PLACES: Final = 4
_HUNDRED: Final = 100
_EXAMPLES: Final = {"AU": "10", "CA": "5", "DE": "19", "ES": "21", "FR": "20", "GB": "20", "IT": "22", "JP": "10"}
"""The percentages of automatic tax, by country; not tax advice. Everywhere else there is none."""
_EXCLUSIVE_BY_DEFAULT: Final = frozenset({"cad", "usd"})


def make_tax_rate(sandbox: Sandbox, asked: Asked) -> Json:
    """Make a tax rate."""
    sent = asked.parameters
    percentage = sent["percentage"]
    exponent = percentage.as_tuple().exponent
    if not 0 <= percentage <= _HUNDRED or -exponent > _MOST_PLACES:
        raise refused(f"Invalid percentage: 0 to 100, with at most {_MOST_PLACES} places", param="percentage")
    body = _tax_rate(sandbox, sent)
    sandbox.tell("tax_rate.created", body)
    return body


def _tax_rate(sandbox: Sandbox, sent: Json) -> Json:
    body: Json = {
        "id": sandbox.new_id("txr"),
        "object": "tax_rate",
        "active": sent.get("active", True),
        "country": sent.get("country"),
        "created": sandbox.now(),
        "description": sent.get("description"),
        "display_name": sent["display_name"],
        "effective_percentage": None,
        "flat_amount": None,
        "inclusive": sent["inclusive"],
        "jurisdiction": sent.get("jurisdiction"),
        "jurisdiction_level": sent.get("jurisdiction_level"),
        "livemode": False,
        "metadata": sent.get("metadata", {}),
        "percentage": float(sent["percentage"]),
        "rate_type": "percentage",
        "state": sent.get("state"),
        "tax_type": sent.get("tax_type"),
        # The number that was sent: a float is only shown.
        "_percentage": str(sent["percentage"]),
    }
    sandbox.store.add(body)
    return body


def change_tax_rate(sandbox: Sandbox, asked: Asked) -> Json:
    """Change what can be changed of a tax rate: never its percentage."""
    return changed(sandbox, sandbox.store.get("tax_rate", asked.ids[0]), asked.parameters, event="tax_rate.updated")


def list_tax_rates(sandbox: Sandbox, asked: Asked) -> Json:
    """List tax rates."""
    sent = asked.parameters

    def wanted(body: Json) -> bool:
        return is_as_sent(body, sent, "active", "inclusive") and created_in(sent.get("created"), body["created"])

    return page_of(asked, sandbox.store.newest_first("tax_rate"), wanted)


def named_tax_rates(sandbox: Sandbox, ids: list[str] | None, *, param: str) -> list[Json]:
    """Return tax rates by their ids; raises `StripeFault` for one that is unknown or archived."""
    rates = [sandbox.store.get("tax_rate", identifier, param=param) for identifier in ids or []]
    for rate in rates:
        if not rate["active"]:
            raise refused(f"The tax rate {rate['id']} is archived.", param=param)
    return rates


def tax_lines(sandbox: Sandbox, invoice: Json, lines: list[Json]) -> None:
    """Set each line's taxes, on what discounts and credit leave of it; each tax of a line is rounded by itself."""
    for line in lines:
        net = net_of(line)
        rates = _rates_of(sandbox, invoice, line)
        inclusive = sum((_percentage(rate) for rate in rates if rate["inclusive"]), Fraction(0))
        base = net * _HUNDRED / (_HUNDRED + inclusive)
        line["taxes"] = [_tax(invoice, rate, base) for rate in rates]


def inclusive_part(line: Json) -> int:
    """Return the tax that is in a line's amount, before discounts and credit."""
    shares = [share for share in line["taxes"] if share["tax_behavior"] == "inclusive"]
    net = net_of(line)
    if not shares or not net:
        return 0
    return half_away_from_zero(Fraction(sum(share["amount"] for share in shares) * line["amount"], net))


def net_of(line: Json) -> int:
    """Return what discounts and credit leave of a line's amount."""
    amount: int = line["amount"] - sum(part["amount"] for part in line["pretax_credit_amounts"])
    return amount


def _tax(invoice: Json, rate: Json, base: Fraction) -> Json:
    is_exempt = invoice["customer_tax_exempt"] != "none"
    amount = 0 if is_exempt else half_away_from_zero(base * _percentage(rate) / _HUNDRED)
    reason: Any = {"exempt": "customer_exempt", "reverse": "reverse_charge"}.get(invoice["customer_tax_exempt"])
    return {
        "amount": amount,
        "tax_behavior": "inclusive" if rate["inclusive"] else "exclusive",
        "tax_rate_details": {"tax_rate": rate["id"]},
        "taxability_reason": reason or "standard_rated",
        "taxable_amount": 0 if is_exempt else half_away_from_zero(base),
        "type": "tax_rate_details",
    }


def _percentage(rate: Json) -> Fraction:
    return Fraction(rate["_percentage"])


def _rates_of(sandbox: Sandbox, invoice: Json, line: Json) -> list[Json]:
    ids = line["_tax_rates"] or [rate["id"] for rate in invoice["default_tax_rates"]]
    if ids or not invoice["automatic_tax"]["enabled"]:
        return [sandbox.store.get("tax_rate", identifier) for identifier in ids]
    country = (invoice["customer_address"] or {}).get("country")
    if country not in _EXAMPLES:
        return []
    behavior = line["_tax_behavior"]
    if behavior not in {"exclusive", "inclusive"}:
        behavior = "exclusive" if invoice["currency"] in _EXCLUSIVE_BY_DEFAULT else "inclusive"
    return [_example_rate(sandbox, country, is_inclusive=behavior == "inclusive")]


def _example_rate(sandbox: Sandbox, country: str, *, is_inclusive: bool) -> Json:
    key = f"{country}:{is_inclusive}"
    for rate in sandbox.store.find("tax_rate", "automatic", key):
        return rate
    rate = _tax_rate(
        sandbox,
        {
            "active": False,
            "country": country,
            "display_name": "Tax",
            "inclusive": is_inclusive,
            "jurisdiction": country,
            "jurisdiction_level": "country",
            "percentage": Decimal(_EXAMPLES[country]),
        },
    )
    sandbox.store.index(rate, automatic=key)
    return rate


ROUTES = [
    Route(method="POST", path="/v1/tax_rates", parameters=TaxRateCreateParams, answer=make_tax_rate),
    Route(method="GET", path="/v1/tax_rates", parameters=TaxRateListParams, answer=list_tax_rates),
    Route(method="GET", path="/v1/tax_rates/{}", parameters=TaxRateRetrieveParams, answer=retrieved("tax_rate")),
    Route(method="POST", path="/v1/tax_rates/{}", parameters=TaxRateUpdateParams, answer=change_tax_rate),
]
