"""A sandbox without a server, with one customer who uses metered prices: for what takes many months to see."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

from faregate.base.clock import SystemClock
from faregate.base.ids import new_id
from faregate.providers.sandbox import credit_grants, invoices
from faregate.providers.sandbox.asking import Asked, Sandbox
from faregate.providers.sandbox.customers import make_customer
from faregate.providers.sandbox.faults import Json
from faregate.providers.sandbox.meters import make_meter
from faregate.providers.sandbox.prices import make_price
from faregate.providers.sandbox.products import make_product
from faregate.providers.sandbox.store import Store

START = 1_772_323_200
DAY_S = 86_400
MONTH_S = 30 * DAY_S
PACKAGE: Json = {"unit_amount": 50, "transform_quantity": {"divide_by": 1_000_000, "round": "up"}}


class Billed:
    """A customer and a product; all at the sandbox's instant `START + MONTH_S`, unless it is said."""

    def __init__(self, folder: Path) -> None:
        store = Store(folder / "sandbox.db")
        whole = Sandbox(key="sk_test_billed", store=store, clock=SystemClock(), new_id=new_id)
        self.sandbox = whole.at(START + MONTH_S)
        self.customer: Json = make_customer(self.sandbox, asked(name="Acme"))
        self.product = make_product(self.sandbox, asked(name="My AI API Plan"))["id"]
        self._numbers = count(1)

    def close(self) -> None:
        self.sandbox.store.close()

    def price(self, *, formula: str = "sum", currency: str = "usd", **model: Any) -> Json:  # noqa: ANN401 - of a price
        name = f"tokens_{next(self._numbers)}"
        meter = make_meter(
            self.sandbox,
            asked(display_name=name, event_name=name, default_aggregation={"formula": formula}),
        )
        recurring = {"interval": "month", "usage_type": "metered", "meter": meter["id"]}
        sent = {"product": self.product, "currency": currency, "recurring": recurring} | (model or PACKAGE)
        return make_price(self.sandbox, asked(**sent)) | {"event_name": name}

    def licensed(self, amount: int, quantity: int) -> Json:
        sent = {"product": self.product, "currency": "usd", "unit_amount": amount, "recurring": {"interval": "month"}}
        return make_price(self.sandbox, asked(**sent)) | {"quantity": quantity}

    def use(self, price: Json, *values: int, at: int = START, step: int = 1) -> None:
        """Report values of a price's meter, the first at `at`, each `step` seconds after the other."""
        self.sandbox.store.connection.executemany(
            "INSERT INTO meter_event (identifier, event_name, customer, value, timestamp, created)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            [
                (new_id("mevt"), price["event_name"], self.customer["id"], value, at + place * step, START)
                for place, value in enumerate(values)
            ],
        )

    def subscription(self, *prices: Json, **fields: Any) -> Json:  # noqa: ANN401 - of a subscription
        items = [
            {
                "id": f"si_{place}",
                "subscription": "sub_1",
                "price": price,
                "quantity": price.get("quantity"),
                "current_period_start": START + MONTH_S,
                "current_period_end": START + 2 * MONTH_S,
            }
            for place, price in enumerate(prices)
        ]
        kept = {
            "id": "sub_1",
            "object": "subscription",
            "latest_invoice": None,
            "status": "active",
            "customer": self.customer["id"],
            "currency": prices[0]["currency"],
            "collection_method": "send_invoice",
            "days_until_due": 14,
            "items": {"data": items},
        } | fields
        self.sandbox.store.remove(kept)
        self.sandbox.store.add(kept)
        return kept

    def draft(self, *prices: Json, discounts: tuple[Json, ...] = (), **fields: Any) -> Json:  # noqa: ANN401
        """The draft of the month that begins at START."""
        return invoices.open_invoice(
            self.sandbox,
            self.subscription(*prices, **fields),
            period_start=START,
            period_end=START + MONTH_S,
            reason="subscription_cycle",
            at=START + MONTH_S,
            discounts=discounts,
        )

    def invoice(self, *prices: Json, discounts: tuple[Json, ...] = (), **fields: Any) -> Json:  # noqa: ANN401
        """The invoice of the month that begins at START."""
        draft = self.draft(*prices, discounts=discounts, **fields)
        return invoices.finalize(self.sandbox, draft, START + MONTH_S + 3_600)

    def grant(self, value: int, **fields: Any) -> Json:  # noqa: ANN401 - of a grant
        sent = {
            "customer": self.customer["id"],
            "amount": {"monetary": {"currency": "usd", "value": value}, "type": "monetary"},
            "applicability_config": {"scope": {"price_type": "metered"}},
        } | fields
        return credit_grants.make_grant(self.sandbox.at(START), asked(**sent))


def asked(*ids: str, **parameters: Any) -> Asked:  # noqa: ANN401 - of a request
    """A request, after its parameters were checked."""
    return Asked(url="/v1/of/a/test", ids=ids, parameters=parameters)
