"""Which prices the billing provider rates by itself, and in which words; the lines of all others it gets from us."""

from __future__ import annotations

from decimal import Decimal

from faregate.base.money import EXACT
from faregate.domain.billing.provider import ProviderPrice, ProviderScheme, ProviderTier
from faregate.domain.catalog.models import Graduated, Package, PackageRounding, PerUnit, Tier, Volume
from faregate.domain.catalog.price import UNADJUSTED, Price
from faregate.domain.pricing.rating import is_due_without_usage


def is_rated_by_provider(price: Price) -> bool:
    """Return whether the provider can come to our amount from raw units, so that the two can be compared."""
    if price.adjustments != UNADJUSTED or is_due_without_usage(price):
        return False
    match price.model:
        case PerUnit() | Package(rounding=PackageRounding.UP):
            return True
        case Graduated(tiers=tiers) | Volume(tiers=tiers):
            return all(tier.size is None and tier.cap is None for tier in tiers)
        case _:
            return False


def provider_price(price: Price, *, product: str) -> ProviderPrice:
    """Return a price of `is_rated_by_provider` in the provider's words."""
    scheme, unit_amount, divide_by = ProviderScheme.PER_UNIT, Decimal(0), 1
    tiers: tuple[ProviderTier, ...] = ()
    match price.model:
        case PerUnit(amount=amount):
            unit_amount = _minor(price, amount)
        case Package(amount=amount, size=size):
            scheme, unit_amount, divide_by = ProviderScheme.PACKAGE, _minor(price, amount), int(size)
        case Graduated(tiers=found):
            scheme, tiers = ProviderScheme.GRADUATED, _tiers(price, found)
        case Volume(tiers=found):
            scheme, tiers = ProviderScheme.VOLUME, _tiers(price, found)
        case _:
            message = f"the provider cannot rate a {type(price.model).__name__}"
            raise TypeError(message)
    return ProviderPrice(
        lookup_key=price.price_id,
        product=product,
        nickname=price.name,
        currency=price.currency.code,
        unit_amount=unit_amount,
        divide_by=divide_by,
        scheme=scheme,
        tiers=tiers,
    )


def _tiers(price: Price, tiers: tuple[Tier, ...]) -> tuple[ProviderTier, ...]:
    return tuple(
        ProviderTier(up_to=tier.up_to, unit_amount=_minor(price, tier.unit), flat_amount=_minor(price, tier.flat))
        for tier in tiers
    )


def _minor(price: Price, amount: Decimal) -> Decimal:
    return EXACT.scaleb(amount, price.currency.minor_places)
