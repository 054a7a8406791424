from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from tests.api.world import NOW, Api, problem
from tests.services.world import Call


def test_credit_is_given_once_for_a_key_and_shows_in_the_balance(api_on_both: Api) -> None:
    api = api_on_both
    subscription_id = api.subscribe()
    assert api.get(f"/subscriptions/{subscription_id}/balance")["exhausted"] is True
    first = api.grant(subscription_id, "10.00")
    assert api.grant(subscription_id, "10.00") == first
    balance = api.get(f"/subscriptions/{subscription_id}/balance")
    assert (balance["balance"], balance["reserved"], balance["available"]) == ("10.00", "0.00", "10.00")
    assert balance["exhausted"] is False
    assert [price["name"] for price in balance["prices"]] == ["Input Tokens", "Output Tokens"]
    assert api.get(f"/subscriptions/{subscription_id}/grants")["data"] == [first]
    (entry,) = api.get(f"/subscriptions/{subscription_id}/ledger")["data"]
    assert (entry["kind"], entry["amount"], entry["currency"]) == ("grant", "10.00", "USD")


@pytest.mark.parametrize("amount", ["0", "-1", "0.0000000001", "9999999999", "NaN", "1e400"])
def test_credit_that_cannot_be_is_refused_by_its_amount(api: Api, amount: str) -> None:
    path = f"/subscriptions/{api.subscribe()}/grants"
    answer = api.ask("POST", path, body=f'{{"amount":"{amount}"}}'.encode(), idempotency_key="one")
    assert list(problem(answer, 400)) == ["amount"]
    assert api.row_counts()["credit_grant"] == 0


def test_credit_needs_a_key_of_the_callers_own(api: Api) -> None:
    path = f"/subscriptions/{api.subscribe()}/grants"
    assert list(api.refused(path, {"amount": "1"})) == ["Idempotency-Key"]


def test_a_grant_is_shown_with_its_terms_refunded_corrected_and_ended(api_on_both: Api) -> None:
    api = api_on_both
    path = f"/subscriptions/{api.subscribe()}/grants"
    wanted = {
        "amount": "10",
        "priority": 5,
        "effective_at": "2026-03-10T12:00:00Z",
        "expires_at": "2027-01-01T00:00:00Z",
        "recurs": {},
        "rolls_over": "2.50",
    }
    grant = api.post(path, wanted, idempotency_key="monthly")
    assert (grant["status"], grant["remaining"], grant["burnt"], grant["rolls_over"]) == (
        "active",
        "10.00",
        "0.00",
        "2.50",
    )
    assert (grant["priority"], grant["expires_at"]) == (5, "2027-01-01T00:00:00Z")
    assert grant["recurs"] == {
        "unit": "month",
        "count": 1,
        "anchor": "2026-03-01T00:00:00Z",
        "time_zone": "UTC",
        "alignment": "anniversary",
    }
    other = api.post(path, {"amount": "1", "effective_at": "2026-04-01T00:00:00Z"}, idempotency_key="later")
    assert other["status"] == "scheduled"
    own = f"{path}/{grant['grant_id']}"
    assert api.get(own) == grant
    assert api.post(f"{own}/refund", {"amount": "4", "reason": "asked"}, idempotency_key="r")["remaining"] == "6.00"
    assert api.post(f"{own}/adjust", {"amount": "-1", "reason": "wrong"}, idempotency_key="a")["remaining"] == "5.00"
    ended = api.post(f"{own}/void", {"reason": "over"})
    assert (ended["status"], ended["remaining"], ended["voided_at"]) == ("voided", "0.00", "2026-03-10T12:00:00Z")
    assert problem(api.ask("GET", f"{path}/grn_unknown"), 404) == {}


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("expires_at", {"expires_at": "2026-03-10T12:00:00Z"}),
        ("effective_at", {"effective_at": "2026-03-10T11:59:59Z"}),
        ("rolls_over", {"rolls_over": "1"}),
        ("recurs.unit", {"recurs": {"count": 2}}),
        ("recurs.time_zone", {"recurs": {"unit": "day", "time_zone": "Mars/Base"}}),
    ],
)
def test_terms_that_cannot_be_are_refused_by_their_field(api: Api, field: str, fields: dict[str, object]) -> None:
    answer = api.ask(
        "POST",
        f"/subscriptions/{api.subscribe()}/grants",
        body=msgspec.json.encode({"amount": "1"} | fields),
        idempotency_key="one",
    )
    assert list(problem(answer, 400)) == [field]


