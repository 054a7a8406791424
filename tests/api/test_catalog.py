from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from faregate.wire.api.catalog import PriceCreate
from faregate.wire.api.common import decode_body, decode_cursor, encode_cursor
from faregate.wire.api.pricing import PackageModel
from tests.api.world import ROUTE, Api, problem
from tests.services.world import Call

USAGE = "response.body.usage"


def _meter(price_id: str, **changes: object) -> dict[str, object]:
    return {
        "name": "Meter",
        "price_id": price_id,
        "filter": {"all": [{"field": "request.route", "value": ROUTE}]},
        "metric": {"type": "sum", "field": f"{USAGE}.prompt_tokens"},
    } | changes


def _priced(api: Api, *, name: str = "Plan") -> tuple[str, str]:
    plan_id: str = api.post("/plans", {"name": name})["plan_id"]
    price = {"plan_id": plan_id, "name": "Tokens", "model": {"type": "package", "amount": "0.50", "size": 1000}}
    price_id: str = api.post("/prices", price | {"currency": "USD"})["price_id"]
    return plan_id, price_id


@given(st.decimals(min_value=0, max_value=10**15, places=12))
def test_a_json_number_is_read_from_its_digits_and_never_through_a_float(amount: Decimal) -> None:
    model = f'{{"type":"package","amount":{amount:f},"size":1e3}}'
    body = f'{{"plan_id":"p","name":"n","currency":"USD","model":{model}}}'.encode()
    found = decode_body(body, PriceCreate).model
    assert isinstance(found, PackageModel)
    assert found.amount == amount


@given(st.lists(st.text() | st.integers(0, 2**63 - 1), min_size=1).map(tuple))
def test_a_cursor_gives_back_the_key_it_was_made_of(key: tuple[str | int, ...]) -> None:
    assert decode_cursor(encode_cursor(*key), tuple[str | int, ...]) == key


def test_what_is_made_is_read_back_as_it_was_sent(api_on_both: Api) -> None:
    api = api_on_both
    plan_id, price_id = _priced(api)
    assert api.get(f"/plans/{plan_id}") == {"plan_id": plan_id, "name": "Plan", "archived": False}
    assert api.get(f"/prices/{price_id}") == {
        "price_id": price_id,
        "plan_id": plan_id,
        "name": "Tokens",
        "model": {"type": "package", "amount": "0.50", "size": "1000", "round": "up"},
        "currency": "USD",
        "period": "month",
        "tax_behavior": "auto",
    }
    made = api.post("/meters", _meter(price_id, filter={"all": [{"field": "response.status", "value": 200}]}))
    assert api.get(f"/meters/{made['meter_id']}") == made
    assert made["filter"] == {"all": [{"field": "response.status", "value": 200, "operator": "is"}]}
    assert made["reporting_period"] == "5m"


def test_a_price_sent_as_numbers_is_kept_exactly(api_on_both: Api) -> None:
    plan_id, _ = _priced(api_on_both)
    body = (
        b'{"plan_id":"%s","name":"N","currency":"USD","model":{"type":"package","amount":0.100000000001,"size":1e6}}'
        % plan_id.encode()
    )
    model = api_on_both.ask("POST", "/prices", body=body).json()["model"]
    assert (model["amount"], model["size"]) == ("0.100000000001", "1000000")


def test_names_are_taken_once(api_on_both: Api) -> None:
    api = api_on_both
    plan_id, price_id = _priced(api)
    api.post("/meters", _meter(price_id))
    price = {"plan_id": plan_id, "name": "Tokens", "model": {"type": "package", "amount": "1", "size": 1}}
    assert list(api.refused("/plans", {"name": "Plan"}, status=409)) == ["name"]
    assert list(api.refused("/prices", price | {"currency": "USD"}, status=409)) == ["name"]
    assert list(api.refused("/meters", _meter(price_id), status=409)) == ["name"]
    other_plan, _ = _priced(api, name="Other")  # a price of the same name, in another plan
    assert [price["plan_id"] for price in api.get("/prices")["data"]] == [plan_id, other_plan]
    assert [price["plan_id"] for price in api.get(f"/prices?plan_id={plan_id}")["data"]] == [plan_id]


def test_a_plan_has_one_currency(api: Api) -> None:
    plan_id, _ = _priced(api)
    price = {"plan_id": plan_id, "name": "Euro", "model": {"type": "package", "amount": "1", "size": 1}}
    assert "USD" in api.refused("/prices", price | {"currency": "EUR"})["currency"]


