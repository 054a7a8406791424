"""Currencies without cents and with thousandths, from the price in the API to the paid invoice."""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.api.world import ROUTE, Api
from tests.services.world import Call


@dataclass(frozen=True, kw_only=True)
class Bill:
    """What 1,234 units, a grant and a coupon come to; worked out by hand."""

    code: str
    unit: str
    grant: str
    coupon: dict[str, str]
    debited: str
    line: str
    discount: str
    total: str
    credit: str
    due: str
    left: str


YEN = Bill(
    code="JPY",
    unit="0.015",
    grant="5.5",  # an invoice takes whole yen of it
    coupon={"percent": "10"},
    debited="18.51",  # 1,234 x 0.015, exact in the ledger
    line="19",
    discount="2",  # 1.9
    total="17",
    credit="5",
    due="12",
    left="0.5",
)
DINAR = Bill(
    code="KWD",
    unit="0.0001",
    grant="0.0505",
    coupon={"amount": "0.005", "currency": "KWD"},
    debited="0.1234",
    line="0.123",
    discount="0.005",
    total="0.118",
    credit="0.050",
    due="0.068",
    left="0.0005",
)
RUPIAH = Bill(
    code="IDR",
    unit="15000.001",
    grant="1000000",
    coupon={"percent": "12.5"},
    debited="18510001.234",
    line="18510001.23",
    discount="2313750.15",  # 2313750.15375
    total="16196251.08",
    credit="1000000.00",
    due="15196251.08",
    left="0.00",
)


def catalog(bill: Bill) -> dict[str, Any]:
    model = {"type": "per_unit", "amount": bill.unit}
    return {
        "plans": [
            {
                "name": "Plan",
                "prices": [
                    {
                        "name": "Tokens",
                        "model": {"type": "per_unit", "amount": "9"},
                        "currency": "USD",
                        "currency_options": {bill.code: {"model": model}},
                    }
                ],
            }
        ],
        "meters": [
            {
                "name": "Tokens",
                "plan": "Plan",
                "price": "Tokens",
                "filter": {"all": [{"field": "request.route", "value": ROUTE}]},
                "metric": {"type": "sum", "field": "response.body.usage.prompt_tokens"},
            }
        ],
        "coupons": [{"coupon_id": "C"} | bill.coupon],
        "companies": [
            {
                "company_id": "acme",
                "subscriptions": [
                    {
                        "plan": "Plan",
                        "pays": "credit_first",
                        "currency": bill.code,
                        "started_at": "2026-03-01T00:00:00Z",
                        "coupons": ["C"],
                    }
                ],
            }
        ],
    }


@pytest.mark.parametrize("bill", [YEN, DINAR, RUPIAH], ids=lambda bill: bill.code)
def test_every_amount_is_in_the_currencys_own_minor_unit(api_on_both: Api, bill: Bill) -> None:
    api = api_on_both
    api.post("/catalog/apply", {"catalog": catalog(bill)})
    subscription_id = api.get("/subscriptions")["data"][0]["subscription_id"]
    api.grant(subscription_id, bill.grant)
    api.take(Call(request_id="a", prompt_tokens=1_000), Call(request_id="b", prompt_tokens=234))
    balance = api.get(f"/subscriptions/{subscription_id}/balance")
    assert (balance["currency"], balance["prices"][0]["debited"]) == (bill.code, bill.debited)
    upcoming = api.get(f"/subscriptions/{subscription_id}/upcoming-invoice")
    api.post("/clock/advance", {"to": "2026-04-01T00:10:00Z"})
    for _ in range(3):
        if api.get("/invoices")["data"]:
            break
        api.post("/clock/advance", {"by_seconds": 60})
    (invoice,) = api.get("/invoices")["data"]
    for shown in (upcoming, invoice):
        assert [line["amount"] for line in shown["lines"]] == [bill.line]
        assert [discount["amount"] for discount in shown["discounts"]] == [bill.discount]
        assert (shown["subtotal"], shown["total"]) == (bill.line, bill.total)
        assert (shown["credit_applied"], shown["amount_due"]) == (bill.credit, bill.due)
    assert api.get(f"/subscriptions/{subscription_id}/balance")["balance"] == bill.left
    paid = api.post(f"/invoices/{invoice['invoice_id']}/pay")
    assert (paid["status"], paid["amount_due"]) == ("paid", bill.due)


@pytest.mark.parametrize(
    ("code", "amount", "fits"),
    [("JPY", "0.000000001", True), ("JPY", "0.0000000001", False), ("IDR", "0.000001", True), ("IDR", "1e-7", False)],
)
def test_credit_is_as_fine_as_the_ledger_and_no_finer(api: Api, code: str, amount: str, fits: bool) -> None:  # noqa: FBT001
    bill = {"JPY": YEN, "IDR": RUPIAH}[code]
    api.post("/catalog/apply", {"catalog": catalog(bill)})
    subscription_id = api.get("/subscriptions")["data"][0]["subscription_id"]
    answer = api.ask(
        "POST",
        f"/subscriptions/{subscription_id}/grants",
        body=b'{"amount":"%s"}' % amount.encode(),
        idempotency_key="k",
    )
    assert answer.status_code == (201 if fits else 400), answer.text
