"""A price version at Stripe: the plan's product, a meter of its own, and a price a currency. Each is made once.

A version has a meter of its own, so that a subscription which pays two versions in one period pays each for its part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from faregate.domain.billing.provider import ProviderPrice, ProviderScheme
from faregate.domain.billing.provider_links import LinkKind, ProviderLinks, price_link_id
from faregate.providers.stripe.client import asked, created
from faregate.providers.stripe.shapes import OUR_ID, every, from_page, key_of, metadata_of

if TYPE_CHECKING:
    from stripe import Price, Product, StripeClient
    from stripe.billing import Meter
    from stripe.params import PriceCreateParams, PriceListParams, ProductCreateParams
    from stripe.params.billing import MeterCreateParams, MeterListParams


def ensure_price(client: StripeClient, wanted: ProviderPrice, links: ProviderLinks) -> str:
    """Return Stripe's id of a price, made now if need be, with its meter and product."""
    our_id = price_link_id(wanted.lookup_key, wanted.currency)
    known = links.find(LinkKind.PRICE, our_id)
    if known is not None and links.find(LinkKind.METER, wanted.lookup_key) is not None:
        return known
    product, meter = _ensure_product(client, wanted, links), ensure_meter(client, wanted, links)
    sent: dict[str, Any] = {
        "product": product,
        "currency": wanted.currency.lower(),
        "nickname": wanted.nickname,
        "recurring": {"interval": "month", "usage_type": "metered", "meter": meter},
        "metadata": {OUR_ID: our_id},
        **_terms(wanted),
    }

    def find() -> Price | None:
        def listed(after: str | None) -> Any:  # noqa: ANN401 - the SDK's list of prices
            return client.v1.prices.list(cast("PriceListParams", {"product": product, **from_page(after)}))

        found = (price for price in every(listed) if metadata_of(price.metadata).get(OUR_ID) == our_id)
        return cast("Price | None", next(found, None))

    price = find() or created(
        lambda key: client.v1.prices.create(cast("PriceCreateParams", sent), {"idempotency_key": key}),
        key=key_of("price", our_id, sent),
        find=find,
    )
    links.add(LinkKind.PRICE, our_id, price.id)
    return price.id


def ensure_meter(client: StripeClient, wanted: ProviderPrice, links: ProviderLinks) -> str:
    """Return Stripe's id of a version's meter, made now if need be. Its event name is the version's id."""
    known = links.find(LinkKind.METER, wanted.lookup_key)
    if known is not None:
        return known
    sent: dict[str, Any] = {
        "display_name": wanted.nickname,
        "event_name": wanted.lookup_key,
        "default_aggregation": {"formula": "sum"},
        "customer_mapping": {"type": "by_id", "event_payload_key": "stripe_customer_id"},
        "value_settings": {"event_payload_key": "value"},
    }

    def find() -> Meter | None:
        def listed(after: str | None) -> Any:  # noqa: ANN401 - the SDK's list of meters
            return client.v1.billing.meters.list(cast("MeterListParams", from_page(after)))

        return cast("Meter | None", next((m for m in every(listed) if m.event_name == wanted.lookup_key), None))

    meter = find() or created(
        lambda key: client.v1.billing.meters.create(cast("MeterCreateParams", sent), {"idempotency_key": key}),
        key=key_of("meter", wanted.lookup_key, sent),
        find=find,
    )
    links.add(LinkKind.METER, wanted.lookup_key, meter.id)
    return meter.id


def _ensure_product(client: StripeClient, wanted: ProviderPrice, links: ProviderLinks) -> str:
    known = links.find(LinkKind.PRODUCT, wanted.product_id)
    if known is not None:
        return known
    sent: dict[str, Any] = {"id": wanted.product_id, "name": wanted.product, "metadata": {OUR_ID: wanted.product_id}}

    def find() -> Product | None:
        found = asked(lambda: client.v1.products.list({"ids": [wanted.product_id]})).data
        return found[0] if found else None

    product = find() or created(
        lambda key: client.v1.products.create(cast("ProductCreateParams", sent), {"idempotency_key": key}),
        key=key_of("product", wanted.product_id, sent),
        find=find,
    )
    links.add(LinkKind.PRODUCT, wanted.product_id, product.id)
    return product.id


def _terms(wanted: ProviderPrice) -> dict[str, Any]:
    match wanted.scheme:
        case ProviderScheme.GRADUATED | ProviderScheme.VOLUME:
            tiers = [
                {
                    "up_to": "inf" if tier.up_to is None else int(tier.up_to),
                    "unit_amount_decimal": f"{tier.unit_amount:f}",
                    "flat_amount_decimal": f"{tier.flat_amount:f}",
                }
                for tier in wanted.tiers
            ]
            return {"billing_scheme": "tiered", "tiers_mode": wanted.scheme.value, "tiers": tiers}
        case ProviderScheme.PER_UNIT:
            return {"unit_amount_decimal": f"{wanted.unit_amount:f}"}
        case ProviderScheme.PACKAGE | ProviderScheme.PACKAGE_DOWN:
            rounding = "up" if wanted.scheme is ProviderScheme.PACKAGE else "down"
            transform = {"divide_by": wanted.divide_by, "round": rounding}
            return {"unit_amount_decimal": f"{wanted.unit_amount:f}", "transform_quantity": transform}
