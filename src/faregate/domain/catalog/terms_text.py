"""A price's terms as one JSON text, and back: how storage keeps a model and its adjustments.

Numbers are numerals, so that 0.50 comes back as 0.50. What is at its default is left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, assert_never

from faregate.base.money import Currency, currency
from faregate.domain.catalog.adjustments import (
    Adjustments,
    Commitment,
    Discount,
    FixedDiscount,
    PercentDiscount,
)
from faregate.domain.catalog.models import (
    ByDimension,
    Flat,
    Graduated,
    LeafModel,
    Package,
    PackageRounding,
    Percentage,
    PerUnit,
    PricingModel,
    Tier,
    Volume,
)
from faregate.domain.catalog.versions import Terms

Document = dict[str, Any]


def write_terms(terms: Mapping[Currency, Terms]) -> str:
    """Return the terms of every currency as text, in their order."""
    document = {
        unit.code: {"model": model_document(of.model)} | _some("adjustments", adjustments_document(of.adjustments))
        for unit, of in terms.items()
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def read_terms(text: str) -> dict[Currency, Terms]:
    """Return the terms that `write_terms` wrote."""
    return {
        currency(code): Terms(
            model=_read_model(found["model"]), adjustments=_read_adjustments(found.get("adjustments", {}))
        )
        for code, found in json.loads(text).items()
    }


def model_document(model: PricingModel) -> Document:
    """Return a model as JSON's objects, every number as its numeral."""
    if not isinstance(model, ByDimension):
        return _leaf(model)
    default = None if model.default is None else _leaf(model.default)
    return {
        "type": "by_dimension",
        "fields": list(model.fields),
        "table": [{"values": list(key), "model": _leaf(leaf)} for key, leaf in model.table.items()],
    } | _some("default", default)


def _leaf(model: LeafModel) -> Document:
    match model:
        case Flat(amount=amount):
            return {"type": "flat", "amount": _text(amount)}
        case PerUnit(amount=amount):
            return {"type": "per_unit", "amount": _text(amount)}
        case Package(amount=amount, size=size, rounding=rounding):
            return {"type": "package", "amount": _text(amount), "size": _text(size), "round": rounding.value}
        case Graduated(tiers=tiers):
            return {"type": "graduated", "tiers": [_tier(tier) for tier in tiers]}
        case Volume(tiers=tiers):
            return {"type": "volume", "tiers": [_tier(tier) for tier in tiers]}
        case Percentage():
            return {
                "type": "percentage",
                "percent": _text(model.percent),
                "fixed": _text(model.fixed),
                "minimum": _maybe(model.minimum),
                "maximum": _maybe(model.maximum),
                "free_events": model.free_events,
                "free_value": _maybe(model.free_value),
            }
        case _:
            assert_never(model)


def _read_model(found: Document) -> PricingModel:
    if found["type"] != "by_dimension":
        return _read_leaf(found)
    return ByDimension(
        fields=tuple(found["fields"]),
        table={tuple(row["values"]): _read_leaf(row["model"]) for row in found["table"]},
        default=_read_leaf(found["default"]) if "default" in found else None,
    )


def _read_leaf(found: Document) -> LeafModel:
    match found["type"]:
        case "flat":
            return Flat(amount=Decimal(found["amount"]))
        case "per_unit":
            return PerUnit(amount=Decimal(found["amount"]))
        case "package":
            return Package(
                amount=Decimal(found["amount"]), size=Decimal(found["size"]), rounding=PackageRounding(found["round"])
            )
        case "graduated":
            return Graduated(tiers=tuple(_read_tier(tier) for tier in found["tiers"]))
        case "volume":
            return Volume(tiers=tuple(_read_tier(tier) for tier in found["tiers"]))
        case "percentage":
            return Percentage(
                percent=Decimal(found["percent"]),
                fixed=Decimal(found["fixed"]),
                minimum=_read_maybe(found["minimum"]),
                maximum=_read_maybe(found["maximum"]),
                free_events=found["free_events"],
                free_value=_read_maybe(found["free_value"]),
            )
        case other:
            raise ValueError(other)


def _tier(tier: Tier) -> Document:
    return {
        "up_to": _maybe(tier.up_to),
        "unit": _text(tier.unit),
        "flat": _text(tier.flat),
        "size": _maybe(tier.size),
        "cap": _maybe(tier.cap),
    }


def _read_tier(found: Document) -> Tier:
    return Tier(
        up_to=_read_maybe(found["up_to"]),
        unit=Decimal(found["unit"]),
        flat=Decimal(found["flat"]),
        size=_read_maybe(found["size"]),
        cap=_read_maybe(found["cap"]),
    )


def adjustments_document(of: Adjustments) -> Document:
    """Return adjustments as JSON's objects, without those that change nothing."""
    commitment = None
    if of.commitment is not None:
        commitment = {"amount": _text(of.commitment.amount), "overage": _text(of.commitment.overage)}
    return {
        **_some("included_units", _text(of.included_units) if of.included_units else None),
        **_some("discounts", [_discount(discount) for discount in of.discounts]),
        **_some("maximum_spend", _maybe(of.maximum_spend)),
        **_some("minimum_spend", _maybe(of.minimum_spend)),
        **_some("commitment", commitment),
    }


def _read_adjustments(found: Document) -> Adjustments:
    commitment = found.get("commitment")
    return Adjustments(
        included_units=Decimal(found.get("included_units", 0)),
        discounts=tuple(_read_discount(discount) for discount in found.get("discounts", ())),
        maximum_spend=_read_maybe(found.get("maximum_spend")),
        minimum_spend=_read_maybe(found.get("minimum_spend")),
        commitment=None
        if commitment is None
        else Commitment(amount=Decimal(commitment["amount"]), overage=Decimal(commitment["overage"])),
    )


def _discount(discount: Discount) -> Document:
    match discount:
        case PercentDiscount(percent=percent):
            return {"percent": _text(percent)}
        case FixedDiscount(amount=amount):
            return {"amount": _text(amount)}
        case _:
            assert_never(discount)


def _read_discount(found: Document) -> Discount:
    if "percent" in found:
        return PercentDiscount(percent=Decimal(found["percent"]))
    return FixedDiscount(amount=Decimal(found["amount"]))


def _some(name: str, value: object) -> Document:
    return {name: value} if value else {}


def _text(number: Decimal) -> str:
    return f"{number:f}"


def _maybe(number: Decimal | None) -> str | None:
    return None if number is None else _text(number)


def _read_maybe(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
