"""What of the catalog the billing provider should have, as it stands now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from faregate.domain.billing.expressible import Expressed, express
from faregate.domain.billing.provider_catalog import (
    Fields,
    WantedMeter,
    WantedPrice,
    WantedProduct,
    WantedSeries,
    meter_fields,
    price_fields,
    product_fields,
)
from faregate.domain.billing.provider_links import LinkKind
from faregate.domain.catalog.price import Plan
from faregate.domain.catalog.versions import PriceSeries, PriceVersion
from faregate.storage.catalog import find_plan
from faregate.storage.catalog_sync import CatalogKind, SyncRow
from faregate.storage.database import Transaction
from faregate.storage.metered import find_series
from faregate.storage.meters import meters_of_price

_MOST_NAME: Final = 250
"""Characters of a meter's name at Stripe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A row's plan or price as it should stand, and the business time at which that changes by itself."""

    product: WantedProduct
    series: WantedSeries | None
    changes_at: datetime | None

    @property
    def our_ids(self) -> list[str]:
        """Return our ids of everything that it is linked by."""
        series = self.series
        rest = [] if series is None else [*(m.price_id for m in series.meters), *(p.link_id for p in series.prices)]
        return [self.product.plan_id, *rest]

    def objects(self) -> list[tuple[LinkKind, str, Fields]]:
        """Return the objects that it is about, with what they should say."""
        if self.series is None:
            return [(LinkKind.PRODUCT, self.product.plan_id, product_fields(self.product))]
        meters = [(LinkKind.METER, meter.price_id, meter_fields(meter)) for meter in self.series.meters]
        prices = [(LinkKind.PRICE, price.link_id, price_fields(price)) for price in self.series.prices]
        return [*meters, *prices]


def read_wanted(transaction: Transaction, row: SyncRow, *, now: datetime) -> Wanted | None:
    """Return what a row's plan or price should be at the business time; None for one that there is no more."""
    if row.kind is CatalogKind.PLAN:
        plan = find_plan(transaction, row.application_id, row.our_id)
        return None if plan is None else Wanted(product=_product(plan), series=None, changes_at=None)
    series = find_series(transaction, row.application_id, row.our_id)
    plan = None if series is None else find_plan(transaction, row.application_id, series.plan_id)
    if series is None or plan is None:
        return None
    names = [meter.name for meter in meters_of_price(transaction, row.application_id, series.series_id)]
    return Wanted(
        product=_product(plan),
        series=_series(plan, series, meter_name=", ".join(names) or series.name, now=now),
        changes_at=min(
            (version.effective_at for version in series.lasting if version.effective_at > now), default=None
        ),
    )


def current_version(series: PriceSeries, now: datetime) -> PriceVersion:
    """Return the version that is sold to whoever subscribes now."""
    found, *later = series.lasting
    for version in later:
        if found.effective_at <= version.effective_at <= now:
            found = version
    return found


def _product(plan: Plan) -> WantedProduct:
    return WantedProduct(plan_id=plan.plan_id, name=plan.name, is_active=not plan.is_archived)


def _series(plan: Plan, series: PriceSeries, *, meter_name: str, now: datetime) -> WantedSeries:
    current = current_version(series, now)
    versions = sorted(series.every_version, key=lambda version: (version is not current, version.number))
    meters, prices = [], []
    for version in versions:
        made = _prices(plan, series, version, is_current=version is current, now=now)
        if made:
            suffix = "" if version.number == 1 else f" (version {version.number})"
            name = meter_name[: _MOST_NAME - len(suffix)] + suffix
            meters.append(WantedMeter(price_id=version.price_id, display_name=name))
            prices += made
    return WantedSeries(product=_product(plan), meters=tuple(meters), prices=tuple(prices))


def _prices(
    plan: Plan, series: PriceSeries, version: PriceVersion, *, is_current: bool, now: datetime
) -> list[WantedPrice]:
    found = []
    for unit in version.terms:
        terms = express(series.price(version, unit))
        if isinstance(terms, Expressed):
            found.append(
                WantedPrice(
                    price_id=version.price_id,
                    series_id=series.series_id,
                    plan_id=plan.plan_id,
                    currency=unit.code,
                    nickname=series.name,
                    period=series.period,
                    tax_behavior=series.tax_behavior,
                    terms=terms,
                    is_active=not plan.is_archived and (is_current or version.effective_at > now),
                    is_current=is_current,
                )
            )
    return found
