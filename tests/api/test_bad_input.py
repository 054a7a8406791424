import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.api.world import SEED, Api, opened_api, problem

PRICE: dict[str, Any] = {"name": "X", "model": {"type": "package", "amount": "1", "size": 1000}, "currency": "USD"}
ROUTE: dict[str, Any] = {"name": "/x", "upstream_url": "http://127.0.0.1:1"}
METER_AS_TEXT: dict[str, Any] = {
    "name": "Meter",
    "price_id": "p",
    "metric": {"type": "count"},
}
METER: dict[str, Any] = {
    "name": "M",
    "filter": {},
    "metric": {"type": "sum", "field": "response.body.usage.prompt_tokens"},
}


@dataclass(frozen=True)
class Standing:
    """An API that stands for all tests of this file: what is refused leaves it as it is."""

    api: Api
    plan_id: str


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    folder = tmp_path_factory.mktemp("standing")
    with opened_api(f"sqlite:///{folder / 'faregate.sqlite3'}", folder) as api:
        plan_id = api.post("/plans", {"name": "Plan"})["plan_id"]
        api.post("/prices", {"plan_id": plan_id} | PRICE | {"name": "First"})
        yield Standing(api, plan_id)


def price(**changes: object) -> Callable[[str], tuple[str, dict[str, Any]]]:
    return lambda plan_id: ("/prices", {"plan_id": plan_id} | PRICE | changes)


def model(**changes: object) -> Callable[[str], tuple[str, dict[str, Any]]]:
    return price(model=PRICE["model"] | changes)


def at(path: str, body: dict[str, Any]) -> Callable[[str], tuple[str, dict[str, Any]]]:
    return lambda _plan_id: (path, body)


