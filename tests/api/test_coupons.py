from datetime import timedelta

import pytest

from faregate.base.limits import MAX_COUPON_PERIODS, MAX_COUPON_REDEMPTIONS, MAX_COUPONS
from tests.api.world import SEED, Api, Json, problem
from tests.services.world import Call

TENTH: Json = {"coupon_id": "TENTH", "percent": "10", "duration": "forever"}
FIVER: Json = {
    "coupon_id": "FIVER",
    "name": "Five dollars off",
    "amount": "0.50",
    "currency": "USD",
    "duration": "repeating",
    "periods": 3,
    "redeem_by": "2026-12-31T00:00:00Z",
    "max_redemptions": 2,
}


def give(api: Api, subscription_id: str, coupon_id: str, *, key: str = "one") -> Json:
    return api.post(f"/subscriptions/{subscription_id}/coupons", {"coupon_id": coupon_id}, idempotency_key=key)


def end_of_march(api: Api) -> Json:
    api.post("/clock/advance", {"to": "2026-04-01T00:10:00Z"})
    for _ in range(3):
        if api.get("/invoices")["data"]:
            break
        api.post("/clock/advance", {"by_seconds": 60})
    (invoice,) = api.get("/invoices")["data"]
    return dict(invoice)


def test_a_coupon_is_made_once_shown_and_archived(api_on_both: Api) -> None:
    api = api_on_both
    made = api.post("/coupons", FIVER)
    assert made == FIVER | {"redemptions": 0, "created_at": "2026-03-10T12:00:00Z"}
    assert api.post("/coupons", FIVER | {"amount": "0.5"}) == made
    assert "never change" in api.refused("/coupons", FIVER | {"amount": "6"}, status=409)["coupon_id"]
    api.post("/coupons", TENTH)
    assert [coupon["coupon_id"] for coupon in api.get("/coupons")["data"]] == ["FIVER", "TENTH"]
    page = api.get("/coupons?limit=1")
    assert [coupon["coupon_id"] for coupon in page["data"]] == ["FIVER"]
    assert api.get(f"/coupons?cursor={page['next_cursor']}")["data"] == [api.get("/coupons/TENTH")]
    archived = api.post("/coupons/FIVER/archive")
    assert archived == made | {"archived_at": "2026-03-10T12:00:00Z"}
    api.post("/clock/advance", {"by_seconds": 60})
    assert api.post("/coupons/FIVER/archive") == archived == api.get("/coupons/FIVER")
    for path, method in (("/coupons/NONE", "GET"), ("/coupons/NONE/archive", "POST")):
        assert api.ask(method, path).status_code == 404


def test_a_repeating_coupon_of_one_period_is_one_for_once(api: Api) -> None:
    made = api.post("/coupons", {"coupon_id": "ONE", "percent": 5, "duration": "repeating", "periods": 1})
    assert made["duration"] == "once"
    assert "periods" not in made
    assert api.post("/coupons", {"coupon_id": "ONE", "percent": "5.0"}) == made


def test_a_subscription_is_given_a_coupon_once_a_key_and_it_is_shown_on_the_invoice(api_on_both: Api) -> None:
    api = api_on_both
    subscription_id = api.subscribe(pays="postpaid")
    api.post("/coupons", FIVER)
    api.post("/coupons", TENTH)
    given = give(api, subscription_id, "FIVER")
    assert given == give(api, subscription_id, "FIVER")
    assert given["coupon"] == FIVER
    assert (given["active"], given["periods_used"], given["given_at"]) == (True, 0, "2026-03-10T12:00:00Z")
    assert api.get("/coupons/FIVER")["redemptions"] == 1
    give(api, subscription_id, "TENTH", key="two")
    api.take(Call(prompt_tokens=1_200_000, completion_tokens=300_000))
    upcoming = api.get(f"/subscriptions/{subscription_id}/upcoming-invoice")
    invoice = end_of_march(api)
    assert [(found["coupon_id"], found["name"], found["amount"]) for found in invoice["discounts"]] == [
        ("FIVER", "Five dollars off", "0.50"),
        ("TENTH", "TENTH", "0.20"),
    ]
    assert (invoice["subtotal"], invoice["total"], invoice["amount_due"]) == ("2.50", "1.80", "1.80")
    for field in ("lines", "subtotal", "discounts", "total", "credit_applied", "amount_due"):
        assert upcoming[field] == invoice[field], field
    ledger = api.get(f"/subscriptions/{subscription_id}/ledger")["data"]
    assert [entry["amount"] for entry in ledger if entry["kind"] == "discount"] == ["0.50", "0.20"]
    assert api.get(f"/subscriptions/{subscription_id}/balance")["balance"] == "0.00"
    listed = api.get(f"/subscriptions/{subscription_id}/coupons")["data"]
    assert [(found["coupon"]["coupon_id"], found["periods_used"]) for found in listed] == [("FIVER", 1), ("TENTH", 1)]


