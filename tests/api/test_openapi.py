import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest

from tests.api.world import Api

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture
def document(api: Api) -> dict[str, Any]:
    answer = api.client.get("/api/openapi.json")
    assert answer.status_code == 200
    decoded: dict[str, Any] = answer.json()
    return decoded


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method in METHODS & methods.keys():
            yield path, method, methods[method]


def test_the_document_is_openapi_3_1_and_every_reference_in_it_leads_somewhere(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    references = set(re.findall(r"'#/components/schemas/([^']+)'", str(document)))
    assert references == set(document["components"]["schemas"])


def test_every_operation_has_an_id_a_summary_a_description_a_tag_and_its_credentials(document: dict[str, Any]) -> None:
    ids = []
    for path, _, operation in operations(document):
        ids.append(operation["operationId"])
        assert operation["summary"]
        assert operation["description"]
        assert len(operation["tags"]) == 1
        assert operation["security"] == ([{"password": []}] if path.endswith("/tokens") else [{"token": []}])
    assert len(ids) == len(set(ids))


def test_every_operation_tells_what_it_answers_and_every_error_is_a_problem(document: dict[str, Any]) -> None:
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path, method, operation in operations(document):
        answers = operation["responses"]
        assert any(status.startswith("2") for status in answers)
        errors = {status for status in answers if not status.startswith("2")}
        assert {"400", "401", "500"} <= errors
        assert ("404" in errors) == ("{" in path)
        assert ("409" in errors) == (method != "get")
        assert ("413" in errors) == ("requestBody" in operation)
        assert all(answers[status]["content"] == problem for status in errors), (path, method)


def test_every_shape_says_what_it_is(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        assert schema["description"], name


def test_amounts_are_described_as_decimals_and_instants_as_instants(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["GrantCreate"]["properties"]["amount"]["format"] == "decimal"
    assert "pattern" in schemas["GrantView"]["properties"]["amount"]
    assert schemas["GrantView"]["properties"]["created_at"]["format"] == "date-time"


def test_every_operation_is_on_the_page_and_nothing_on_it_is_loaded_from_elsewhere(
    api: Api, document: dict[str, Any]
) -> None:
    answer = api.client.get("/api")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    for path, _, operation in operations(document):
        assert path in answer.text
        assert operation["summary"] in answer.text
    parser = _Links()
    parser.feed(answer.text)
    assert parser.loads == []
    assert all(link.startswith(("#", "/api/")) for link in parser.links)


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if tag in {"script", "link", "img", "iframe"} or "src" in names:
            self.loads.append(tag)
        if names.get("href"):
            self.links.append(str(names["href"]))