def test_a_subscription_fixes_the_currency_of_its_plan(api: Api) -> None:
    plan_id = api.post("/plans", {"name": "Plan"})["plan_id"]
    api.post("/companies", {"company_id": "acme"})
    wanted = {"company_id": "acme", "plan_id": plan_id, "pays": "postpaid"}
    assert "is required" in api.refused("/subscriptions", wanted)["currency"]
    api.post("/subscriptions", wanted | {"currency": "EUR"})
    price = {"plan_id": plan_id, "name": "Dollar", "model": {"type": "package", "amount": "1", "size": 1}}
    assert "EUR" in api.refused("/prices", price | {"currency": "USD"})["currency"]


def test_a_list_is_read_in_parts_without_a_gap_or_a_repeat(api_on_both: Api) -> None:
    names = [f"Plan {number:02}" for number in range(7)]
    for name in names:
        api_on_both.post("/plans", {"name": name})
    read, path = [], "/plans?limit=3"
    while True:
        page = api_on_both.get(path)
        assert len(page["data"]) <= 3
        read += [plan["name"] for plan in page["data"]]
        if page["next_cursor"] is None:
            break
        path = f"/plans?limit=3&cursor={page['next_cursor']}"
    assert sorted(read) == names


def test_a_meter_changes_and_what_is_left_out_stays(api_on_both: Api) -> None:
    _, price_id = _priced(api_on_both)
    made = api_on_both.post("/meters", _meter(price_id))
    changed = api_on_both.patch(f"/meters/{made['meter_id']}", {"name": "Renamed"})
    assert changed == made | {"name": "Renamed"}
    api_on_both.post("/meters", _meter(price_id, name="Other"))
    refused = api_on_both.refused(f"/meters/{made['meter_id']}", {"name": "Other"}, status=409, method="PATCH")
    assert list(refused) == ["name"]


def test_a_meter_that_has_counted_is_not_deleted_and_one_that_has_not_is(api_on_both: Api) -> None:

    api_on_both.subscribe()
    api_on_both.take(Call())
    counted = api_on_both.get("/meters")["data"][0]
    answer = api_on_both.ask("DELETE", f"/meters/{counted['meter_id']}")
    assert list(problem(answer, 409)) == ["meter_id"]
    fresh = api_on_both.post("/meters", _meter(counted["price_id"], name="Fresh"))
    assert api_on_both.ask("DELETE", f"/meters/{fresh['meter_id']}").status_code == 204
    assert api_on_both.ask("GET", f"/meters/{fresh['meter_id']}").status_code == 404


def test_every_change_that_gateways_decide_by_is_sent_to_them(api: Api) -> None:
    subscription_id = api.subscribe()
    key = api.post("/keys", {"company_id": "acme"})
    api.ask("DELETE", f"/keys/{key['key_id']}")
    route = api.get("/routes")["data"][0]
    api.patch(f"/routes/{route['route_id']}", {"on_abort": "cancel"})
    rule = api.get("/rules")["data"][0]
    api.patch(f"/rules/{rule['rule_id']}", {"active": False})
    with api.database.snapshot() as transaction:
        rows = transaction.exec_driver_sql("SELECT kind, entity_id FROM state_change ORDER BY version").all()
    changes = [tuple(row) for row in rows]
    assert changes.count(("key", key["key_id"])) == 2
    assert changes.count(("route", route["route_id"])) == 2
    assert changes.count(("rule", rule["rule_id"])) == 2
    assert ("account", subscription_id) in changes
    assert ("clock", api.secrets.application_id) in changes
    assert sum(kind == "meter" for kind, _ in changes) == 2


def test_a_change_that_changes_nothing_is_not_sent(api: Api) -> None:
    api.seed()
    route, rule, meter = (api.get(f"/{kind}")["data"][0] for kind in ("routes", "rules", "meters"))
    before = api.row_counts()["state_change"]
    api.patch(f"/routes/{route['route_id']}", {"on_abort": route["on_abort"]})
    api.patch(f"/rules/{rule['rule_id']}", {"active": rule["active"]})
    api.patch(f"/meters/{meter['meter_id']}", {"name": meter["name"]})
    assert api.row_counts()["state_change"] == before


def test_a_live_meters_change_is_refused_with_what_to_do_instead(api_on_both: Api) -> None:
    api = api_on_both
    api.subscribe()
    api.take(Call())
    meter = api.get("/meters")["data"][0]
    path = f"/meters/{meter['meter_id']}"
    refused = api.refused(path, {"metric": {"type": "count"}}, status=409, method="PATCH")
    assert "re-rating" in refused["metric"]
    assert list(api.refused(path, {"reporting_period": "1h"}, status=409, method="PATCH")) == ["reporting_period"]
    assert api.patch(path, {"name": "Renamed"})["name"] == "Renamed"
