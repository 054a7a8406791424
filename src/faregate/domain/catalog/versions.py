"""A price over time and in several currencies: which version, in which currency, a subscription pays.

A price never changes. A change is a new version that takes effect at a chosen moment; what an earlier one has rated
stays as it is. A version has an id of its own, so totals, lines and leases of two versions never mix.

A version that was wrong is put right by another one, a *replacement*, which takes its place in chosen billing periods
(services/rerating.py). Both stay readable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from faregate.base.money import Currency
from faregate.base.periods import Period, Span
from faregate.domain.catalog.adjustments import Adjustments, PercentDiscount
from faregate.domain.catalog.models import ByDimension, PerUnit, PricingModel
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
class Replaced:
    """The version that another one stands for, in every billing period that touches `span`, and by which re-rating."""

    price_id: str
    span: Span
    rerating_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceVersion:
    """One version. `terms` is by currency, and the first currency is the price's own.

    `replaces`: what a replacement stands for; its moment, and for whom it holds, are those of that version.
    """

    price_id: str
    number: int
    effective_at: datetime
    applies_to: AppliesTo
    terms: Mapping[Currency, Terms]
    replaces: Replaced | None = None

    @property
    def is_linear(self) -> bool:
        """Return whether each unit costs the same whatever else the period holds."""
        return all(_is_linear(of) for of in self.terms.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSeries:
    """All versions of a price, in the order in which they were made. The first has the series' own id.

    `versions` are those that were made for their moment, `replacements` those that put one of them right.
    """

    series_id: str
    plan_id: str
    name: str
    period: BillingPeriod
    tax_behavior: TaxBehavior
    versions: tuple[PriceVersion, ...]
    replacements: tuple[PriceVersion, ...] = ()

    @property
    def every_version(self) -> tuple[PriceVersion, ...]:
        """Return versions and replacements, by number."""
        return tuple(sorted((*self.versions, *self.replacements), key=lambda version: version.number))

    @property
    def lasting(self) -> tuple[PriceVersion, ...]:
        """Return the versions in the order of `versions`, each or what has taken its place for good."""
        return tuple(map(self._lasting, self.versions))

    @property
    def latest(self) -> PriceVersion:
        """Return the last version, or what has taken its place for good."""
        return self._lasting(self.versions[-1])

    @property
    def currencies(self) -> tuple[Currency, ...]:
        """Return the currencies that every version can be paid in, the price's own first."""
        first, *later = self.every_version
        return tuple(unit for unit in first.terms if all(unit in version.terms for version in later))

    def _lasting(self, version: PriceVersion) -> PriceVersion:
        for_good = (made for made in self.replacements if _stands_for(made, version) and _is_for_good(made))
        return max(for_good, key=lambda made: made.number, default=version)

    def standing(self, period: Period) -> tuple[PriceVersion, ...]:
        """Return the versions as they stand in a billing period: the last made replacement of each that has one."""
        if not self.replacements:
            return self.versions
        in_place = {
            made.replaces.price_id: made
            for made in self.replacements
            if made.replaces is not None and made.replaces.span.touches(period)
        }
        return tuple(in_place.get(version.price_id, version) for version in self.versions)

    def in_force(self, *, subscribed_at: datetime, at: datetime, period: Period) -> PriceVersion:
        """Return the version that a subscription of `subscribed_at` pays for usage of `at`, billed in a period.

        Of two versions that hold for it, the later effective one wins, and the later made of two at one moment. Before
        every version's moment it is the first one. Between versions whose units stand each for itself, a change holds
        from its very moment; where one of them has packages, tiers, free units or amounts of a whole period, from the
        first period that begins at its moment or later, so that nothing of a period is begun or charged twice.
        """
        found, *later = self.standing(period)
        for version in later:
            known = version.applies_to is AppliesTo.ALL or version.effective_at <= subscribed_at
            reached = at if found.is_linear and version.is_linear else period.start
            if known and found.effective_at <= version.effective_at <= reached:
                found = version
        return found

    def unchanged_around(self, instant: datetime, *, within: Period) -> Period:
        """Return the part of a period around an instant in which no version takes effect.

        An instant outside the period has the part of it that is nearest.
        """
        start, end = within.start, within.end
        for version in self.versions[1:]:
            if start < version.effective_at <= instant and version.effective_at < end:
                start = version.effective_at
            elif max(start, instant) < version.effective_at < end:
                end = version.effective_at
        return Period(start, end)

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


class PriceList:
    """Every price of an application, and what subscriptions pay by it."""

    def __init__(self, series: Iterable[PriceSeries]) -> None:
        self._versions = {version.price_id: (one, version) for one in series for version in one.every_version}
        self._prices: dict[tuple[str, Currency], Price] = {}

    def series_of(self, price_id: str) -> PriceSeries | None:
        """Return the price that an id of it, or of one of its versions, names."""
        found = self._versions.get(price_id)
        return None if found is None else found[0]

    def version(self, price_id: str, currency: Currency) -> Price:
        """Return a version as it is paid in a currency; `KeyError` for an unknown one, or where it can't be."""
        price = self._prices.get((price_id, currency))
        if price is None:
            series, version = self._versions[price_id]
            price = self._prices[price_id, currency] = series.price(version, currency)
        return price

    def of_plan(self, plan_id: str) -> list[PriceSeries]:
        """Return a plan's prices, in id order."""
        found = {one.series_id: one for one, _ in self._versions.values() if one.plan_id == plan_id}
        return [found[series_id] for series_id in sorted(found)]


def _stands_for(made: PriceVersion, version: PriceVersion) -> bool:
    return made.replaces is not None and made.replaces.price_id == version.price_id


def _is_for_good(made: PriceVersion) -> bool:
    return made.replaces is not None and made.replaces.span.end is None


def _is_linear(terms: Terms) -> bool:
    model, adjusted = terms.model, terms.adjustments
    leaves = [model] if not isinstance(model, ByDimension) else [*model.table.values(), model.default]
    return all(leaf is None or isinstance(leaf, PerUnit) for leaf in leaves) and adjusted == Adjustments(
        discounts=tuple(discount for discount in adjusted.discounts if isinstance(discount, PercentDiscount))
    )
