"""The catalog at Stripe: plans as products, versions of prices as meters and prices.

Nothing is made twice: a product bears the plan's id, a meter's event name is the version's id, and a price is looked
for by its metadata before it is made. Lookup keys and what is archived are set afterwards, which may be repeated.
Sources: https://docs.stripe.com/api/products, https://docs.stripe.com/api/prices, https://docs.stripe.com/api/billing/meter
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, cast

from faregate.base.errors import Conflict, InvalidInput, NotFound
from faregate.domain.billing.provider_catalog import (
    WantedMeter,
    WantedPrice,
    WantedProduct,
    WantedSeries,
    flag,
    number,
    price_fields,
    product_fields,
)
from faregate.domain.billing.provider_links import LinkKind, ProviderLinks
from faregate.providers.stripe.client import StripeAccount, asked, created
from faregate.providers.stripe.shapes import OUR_ID, every, find_ours, from_page, key_of

if TYPE_CHECKING:
    from stripe import ListObject, Price, Product, StripeClient
    from stripe.billing import Meter
    from stripe.params import PriceCreateParams, PriceListParams, PriceUpdateParams, ProductUpdateParams
    from stripe.params.billing import MeterListParams

_EXPAND: Final = ["tiers"]


class StripeCatalog(StripeAccount):
    """`CatalogProvider` at Stripe."""

    def push_product(self, wanted: WantedProduct, links: ProviderLinks) -> None:
        """Make the product, or bring it to what is wanted."""
        ensure_product(self._client, wanted, links)

    def push_series(self, wanted: WantedSeries, links: ProviderLinks) -> None:
        """Make meters and prices; the first one takes the lookup key over before others are archived."""
        product = links.find(LinkKind.PRODUCT, wanted.product.plan_id) or ensure_product(
            self._client, wanted.product, links
        )
        meters = {meter.price_id: ensure_meter(self._client, meter, links) for meter in wanted.meters}
        for price in wanted.prices:
            ensure_price(self._client, price, product=product, meter=meters[price.price_id], links=links)

    def seen(self, kind: LinkKind, provider_id: str) -> Mapping[str, str] | None:
        """Return what is compared of an object; None where it was deleted."""
        client = self._client
        try:
            if kind is LinkKind.PRODUCT:
                product = asked(lambda: client.v1.products.retrieve(provider_id))
                return None if getattr(product, "deleted", False) else seen_product(product)
            if kind is LinkKind.METER:
                return seen_meter(asked(lambda: client.v1.billing.meters.retrieve(provider_id)))
            return seen_price(asked(lambda: client.v1.prices.retrieve(provider_id, {"expand": _EXPAND})))
        except NotFound:
            return None


def ensure_product(client: StripeClient, wanted: WantedProduct, links: ProviderLinks) -> str:
    """Return the id of a plan's product, made or changed to what is wanted."""
    known = links.find(LinkKind.PRODUCT, wanted.plan_id) or wanted.plan_id
    product = _product(client, known)
    if product is None:
        product = _make_product(client, wanted)
    ours, theirs = product_fields(wanted), seen_product(product)
    if ours != theirs:
        changes: ProductUpdateParams = {"name": wanted.name, "active": wanted.is_active}
        asked(lambda: client.v1.products.update(product.id, changes))
    links.add(LinkKind.PRODUCT, wanted.plan_id, product.id)
    return product.id


def ensure_meter(client: StripeClient, wanted: WantedMeter, links: ProviderLinks) -> str:
    """Return the id of a version's meter, made or renamed."""
    known = links.find(LinkKind.METER, wanted.price_id)
    meter = None if known is None else _standing(lambda: client.v1.billing.meters.retrieve(known))
    if meter is None:
        meter = _make_meter(client, wanted)
    if meter.display_name != wanted.display_name:
        identifier = meter.id
        asked(lambda: client.v1.billing.meters.update(identifier, {"display_name": wanted.display_name}))
    if meter.status != "active":
        identifier = meter.id
        asked(lambda: client.v1.billing.meters.reactivate(identifier))
    links.add(LinkKind.METER, wanted.price_id, meter.id)
    return meter.id