def test_a_coupon_is_taken_away_and_stays_in_the_list(api_on_both: Api) -> None:
    api = api_on_both
    subscription_id = api.subscribe(pays="postpaid")
    api.post("/coupons", TENTH)
    give(api, subscription_id, "TENTH")
    path = f"/subscriptions/{subscription_id}/coupons/TENTH"
    assert [api.ask("DELETE", path).status_code for _ in range(2)] == [204, 204]
    (listed,) = api.get(f"/subscriptions/{subscription_id}/coupons")["data"]
    assert (listed["active"], listed["removed_at"]) == (False, "2026-03-10T12:00:00Z")
    assert api.ask("DELETE", f"/subscriptions/{subscription_id}/coupons/NONE").status_code == 404
    assert api.ask("DELETE", "/subscriptions/sub_none/coupons/TENTH").status_code == 404
    assert api.ask("GET", "/subscriptions/sub_none/coupons").status_code == 404


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"coupon_id": "a b"}, "coupon_id"),
        ({"coupon_id": "x" * 129}, "coupon_id"),
        ({"name": ""}, "name"),
        ({"percent": "0"}, "percent"),
        ({"percent": "100.01"}, "percent"),
        ({"percent": "-5"}, "percent"),
        ({"percent": "NaN"}, "percent"),
        ({"percent": "1e-13"}, "percent"),
        ({"percent": "1e999999"}, "percent"),
        ({"percent": "ten"}, "percent"),
        ({"percent": None}, "percent"),
        ({"currency": "USD"}, "currency"),
        ({"amount": "5", "currency": "USD"}, "percent"),
        ({"duration": "thrice"}, "duration"),
        ({"duration": "repeating"}, "periods"),
        ({"periods": 3}, "periods"),
        ({"duration": "repeating", "periods": 0}, "periods"),
        ({"duration": "repeating", "periods": MAX_COUPON_PERIODS + 1}, "periods"),
        ({"redeem_by": "2026-03-10T12:00:00Z"}, "redeem_by"),
        ({"redeem_by": "tomorrow"}, "redeem_by"),
        ({"redeem_by": "2026-12-31T00:00:00"}, "redeem_by"),
        ({"max_redemptions": 0}, "max_redemptions"),
        ({"max_redemptions": MAX_COUPON_REDEMPTIONS + 1}, "max_redemptions"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_coupon_that_cannot_be_is_refused_by_its_field(api: Api, changes: Json, field: str) -> None:
    assert list(api.refused("/coupons", {"coupon_id": "C", "percent": "10"} | changes)) == [field]
    assert api.get("/coupons")["data"] == []


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({}, "percent"),
        ({"amount": "5"}, "currency"),
        ({"amount": "5", "currency": "XXX"}, "currency"),
        ({"amount": "5", "currency": "usd"}, "currency"),
        ({"amount": "0", "currency": "USD"}, "amount"),
        ({"amount": "-1", "currency": "USD"}, "amount"),
        ({"amount": "0.001", "currency": "USD"}, "amount"),
        ({"amount": "0.5", "currency": "JPY"}, "amount"),
        ({"amount": "0.0005", "currency": "KWD"}, "amount"),
        ({"amount": "9" * 31, "currency": "USD"}, "amount"),
        ({"amount": "9" * 29, "currency": "USD"}, "amount"),
        ({"amount": "Infinity", "currency": "USD"}, "amount"),
        ({"amount": True, "currency": "USD"}, "amount"),
    ],
)
def test_a_fixed_coupon_is_a_whole_number_of_its_currencys_minor_units(api: Api, terms: Json, field: str) -> None:
    assert list(api.refused("/coupons", {"coupon_id": "C"} | terms)) == [field]


def test_a_giving_that_cannot_be_is_refused_by_its_field(api: Api) -> None:
    subscription_id = api.subscribe(pays="postpaid")
    path = f"/subscriptions/{subscription_id}/coupons"
    assert list(api.refused(path, {"coupon_id": "TENTH"})) == ["Idempotency-Key"]

    def refused(coupon_id: str, *, status: int, key: str = "k") -> Json:
        answer = api.ask("POST", path, body=b'{"coupon_id":"%s"}' % coupon_id.encode(), idempotency_key=key)
        assert answer.status_code == status, answer.text
        return {error["field"]: error["message"] for error in answer.json()["errors"]}

    assert "no coupon" in refused("TENTH", status=400)["coupon_id"]
    api.post("/coupons", TENTH)
    api.post("/coupons", {"coupon_id": "EURO", "amount": "1", "currency": "EUR"})
    assert "EUR" in refused("EURO", status=400)["coupon_id"]
    give(api, subscription_id, "TENTH", key="k")
    assert "another key" in refused("EURO", status=409)["coupon_id"]
    assert "already" in refused("TENTH", status=409, key="other")["coupon_id"]
    api.post("/coupons", {"coupon_id": "GONE", "percent": "1", "redeem_by": "2026-03-11T00:00:00Z"})
    api.clock.at += timedelta(days=1)
    assert "until" in refused("GONE", status=409, key="third")["coupon_id"]
    assert (
        api.ask("POST", "/subscriptions/none/coupons", body=b'{"coupon_id":"GONE"}', idempotency_key="k").status_code
        == 404
    )