@pytest.mark.parametrize(
    ("request_for", "field"),
    [
        (price(plan_id="pln_unknown"), "plan_id"),
        (model(amount="-0.01"), "model.amount"),
        (model(amount=-1), "model.amount"),
        (model(amount="NaN"), "model.amount"),
        (model(amount="Infinity"), "model.amount"),
        (model(amount="1e999999"), "model.amount"),
        (model(amount="0.0000000000001"), "model.amount"),
        (model(amount=True), "model.amount"),
        (model(amount="half"), "model.amount"),
        (model(amount="9" * 31), "model.amount"),
        (model(size=0), "model.size"),
        (model(size="1.5"), "model.size"),
        (model(size="1e999999"), "model.size"),
        (model(type="tiered"), "model.type"),
        (model(round="sideways"), "model.round"),
        (model(colour="red"), "model.colour"),
        (price(model={"type": "package", "size": 1}), "model.amount"),
        (price(currency="EUR"), "currency"),
        (price(currency="XXX"), "currency"),
        (price(period="week"), "period"),
        (price(tax_behavior="none"), "tax_behavior"),
        (price(name=""), "name"),
        (price(name="a\nb"), "name"),
        (price(name="x" * 201), "name"),
        (price(prices=[]), "prices"),
        (at("/plans", {}), "name"),
        (at("/plans", {"name": 1}), "name"),
        (at("/plans", {"name": "a\0"}), "name"),
        (at("/plans", {"name": "  "}), "name"),
        (at("/meters", METER | {"price_id": "prc_unknown"}), "price_id"),
        (at("/meters", METER | {"price_id": "p", "metric": {"type": "sum", "field": "body.x"}}), "metric.field"),
        (at("/meters", METER | {"price_id": "p", "metric": {"type": "median", "field": "x"}}), "metric.type"),
        (at("/meters", METER | {"price_id": "p", "metric": {"type": "average", "field": "x"}}), "metric.field"),
        (
            at("/meters", METER | {"price_id": "p", "metric": {"type": "latest", "field": "metadata.x[*]"}}),
            "metric.field",
        ),
        (
            at("/meters", METER | {"price_id": "p", "metric": {"type": "sum_of", "expression": "metadata.x / 3"}}),
            "metric.expression",
        ),
        (at("/meters", METER | {"price_id": "p", "group_by": ["metadata.x", "y"]}), "group_by[1]"),
        (at("/meters", METER | {"price_id": "p", "group_by": ["metadata.x"] * 6}), "group_by"),
        (at("/meters", METER | {"price_id": "p", "units": {"multiply": "0"}}), "units.multiply"),
        (at("/meters", METER | {"price_id": "p", "units": {"rounding": "twice"}}), "units.rounding"),
        (at("/meters", METER | {"price_id": "p", "filter_text": "request.route == '"}), "filter"),
        (at("/meters", METER_AS_TEXT | {"filter_text": "request.route == 'x'"}), "filter_text"),
        (at("/meters", METER_AS_TEXT | {"filter_text": 'request.route matches "("'}), "filter_text"),
        (at("/meters", METER_AS_TEXT | {"filter": {"any": []}}), "filter.any"),
        (
            at("/meters", METER_AS_TEXT | {"filter": {"not": {"field": "user_id", "operator": "like"}}}),
            "filter.not.operator",
        ),
        (at("/meters", METER_AS_TEXT | {"filter": {"any": [{"field": "user_id"}]}}), "filter.any[0].value"),
        (
            at("/meters", METER_AS_TEXT | {"filter": {"field": "user_id", "operator": "between", "value": [1]}}),
            "filter.value",
        ),
        (at("/meters", METER | {"price_id": "p", "reporting_period": "7m"}), "reporting_period"),
        (
            at("/meters", METER | {"price_id": "p", "filter": {"all": [{"field": "nope", "value": 1}]}}),
            "filter.all[0].field",
        ),
        (at("/routes", ROUTE | {"name": "ai/chat"}), "name"),
        (at("/routes", ROUTE | {"name": "/ai/chat/"}), "name"),
        (at("/routes", ROUTE | {"name": "/healthz"}), "name"),
        (at("/routes", ROUTE | {"name": "/v1/quote"}), "name"),
        (at("/routes", ROUTE | {"upstream_url": "ftp://x"}), "upstream_url"),
        (at("/routes", ROUTE | {"upstream_url": "http://user:secret@x"}), "upstream_url"),
        (at("/routes", ROUTE | {"upstream_url": "http://x:port"}), "upstream_url"),
        (at("/routes", ROUTE | {"upstream_url": "${AI API}/v1"}), "upstream_url"),
        (at("/routes", ROUTE | {"upstream_url": "ftp://${AI_API}"}), "upstream_url"),
        (at("/routes", ROUTE | {"upstream_headers": {"a": "${1X}"}}), "upstream_headers.a"),
        (at("/routes", ROUTE | {"upstream_headers": {"a": "b\r\nc: d"}}), "upstream_headers[...]"),
        (at("/routes", ROUTE | {"upstream_headers": {"a b": "c"}}), "upstream_headers"),
        (at("/routes", ROUTE | {"dialect": "none", "enforce": "strict"}), "enforce"),
        (at("/routes", ROUTE | {"default_output_tokens": 10, "least_output_tokens": 11}), "least_output_tokens"),
        (at("/routes", ROUTE | {"attempts": 6}), "attempts"),
        (at("/routes", ROUTE | {"attempts": 2, "dialect": "none"}), "attempts"),
        (at("/routes", ROUTE | {"fallbacks": [{"upstream_url": "http://x"}]}), "attempts"),
        (at("/routes", ROUTE | {"attempts": 2, "retry_statuses": [503, 404]}), "retry_statuses[1]"),
        (at("/routes", ROUTE | {"attempts": 2, "fallbacks": [{"upstream_url": "x"}]}), "fallbacks[0].upstream_url"),
        (
            at(
                "/routes",
                ROUTE | {"attempts": 2, "fallbacks": [{"upstream_url": "http://x", "upstream_headers": {"a": "${1}"}}]},
            ),
            "fallbacks[0].upstream_headers.a",
        ),
        (at("/routes", ROUTE | {"near_zero": "beg"}), "near_zero"),
        (at("/routes", ROUTE | {"hold_output_tokens": 63}), "hold_output_tokens"),
        (at("/routes", ROUTE | {"hold_output_tokens": 64, "dialect": "none"}), "hold_output_tokens"),
        (at("/routes", ROUTE | {"when_credit_ends": "pause"}), "when_credit_ends"),
        (at("/routes", ROUTE | {"overdraft_output_tokens": 0}), "overdraft_output_tokens"),
        (at("/routes", ROUTE | {"max_request_bytes": (32 << 20) + 1}), "max_request_bytes"),
        (at("/rules", {"template": "block_everyone"}), "template"),
        (
            at(
                "/rules",
                {
                    "template": "block_on_unpaid_invoices",
                    "block_what": [
                        {"field": "request.route", "pattern": "/ok"},
                        {"field": "request.route", "pattern": "("},
                    ],
                },
            ),
            "block_what[1].pattern",
        ),
        (
            at(
                "/rules",
                {
                    "template": "block_on_unpaid_invoices",
                    "block_what": [{"field": "request.route", "pattern": "(?=look)ahead"}],
                },
            ),
            "block_what[0].pattern",
        ),
        (
            at(
                "/rules",
                {"template": "block_on_unpaid_invoices", "block_what": [{"field": "request.body", "pattern": "x"}]},
            ),
            "block_what[0].field",
        ),
        (at("/rules", {"template": "block_on_unpaid_invoices", "refusal": {"status": 200}}), "refusal.status"),
        (at("/companies", {"company_id": "a/b"}), "company_id"),
        (at("/users", {"user_id": "ann", "company_id": "nobody"}), "company_id"),
        (at("/keys", {"company_id": "nobody"}), "company_id"),
        (at("/subscriptions", {"company_id": "nobody", "plan_id": "x", "pays": "prepaid"}), "company_id"),
        (at("/subscriptions", {"company_id": "a", "plan_id": "x", "pays": "later"}), "pays"),
        (at("/clock/advance", {"to": "2026-03-10T11:59:59Z"}), "to"),
        (at("/clock/advance", {"to": "tomorrow"}), "to"),
        (at("/clock/advance", {"by_seconds": 0}), "by_seconds"),
        (at("/clock/advance", {"by_seconds": 10**18}), "by_seconds"),
        (at("/clock/advance", {}), "to"),
    ],
)
def test_bad_input_is_refused_by_its_field_and_leaves_no_trace(
    standing: Standing, request_for: Callable[[str], tuple[str, dict[str, Any]]], field: str
) -> None:
    before = standing.api.row_counts()
    path, body = request_for(standing.plan_id)
    assert list(standing.api.refused(path, body)) == [field]
    assert standing.api.row_counts() == before


