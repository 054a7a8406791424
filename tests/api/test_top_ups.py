import asyncio
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from faregate.base.ids import new_id
from faregate.providers.embedded.provider import EmbeddedProvider
from faregate.services.run_top_ups import TopUpRunner
from tests.api.world import Api, Json, problem


def auto(subscription_id: str) -> str:
    return f"/subscriptions/{subscription_id}/auto-top-up"


def put(api: Api, path: str, body: Json) -> Json:
    answer = api.ask("PUT", path, body=msgspec.json.encode(body))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


TERMS: Json = {"below": "5.00", "amount": "20.00", "most_in_30_days": "100.00", "cool_off_minutes": 15}


def test_an_automatic_top_up_is_set_shown_changed_and_ended(api_on_both: Api) -> None:
    api = api_on_both
    subscription_id = api.subscribe()
    shown = put(api, auto(subscription_id), TERMS)
    assert shown == TERMS | {
        "subscription_id": subscription_id,
        "currency": "USD",
        "set_at": "2026-03-10T12:00:00Z",
        "paused": None,
    }
    assert api.get(auto(subscription_id)) == shown
    changed = put(api, auto(subscription_id), {"below": "0", "amount": "5"})
    assert (changed["below"], changed["most_in_30_days"], changed["cool_off_minutes"]) == ("0.00", None, 10)
    assert changed["paused"] == "enough"
    assert api.ask("DELETE", auto(subscription_id)).status_code == 204
    assert problem(api.ask("GET", auto(subscription_id)), 404) == {}
    assert problem(api.ask("DELETE", auto(subscription_id)), 404) == {}


def test_a_company_pays_by_the_method_it_left_and_the_payments_are_listed(api: Api, tmp_path: Path) -> None:
    subscription_id = api.subscribe()
    answer = api.ask("PUT", "/companies/acme/payment-method", body=b'{"payment_method": "pm_card_visa"}')
    assert answer.status_code == 204, answer.text
    put(api, auto(subscription_id), TERMS)
    buy(api, tmp_path)
    (row,) = api.get(f"/subscriptions/{subscription_id}/top-ups")["data"]
    grant_id = api.get(f"/subscriptions/{subscription_id}/grants")["data"][0]["grant_id"]
    assert row == {
        "top_up_id": row["top_up_id"],
        "subscription_id": subscription_id,
        "amount": "20.00",
        "currency": "USD",
        "status": "paid",
        "failure": None,
        "grant_id": grant_id,
        "began_at": "2026-03-10T12:00:00Z",
        "ended_at": "2026-03-10T12:00:00Z",
    }


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"amount": "0"}, "amount", "must be above zero"),
        ({"amount": "20.001"}, "amount", "at most 2 decimal places"),
        ({"amount": "1e300"}, "amount", "digits"),
        ({"amount": "99999999999999"}, "amount", "larger than the ledger can hold"),
        ({"below": "-1"}, "below", "must be zero or more"),
        ({"below": "0.0000000001"}, "below", "at most 9 decimal places"),
        ({"below": "99999999999999"}, "below", "larger than the ledger can hold"),
        ({"most_in_30_days": "19.99"}, "most_in_30_days", "below one amount"),
        ({"cool_off_minutes": -1}, "cool_off_minutes", ">= 0"),
        ({"fee": 1}, "fee", "is not a field here"),
    ],
)
def test_terms_that_cannot_be_are_refused_by_field(api: Api, change: Json, field: str, message: str) -> None:
    subscription_id = api.subscribe()
    faults = api.refused(auto(subscription_id), TERMS | change, method="PUT")
    assert list(faults) == [field]
    assert message in faults[field]
    assert problem(api.ask("GET", auto(subscription_id)), 404) == {}


def test_a_postpaid_subscription_has_nothing_to_top_up(api: Api) -> None:
    faults = api.refused(auto(api.subscribe(pays="postpaid")), TERMS, method="PUT")
    assert faults == {"subscription_id": "is postpaid, and has no credit to top up"}


def test_unknown_names_and_methods_are_said(api: Api) -> None:
    subscription_id = api.subscribe()
    path = "/companies/acme/payment-method"
    faults = api.refused(path, {"payment_method": "pm_card_nobody"}, method="PUT")
    assert "pm_card_visa" in faults["payment_method"]
    assert (
        problem(api.ask("PUT", "/companies/nobody/payment-method", body=b'{"payment_method": "pm_card_visa"}'), 404)
        == {}
    )
    assert problem(api.ask("GET", "/subscriptions/nobody/top-ups"), 404) == {}
    assert problem(api.ask("GET", auto(subscription_id)), 404) == {}


def buy(api: Api, folder: Path) -> None:
    """Run the top-ups as the control plane's loop does, with the provider's own file."""
    with closing(EmbeddedProvider(folder / "provider.sqlite3")) as provider:
        asyncio.run(TopUpRunner(api.database, provider, api.clock, new_id=new_id).run())
