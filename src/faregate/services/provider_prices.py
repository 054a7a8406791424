"""Which of our prices the provider rates by itself, and in which words; the lines of all others it gets from us."""

from __future__ import annotations

from faregate.domain.billing.expressible import Expressed, express
from faregate.domain.billing.provider import ProviderPrice
from faregate.domain.catalog.price import Price


def is_rated_by_provider(price: Price) -> bool:
    """Return whether the provider can come to our amount from raw units, so that the two can be compared."""
    return isinstance(express(price), Expressed)


def provider_price(price: Price, *, product: str) -> ProviderPrice:
    """Return a price of `is_rated_by_provider` in the provider's words; its product is the plan's name."""
    expressed = express(price)
    if not isinstance(expressed, Expressed):
        raise TypeError(f"the provider cannot rate a {type(price.model).__name__}: {expressed.reason}")
    return ProviderPrice(
        lookup_key=price.price_id,
        product=product,
        nickname=price.name,
        currency=price.currency.code,
        unit_amount=expressed.unit_amount,
        divide_by=expressed.divide_by,
        scheme=expressed.scheme,
        tiers=expressed.tiers,
    )