def test_a_companys_credit_is_spread_and_an_overdraft_is_set(api_on_both: Api) -> None:
    api = api_on_both
    subscription_id = api.subscribe()
    shares = [{"subscription_id": subscription_id}]
    given = api.post("/companies/acme/grants", {"amount": "3", "shares": shares}, idempotency_key="all")
    assert [grant["amount"] for grant in given["data"]] == ["3.00"]
    path = f"/subscriptions/{subscription_id}/credit-limit"
    answer = api.ask("PUT", path, body=b'{"overdraft":"2.50"}')
    assert answer.json() == {"subscription_id": subscription_id, "currency": "USD", "overdraft": "2.50"}
    balance = api.get(f"/subscriptions/{subscription_id}/balance")
    assert (balance["balance"], balance["available"]) == ("3.00", "5.50")


def test_what_belongs_to_no_subscription_is_not_found(api: Api) -> None:
    for part in ("grants", "balance", "ledger"):
        assert problem(api.ask("GET", f"/subscriptions/unknown/{part}"), 404) == {}
    answer = api.ask("POST", "/subscriptions/unknown/grants", body=b'{"amount":"1"}', idempotency_key="one")
    assert problem(answer, 404) == {}


def test_a_package_is_paid_with_its_first_unit_and_its_rest_is_paid_ahead(api_on_both: Api) -> None:
    subscription_id = api_on_both.subscribe()
    api_on_both.grant(subscription_id, "10")
    api_on_both.take(Call(prompt_tokens=1, completion_tokens=1_000_000))
    balance = api_on_both.get(f"/subscriptions/{subscription_id}/balance")
    assert balance["balance"] == "8.00"
    tokens_in, tokens_out = balance["prices"]
    assert (tokens_in["quantity"], tokens_in["debited"], tokens_in["units_paid_ahead"]) == ("1", "0.50", "999999")
    assert (tokens_out["quantity"], tokens_out["debited"], tokens_out["units_paid_ahead"]) == ("1000000", "1.50", "0")
    assert tokens_in["period_start"] == "2026-03-01T00:00:00Z"
    assert tokens_in["period_end"] == "2026-04-01T00:00:00Z"


def test_a_call_is_explained_by_its_request_id(api_on_both: Api) -> None:
    api = api_on_both
    subscription_id = api.subscribe()
    api.take(Call(request_id="req_9", prompt_tokens=7, completion_tokens=None))
    event = api.get("/events/req_9")
    assert (event["company_id"], event["status"], event["estimated"]) == ("acme", 200, False)
    assert event["event"]["response"]["body"]["usage"] == {"prompt_tokens": 7, "completion_tokens": None}
    (charge,) = event["charges"]
    assert (charge["quantity"], charge["amount"], charge["currency"]) == ("7", "0.50", "USD")
    assert charge["subscription_id"] == subscription_id
    (missing,) = event["unmeterable"]
    assert "completion_tokens is missing" in missing["reason"]
    assert event["set_aside"] is None
    assert problem(api.ask("GET", "/events/req_10"), 404) == {}


def test_charges_are_read_by_company_meter_and_time_a_part_at_a_time(api_on_both: Api) -> None:
    api = api_on_both
    subscription_id = api.subscribe()
    api.take(
        *(
            Call(request_id=f"r{number}", sequence=number, occurred_at=NOW - timedelta(minutes=number))
            for number in range(1, 6)
        )
    )
    whole = api.get("/charges")["data"]
    assert len(whole) == 10
    meter_id = whole[0]["meter_id"]
    assert len(api.get(f"/charges?meter_id={meter_id}")["data"]) == 5
    assert len(api.get(f"/charges?company_id=acme&meter_id={meter_id}")["data"]) == 5
    assert api.get("/charges?company_id=beta")["data"] == []
    assert {charge["subscription_id"] for charge in whole} == {subscription_id}
    since = (NOW - timedelta(minutes=3)).isoformat().replace("+00:00", "Z")
    assert len(api.get(f"/charges?from={since}")["data"]) == 6
    assert len(api.get(f"/charges?to={since}")["data"]) == 4
    assert _in_parts(api, "/charges?company_id=acme", limit=3) == whole
    assert sum(Decimal(charge["amount"]) for charge in whole) == Decimal("2.00")


