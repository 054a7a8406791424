import pytest

from tests.api.world import ROUTE, SEED, Api

UNBOUNDED = {"type": "sum", "field": "response.body.characters"}


def test_a_rule_of_a_template_is_active_and_blocks_everything_until_it_is_narrowed(api_on_both: Api) -> None:
    rule = api_on_both.post("/rules", {"template": "block_when_no_available_credits"})
    assert rule["name"] == "Block When No Available Credits"
    assert rule["cohort"] == "no_available_credits"
    assert (rule["active"], rule["block_what"]) == (True, [])
    assert rule["refusal"]["status"] == 402
    narrowed = [{"field": "request.route", "pattern": ROUTE}]
    assert api_on_both.patch(f"/rules/{rule['rule_id']}", {"block_what": narrowed}) == rule | {"block_what": narrowed}
    assert api_on_both.get(f"/rules/{rule['rule_id']}")["block_what"] == narrowed


def test_every_part_of_a_rule_that_may_change_changes(api_on_both: Api) -> None:
    rule = api_on_both.post("/rules", {"template": "block_on_unpaid_invoices", "name": "Mine", "priority": 3})
    changed = api_on_both.patch(
        f"/rules/{rule['rule_id']}",
        {
            "name": "Yours",
            "active": False,
            "priority": 4,
            "refusal": {"status": 429, "headers": {"retry-after": "60"}, "message": "Pay."},
        },
    )
    assert (rule["name"], rule["priority"]) == ("Mine", 3)
    assert (changed["name"], changed["active"], changed["priority"]) == ("Yours", False, 4)
    assert changed["refusal"] == rule["refusal"] | {
        "status": 429,
        "headers": {"retry-after": "60"},
        "message": "Pay.",
    }


def test_a_deleted_rule_is_gone(api: Api) -> None:
    rule = api.post("/rules", {"template": "block_on_unpaid_invoices"})
    assert api.ask("DELETE", f"/rules/{rule['rule_id']}").status_code == 204
    assert api.get("/rules")["data"] == []
    assert api.ask("DELETE", f"/rules/{rule['rule_id']}").status_code == 404


def test_a_rule_name_is_taken_once(api: Api) -> None:
    api.post("/rules", {"template": "block_on_unpaid_invoices"})
    assert list(api.refused("/rules", {"template": "block_on_unpaid_invoices"}, status=409)) == ["name"]
    other = api.post("/rules", {"template": "block_on_unpaid_invoices", "name": "Other"})
    path = f"/rules/{other['rule_id']}"
    assert list(api.refused(path, {"name": "Block On Unpaid Invoices"}, status=409, method="PATCH")) == ["name"]


def test_a_route_has_defaults_for_all_but_its_name_and_upstream(api_on_both: Api) -> None:
    route = api_on_both.post("/routes", {"name": ROUTE, "upstream_url": "https://api.example.com/v1/"})
    assert route["upstream_url"] == "https://api.example.com/v1"
    assert (route["dialect"], route["enforce"], route["on_abort"]) == ("openai_chat", "strict", "drain")
    assert api_on_both.get(f"/routes/{route['route_id']}") == route


def test_a_route_whose_dialect_bounds_nothing_is_not_strict(api: Api) -> None:
    route = api.post("/routes", {"name": ROUTE, "upstream_url": "http://127.0.0.1:1", "dialect": "none"})
    assert route["enforce"] == "none"


def test_a_route_changes_and_what_is_left_out_stays(api_on_both: Api) -> None:
    route = api_on_both.post("/routes", {"name": ROUTE, "upstream_url": "http://127.0.0.1:1"})
    headers = {"authorization": "Bearer ${OPENAI_API_KEY}"}
    changed = api_on_both.patch(f"/routes/{route['route_id']}", {"upstream_headers": headers, "hold_wait_ms": 0})
    assert changed == route | {"upstream_headers": headers, "hold_wait_ms": 0}
    assert list(api_on_both.refused("/routes", {"name": ROUTE, "upstream_url": "http://x"}, status=409)) == ["name"]
    assert api_on_both.ask("DELETE", f"/routes/{route['route_id']}").status_code == 204
    assert api_on_both.get("/routes")["data"] == []


