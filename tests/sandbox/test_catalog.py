"""Products, prices and meters through the official SDK."""

from decimal import Decimal
from itertools import count

import pytest
from stripe import AuthenticationError, IdempotencyError, InvalidRequestError, StripeClient

from faregate.providers.stripe_version import API_VERSION
from tests.control.control_plane import Handle

_NUMBERS = count(1)


def make_meter(stripe: StripeClient, *, formula: str = "sum") -> str:
    name = f"tokens_{next(_NUMBERS)}"
    meter = stripe.v1.billing.meters.create(
        {
            "display_name": "Input Tokens",
            "event_name": name,
            "default_aggregation": {"formula": formula},
            "customer_mapping": {"type": "by_id", "event_payload_key": "stripe_customer_id"},
            "value_settings": {"event_payload_key": "value"},
        }
    )
    return meter.id


def refusal(error: pytest.ExceptionInfo[InvalidRequestError]) -> tuple[str | None, str | None]:
    return error.value.param, error.value.code


def test_the_seeds_price_is_made_as_stripe_takes_it(stripe: StripeClient) -> None:
    product = stripe.v1.products.create({"name": "My AI API Plan", "metadata": {"faregate": "pln_1"}})
    price = stripe.v1.prices.create(
        {
            "product": product.id,
            "currency": "usd",
            "nickname": "Input Tokens",
            "unit_amount": 50,
            "transform_quantity": {"divide_by": 1_000_000, "round": "up"},
            "recurring": {"interval": "month", "usage_type": "metered", "meter": make_meter(stripe)},
            "tax_behavior": "unspecified",
            "lookup_key": "prc_seed",
        }
    )
    found = stripe.v1.prices.list({"lookup_keys": ["prc_seed"], "expand": ["data.product"]}).data
    assert [one.id for one in found] == [price.id]
    assert found[0].product.name == "My AI API Plan"  # type: ignore[union-attr]
    assert (found[0].unit_amount, found[0].unit_amount_decimal) == (50, Decimal(50))
    assert found[0].transform_quantity is not None
    assert found[0].transform_quantity.divide_by == 1_000_000


def test_an_edit_is_a_new_price_that_takes_the_lookup_key_over(stripe: StripeClient) -> None:
    product = stripe.v1.products.create({"name": "Edited"})
    first = stripe.v1.prices.create(
        {"product": product.id, "currency": "usd", "unit_amount": 100, "lookup_key": "prc_edited"}
    )
    with pytest.raises(InvalidRequestError, match="already uses that lookup key") as taken:
        stripe.v1.prices.create(
            {"product": product.id, "currency": "usd", "unit_amount": 200, "lookup_key": "prc_edited"}
        )
    assert refusal(taken) == ("lookup_key", "resource_already_exists")
    second = stripe.v1.prices.create(
        {
            "product": product.id,
            "currency": "usd",
            "unit_amount": 200,
            "lookup_key": "prc_edited",
            "transfer_lookup_key": True,
        }
    )
    stripe.v1.prices.update(first.id, {"active": False})
    found = stripe.v1.prices.list({"lookup_keys": ["prc_edited"]}).data
    assert [one.id for one in found] == [second.id]
    archived = stripe.v1.prices.retrieve(first.id)
    assert (archived.active, archived.lookup_key) == (False, None)


def test_tiers_are_kept_exactly_and_shown_when_they_are_asked_for(stripe: StripeClient) -> None:
    product = stripe.v1.products.create({"name": "Tiered"})
    price = stripe.v1.prices.create(
        {
            "product": product.id,
            "currency": "usd",
            "billing_scheme": "tiered",
            "tiers_mode": "graduated",
            "tiers": [
                {"up_to": 1_000, "unit_amount_decimal": Decimal("0.000000000001"), "flat_amount": 500},
                {"up_to": "inf", "unit_amount": 2},
            ],
            "recurring": {"interval": "month", "usage_type": "metered", "meter": make_meter(stripe)},
        }
    )
    assert "tiers" not in price
    whole = stripe.v1.prices.retrieve(price.id, {"expand": ["tiers"]})
    assert whole.tiers is not None
    assert [(tier.up_to, str(tier.unit_amount_decimal), tier.flat_amount) for tier in whole.tiers] == [
        (1_000, "1E-12", 500),
        (None, "2", None),
    ]


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"price": 5}, "price", "parameter_unknown"),
        ({"recurring": {"interval": "hour"}}, "recurring[interval]", None),
        ({"recurring": {"interval": "month", "usage_type": "metered"}}, "recurring[meter]", "parameter_missing"),
        (
            {"recurring": {"interval": "month", "meter": "mtr_none", "usage_type": "metered"}},
            "recurring[meter]",
            "resource_missing",
        ),
        ({"unit_amount": "many"}, "unit_amount", "parameter_invalid_integer"),
        ({"unit_amount_decimal": "0.5"}, "unit_amount_decimal", None),
        ({"tiers_mode": "volume"}, "tiers_mode", None),
        ({"billing_scheme": "tiered"}, "unit_amount", None),
        ({"product": "prod_none"}, "product", "resource_missing"),
        ({"currency": "xxx"}, "currency", None),
    ],
)
def test_what_stripe_refuses_of_a_price_is_refused_by_its_name(
    stripe: StripeClient, change: dict[str, object], param: str, code: str | None
) -> None:
    product = stripe.v1.products.create({"name": "Refused"})
    sent = {"product": product.id, "currency": "usd", "unit_amount": 1} | change
    with pytest.raises(InvalidRequestError) as refused:
        stripe.v1.prices.create(sent)  # type: ignore[arg-type]
    assert refusal(refused) == (param, code)
    assert stripe.v1.prices.list({"product": product.id}).data == []


