"""Plans and prices on the wire."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

from faregate.base.money import currency
from faregate.domain.catalog.price import BillingPeriod, Package, Plan, Price, TaxBehavior
from faregate.domain.catalog.validation import package_faults, require
from faregate.wire.api.common import DecimalText, Identifier, Name, bounded, plain

CurrencyCode = Annotated[str, Meta(min_length=3, max_length=3, examples=["USD"])]
"""ISO 4217, in capitals."""


class PlanCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A plan to make. Names are unique within the application."""

    name: Name


class PlanView(Struct, frozen=True, kw_only=True):
    """A plan: a product of the catalog."""

    plan_id: str
    name: str


class PackageModel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="package"):
    """`amount` (major units) for every begun package of `size` units; the period's total is rounded up once."""

    amount: Decimal
    size: Decimal
    round: Literal["up"] = "up"


class PackageModelView(Struct, frozen=True, kw_only=True, tag="package"):
    """The package model as it is kept."""

    amount: DecimalText
    size: DecimalText
    round: Literal["up"] = "up"


class PriceCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price to make. Prices never change: another amount is another price, under another name."""

    plan_id: Identifier
    name: Name
    model: PackageModel
    currency: CurrencyCode
    period: BillingPeriod = BillingPeriod.MONTH
    tax_behavior: TaxBehavior = TaxBehavior.AUTO


class PriceView(Struct, frozen=True, kw_only=True):
    """A price of a plan."""

    price_id: str
    plan_id: str
    name: str
    model: PackageModelView
    currency: str
    period: BillingPeriod
    tax_behavior: TaxBehavior


def plan_view(plan: Plan) -> PlanView:
    """Return a plan as it travels."""
    return PlanView(plan_id=plan.plan_id, name=plan.name)


def price_view(price: Price) -> PriceView:
    """Return a price as it travels."""
    return PriceView(
        price_id=price.price_id,
        plan_id=price.plan_id,
        name=price.name,
        model=PackageModelView(amount=plain(price.model.amount), size=plain(price.model.size)),
        currency=price.currency.code,
        period=price.period,
        tax_behavior=price.tax_behavior,
    )


def to_price(request: PriceCreate, price_id: str) -> Price:
    """Return the price that is asked for; `InvalidInput` names every field that cannot be."""
    unit = currency(request.currency)
    model = Package(
        amount=bounded("model.amount", request.model.amount), size=bounded("model.size", request.model.size)
    )
    require(package_faults("model", model))
    return Price(
        price_id=price_id,
        plan_id=request.plan_id,
        name=request.name,
        model=model,
        period=request.period,
        currency=unit,
        tax_behavior=request.tax_behavior,
    )
