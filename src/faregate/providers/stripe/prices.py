"""A version of a price at Stripe, where the catalog's loop put it: found by its links, never made here.

A version has a meter of its own, so that a subscription which pays two versions in one period pays each for its part.
"""

from __future__ import annotations

from faregate.base.errors import Unavailable
from faregate.domain.billing.provider import ProviderPrice
from faregate.domain.billing.provider_links import LinkKind, ProviderLinks, price_link_id


def price_at_stripe(wanted: ProviderPrice, links: ProviderLinks) -> str:
    """Return Stripe's id of a price. `Unavailable` while the catalog is on its way."""
    price = links.find(LinkKind.PRICE, price_link_id(wanted.lookup_key, wanted.currency))
    if price is None or links.find(LinkKind.METER, wanted.lookup_key) is None:
        raise Unavailable(f"the price {wanted.lookup_key} is not at Stripe yet; the catalog is on its way there")
    return price
