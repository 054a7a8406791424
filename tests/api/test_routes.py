"""Routes of every dialect: what they are set to is held to what their dialect can do."""

import pytest

from tests.api.world import ROUTE, SEED, Api

UPSTREAM = {"name": ROUTE, "upstream_url": "http://127.0.0.1:1"}
GENERIC = {"usage": {"input": "response.body.meter.read", "output": "response.body.meter.wrote"}}


@pytest.mark.parametrize("dialect", ["openai_chat", "openai_responses", "anthropic_messages"])
def test_a_providers_dialect_is_strict_by_itself(api_on_both: Api, dialect: str) -> None:
    settings = {"dialect": dialect, "parts": {"image": 1_600}, "models": ["small", "large"]}
    route = api_on_both.post("/routes", UPSTREAM | settings)
    assert (route["dialect"], route["enforce"], route["generic_json"]) == (dialect, "strict", None)
    assert (route["parts"], route["models"]) == ({"image": 1_600}, ["small", "large"])
    assert api_on_both.get(f"/routes/{route['route_id']}") == route


def test_an_api_of_your_own_is_strict_where_it_says_what_limits_its_output(api_on_both: Api) -> None:
    free = api_on_both.post("/routes", UPSTREAM | {"dialect": "generic_json", "generic_json": GENERIC})
    assert (free["enforce"], free["generic_json"]) == ("none", GENERIC | {"output_limit": None, "text": None})
    limited = GENERIC | {"output_limit": "limit", "text": "response.body.text"}
    path = f"/routes/{free['route_id']}"
    bound = api_on_both.patch(path, {"generic_json": limited, "enforce": "strict"})
    assert (bound["enforce"], bound["generic_json"]) == ("strict", limited)
    chat = api_on_both.patch(path, {"dialect": "openai_chat", "generic_json": None})
    assert (chat["dialect"], chat["generic_json"]) == ("openai_chat", None)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"dialect": "smoke_signals"}, "dialect"),
        ({"dialect": "generic_json"}, "generic_json"),
        ({"dialect": "generic_json", "generic_json": {}}, "generic_json.usage"),
        ({"dialect": "generic_json", "generic_json": {"usage": {}}}, "generic_json.usage"),
        ({"dialect": "generic_json", "generic_json": {"usage": {"a": "no path"}}}, "generic_json.usage.a"),
        ({"dialect": "generic_json", "generic_json": {"usage": {"a": "request.uri"}}}, "generic_json.usage.a"),
        ({"dialect": "generic_json", "generic_json": GENERIC | {"text": "response.body.a[*]"}}, "generic_json.text"),
        ({"dialect": "generic_json", "generic_json": GENERIC | {"other": 1}}, "generic_json.other"),
        ({"dialect": "generic_json", "generic_json": GENERIC | {"output_limit": ""}}, "generic_json.output_limit"),
        ({"dialect": "generic_json", "generic_json": GENERIC, "enforce": "strict"}, "enforce"),
        ({"dialect": "generic_json", "generic_json": GENERIC, "parts": {"image": 1}}, "parts"),
        ({"generic_json": GENERIC}, "generic_json"),
        ({"parts": {"image": 0}}, "parts.image"),
        ({"parts": {"video": 5}}, "parts.video"),
        ({"dialect": "none", "models": ["small"]}, "models"),
        ({"models": [""]}, "models[0]"),
    ],
)
def test_what_a_dialect_cannot_do_is_refused_by_its_name(api: Api, settings: dict[str, object], field: str) -> None:
    before = api.row_counts()
    assert list(api.refused("/routes", UPSTREAM | settings)) == [field]
    assert api.row_counts() == before


def test_a_strict_route_is_held_to_the_fields_that_its_own_dialect_bounds(api: Api) -> None:
    meter = {"name": "M", "plan": "My AI API Plan", "price": "Input Tokens", "filter": {}}
    subscription = {"plan": "My AI API Plan", "pays": "prepaid"}

    def catalog(field: str, **settings: object) -> dict[str, object]:
        return SEED | {
            "meters": [meter | {"metric": {"type": "sum", "field": field}}],
            "routes": [UPSTREAM | settings],
            "companies": [{"company_id": "acme", "subscriptions": [subscription]}],
        }

    chats = catalog("response.body.usage.prompt_tokens", dialect="anthropic_messages")
    message = api.refused("/catalog/apply", {"catalog": chats})["catalog.meters[0].metric.field"]
    assert "response.body.usage.cache_read_input_tokens" in message
    own = GENERIC | {"output_limit": "limit"}
    generic = catalog("response.body.usage.credits", dialect="generic_json", generic_json=own)
    assert list(api.refused("/catalog/apply", {"catalog": generic})) == ["catalog.meters[0].metric.field"]
    fits = catalog("response.body.tokens.input", dialect="generic_json", generic_json=own)
    api.post("/catalog/apply", {"catalog": fits})
    routes = api.get("/routes")
    api.post("/catalog/apply", {"catalog": fits})
    assert api.get("/routes") == routes