def ensure_price(client: StripeClient, wanted: WantedPrice, *, product: str, meter: str, links: ProviderLinks) -> str:
    """Return the id of a version's price in a currency, made, or changed as far as a price can be.

    Raises `Conflict` on `price` where what stands there has other terms: amounts never change.
    """
    known = links.find(LinkKind.PRICE, wanted.link_id)
    price = None if known is None else _standing(lambda: client.v1.prices.retrieve(known, {"expand": _EXPAND}))
    if price is None:
        price = _find_price(client, wanted, product=product) or _make_price(
            client, wanted, product=product, meter=meter
        )
    identifier = price.id
    ours, theirs = price_fields(wanted), seen_price(price)
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name, "") != theirs.get(name, "") and name not in _CHANGEABLE:
            raise Conflict(
                "price",
                f"{wanted.link_id} stands at Stripe as {identifier} with {name} {theirs.get(name, '')!r}, where"
                f" {ours.get(name, '')!r} is wanted, and a price never changes there",
            )
    changes = _price_changes(ours, theirs)
    if changes:
        asked(lambda: client.v1.prices.update(identifier, changes))
    links.add(LinkKind.PRICE, wanted.link_id, identifier)
    return identifier


@contextmanager
def sold_again(client: StripeClient, price: str) -> Iterator[None]:
    """Let a price be put on a subscription while this lasts, though it is archived: one that it was sold to before."""
    was_active = asked(lambda: client.v1.prices.retrieve(price)).active
    if not was_active:
        asked(lambda: client.v1.prices.update(price, {"active": True}))
    try:
        yield
    finally:
        if not was_active:
            asked(lambda: client.v1.prices.update(price, {"active": False}))


def seen_product(product: Product) -> dict[str, str]:
    """Return what is compared of a product."""
    return {"name": product.name, "active": flag(is_set=product.active)}


def seen_meter(meter: Meter) -> dict[str, str]:
    """Return what is compared of a meter."""
    return {"display_name": meter.display_name, "event_name": meter.event_name, "status": meter.status}


def seen_price(price: Price) -> dict[str, str]:
    """Return what is compared of a price, whose tiers are expanded."""
    fields = {
        "active": flag(is_set=price.active),
        "lookup_key": price.lookup_key or "",
        "nickname": price.nickname or "",
        "tax_behavior": price.tax_behavior or "unspecified",
        "currency": price.currency,
        "billing_scheme": price.billing_scheme,
    }
    if price.recurring is not None:
        fields["recurring.interval"] = price.recurring.interval
        fields["recurring.interval_count"] = str(price.recurring.interval_count)
    if price.billing_scheme == "per_unit":
        fields["unit_amount_decimal"] = _numeral(price.unit_amount_decimal)
    if price.transform_quantity is not None:
        fields["transform_quantity.divide_by"] = str(price.transform_quantity.divide_by)
        fields["transform_quantity.round"] = price.transform_quantity.round
    if price.billing_scheme == "tiered":
        fields["tiers_mode"] = price.tiers_mode or ""
        for index, tier in enumerate(price.tiers or []):
            fields[f"tiers[{index}].up_to"] = "inf" if tier.up_to is None else str(tier.up_to)
            fields[f"tiers[{index}].unit_amount_decimal"] = _numeral(tier.unit_amount_decimal)
            fields[f"tiers[{index}].flat_amount_decimal"] = _numeral(tier.flat_amount_decimal)
    return fields


_CHANGEABLE: Final = frozenset({"active", "lookup_key", "nickname", "tax_behavior"})


def _product(client: StripeClient, identifier: str) -> Product | None:
    product = _standing(lambda: client.v1.products.retrieve(identifier))
    return None if product is None or getattr(product, "deleted", False) else product


def _make_product(client: StripeClient, wanted: WantedProduct) -> Product:
    try:
        return asked(
            lambda: client.v1.products.create(
                {
                    "id": wanted.plan_id,
                    "name": wanted.name,
                    "active": wanted.is_active,
                    "metadata": {OUR_ID: wanted.plan_id},
                }
            )
        )
    except (InvalidInput, Conflict):
        # A repeat of what was made, whose answer was lost, is told that the id is taken.
        standing = _product(client, wanted.plan_id)
        if standing is None:
            raise
        return standing