def test_every_wrong_field_of_a_price_is_named_at_once(standing: Standing) -> None:
    path, body = model(amount="-1", size=0)(standing.plan_id)
    assert set(standing.api.refused(path, body)) == {"model.amount", "model.size"}


@pytest.mark.parametrize(
    "body", [b"{", b"", b"null", b"[]", b'{"name":"\xff"}', b'{"name":"\\ud800"}', b"[" * 50_000, b'{"name":"a"}x']
)
def test_a_body_that_is_not_json_of_the_right_kind_is_refused(standing: Standing, body: bytes) -> None:
    assert problem(standing.api.ask("POST", "/plans", body=body), 400).keys() <= {"body", "name"}
    assert standing.api.row_counts()["plan"] == 1


def test_a_wrong_choice_is_told_the_right_ones(standing: Standing) -> None:
    models = "'flat', 'per_unit', 'package', 'graduated', 'volume', 'percentage', 'by_dimension'"
    rule = {"template": "block_on_unpaid_invoices", "block_what": [{"field": "response.status", "pattern": "2"}]}
    for path, body, field, choices in (
        ("/rules", {"template": "x"}, "template", "'block_when_no_available_credits', 'block_on_unpaid_invoices'"),
        ("/rules", rule, "block_what[0].field", "'request.route'"),
        ("/routes", ROUTE | {"enforce": "gently"}, "enforce", "'strict', 'none'"),
        ("/prices", price(model={"type": "tiered"})(standing.plan_id)[1], "model.type", models),
    ):
        assert standing.api.refused(path, body)[field].endswith(f"; use one of {choices}")


