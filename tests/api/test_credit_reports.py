from datetime import timedelta

import pytest

from tests.api.world import NOW, Api, problem
from tests.services.world import Call

DAY = timedelta(days=1)
MILLION = 1_000_000


def with_credit(api: Api) -> str:
    """A dollar that expires after a day, two that stay; half a dollar used, then the day goes by."""
    subscription_id = api.subscribe()
    path = f"/subscriptions/{subscription_id}/grants"
    ending = {"amount": "1", "expires_at": "2026-03-11T12:00:00Z"}
    api.post(path, ending, idempotency_key="ends")
    gift = {"amount": "2", "kind": "promotional", "priority": 1}
    api.post(path, gift, idempotency_key="stays")
    api.clock.at = NOW + DAY / 2
    api.take(Call(prompt_tokens=MILLION, completion_tokens=0))
    api.clock.at = NOW + DAY
    api.take(Call(request_id="req_2", sequence=2, prompt_tokens=MILLION, completion_tokens=0, occurred_at=NOW + DAY))
    return subscription_id


def test_entries_say_what_they_moved_of_which_grant(api_on_both: Api) -> None:
    api = api_on_both
    subscription_id = with_credit(api)
    ends, stays = (grant["grant_id"] for grant in api.get(f"/subscriptions/{subscription_id}/grants")["data"])
    entries = api.get(f"/subscriptions/{subscription_id}/ledger")["data"]
    assert [(entry["kind"], entry["grants"]) for entry in entries] == [
        ("grant", [{"grant_id": ends, "amount": "1.00"}]),
        ("grant", [{"grant_id": stays, "amount": "2.00"}]),
        ("debit", [{"grant_id": ends, "amount": "-0.50"}]),
        ("expire", [{"grant_id": ends, "amount": "-0.50"}]),
        ("debit", [{"grant_id": stays, "amount": "-0.50"}]),
    ]


@pytest.mark.parametrize(
    ("at", "balance", "left"),
    [
        ("2026-03-10T11:59:59Z", "0.00", []),
        ("2026-03-10T12:00:00Z", "3.00", ["1.00", "2.00"]),
        ("2026-03-11T11:59:59Z", "2.50", ["0.50", "2.00"]),
        ("2026-03-11T12:00:00Z", "1.50", ["0.00", "1.50"]),
        ("2030-01-01T00:00:00Z", "1.50", ["0.00", "1.50"]),
    ],
)
def test_a_balance_of_the_past_is_what_was_posted_by_then(api: Api, at: str, balance: str, left: list[str]) -> None:
    found = api.get(f"/subscriptions/{with_credit(api)}/past-balance?at={at}")
    assert (found["balance"], found["overage"], found["at"]) == (balance, "0.00", at)
    assert [grant["remaining"] for grant in found["grants"]] == left


def test_what_came_to_nothing_is_shown_by_month_and_what_is_still_owed_at_a_moment(api_on_both: Api) -> None:
    api = api_on_both
    subscription_id = with_credit(api)
    stays = api.get(f"/subscriptions/{subscription_id}/grants")["data"][1]["grant_id"]
    before = api.get("/credit/liability?at=2026-03-11T11:00:00Z")
    assert before["data"] == [{"currency": "USD", "paid": "0.50", "promotional": "2.00"}]
    api.clock.at = NOW + 30 * DAY
    api.post(f"/subscriptions/{subscription_id}/grants/{stays}/void", {"reason": "over"})
    assert api.get("/credit/liability?at=2026-04-10T00:00:00Z")["data"] == [
        {"currency": "USD", "paid": "0.00", "promotional": "0.00"}
    ]
    none = {"expired_paid": "0.00", "voided_paid": "0.00", "expired_promotional": "0.00", "voided_promotional": "0.00"}
    assert api.get("/credit/breakage?from=2026-01-01T00:00:00Z&to=2027-01-01T00:00:00Z")["data"] == [
        {"month": "2026-03-01", "currency": "USD", **none, "expired_paid": "0.50"},
        {"month": "2026-04-01", "currency": "USD", **none, "voided_promotional": "1.50"},
    ]


@pytest.mark.parametrize("to", ["2026-01-01T00:00:00Z", "2027-03-01T00:00:00Z"])
def test_breakage_is_asked_for_a_stretch_of_time(api: Api, to: str) -> None:
    assert list(problem(api.ask("GET", f"/credit/breakage?from=2026-01-01T00:00:00Z&to={to}"), 400)) == ["to"]


def test_the_audit_finds_nothing_and_names_what_was_changed_part_by_part(api_on_both: Api) -> None:
    api = api_on_both
    subscription_id = with_credit(api)
    assert api.get("/audit") == {"accounts": 1, "data": [], "next_cursor": None}
    with api.database.begin() as transaction:
        transaction.exec_driver_sql("UPDATE account SET balance = balance + 1")
    first = api.get("/audit?limit=1")
    assert first["data"] == [
        {
            "subscription_id": subscription_id,
            "figure": "balance",
            "of": "",
            "kept": "1500000001",
            "rebuilt": "1500000000",
        }
    ]
    rest = api.get(f"/audit?limit=1&cursor={first['next_cursor']}")
    assert rest == {"accounts": 0, "data": [], "next_cursor": None}
