import msgspec

from tests.api.world import Api, problem

PATH = "/companies/acme/checkout-sessions"
TOP_UP = {
    "mode": "top_up",
    "amount": "20.00",
    "success_url": "https://example.com/done",
    "cancel_url": "https://example.com/",
}


def test_without_a_provider_that_has_pages_it_is_said(api: Api) -> None:
    api.subscribe()
    for path, body in ((PATH, TOP_UP), ("/companies/acme/portal-sessions", {"return_url": "https://example.com/"})):
        answer = api.ask("POST", path, body=msgspec.json.encode(body), idempotency_key="one")
        assert "no pages" in problem(answer, 409)["provider"]
    assert api.get(PATH)["data"] == []
    assert problem(api.ask("GET", "/companies/nobody/checkout-sessions"), 404) == {}


def test_addresses_that_no_browser_can_be_sent_to_are_refused(api: Api) -> None:
    api.subscribe()
    for url in ("javascript:alert(1)", "example.com", "https://exa mple.com", "https://example.com/\n"):
        body = msgspec.json.encode(TOP_UP | {"success_url": url})
        answer = api.ask("POST", PATH, body=body, idempotency_key="one")
        assert list(problem(answer, 400)) == ["success_url"]


def test_an_address_for_webhooks_is_that_of_their_endpoint_and_nothing_more(api: Api) -> None:
    for url in (
        "https://example.com/webhooks/stripe\n",
        "https://exa\tmple.com/webhooks/stripe",
        "https://example.com/",
    ):
        answer = api.ask("POST", "/provider/webhook-endpoint", body=msgspec.json.encode({"url": url}))
        assert list(problem(answer, 400)) == ["url"]
