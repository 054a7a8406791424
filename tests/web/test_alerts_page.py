"""The page of alerts."""

from tests.services.world import Call
from tests.web.conftest import Site


def test_alerts_are_shown_newest_first_with_what_became_of_their_deliveries(signed_in: Site) -> None:
    api = signed_in.api
    assert "No alert was raised yet." in signed_in.get("/alerts").text
    api.subscribe()
    api.post("/alert-destinations", {"url": "https://example.com/hook"})
    limit = {"subject": "company", "measure": "requests", "per": "day", "alert_at": [100], "hard": False}
    api.post("/limits", limit | {"name": "Daily <calls>", "amount": "1"})
    api.take(Call(request_id="a"))
    page = signed_in.get("/alerts").text
    assert "100% of Daily &lt;calls&gt;" in page
    assert "1 of 1 requests" in page
    assert "waiting" in page
    assert 'href="/customers/acme"' in page
    assert 'href="/alerts" aria-current="page"' in page


def test_more_alerts_than_a_page_has_are_a_link_away(signed_in: Site) -> None:
    api = signed_in.api
    api.subscribe()
    limit = {"subject": "company", "measure": "requests", "per": "day", "amount": "1", "alert_at": [100], "hard": False}
    for number in range(51):
        api.post("/limits", limit | {"name": f"Daily {number}"})
    api.take(Call(request_id="a"))
    page = signed_in.get("/alerts").text
    assert page.count("100% of Daily") == 50
    link = page.split('href="/alerts?before=', 1)[1].split('"', 1)[0]
    assert signed_in.get(f"/alerts?before={link}").text.count("100% of Daily") == 1
