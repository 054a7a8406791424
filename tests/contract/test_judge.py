"""The judge lets through what Stripe takes, and refuses what Stripe refuses: else it would prove nothing."""

from collections.abc import Callable

import pytest
from stripe import InvalidRequestError, StripeClient

from tests.contract.judge import Judge
from tests.contract.shop import Shop

Wrong = Callable[[StripeClient], object]


@pytest.fixture
def client(shop: Shop) -> StripeClient:
    shop.judge.log.clear()
    return shop.client


@pytest.fixture
def judge(shop: Shop) -> Judge:
    return shop.judge


def test_right_requests_reach_the_sandbox(client: StripeClient, judge: Judge) -> None:
    customer = client.v1.customers.create({"name": "A", "metadata": {"faregate_id": "com_1"}})
    assert client.v1.customers.retrieve(customer.id).name == "A"
    assert judge.refused() == []
    assert [(judged.method, judged.template, judged.status) for judged in judge.log] == [
        ("POST", "/v1/customers", 200),
        ("GET", "/v1/customers/{customer}", 200),
    ]


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        (lambda client: client.v1.customers.create({"nom": "A"}), "nom"),
        (lambda client: client.v1.prices.create({"product": "prod_1", "unit_amount": 1}), "currency"),
        (lambda client: client.v1.customers.list({"limit": "many"}), "limit"),
        (
            lambda client: client.v1.subscriptions.create(
                {"customer": "cus_1", "items": [{"price": "p"}], "collection_method": "send_invoice"}
            ),
            "days_until_due",
        ),
    ],
)
def test_wrong_requests_are_refused_by_their_parameter(
    client: StripeClient, judge: Judge, wrong: Wrong, param: str
) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        wrong(client)
    assert raised.value.param == param
    assert len(judge.refused()) == 1