def test_a_body_of_20_megabytes_is_too_large(standing: Standing) -> None:
    answer = standing.api.ask("POST", "/plans", body=b'{"name":"' + b"x" * (20 << 20) + b'"}')
    assert problem(answer, 413) == {}
    assert "1048576 bytes" in answer.json()["detail"]


def test_the_largest_body_is_taken_and_one_byte_more_is_not(api: Api) -> None:
    body = b'{"name":"Plan"}'.ljust(1 << 20)
    assert api.ask("POST", "/plans", body=body).status_code == 201
    assert problem(api.ask("POST", "/plans", body=body + b" "), 413) == {}


@pytest.mark.parametrize("path", ["/plans", "/prices", "/meters", "/rules", "/companies", "/keys"])
@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=ten", "cursor=%21", "cursor=e30", "cursor=WzFd"])
def test_a_page_that_cannot_be_is_refused_by_its_parameter(standing: Standing, path: str, query: str) -> None:
    assert list(problem(standing.api.ask("GET", f"{path}?{query}"), 400)) == [query.partition("=")[0]]


@pytest.mark.parametrize("path", ["/charges", "/usage", "/set-aside-events"])
@pytest.mark.parametrize("key", [b"[-1]", b"[99999999999999999999]", b'["a","b",253402300800000000]', b'["a"]', b"[]"])
def test_a_cursor_of_another_list_is_refused(standing: Standing, path: str, key: bytes) -> None:
    cursor = base64.urlsafe_b64encode(key).decode().rstrip("=")
    assert list(problem(standing.api.ask("GET", f"{path}?cursor={cursor}"), 400)) == ["cursor"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=yesterday", "from"),
        ("granularity=week", "granularity"),
        ("from=2026-03-02T00:00:00Z&to=2026-03-02T00:00:00Z", "to"),
    ],
)
def test_a_time_that_cannot_be_is_refused_by_its_parameter(standing: Standing, query: str, field: str) -> None:
    assert list(problem(standing.api.ask("GET", f"/usage?{query}"), 400)) == [field]


def test_a_nul_character_is_refused_wherever_it_is_sent(api_on_both: Api) -> None:
    for path in ("/plans/a%00b", "/usage?company_id=%00", "/keys?company_id=a%00"):
        assert problem(api_on_both.ask("GET", path), 400)


def test_unknown_paths_and_methods_are_problems_too(standing: Standing) -> None:
    assert problem(standing.api.ask("GET", "/nothing"), 404) == {}
    assert problem(standing.api.client.get("/api/nothing"), 404) == {}
    answer = standing.api.ask("PUT", "/plans")
    assert problem(answer, 405) == {}
    assert "POST" in answer.headers["allow"]


@pytest.mark.parametrize(
    "path",
    [
        "plans",
        "prices",
        "meters",
        "routes",
        "rules",
        "companies",
        "users",
        "keys",
        "subscriptions",
        "invoices",
        "events",
    ],
)
def test_what_does_not_exist_is_not_found(standing: Standing, path: str) -> None:
    assert problem(standing.api.ask("GET", f"/{path}/unknown"), 404) == {}


def test_a_fault_of_the_server_tells_the_caller_nothing(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    with api.database.begin() as transaction:
        transaction.exec_driver_sql("DROP TABLE plan")
    answer = api.ask("GET", "/plans")
    assert problem(answer, 500) == {}
    assert "plan" not in answer.json()["detail"]
    assert "request.failed" in capsys.readouterr().out


def test_the_seed_is_not_bad_input(api: Api) -> None:
    assert api.post("/catalog/apply", {"catalog": SEED})["dry_run"] is False
