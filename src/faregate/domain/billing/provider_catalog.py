"""The catalog as the provider should have it, and where what it has differs: field by field, in Stripe's names.

A plan is a product. Each version of a price that the provider can rate is a meter and, for each of its currencies, a
price: usage of two versions never mixes there either. The version that is sold now holds the lookup key; those that
were sold are archived, and go on for whoever has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Protocol, assert_never

from faregate.base.money import EXACT
from faregate.domain.billing.expressible import Expressed
from faregate.domain.billing.provider import ProviderScheme
from faregate.domain.billing.provider_links import LinkKind, ProviderLinks, price_link_id
from faregate.domain.catalog.price import BillingPeriod, TaxBehavior

Fields = Mapping[str, str]
"""What is compared of an object: dotted names of Stripe's fields, and their values as text; what is not set is ''."""

_INTERVALS: Final = {
    BillingPeriod.DAY: ("day", "1"),
    BillingPeriod.WEEK: ("week", "1"),
    BillingPeriod.MONTH: ("month", "1"),
    BillingPeriod.QUARTER: ("month", "3"),
    BillingPeriod.YEAR: ("year", "1"),
}
_TAX: Final = {
    TaxBehavior.AUTO: "unspecified",
    TaxBehavior.INCLUSIVE: "inclusive",
    TaxBehavior.EXCLUSIVE: "exclusive",
}
GONE: Final = "deleted"
"""The field that says of an object that there is none any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedProduct:
    """A plan as a product, under the plan's own id."""

    plan_id: str
    name: str
    is_active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedMeter:
    """A meter of one version of a price; its event name is the version's id."""

    price_id: str
    display_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedPrice:
    """A version of a price in one currency. `is_current`: it is the one that is sold now, and holds the lookup key."""

    price_id: str
    series_id: str
    plan_id: str
    currency: str
    nickname: str
    period: BillingPeriod
    tax_behavior: TaxBehavior
    terms: Expressed
    is_active: bool
    is_current: bool

    @property
    def link_id(self) -> str:
        """Return our id of it among links, and in its metadata."""
        return price_link_id(self.price_id, self.currency)

    @property
    def lookup_key(self) -> str:
        """Return the key that it holds; empty where it holds none."""
        return price_link_id(self.series_id, self.currency) if self.is_current else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedSeries:
    """All versions of a price that the provider can rate, with their meters; the current one is first."""

    product: WantedProduct
    meters: tuple[WantedMeter, ...]
    prices: tuple[WantedPrice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A field in which an object at the provider is not as we want it."""

    kind: LinkKind
    our_id: str
    provider_id: str
    field: str
    ours: str
    theirs: str


class CatalogProvider(Protocol):
    """The calls that keep a catalog in step. Errors as of `BillingProvider`; each call may be made again."""

    def account(self) -> str:
        """Return the provider's id of the account."""

    def push_product(self, wanted: WantedProduct, links: ProviderLinks) -> None:
        """Make the product, or bring it to what is wanted."""

    def push_series(self, wanted: WantedSeries, links: ProviderLinks) -> None:
        """Make meters and prices, move lookup keys, archive; the product where it is not there yet."""

    def seen(self, kind: LinkKind, provider_id: str) -> Fields | None:
        """Return what the provider has of a product, price or meter; None where it was deleted."""


def product_fields(wanted: WantedProduct) -> dict[str, str]:
    """Return what a product should say."""
    return {"name": wanted.name, "active": flag(is_set=wanted.is_active)}


def meter_fields(wanted: WantedMeter) -> dict[str, str]:
    """Return what a meter should say; nothing but its name can be changed."""
    return {"display_name": wanted.display_name, "event_name": wanted.price_id, "status": "active"}


def price_fields(wanted: WantedPrice) -> dict[str, str]:
    """Return what a price should say. Its amounts and its interval never change."""
    interval, count = _INTERVALS[wanted.period]
    return {
        "active": flag(is_set=wanted.is_active),
        "lookup_key": wanted.lookup_key,
        "nickname": wanted.nickname,
        "tax_behavior": _TAX[wanted.tax_behavior],
        "currency": wanted.currency.lower(),
        "recurring.interval": interval,
        "recurring.interval_count": count,
    } | _terms_fields(wanted.terms)


def differences(
    kind: LinkKind, our_id: str, provider_id: str, *, ours: Fields, theirs: Fields | None
) -> list[Difference]:
    """Return each field in which theirs is not ours, by name; of a deleted object only that it was."""
    if theirs is None:
        ours, theirs = {GONE: "false"}, {GONE: "true"}
    return [
        Difference(
            kind=kind,
            our_id=our_id,
            provider_id=provider_id,
            field=field,
            ours=ours.get(field, ""),
            theirs=theirs.get(field, ""),
        )
        for field in sorted(ours.keys() | theirs.keys())
        if ours.get(field, "") != theirs.get(field, "")
    ]


def flag(*, is_set: bool) -> str:
    """Return a yes or no as it is compared."""
    return "true" if is_set else "false"


def number(value: Decimal) -> str:
    """Return an exact number as it is compared, and sent: 0.50 is 0.5."""
    return f"{value.normalize(EXACT):f}"


def _terms_fields(terms: Expressed) -> dict[str, str]:
    match terms.scheme:
        case ProviderScheme.PER_UNIT:
            return {"billing_scheme": "per_unit", "unit_amount_decimal": number(terms.unit_amount)}
        case ProviderScheme.PACKAGE | ProviderScheme.PACKAGE_DOWN:
            return {
                "billing_scheme": "per_unit",
                "unit_amount_decimal": number(terms.unit_amount),
                "transform_quantity.divide_by": str(terms.divide_by),
                "transform_quantity.round": "up" if terms.scheme is ProviderScheme.PACKAGE else "down",
            }
        case ProviderScheme.GRADUATED | ProviderScheme.VOLUME:
            fields = {"billing_scheme": "tiered", "tiers_mode": terms.scheme.value}
            for index, tier in enumerate(terms.tiers):
                fields[f"tiers[{index}].up_to"] = "inf" if tier.up_to is None else number(tier.up_to)
                fields[f"tiers[{index}].unit_amount_decimal"] = number(tier.unit_amount)
                fields[f"tiers[{index}].flat_amount_decimal"] = number(tier.flat_amount)
            return fields
        case _:
            assert_never(terms.scheme)
