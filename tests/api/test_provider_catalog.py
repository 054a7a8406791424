from dataclasses import replace

import msgspec
from sqlalchemy import update

from faregate.domain.billing.provider_catalog import Difference
from faregate.domain.billing.provider_links import LinkKind, ProviderLink
from faregate.storage.catalog_sync import CatalogKind, SyncRow, keep_drift, list_rows, mark_synced, mark_unsynced
from faregate.storage.provider_links import keep_links
from faregate.storage.tables import catalog_sync
from tests.api.world import NOW, Api, Json

FLAT = {"type": "flat", "amount": "20"}


def rows(api: Api) -> list[SyncRow]:
    with api.database.snapshot() as transaction:
        return list_rows(transaction, api.secrets.application_id)


def in_step(api: Api) -> None:
    """Let everything stand at the provider."""
    with api.database.begin() as transaction:
        for row in list_rows(transaction, api.secrets.application_id):
            mark_synced(transaction, row, account="acct_1", changes_at=None, now=NOW)


def drifted(api: Api, kind: CatalogKind, *found: tuple[str, str, str]) -> SyncRow:
    in_step(api)
    row = next(row for row in rows(api) if row.kind is kind)
    link_kind = LinkKind.PRODUCT if kind is CatalogKind.PLAN else LinkKind.PRICE
    drift = [
        Difference(kind=link_kind, our_id=row.our_id, provider_id="x_1", field=field, ours=ours, theirs=theirs)
        for field, ours, theirs in found
    ]
    with api.database.begin() as transaction:
        keep_drift(transaction, row, drift, now=NOW)
    return row


def test_every_plan_and_price_says_how_it_stands_at_the_provider_and_who_rates_it(api_on_both: Api) -> None:
    api = api_on_both
    api.seed(plans=[{"name": "Fees", "prices": [{"name": "Fee", "model": FLAT, "currency": "USD"}]}], meters=[])
    listed = api.get("/provider/catalog")["data"]
    assert [(view["kind"], view["name"], view["state"]) for view in listed] == [
        ("plan", "Fees", "waiting"),
        ("price", "Fees / Fee", "waiting"),
    ]
    (rating,) = listed[1]["ratings"]
    assert (rating["rated_by"], rating["currency"]) == ("faregate", "USD")
    assert "flat fee" in rating["reason"]
    plan, price = rows(api)
    with api.database.begin() as transaction:
        link = ProviderLink(kind=LinkKind.PRODUCT, our_id=plan.our_id, provider_id="prod_1")
        keep_links(transaction, [link], application_id=plan.application_id, account="acct_1", now=NOW)
        mark_synced(transaction, plan, account="acct_1", changes_at=None, now=NOW)
        mark_unsynced(transaction, price, error="no", retry_at=NOW)
    first = api.get("/provider/catalog?limit=1")
    second = api.get(f"/provider/catalog?limit=1&cursor={first['next_cursor']}")
    assert [first["data"][0]["state"], second["data"][0]["state"]] == ["in_step", "failed"]
    assert first["data"][0]["objects"] == [{"kind": "product", "our_id": plan.our_id, "provider_id": "prod_1"}]
    assert second["data"][0]["last_error"] == "no"


def test_a_price_rated_at_the_provider_says_so_of_each_version_and_currency(api: Api) -> None:
    api.seed()
    price = next(row for row in rows(api) if row.kind is CatalogKind.PRICE)
    view = api.get(f"/provider/catalog/price/{price.our_id}")
    assert view["ratings"] == [{"version_id": price.our_id, "currency": "USD", "rated_by": "provider"}]


def test_what_was_changed_there_is_listed_and_settled_by_choice(api_on_both: Api) -> None:
    api = api_on_both
    api.seed()
    plan = drifted(api, CatalogKind.PLAN, ("active", "true", "false"), ("name", "My AI API Plan", "Theirs"))
    (view,) = api.get("/provider/drift")["data"]
    assert (view["state"], [seen["theirs"] for seen in view["differences"]]) == ("drifted", ["false", "Theirs"])
    taken = settle(api, "plan", plan.our_id, "theirs")
    assert (taken["name"], taken["state"]) == ("Theirs", "waiting")
    assert api.get(f"/plans/{plan.our_id}") == {"plan_id": plan.our_id, "name": "Theirs", "archived": True}
    drifted(api, CatalogKind.PLAN, ("name", "Theirs", "Other"))
    assert settle(api, "plan", plan.our_id, "ours")["state"] == "waiting"
    assert api.get("/plans")["data"][0]["name"] == "Theirs"


def settle(api: Api, kind: str, our_id: str, take: str) -> Json:
    return api.post(f"/provider/drift/{kind}/{our_id}", {"take": take})


def test_what_cannot_be_taken_from_there_is_refused_with_why(api: Api) -> None:
    api.seed()
    reasons = {
        "lookup_key": "which version is sold follows",
        "tax_behavior": "never changes here",
        "nickname": "keeps its name",
        "unit_amount_decimal": "make a version here",
    }
    for field, reason in reasons.items():
        price = drifted(api, CatalogKind.PRICE, (field, "1", "2"))
        told = api.refused(f"/provider/drift/price/{price.our_id}", {"take": "theirs"}, status=409)
        assert reason in told[field]
    assert "must be one of plan, price" in api.refused("/provider/drift/meter/m_1", {"take": "ours"})["kind"]
    assert api.refused("/provider/drift/plan/pln_none", {"take": "ours"}, status=404) == {}


def test_drift_of_what_changed_here_since_it_was_looked_at_is_not_kept(api: Api) -> None:
    api.seed()
    in_step(api)
    row = rows(api)[0]
    with api.database.begin() as transaction:
        transaction.execute(update(catalog_sync).values(revision=catalog_sync.c.revision + 1))
        seen = Difference(kind=LinkKind.PRODUCT, our_id="p", provider_id="x", field="name", ours="a", theirs="b")
        keep_drift(transaction, row, [seen], now=NOW)
    assert rows(api)[0] == replace(row, revision=row.revision + 1)
    assert msgspec.json.encode(seen)


def test_a_plan_is_renamed_archived_and_sold_again(api_on_both: Api) -> None:
    api = api_on_both
    api.seed()
    plan_id = api.get("/plans")["data"][0]["plan_id"]
    api.post("/plans", {"name": "Other"})
    taken = api.refused(f"/plans/{plan_id}", {"name": "Other"}, status=409, method="PATCH")
    assert "already a plan" in taken["name"]
    assert api.patch(f"/plans/{plan_id}", {"name": "New", "archived": True})["archived"]
    assert api.patch(f"/plans/{plan_id}", {"archived": True})["name"] == "New"
    api.post("/companies", {"company_id": "acme", "name": "Acme"})
    told = api.refused("/subscriptions", {"company_id": "acme", "plan_id": plan_id, "pays": "postpaid"})
    assert "is archived" in told["plan_id"]
    assert not api.patch(f"/plans/{plan_id}", {"archived": False})["archived"]
    api.post("/subscriptions", {"company_id": "acme", "plan_id": plan_id, "pays": "postpaid"})
    assert api.refused("/plans/pln_none", {"name": "x"}, status=404, method="PATCH") == {}
