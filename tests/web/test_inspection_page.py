"""The look inside the sandbox: objects, requests, webhooks, faults, the clock, and starting afresh."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from litestar.testing import TestClient

from faregate.apps.web.app import create_web
from faregate.base.ids import new_id
from faregate.providers.sandbox.api import HttpRequest, answer
from faregate.providers.sandbox.asking import Sandbox
from faregate.providers.sandbox.store import Store
from tests.api.world import opened_api
from tests.web.conftest import Site

ROOT = "/sandbox/inspect"


@dataclass
class Inside:
    """The pages of an operator who is signed in, and the sandbox that they look into."""

    site: Site
    sandbox: Sandbox

    def ask(self, method: str, path: str, body: bytes = b"") -> None:
        headers = {"authorization": f"Bearer {self.sandbox.key}", "idempotency-key": f"key of {path}"}
        request = HttpRequest(method=method, path=path, query=b"", headers=headers, body=body)
        answer(self.sandbox, request)

    def shows(self, path: str = "") -> str:
        page = self.site.get(f"{ROOT}{path}")
        assert page.status_code == 200
        return page.text

    def send(self, path: str, **fields: str) -> int:
        return self.site.post(f"{ROOT}{path}", {"form_token": self.site.form_token} | fields).status_code


@pytest.fixture
def inside(sqlite_url: str, tmp_path: Path) -> Iterator[Inside]:
    with (
        opened_api(sqlite_url, tmp_path) as api,
        closing(Store(tmp_path / "stripe.sqlite3")) as store,
    ):
        sandbox = Sandbox(key="sk_test_1", store=store, clock=api.clock, new_id=new_id)
        with TestClient(create_web(api.database, api.clock, sandbox=sandbox)) as client:
            site = Site(client=client, api=api)
            site.sign_in()
            yield Inside(site=site, sandbox=sandbox)


def test_objects_are_listed_by_kind_and_shown_as_stripe_shows_them(inside: Inside) -> None:
    assert "The account is empty." in inside.shows()
    inside.ask("POST", "/v1/products", b"name=Plan+<b>")
    assert f'href="{ROOT}/objects/product"' in inside.shows()
    listed = inside.shows("/objects/product")
    assert "Plan &lt;b&gt;" in listed
    found = listed.split(f'href="{ROOT}/object/', 1)[1].split('"', 1)[0]
    assert "&#34;object&#34;: &#34;product&#34;" in inside.shows(f"/object/{found}")
    assert "There are none." in inside.shows("/objects/planet")
    assert inside.site.get(f"{ROOT}/object/prod_none").status_code == 404


def test_more_objects_than_a_page_has_are_a_link_away(inside: Inside) -> None:
    for number in range(51):
        inside.sandbox.tell("product.updated", {"id": f"prod_{number}", "object": "product"})
    first = inside.shows("/objects/event")
    assert first.count("product.updated") == 50
    link = first.split(f'href="{ROOT}/objects/event?before=', 1)[1].split('"', 1)[0]
    assert inside.shows(f"/objects/event?before={link}").count("product.updated") == 1


def test_usage_is_shown_among_the_kinds(inside: Inside) -> None:
    inside.ask("POST", "/v1/customers", b"name=Acme")
    [customer] = inside.sandbox.store.newest_first("customer")
    meter = b"display_name=T&event_name=tokens&default_aggregation[formula]=sum"
    inside.ask("POST", "/v1/billing/meters", meter)
    event = f"event_name=tokens&identifier=u/1&payload[stripe_customer_id]={customer['id']}&payload[value]=7"
    inside.ask("POST", "/v1/billing/meter_events", event.encode())
    assert f"7 tokens of {customer['id']}" in inside.shows("/objects/billing.meter_event")
    assert "&#34;value&#34;: 7" in inside.shows("/object/u/1")


def test_requests_are_logged_with_what_was_wrong_with_them(inside: Inside) -> None:
    assert "Nothing was asked" in inside.shows("/requests")
    inside.ask("POST", "/v1/prices", b"currency=usd")
    page = inside.shows("/requests")
    assert "Missing required param: product." in page
    assert "key of /v1/prices" in page


def test_a_webhook_is_sent_again_from_its_page(inside: Inside) -> None:
    assert "No webhook was sent yet" in inside.shows("/webhooks")
    inside.ask("POST", "/v1/webhook_endpoints", b"url=http://127.0.0.1:1/&enabled_events[0]=*")
    inside.ask("POST", "/v1/products", b"name=Plan")
    page = inside.shows("/webhooks")
    assert page.count("product.created") == 1
    place = page.split(f'action="{ROOT}/webhooks/', 1)[1].split("/", 1)[0]
    assert inside.send(f"/webhooks/{place}/send-again") == 303
    assert inside.shows("/webhooks").count("product.created") == 2
    assert inside.send("/webhooks/99/send-again") == 404
    assert "whsec_" not in "".join(inside.shows(f"/objects/{kind}") for kind in ("webhook_endpoint", "event"))


def test_a_fault_is_asked_for_and_taken_back(inside: Inside) -> None:
    assert inside.send("/faults", answer="request:over_rate", pattern="/v1/*") == 422
    assert inside.send("/faults", answer="request:failed", times="x") == 422
    assert inside.send("/faults", answer="request:failed", pattern="/v1/products", times="1", share="1") == 303
    assert inside.send("/faults", answer="webhook:dropped", pattern="product.*") == 303
    inside.ask("POST", "/v1/products", b"name=Struck")
    page = inside.shows("/faults")
    assert "1 of 1" in page
    assert "product.*" in page
    found = page.split(f'action="{ROOT}/faults/', 1)[1].split("/", 1)[0]
    assert inside.send(f"/faults/{found}/remove") == 303
    assert "1 of 1" not in inside.shows("/faults")


def test_the_clock_moves_forward_from_the_page(inside: Inside) -> None:
    before = inside.shows().split("application's time</dt><dd>", 1)[1].split("<", 1)[0]
    assert inside.send("/clock", step="a day") == 303
    after = inside.shows().split("application's time</dt><dd>", 1)[1].split("<", 1)[0]
    assert before[:10] < after[:10]
    assert inside.send("/clock", step="backwards") == 422


def test_everything_or_a_kind_is_forgotten(inside: Inside) -> None:
    inside.ask("POST", "/v1/webhook_endpoints", b"url=http://127.0.0.1:1/&enabled_events[0]=*")
    inside.ask("POST", "/v1/products", b"name=Plan")
    assert inside.send("/reset", kind="event") == 303
    assert "/objects/product" in inside.shows()
    assert "/objects/event" not in inside.shows()
    assert "No webhook was sent yet" in inside.shows("/webhooks")
    assert inside.send("/reset", kind="planet") == 422
    assert inside.send("/reset") == 303
    assert "The account is empty." in inside.shows()


def test_the_pages_are_for_who_is_signed_in_and_their_forms_are_of_the_session(inside: Inside) -> None:
    assert inside.site.post(f"{ROOT}/reset", {"form_token": "another"}).status_code == 403
    inside.site.client.cookies.clear()
    for path in ("", "/requests", "/webhooks", "/faults", "/objects/product", "/object/x"):
        assert inside.site.get(f"{ROOT}{path}").headers["location"].startswith("/login")


def test_without_a_sandbox_there_is_no_page(inside: Inside) -> None:
    api = inside.site.api
    with TestClient(create_web(api.database, api.clock)) as client:
        site = Site(client=client, api=api)
        site.sign_in()
        assert site.get(ROOT).status_code == 404