def test_usage_is_added_up_as_asked_for_and_read_in_parts(api_on_both: Api) -> None:
    api = api_on_both
    api.subscribe()
    minutes_ago = (723, 59, 49, 48)
    api.take(
        *(
            Call(request_id=f"r{ago}", sequence=ago, prompt_tokens=ago, occurred_at=NOW - timedelta(minutes=ago))
            for ago in minutes_ago
        )
    )
    meter_id = next(meter["meter_id"] for meter in api.get("/meters")["data"] if meter["name"].startswith("Input"))
    for granularity, starts in (
        ("window", ["2026-03-09T23:55:00Z", "2026-03-10T11:00:00Z", "2026-03-10T11:10:00Z"]),
        ("hour", ["2026-03-09T23:00:00Z", "2026-03-10T11:00:00Z"]),
        ("day", ["2026-03-09T00:00:00Z", "2026-03-10T00:00:00Z"]),
        ("total", ["2026-03-09T23:55:00Z"]),
    ):
        query = f"/usage?company_id=acme&meter_id={meter_id}&granularity={granularity}"
        whole = api.get(query)["data"]
        assert [row["start"] for row in whole] == starts
        assert sum(int(row["quantity"]) for row in whole) == sum(minutes_ago)
        assert sum(row["event_count"] for row in whole) == 4
        assert _in_parts(api, query, limit=1) == whole


def _in_parts(api: Api, query: str, *, limit: int) -> list[dict[str, object]]:
    read, path = [], f"{query}&limit={limit}"
    while path:
        page = api.get(path)
        assert len(page["data"]) <= limit
        read += page["data"]
        path = page["next_cursor"] and f"{query}&limit={limit}&cursor={page['next_cursor']}"
    return read


def test_usage_of_all_companies_and_meters_comes_in_one_list(api_on_both: Api) -> None:
    api_on_both.subscribe()
    api_on_both.take(Call(), Call(request_id="b", sequence=2, company_id="stranger"))
    rows = api_on_both.get("/usage?granularity=total")["data"]
    assert [(row["company_id"], row["quantity"]) for row in rows] == [
        ("acme", "10"),
        ("acme", "5"),
        ("stranger", "10"),
        ("stranger", "5"),
    ]


def test_what_was_not_metered_is_shown_with_its_reason(api_on_both: Api) -> None:
    api = api_on_both
    api.subscribe()
    api.take(
        Call(request_id="a", prompt_tokens=None),
        Call(request_id="b", prompt_tokens=None, sequence=2),
        Call(request_id="c", occurred_at=NOW + timedelta(hours=1), sequence=3),
        Call(request_id="d", occurred_at=NOW + timedelta(hours=1), sequence=4),
    )
    (count,) = api.get("/unmeterable")["data"]
    assert (count["event_count"], "missing" in count["reason"]) == (2, True)
    first = api.get("/set-aside-events?limit=1")
    second = api.get(f"/set-aside-events?limit=1&cursor={first['next_cursor']}")
    assert [page["data"][0]["reason"] for page in (first, second)] == ["ahead", "ahead"]
    assert second["next_cursor"] is None
    assert api.get("/events/c")["set_aside"]["reason"] == "ahead"


def test_an_empty_ledger_page_and_a_full_one_tile(api: Api) -> None:
    subscription_id = api.subscribe()
    for number in range(3):
        api.grant(subscription_id, "1", key=str(number))
    path = f"/subscriptions/{subscription_id}/ledger?limit=2"
    first = api.get(path)
    second = api.get(f"{path}&cursor={first['next_cursor']}")
    assert [entry["entry_id"] for entry in first["data"] + second["data"]] == [1, 2, 3]
    assert second["next_cursor"] is None


def test_an_event_is_found_by_its_id_as_well_whatever_became_of_it(api_on_both: Api) -> None:
    api = api_on_both
    api.subscribe()
    agents = b'{"request":{"time":"2026-03-10T12:00:00Z","uri":"http://a/ai/chat","verb":"POST"},"transaction_id":"t"}'
    api.take_bodies(Call(request_id="req_9").body(), agents, b'{"request": 1}', b"\xff{")
    by_request = api.get("/events/req_9")
    assert by_request == api.get(f"/events/{by_request['event_id']}")
    first = int(by_request["event_id"].removeprefix("evt_"))
    assert api.get(f"/events/evt_{first + 1}")["request_id"] is None
    for place, sent in ((first + 2, {"request": 1}), (first + 3, None)):
        event = api.get(f"/events/evt_{place}")
        assert (event["set_aside"]["reason"], event["occurred_at"], event["event"]) == ("malformed", None, sent)
    for unknown in (f"evt_{first + 4}", "evt_0", f"evt_0{first}", "evt_" + "9" * 30, "evt_x"):
        assert problem(api.ask("GET", f"/events/{unknown}"), 404) == {}
