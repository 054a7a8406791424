"""The example of routes in every dialect: it is taken as it stands, strict, for a prepaid customer."""

from faregate.apps.cli.catalog_file import read_catalog_file
from tests.api.world import Api
from tests.support.tree import ROOT

EXAMPLE = ROOT / "examples/every-dialect.yaml"


def test_the_example_makes_a_strict_route_of_each_dialect(api: Api) -> None:
    document = dict(read_catalog_file(EXAMPLE).document)
    subscription = {"plan": "Every Dialect", "pays": "prepaid"}
    document["companies"] = [{"company_id": "acme", "subscriptions": [subscription]}]
    api.post("/catalog/apply", {"catalog": document})
    routes = {route["dialect"]: route["enforce"] for route in api.get("/routes")["data"]}
    assert routes == {
        "openai_chat": "strict",
        "openai_responses": "strict",
        "anthropic_messages": "strict",
        "generic_json": "strict",
    }
    again = api.post("/catalog/apply", {"catalog": document})
    assert {difference["action"] for difference in again["differences"]} == {"unchanged"}