def _make_meter(client: StripeClient, wanted: WantedMeter) -> Meter:
    try:
        return asked(
            lambda: client.v1.billing.meters.create(
                {
                    "display_name": wanted.display_name,
                    "event_name": wanted.price_id,
                    "default_aggregation": {"formula": "sum"},
                    "customer_mapping": {"type": "by_id", "event_payload_key": "stripe_customer_id"},
                    "value_settings": {"event_payload_key": "value"},
                }
            )
        )
    except (InvalidInput, Conflict):
        # An active meter has that event name: it was made, and the answer was lost.
        for meter in every(lambda after: client.v1.billing.meters.list(cast("MeterListParams", from_page(after)))):
            if meter.event_name == wanted.price_id and meter.status == "active":
                return meter
        raise


def _find_price(client: StripeClient, wanted: WantedPrice, *, product: str) -> Price | None:
    def listed(after: str | None) -> ListObject[Price]:
        of_product = {"product": product, "expand": [f"data.{name}" for name in _EXPAND], **from_page(after)}
        return client.v1.prices.list(cast("PriceListParams", of_product))

    return find_ours(listed, wanted.link_id)


def _make_price(client: StripeClient, wanted: WantedPrice, *, product: str, meter: str) -> Price:
    ours = price_fields(wanted)
    sent: dict[str, Any] = {
        "product": product,
        "currency": ours["currency"],
        "nickname": wanted.nickname,
        "tax_behavior": ours["tax_behavior"],
        "billing_scheme": ours["billing_scheme"],
        "recurring": {
            "interval": ours["recurring.interval"],
            "interval_count": int(ours["recurring.interval_count"]),
            "usage_type": "metered",
            "meter": meter,
        },
        "metadata": {OUR_ID: wanted.link_id},
        "expand": _EXPAND,
    }
    if ours["billing_scheme"] == "tiered":
        sent["tiers_mode"] = ours["tiers_mode"]
        sent["tiers"] = [_tier(ours, index) for index in range(len(wanted.terms.tiers))]
    else:
        sent["unit_amount_decimal"] = ours["unit_amount_decimal"]
    if "transform_quantity.divide_by" in ours:
        sent["transform_quantity"] = {
            "divide_by": int(ours["transform_quantity.divide_by"]),
            "round": ours["transform_quantity.round"],
        }
    return created(
        lambda key: client.v1.prices.create(cast("PriceCreateParams", sent), {"idempotency_key": key}),
        key=key_of("price", wanted.link_id, sent),
        find=lambda: _find_price(client, wanted, product=product),
    )


def _tier(ours: Mapping[str, str], index: int) -> dict[str, str | int]:
    up_to = ours[f"tiers[{index}].up_to"]
    tier: dict[str, str | int] = {
        "up_to": up_to if up_to == "inf" else int(up_to),
        "unit_amount_decimal": ours[f"tiers[{index}].unit_amount_decimal"],
    }
    flat = ours[f"tiers[{index}].flat_amount_decimal"]
    return tier if flat == "0" else tier | {"flat_amount_decimal": flat}


def _price_changes(ours: Mapping[str, str], theirs: Mapping[str, str]) -> PriceUpdateParams:
    changed = {name for name in _CHANGEABLE if ours[name] != theirs.get(name, "")}
    changes: dict[str, Any] = {name: ours[name] for name in changed - {"active"}}
    if "active" in changed:
        changes["active"] = ours["active"] == "true"
    if changes.get("lookup_key"):
        changes["transfer_lookup_key"] = True
    return cast("PriceUpdateParams", changes)


def _standing(read: Callable[[], Any]) -> Any:  # noqa: ANN401 - an object of the SDK
    """Return what is read; None where it does not exist."""
    try:
        return asked(read)
    except NotFound:
        return None


def _numeral(value: object) -> str:
    return "0" if value is None else number(Decimal(str(value)))
