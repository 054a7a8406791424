import json
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from tests.control.control_plane import Handle, Reply, started

MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    """A whole control plane: what is asked here reaches the API as a program's requests do."""
    with started(tmp_path_factory.mktemp("control") / "kept") as handle:
        yield handle


def _ask(control: Handle, method: str, path: str, body: bytes | None = None) -> Reply:
    assert control.running.first_secrets is not None
    token = control.running.first_secrets.api_token
    return control.ask(method, path, body, authorization=f"Bearer {token}", content_type="application/json")


def test_a_body_of_20_megabytes_is_a_problem_and_the_server_goes_on(control: Handle) -> None:
    answer = _ask(control, "POST", "/api/v1/plans", b'{"name":"' + b"x" * (20 * MEGABYTE) + b'"}')
    assert (answer.status, answer.headers["content-type"]) == (413, "application/problem+json")
    assert _ask(control, "GET", "/api/v1/plans").json()["data"] == []


def test_a_body_of_unknown_length_is_counted_as_it_comes(control: Handle) -> None:
    assert control.running.first_secrets is not None
    connection = HTTPConnection("127.0.0.1", control.running.port, timeout=20)
    headers = {"authorization": f"Bearer {control.running.first_secrets.api_token}"}
    parts = (b"x" * 65_536 for _ in range(32))
    connection.request("POST", "/api/v1/plans", body=parts, headers=headers, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/api/nothing", 404), ("GET", "/api/v1/nothing", 404), ("PUT", "/api/v1/plans", 405)],
)
def test_what_is_not_there_is_a_problem(control: Handle, method: str, path: str, status: int) -> None:
    answer = _ask(control, method, path)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["status"] == status


def test_the_document_and_its_page_are_served_without_a_token(control: Handle) -> None:
    assert str(control.ask("GET", "/api/openapi.json").json()["openapi"]).startswith("3.1")
    page = control.ask("GET", "/api")
    assert page.headers["content-type"].startswith("text/html")
    assert b"/api/v1/plans" in page.body


def test_what_is_made_is_answered_after_it_is_durable(control: Handle) -> None:
    made = _ask(control, "POST", "/api/v1/companies", json.dumps({"company_id": "acme"}).encode())
    assert made.status == 201
    assert _ask(control, "GET", "/api/v1/companies/acme").json() == made.json()