def test_what_a_price_costs_never_changes(stripe: StripeClient) -> None:
    product = stripe.v1.products.create({"name": "Fixed"})
    price = stripe.v1.prices.create({"product": product.id, "currency": "usd", "unit_amount": 1})
    with pytest.raises(InvalidRequestError) as refused:
        stripe.v1.prices.update(price.id, {"unit_amount": 2})  # type: ignore[arg-type]
    assert refusal(refused) == ("unit_amount", "parameter_unknown")


def test_a_change_of_what_the_sandbox_does_not_keep_is_refused_by_its_name(stripe: StripeClient) -> None:
    customer = stripe.v1.customers.create({"name": "Acme"})
    with pytest.raises(InvalidRequestError) as refused:
        stripe.v1.customers.update(customer.id, {"name": "Other", "business_name": "Acme Inc."})
    assert refusal(refused) == ("business_name", None)
    assert stripe.v1.customers.retrieve(customer.id).name == "Acme"


def test_a_product_with_prices_stays_and_one_without_goes(stripe: StripeClient) -> None:
    kept, gone = (stripe.v1.products.create({"name": name}) for name in ("kept", "gone"))
    stripe.v1.prices.create({"product": kept.id, "currency": "usd", "unit_amount": 1})
    with pytest.raises(InvalidRequestError, match="cannot be deleted"):
        stripe.v1.products.delete(kept.id)
    assert stripe.v1.products.delete(gone.id).deleted
    with pytest.raises(InvalidRequestError) as missing:
        stripe.v1.products.retrieve(gone.id)
    assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")


def test_metadata_is_merged_and_an_empty_value_takes_its_name_away(stripe: StripeClient) -> None:
    product = stripe.v1.products.create({"name": "Notes", "metadata": {"a": "1", "b": "2"}})
    changed = stripe.v1.products.update(product.id, {"metadata": {"a": "", "c": "3"}})
    assert changed.metadata.to_dict() == {"b": "2", "c": "3"}
    assert stripe.v1.products.update(product.id, {"metadata": ""}).metadata.to_dict() == {}


def test_lists_come_newest_first_in_parts_that_join(stripe: StripeClient) -> None:
    product = stripe.v1.products.create({"name": "Listed"})
    made = [
        stripe.v1.prices.create({"product": product.id, "currency": "usd", "unit_amount": amount}).id
        for amount in range(1, 8)
    ]
    first = stripe.v1.prices.list({"product": product.id, "limit": 3})
    assert [one.id for one in first.data] == made[:3:-1]
    assert first.has_more
    assert [one.id for one in first.auto_paging_iter()] == made[::-1]
    before = stripe.v1.prices.list({"product": product.id, "limit": 2, "ending_before": made[3]})
    assert [one.id for one in before.data] == [made[5], made[4]]


def test_a_repeat_under_one_key_is_the_first_answer_and_another_request_is_refused(stripe: StripeClient) -> None:
    options = {"idempotency_key": "make-once"}
    first = stripe.v1.products.create({"name": "Once"}, options)  # type: ignore[arg-type]
    again = stripe.v1.products.create({"name": "Once"}, options)  # type: ignore[arg-type]
    assert first.id == again.id
    assert again.last_response is not None
    with pytest.raises(IdempotencyError):
        stripe.v1.products.create({"name": "Twice"}, options)  # type: ignore[arg-type]


def test_another_key_or_version_is_refused(control: Handle) -> None:
    base = f"{control.running.origin}/sandbox"
    stranger = StripeClient("sk_test_stranger", base_addresses={"api": base})
    with pytest.raises(AuthenticationError):
        stranger.v1.products.list()
    refused = control.ask("GET", "/sandbox/v1/products", authorization="Bearer sk_test_stranger")
    assert refused.status == 401


def test_a_version_that_the_sandbox_does_not_speak_is_refused(stripe: StripeClient) -> None:
    with pytest.raises(InvalidRequestError, match="Invalid Stripe API version: 2020-08-27"):
        stripe.v1.products.list({}, {"stripe_version": "2020-08-27"})


def test_every_change_is_an_event_that_says_what_it_was_before(stripe: StripeClient) -> None:
    product = stripe.v1.products.create({"name": "Before"})
    stripe.v1.products.update(product.id, {"name": "After"})
    stripe.v1.products.update(product.id, {"name": "After"})
    found = [
        event
        for event in stripe.v1.events.list({"types": ["product.created", "product.updated"]}).data
        if event.data.object["id"] == product.id
    ]
    assert [event.type for event in found] == ["product.updated", "product.created"]
    assert found[0].data.previous_attributes is not None
    assert found[0].data.previous_attributes["name"] == "Before"
    assert found[0].api_version == API_VERSION
    assert stripe.v1.events.retrieve(found[0].id).data.object["name"] == "After"