def test_a_subscription_that_has_ended_is_given_no_coupon(api: Api) -> None:
    subscription_id = api.subscribe(pays="postpaid")
    api.post("/coupons", TENTH)
    api.post(f"/subscriptions/{subscription_id}/cancel", {"at": "now"})
    path = f"/subscriptions/{subscription_id}/coupons"
    answer = api.ask("POST", path, body=b'{"coupon_id":"TENTH"}', idempotency_key="k")
    assert "ended" in problem(answer, 409)["subscription_id"]
    assert api.get("/coupons/TENTH")["redemptions"] == 0


def test_a_file_offers_coupons_and_gives_them_once(api_on_both: Api) -> None:
    api = api_on_both
    subscription = {"plan": "My AI API Plan", "pays": "postpaid", "started_at": "2026-03-01T00:00:00Z"}

    def applied(coupon_ids: list[str], **tenth: str) -> list[tuple[str, str, str]]:
        company = {"company_id": "acme", "subscriptions": [subscription | {"coupons": coupon_ids}]}
        catalog = SEED | {"coupons": [FIVER, TENTH | tenth], "companies": [company]}
        differences = api.post("/catalog/apply", {"catalog": catalog})["differences"]
        shown = [one for one in differences if one["kind"] in {"coupon", "subscription"}]
        return [(one["name"], one["action"], ", ".join(field["after"] for field in one["fields"])) for one in shown]

    assert applied(["TENTH"]) == [
        ("FIVER", "create", ""),
        ("TENTH", "create", ""),
        ("acme / My AI API Plan", "create", ""),
    ]
    unchanged = [("FIVER", "unchanged", ""), ("TENTH", "unchanged", ""), ("acme / My AI API Plan", "unchanged", "")]
    assert applied(["TENTH"], percent="10.0") == unchanged
    assert applied(["TENTH", "FIVER"])[-1] == ("acme / My AI API Plan", "update", "FIVER")
    assert applied(["TENTH", "FIVER"]) == unchanged
    (subscribed,) = api.get("/subscriptions")["data"]
    path = f"/subscriptions/{subscribed['subscription_id']}/coupons"
    assert api.ask("DELETE", f"{path}/TENTH").status_code == 204
    assert applied(["TENTH", "FIVER"]) == unchanged  # the file does not give again what was taken away
    assert [one["active"] for one in api.get(path)["data"]] == [False, True]
    assert applied([]) == unchanged  # nor take away what it leaves out


@pytest.mark.parametrize(
    ("coupons", "wanted", "field"),
    [
        ([TENTH | {"percent": "20"}], [], "coupons[0].percent"),
        ([TENTH, TENTH], [], "coupons[1].coupon_id"),
        ([TENTH, FIVER | {"amount": "0.001"}], [], "coupons[1].amount"),
        ([TENTH], ["TENTH", "NONE"], "companies[0].subscriptions[0].coupons[1]"),
        ([TENTH], ["TENTH", "TENTH"], "companies[0].subscriptions[0].coupons[1]"),
        ([TENTH], ["OLD"], "companies[0].subscriptions[0].coupons[0]"),
        ([TENTH], ["X"] * (MAX_COUPONS + 1), "companies[0].subscriptions[0].coupons"),
    ],
)
def test_a_file_whose_coupons_cannot_be_names_the_field(
    api: Api, coupons: list[Json], wanted: list[str], field: str
) -> None:
    api.seed()
    api.post("/coupons", TENTH)
    api.post("/coupons", {"coupon_id": "OLD", "percent": "1"})
    api.post("/coupons/OLD/archive")
    before = api.row_counts()
    subscription = {"plan": "My AI API Plan", "pays": "postpaid", "coupons": wanted}
    company = {"company_id": "acme", "subscriptions": [subscription]}
    catalog = SEED | {"coupons": coupons, "companies": [company]}
    assert list(api.refused("/catalog/apply", {"catalog": catalog})) == [f"catalog.{field}"]
    assert api.row_counts() == before
