"""A price that is made while another request holds the lock."""

from decimal import Decimal
from http import HTTPStatus

import stamina

from faregate.domain.billing.expressible import Expressed
from faregate.domain.billing.provider import ProviderScheme
from faregate.domain.billing.provider_catalog import WantedPrice
from faregate.domain.billing.provider_links import LinkKind, ProviderLinks
from faregate.domain.catalog.price import BillingPeriod, TaxBehavior
from faregate.providers.stripe.catalog import ensure_price
from faregate.providers.stripe.client import connect
from tests.providers.stripe_stand_in import Scripted, standing_in

WANTED = WantedPrice(
    price_id="prc_1",
    series_id="prc_1",
    plan_id="pln_1",
    currency="USD",
    nickname="Input",
    period=BillingPeriod.MONTH,
    tax_behavior=TaxBehavior.AUTO,
    terms=Expressed(scheme=ProviderScheme.PER_UNIT, unit_amount=Decimal(1)),
    is_active=True,
    is_current=False,
)
PRICE = {
    "id": "price_1",
    "object": "price",
    "active": True,
    "lookup_key": None,
    "nickname": "Input",
    "tax_behavior": "unspecified",
    "currency": "usd",
    "billing_scheme": "per_unit",
    "unit_amount_decimal": "1",
    "transform_quantity": None,
    "recurring": {"interval": "month", "interval_count": 1},
    "metadata": {"faregate_id": "prc_1/USD"},
}


def test_a_price_behind_a_held_lock_is_looked_for_and_made_under_the_next_key() -> None:
    none = Scripted(HTTPStatus.OK, {"object": "list", "data": [], "has_more": False, "url": "/v1/prices"})
    locked = Scripted.error(429, code="lock_timeout")
    links = ProviderLinks()
    with standing_in() as server, stamina.set_testing(True, attempts=6, cap=True):
        server.script += [none, locked, none, Scripted(HTTPStatus.OK, PRICE)]
        client = connect("sk_test_1", base_url=server.url)
        assert ensure_price(client, WANTED, product="pln_1", meter="mtr_1", links=links) == "price_1"
    assert links.find(LinkKind.PRICE, "prc_1/USD") == "price_1"
    first, second = (key for key in server.keys if key is not None)
    assert second == f"{first}~1"
