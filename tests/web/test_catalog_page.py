"""The page of the catalog at the billing provider."""

import re

from faregate.domain.billing.provider_catalog import Difference
from faregate.domain.billing.provider_links import LinkKind
from faregate.storage.catalog_sync import CatalogKind, keep_drift, list_rows, mark_synced
from tests.api.world import NOW
from tests.web.conftest import Site


def drift(site: Site, kind: CatalogKind, field: str) -> str:
    """Let something of the first plan or price be changed at the provider; return its id."""
    api = site.api
    with api.database.begin() as transaction:
        row = next(row for row in list_rows(transaction, api.secrets.application_id) if row.kind is kind)
        mark_synced(transaction, row, account="acct_1", changes_at=None, now=NOW)
    with api.database.begin() as transaction:
        row = next(row for row in list_rows(transaction, api.secrets.application_id) if row.kind is kind)
        seen = Difference(
            kind=LinkKind.PRODUCT, our_id=row.our_id, provider_id="x", field=field, ours="Mine", theirs="<Theirs>"
        )
        keep_drift(transaction, row, [seen], now=NOW)
    return row.our_id


def test_what_was_changed_there_stands_beside_ours_and_is_settled_by_a_button(signed_in: Site) -> None:
    assert "There is no plan yet." in signed_in.get("/catalog").text
    signed_in.api.seed()
    page = signed_in.get("/catalog").text
    assert page.count("waiting") == 3
    assert "rated by the provider" in page
    plan_id = drift(signed_in, CatalogKind.PLAN, "name")
    page = signed_in.get("/catalog").text
    assert "<td>Mine</td><td>&lt;Theirs&gt;</td>" in page
    found = re.search(r'name="form_token" value="([^"]+)"', page)
    assert found is not None
    form = {"form_token": found[1], "take": "theirs"}
    answer = signed_in.client.post(f"/catalog/plan/{plan_id}/settle", data=form, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/catalog")
    assert signed_in.api.get(f"/plans/{plan_id}")["name"] == "<Theirs>"
    price_id = drift(signed_in, CatalogKind.PRICE, "nickname")
    answer = signed_in.client.post(f"/catalog/price/{price_id}/settle", data=form, follow_redirects=False)
    assert answer.status_code == 409
    assert "keeps its name" in answer.text


def test_more_of_the_catalog_than_a_page_has_is_a_link_away(signed_in: Site) -> None:
    for number in range(51):
        signed_in.api.post("/plans", {"name": f"Plan {number}"})
    page = signed_in.get("/catalog").text
    link = page.split('href="/catalog?after=', 1)[1].split('"', 1)[0]
    assert signed_in.get(f"/catalog?after={link}").text.count('class="card mb-3"') == 1
