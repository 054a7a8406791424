"""A price over time and in several currencies: which version, in which currency, a subscription pays.

A price never changes. A change is a new version that takes effect at a chosen moment; what an earlier one has rated
stays as it is. A version has an id of its own, so totals, lines and leases of two versions never mix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from faregate.base.money import Currency
from faregate.domain.catalog.adjustments import Adjustments
from faregate.domain.catalog.models import PricingModel
from faregate.domain.catalog.price import UNADJUSTED, BillingPeriod, Price, TaxBehavior


class AppliesTo(StrEnum):
    """Whom a version holds for: every subscription, or those that start at its moment or later."""

    ALL = "all"
    NEW_SUBSCRIPTIONS = "new_subscriptions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is paid in one currency; every amount in it is of that currency."""

    model: PricingModel
    adjustments: Adjustments = UNADJUSTED


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceVersion:
    """One version. `terms` is by currency, and the first currency is the price's own."""

    price_id: str
    number: int
    effective_at: datetime
    applies_to: AppliesTo
    terms: Mapping[Currency, Terms]


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSeries:
    """All versions of a price, in the order in which they were made. The first has the series' own id."""

    series_id: str
    plan_id: str
    name: str
    period: BillingPeriod
    tax_behavior: TaxBehavior
    versions: tuple[PriceVersion, ...]

    @property
    def currencies(self) -> tuple[Currency, ...]:
        """Return the currencies that every version can be paid in, the price's own first."""
        first, *later = self.versions
        return tuple(unit for unit in first.terms if all(unit in version.terms for version in later))

    def in_force(self, *, subscribed_at: datetime, at: datetime) -> PriceVersion:
        """Return the version that a subscription of `subscribed_at` pays for usage of `at`.

        Of two versions that hold for it, the later effective one wins, and the later made of two at one moment. Before
        every version's moment it is the first one.
        """
        found = self.versions[0]
        for version in self.versions[1:]:
            known = version.applies_to is AppliesTo.ALL or version.effective_at <= subscribed_at
            if known and found.effective_at <= version.effective_at <= at:
                found = version
        return found

    def price(self, version: PriceVersion, currency: Currency) -> Price:
        """Return a version as it is paid in a currency; `KeyError` where it cannot be."""
        terms = version.terms[currency]
        return Price(
            price_id=version.price_id,
            plan_id=self.plan_id,
            name=self.name,
            model=terms.model,
            period=self.period,
            currency=currency,
            tax_behavior=self.tax_behavior,
            adjustments=terms.adjustments,
            series_id=self.series_id,
        )