def test_a_route_says_what_happens_when_credit_ends(api_on_both: Api) -> None:
    route = api_on_both.post("/routes", {"name": ROUTE, "upstream_url": "http://127.0.0.1:1"})
    assert (route["near_zero"], route["hold_output_tokens"]) == ("clamp", None)
    assert (route["when_credit_ends"], route["overdraft_output_tokens"]) == ("end", 4_096)
    change = {"near_zero": "refuse", "hold_output_tokens": 256, "when_credit_ends": "finish"}
    path = f"/routes/{route['route_id']}"
    assert api_on_both.patch(path, change) == route | change
    assert api_on_both.patch(path, {"hold_output_tokens": None})["hold_output_tokens"] is None


def test_a_route_may_name_attempts_and_fallbacks_with_headers_of_their_own(api_on_both: Api) -> None:
    route = api_on_both.post("/routes", {"name": ROUTE, "upstream_url": "http://127.0.0.1:1"})
    assert (route["attempts"], route["retry_statuses"], route["fallbacks"]) == (1, [502, 503], [])
    own = {"upstream_url": "https://other.example.com/v1", "upstream_headers": {"authorization": "Bearer ${OTHER_KEY}"}}
    change = {"attempts": 3, "retry_statuses": [429, 503], "fallbacks": [own, {"upstream_url": "http://127.0.0.1:2/"}]}
    changed = api_on_both.patch(f"/routes/{route['route_id']}", change)
    plain = {"upstream_url": "http://127.0.0.1:2", "upstream_headers": None}
    assert changed == route | change | {"fallbacks": [own, plain]}
    assert api_on_both.get(f"/routes/{route['route_id']}") == changed


@pytest.mark.parametrize("last", ["meter", "route", "subscription"])
def test_a_prepaid_plan_is_never_fed_by_a_strict_route_with_a_sum_that_has_no_bound(api: Api, last: str) -> None:
    plan = {
        "name": "Plan",
        "prices": [{"name": "P", "model": {"type": "package", "amount": "1", "size": 1}, "currency": "USD"}],
    }
    api.post("/catalog/apply", {"catalog": {"plans": [plan], "companies": [{"company_id": "acme"}]}})
    plan_id = api.get("/plans")["data"][0]["plan_id"]
    meter = {"name": "M", "price_id": api.get("/prices")["data"][0]["price_id"], "filter": {}, "metric": UNBOUNDED}
    requests: dict[str, tuple[str, dict[str, object], str]] = {
        "meter": ("/meters", meter, "metric.field"),
        "route": ("/routes", {"name": ROUTE, "upstream_url": "http://127.0.0.1:1"}, "enforce"),
        "subscription": ("/subscriptions", {"company_id": "acme", "plan_id": plan_id, "pays": "prepaid"}, "pays"),
    }
    path, body, field = requests.pop(last)
    for other_path, other_body, _ in requests.values():
        api.post(other_path, other_body)
    before = api.row_counts()
    message = api.refused(path, body)[field]
    assert "'/ai/chat'" in message
    assert "'M'" in message
    assert api.row_counts() == before


@pytest.mark.parametrize(
    ("changes", "pays", "enforce"),
    [
        ({"filter": {"all": [{"field": "request.route", "value": "/other"}]}}, "prepaid", "strict"),
        ({}, "postpaid", "strict"),
        ({}, "prepaid", "none"),
        ({"metric": {"type": "sum", "field": "response.body.usage.total_tokens"}}, "prepaid", "strict"),
    ],
)
def test_a_sum_without_a_bound_is_fine_where_nothing_is_held_for_it(
    api: Api, changes: dict[str, object], pays: str, enforce: str
) -> None:
    meter = {"name": "M", "plan": "My AI API Plan", "price": "Input Tokens", "filter": {}, "metric": UNBOUNDED}
    subscription = {"plan": "My AI API Plan", "pays": pays}
    api.post(
        "/catalog/apply",
        {
            "catalog": SEED
            | {
                "meters": [meter | changes],
                "routes": [{"name": ROUTE, "upstream_url": "http://127.0.0.1:1", "enforce": enforce}],
                "companies": [{"company_id": "acme", "subscriptions": [subscription]}],
            }
        },
    )
    assert len(api.get("/subscriptions")["data"]) == 1


def test_a_routes_upstream_may_begin_with_a_variable_of_the_gateway(api: Api) -> None:
    route = api.post("/routes", {"name": ROUTE, "upstream_url": "${AI_API_URL}/v1"})
    assert route["upstream_url"] == "${AI_API_URL}/v1"
