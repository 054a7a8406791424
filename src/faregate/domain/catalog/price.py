"""A price: one metered thing sold in a plan, and the model that turns its quantity into an amount."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from faregate.base.money import Currency
from faregate.domain.catalog.adjustments import Adjustments
from faregate.domain.catalog.models import PricingModel

UNADJUSTED = Adjustments()


class BillingPeriod(StrEnum):
    """How long a period's total is added up before it is billed."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


class TaxBehavior(StrEnum):
    """Whether tax is inside the amount, on top of it, or left to the billing provider's default (`auto`)."""

    AUTO = "auto"
    INCLUSIVE = "inclusive"
    EXCLUSIVE = "exclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A product of the catalog, unique by name within the application. An archived one is not sold any more."""

    plan_id: str
    name: str
    is_archived: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A price of a plan, in one currency, as one subscription pays it. Unique by name within the plan.

    `price_id` is that of the version; `series_id` is what all versions of the price share, and what meters feed.
    """

    price_id: str
    plan_id: str
    name: str
    model: PricingModel
    period: BillingPeriod
    currency: Currency
    tax_behavior: TaxBehavior
    adjustments: Adjustments = UNADJUSTED
    series_id: str = ""
