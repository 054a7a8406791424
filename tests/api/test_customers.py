import hashlib

from sqlalchemy import select

from faregate.storage.tables import api_key
from tests.api.world import Api


def test_a_company_and_its_users_are_known_by_the_operators_ids(api_on_both: Api) -> None:
    api = api_on_both
    assert api.post("/companies", {"company_id": "acme"})["name"] == "acme"
    api.post("/companies", {"company_id": "beta", "name": "Beta & Sons"})
    api.post("/users", {"user_id": "ann@acme", "company_id": "acme"})
    api.post("/users", {"user_id": "bob", "company_id": "beta", "name": "Bob"})
    assert [company["company_id"] for company in api.get("/companies")["data"]] == ["acme", "beta"]
    assert api.get("/users/ann@acme")["company_id"] == "acme"
    assert [user["name"] for user in api.get("/users?company_id=beta")["data"]] == ["Bob"]
    assert api.patch("/companies/acme", {"name": "Acme"})["name"] == "Acme"
    assert api.patch("/users/bob", {"name": "Robert"})["name"] == "Robert"
    assert list(api.refused("/companies", {"company_id": "acme"}, status=409)) == ["company_id"]
    assert list(api.refused("/users", {"user_id": "bob", "company_id": "acme"}, status=409)) == ["user_id"]


def test_a_key_is_shown_once_and_kept_as_its_hash(api_on_both: Api) -> None:
    api = api_on_both
    api.post("/companies", {"company_id": "acme"})
    made = api.post("/keys", {"company_id": "acme", "name": "laptop"})
    key = made.pop("key")
    assert key.startswith("fg_live_")
    assert len(key) >= len("fg_live_") + 32
    assert made["hint"] == key[-4:]
    assert api.get(f"/keys/{made['key_id']}") == made | {"revoked_at": None}
    with api.database.snapshot() as transaction:
        row = transaction.execute(select(api_key)).one()
    assert row.key_hash == hashlib.sha256(key.encode()).hexdigest()
    assert key not in str(row)


def test_a_revoked_key_stays_in_the_list_and_a_second_time_changes_nothing(api_on_both: Api) -> None:
    api_on_both.post("/companies", {"company_id": "acme"})
    path = f"/keys/{api_on_both.post('/keys', {'company_id': 'acme'})['key_id']}"
    assert api_on_both.ask("DELETE", path).status_code == 204
    revoked = api_on_both.get(path)
    assert revoked["revoked_at"] is not None
    assert api_on_both.ask("DELETE", path).status_code == 204
    assert api_on_both.get(path) == revoked


def test_a_key_of_a_user_belongs_to_the_users_company(api: Api) -> None:
    api.post("/companies", {"company_id": "acme"})
    api.post("/companies", {"company_id": "beta"})
    api.post("/users", {"user_id": "ann", "company_id": "acme"})
    assert api.post("/keys", {"company_id": "acme", "user_id": "ann"})["user_id"] == "ann"
    assert list(api.refused("/keys", {"company_id": "beta", "user_id": "ann"})) == ["user_id"]
    assert [key["user_id"] for key in api.get("/keys?company_id=acme")["data"]] == ["ann"]
    assert api.get("/keys?company_id=beta")["data"] == []


def test_a_company_is_on_a_plan_once(api_on_both: Api) -> None:
    api_on_both.subscribe()
    plan_id = api_on_both.get("/plans")["data"][0]["plan_id"]
    again = {"company_id": "acme", "plan_id": plan_id, "pays": "postpaid"}
    assert list(api_on_both.refused("/subscriptions", again, status=409)) == ["plan_id"]


def test_a_subscription_is_read_back_as_it_was_made(api_on_both: Api) -> None:
    api_on_both.seed(companies=[{"company_id": "acme"}])
    plan_id = api_on_both.get("/plans")["data"][0]["plan_id"]
    made = api_on_both.post(
        "/subscriptions",
        {
            "company_id": "acme",
            "plan_id": plan_id,
            "pays": "credit_first",
            "started_at": "2026-01-31T10:00:00+02:00",
            "payment_terms_days": 14,
        },
    )
    subscription_id = made["subscription_id"]
    assert made == {
        "subscription_id": subscription_id,
        "company_id": "acme",
        "plan_id": plan_id,
        "pays": "credit_first",
        "currency": "USD",
        "started_at": "2026-01-31T08:00:00Z",
        "payment_terms_days": 14,
        "billed_until": "2026-01-31T08:00:00Z",
    }
    assert api_on_both.get(f"/subscriptions/{subscription_id}") == made
    assert api_on_both.get("/subscriptions?company_id=acme")["data"] == [made]
    assert api_on_both.get("/subscriptions?company_id=beta")["data"] == []


def test_a_subscription_starts_within_reason_and_on_a_known_plan(api: Api) -> None:
    api.seed(companies=[{"company_id": "acme"}])
    wanted = {"company_id": "acme", "pays": "prepaid"}
    assert list(api.refused("/subscriptions", wanted | {"plan_id": "unknown"})) == ["plan_id"]
    wanted["plan_id"] = api.get("/plans")["data"][0]["plan_id"]
    for started_at in ("1999-12-31T23:59:59Z", "2027-03-11T12:00:01Z", "9999-01-01T00:00:00Z", "2026-03-01T00:00:00"):
        assert list(api.refused("/subscriptions", wanted | {"started_at": started_at})) == ["started_at"]
    assert "USD" in api.refused("/subscriptions", wanted | {"currency": "EUR"})["currency"]
